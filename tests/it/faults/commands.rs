//! The commands as a person or a script sees them: one ready line, exit codes, words on stderr, and
//! no process left behind however they end.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;
use weir::up::RunDir;

use super::rig::{CHAT, LONG, ask};
use crate::support::http1::{self, Request};
use crate::support::proc;
use crate::support::process::{self, Child, Stream, ready_value};
use crate::support::response::Response;

/// Runs a command to its end: its exit code, stdout and stderr.
pub(super) fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut child = Child::spawn("weir", process::weir(arguments));
    let status = child.wait(LONG).unwrap_or_else(|| panic!("{arguments:?} does not end: {}", child.written()));
    (status.code(), child.stdout(), child.stderr())
}

/// The exit code and stderr of a command that reads `input`.
fn piped(arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = process::weir(arguments);
    command.stdin(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A directory with one file of documents, and the path of the file.
fn documents(text: &str) -> (RunDir, String) {
    let directory = RunDir::create().expect("a directory");
    let path = directory.file("weir.yaml");
    std::fs::File::create(&path).and_then(|mut file| file.write_all(text.as_bytes())).expect("a file");
    (directory, path.display().to_string())
}

/// `weir up --mock` on free ports, its `host:port`, and Envoy's process id.
fn up() -> (Child, String, u32) {
    let child = Child::spawn("weir up", process::weir(&["up", "--mock", "--port", "0", "--admin-port", "0"]));
    let line = child.ready_line("ready ", LONG);
    let address = ready_value(&line, "base_url").trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let children = proc::children(child.id()).expect("it runs");
    let envoy = children.iter().find(|(_, name)| name.contains("envoy")).unwrap_or_else(|| panic!("{children:?}"));
    (child, address, envoy.0)
}

/// Waits for the end of a process that is not our child.
fn wait_gone(pid: u32, what: &str) {
    let until = Instant::now() + LONG;
    while proc::runs(pid) {
        assert!(Instant::now() < until, "{what}: Envoy (process {pid}) still runs");
        std::thread::sleep(Duration::from_millis(20));
    }
}

async fn call(address: &str) -> Response {
    let headers = [("content-type", "application/json")];
    let request = Request { method: "POST", path: CHAT, headers: &headers };
    let bytes = request.with_length(ask("gpt-4o-mini", false).to_string().as_bytes());
    http1::exchange(address, "POST", &bytes).await.expect("an answer")
}

#[test]
fn check_says_every_error_and_exits_with_1() {
    let (_directory, good) = documents(
        "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: a}\nspec: {endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: None}]}\n",
    );
    let (code, out, err) = run(&["check", &good]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("valid: 1 backends"), "{err}");

    let (_directory, bad) = documents(
        "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: a}\nspec: {provider: opanai, colour: red}\n---\n\
         apiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: r}\nspec: {rules: [{name: x, backends: [{name: nobody}]}]}\n",
    );
    let (code, out, err) = run(&["check", &bad]);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    for part in ["weir.yaml:1:spec.colour: ", "weir.yaml:2:spec.rules[0].backends[0].name: "] {
        assert!(err.contains(part), "{part} is not in: {err}");
    }
    // What is right and cannot be done yet is a note to `check`, and a refusal to `run`.
    let full = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/config/full.yaml");
    let (code, out, err) = run(&["check", full]);
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert!(err.contains("full.yaml:9:kind: not supported yet: LLMGuardPolicy"), "{err}");
    let (code, _, err) = run(&["run", "--config", full]);
    assert!(code == Some(1) && err.contains("full.yaml:9:kind: not supported yet: LLMGuardPolicy"), "{err}");
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-config/several-files");
    let (code, _, err) = run(&["check", folder]);
    assert_eq!(code, Some(1), "{err}");
    for part in ["a.yaml:1:spec.provider: ", "b.yaml:2:spec.limits[0].amount: ", "c.yml:2: not YAML: "] {
        assert!(err.contains(part), "{part} is not in: {err}");
    }
    let (code, err) = piped(&["check", "-"], "kind: LLMRoute\n---\nkind: Pod\n");
    assert!(code == Some(1) && err.contains("stdin:1:spec: ") && err.contains("stdin:2:kind: unknown kind"), "{err}");
    let (code, _, err) = run(&["check", "/nowhere/weir.yaml"]);
    assert!(code == Some(1) && err.contains("/nowhere/weir.yaml"), "{err}");
    let (_directory, bad) = documents(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {name: p}\nspec: {listen: {extProc: nowhere}}\n",
    );
    let (code, _, err) = run(&["run", "--config", &bad]);
    assert!(code == Some(1) && err.contains("not known where to listen") && err.contains("extProc"), "{err}");
    assert_eq!(run(&["no-such-command"]).0, Some(2));
}

#[tokio::test]
async fn run_and_mock_say_one_line_and_end_well() {
    let directory = RunDir::create().expect("a directory");
    let dir = directory.path().display();
    let text = format!(
        "apiVersion: weir.dev/v1alpha1\nkind: WeirBootstrap\nmetadata: {{name: p}}\nspec:\n  \
         listen: {{extProc: 'unix:{dir}/new/e.sock', adminSocket: 'unix:{dir}/a.sock', metrics: '127.0.0.1:0'}}\n"
    );
    let path = directory.file("weir.yaml");
    std::fs::write(&path, text).expect("a file");
    let path = path.display().to_string();
    let mut weir = Child::spawn("weir run", process::weir(&["run", "--config", &path]));
    let line = weir.ready_line("ready ", LONG);
    assert_eq!(ready_value(&line, "extproc"), format!("unix:{dir}/new/e.sock"));
    assert_eq!(ready_value(&line, "admin"), format!("unix:{dir}/a.sock"));
    let metrics = ready_value(&line, "metrics");
    let ready = Request { method: "GET", path: "/readyz", headers: &[] }.head();
    assert_eq!(http1::exchange(&metrics, "GET", &ready).await.expect("the port answers").status, 200);
    // A second process takes nothing from the first.
    let (code, out, err) = run(&["run", "--config", &path]);
    assert!(code == Some(1) && out.is_empty() && err.contains("e.sock"), "{err}");
    assert!(weir.stop(LONG).success());
    assert_eq!(weir.stdout(), format!("{line}\n"), "one line and no more");

    let mut mock = Child::spawn("weir mock", process::weir(&["mock", "--port", "0"]));
    let line = mock.ready_line("ready ", LONG);
    let address = ready_value(&line, "base_url").trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    assert_eq!(call(&address).await.status, 200);
    mock.signal("INT");
    assert!(mock.wait(LONG).expect("it ends").success());
    assert_eq!(mock.stdout(), format!("{line}\n"));
}

#[tokio::test]
async fn up_leaves_no_process_behind_however_it_ends() {
    for signal in ["TERM", "INT", "KILL"] {
        let (mut child, address, envoy) = up();
        let answer = call(&address).await;
        assert!(answer.status == 200 && answer.complete, "{answer:?}");
        let ledger = child.line(Stream::Stderr, |line| line.starts_with("Usage records: "), LONG).expect("it is named");
        let ledger = ledger.trim_start_matches("Usage records: ").to_owned();
        let until = Instant::now() + LONG;
        let record = loop {
            let text = std::fs::read_to_string(&ledger).unwrap_or_default();
            if let Some((line, _)) = text.split_once('\n') {
                break serde_json::from_str::<Value>(line).expect("JSON");
            }
            assert!(Instant::now() < until, "no record in {ledger}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        assert_eq!(record["backend"], "mock");
        child.signal(signal);
        let status = child.wait(LONG).expect("it ends");
        wait_gone(envoy, signal);
        if signal == "KILL" {
            // Nothing was there any more to remove its directory; the next run anywhere on this machine
            // does, and one beside this test may have.
            let directory = std::path::Path::new(&ledger).parent().expect("a directory");
            match std::fs::remove_dir_all(directory) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    panic!("{}: {error}", directory.display())
                }
                _ => {}
            }
        } else {
            assert_eq!(status.code(), Some(0), "{signal}: {}", child.written());
            assert!(!std::path::Path::new(&ledger).exists(), "the directory of the run is removed");
        }
        assert_eq!(child.stdout().lines().count(), 1, "one line and no more");
    }
}

#[test]
fn a_port_in_use_is_named() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("bound").port().to_string();
    let (code, out, err) = run(&["up", "--mock", "--port", &port, "--admin-port", "0"]);
    assert!(code == Some(1) && out.is_empty() && err.contains(&format!("127.0.0.1:{port} is in use")), "{err}");
    let (code, out, err) = run(&["up", "--mock", "--port", "0", "--admin-port", &port]);
    assert!(code == Some(1) && out.is_empty() && err.contains(&format!("127.0.0.1:{port}")), "{err}");
    let (code, out, err) = run(&["mock", "--port", &port]);
    assert!(code == Some(1) && out.is_empty() && err.contains("cannot serve"), "{err}");
}

#[test]
fn the_tour_ends_well() {
    let (code, out, err) = run(&["up", "--demo", "--exit", "--port", "0", "--admin-port", "0"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("ready base_url=") && out.lines().count() == 1, "{out}");
    assert!(!err.contains("panicked"), "{err}");
}

#[test]
fn a_signal_that_comes_with_the_ready_line_is_heard() {
    for signal in ["TERM", "INT"].repeat(5) {
        let mut mock = Child::spawn("weir mock", process::weir(&["mock", "--port", "0"]));
        mock.ready_line("ready ", LONG);
        mock.signal(signal);
        let status = mock.wait(LONG).expect("it ends");
        assert!(status.success(), "{signal}: {status}");
    }
}
