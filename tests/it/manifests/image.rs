//! What the image relies on. There need be no container engine: a root is made that holds the program, the libraries
//! that it names, a CA bundle and a configuration, and the program runs in it as the image's user, with that root
//! read-only.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::resolved::root;
use crate::support::http1::{self, Request};
use crate::support::proc;
use crate::support::process::{self, Child};
use crate::support::root::{as_root, must};

const LONG: Duration = Duration::from_secs(60);

/// Libraries that a distroless `cc` image has, by how their names begin.
const OF_THE_BASE: &[&str] =
    &["ld-linux", "libc.so", "libdl.so", "libgcc_s.so", "libm.so", "libpthread.so", "librt.so"];

/// What the runtime of a container does: it mounts what the pod says, then nothing can be written any more. `$1` is
/// the root, `$2` and `$3` are the directories that may be written to.
const START: &str = r#"
mount --bind "$1" "$1"
mount --bind "$2" "$1/run/weir"
mount --bind "$3" "$1/var/lib/weir"
mount --bind /proc "$1/proc"
mount -o remount,bind,ro "$1"
exec setpriv --no-new-privs chroot --userspec=65532:65532 "$1" /usr/bin/weir run --config /etc/weir
"#;

const DOCUMENTS: &str = "\
apiVersion: weir.dev/v1alpha1
kind: WeirBootstrap
metadata: {name: process}
spec:
  listen:
    extProc: 'unix:/run/weir/own/extproc.sock'
    adminSocket: 'unix:/var/lib/weir/admin.sock'
    metrics: '127.0.0.1:0'
  ledger: {path: /var/lib/weir/usage.jsonl}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai}
spec: {provider: openai, credentials: [{type: APIKey, apiKey: {file: /etc/weir/key}}]}
";

/// Files that the program is linked with.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let mut ldd = std::process::Command::new("ldd");
    ldd.arg(program);
    let said = must(ldd);
    said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn put(root: &Path, at: &str, from: &Path) {
    let to = root.join(at.trim_start_matches('/'));
    std::fs::create_dir_all(to.parent().expect("a directory")).expect("a directory");
    // Follows links: what is there is what the program reads.
    std::fs::copy(from, &to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// A root with nothing in it that nobody put there.
fn make_root(root: &Path) {
    let program = Path::new(env!("CARGO_BIN_EXE_weir"));
    put(root, "/usr/bin/weir", program);
    for library in libraries(program) {
        let name = library.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(OF_THE_BASE.iter().any(|begin| name.starts_with(begin)), "{name} is not in a distroless cc image");
        put(root, library.to_str().expect("text"), &library);
    }
    put(root, "/etc/ssl/certs/ca-certificates.crt", &weir::render::files::system_ca());
    for directory in ["etc/weir", "run/weir", "var/lib/weir", "proc"] {
        std::fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    std::fs::write(root.join("etc/weir/weir.yaml"), DOCUMENTS).expect("a file");
    std::fs::write(root.join("etc/weir/key"), "sk-of-the-image").expect("a file");
}

/// The process of this name that is `pid` or below it.
fn find(pid: u32, name: &str) -> Option<u32> {
    let is_it = std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    if is_it {
        return Some(pid);
    }
    proc::children(pid).ok()?.into_iter().find_map(|(child, _)| find(child, name))
}

fn field<'a>(status: &'a str, name: &str) -> Vec<&'a str> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name}: {status}")).split_whitespace().collect()
}

#[tokio::test]
async fn the_program_runs_as_nobody_in_a_root_that_holds_its_own_files_alone_and_is_read_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let image = directory.path().join("root");
    make_root(&image);
    let text = |name: &str| directory.path().join(name).to_str().expect("text").to_owned();
    for volume in ["run", "state"] {
        must(as_root("install", &["-d", "-m", "0777", &text(volume)]));
    }
    let (root, run, state) = (text("root"), text("run"), text("state"));
    let arguments = ["--mount", "--propagation", "private", "sh", "-euc", START, "sh", &root, &run, &state];
    let mut weir = Child::spawn("weir in a root of its own", as_root("unshare", &arguments));
    let ready = weir.ready_line("ready ", LONG);

    let pid = find(weir.id(), "weir").expect("it runs");
    let status = must(as_root("cat", &[&format!("/proc/{pid}/status")]));
    assert_eq!(field(&status, "Uid"), ["65532"; 4]);
    assert_eq!(field(&status, "Gid"), ["65532"; 4]);
    assert_eq!((field(&status, "CapEff"), field(&status, "NoNewPrivs")), (vec!["0000000000000000"], vec!["1"]));
    let mounts = must(as_root("cat", &[&format!("/proc/{pid}/mountinfo")]));
    let options = |at: &str| {
        let line = mounts.lines().find(|line| line.split(' ').nth(4) == Some(at));
        line.and_then(|line| line.split(' ').nth(5)).unwrap_or_else(|| panic!("{at}: {mounts}")).to_owned()
    };
    assert!(options("/").starts_with("ro,"), "{mounts}");
    assert!(options("/run/weir").starts_with("rw,"), "{mounts}");

    let metrics = process::ready_value(&ready, "metrics");
    for (path, expected) in [("/readyz", "ready\n"), ("/healthz", "ok\n")] {
        let request = Request { method: "GET", path, headers: &[] }.head();
        let answer = http1::exchange(&metrics, "GET", &request).await.expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, expected));
    }
    let signing = "signing is on: the socket is in a private directory";
    assert!(weir.line(process::Stream::Stderr, |line| line.contains(signing), LONG).is_some(), "{}", weir.written());
    assert!(!weir.written().contains("WARN") && !weir.written().contains("ERROR"), "{}", weir.written());
    must(as_root("test", &["-S", &format!("{run}/own/extproc.sock")]));
    must(as_root("kill", &["-TERM", &pid.to_string()]));
    let ended = weir.wait(LONG).expect("it ends");
    assert!(ended.success(), "{ended}: {}", weir.written());
    // What it made is not ours to remove.
    must(as_root("rm", &["-r", &run, &state]));
}

#[test]
fn the_image_runs_nothing_when_it_is_built_and_holds_what_is_said() {
    let text = std::fs::read_to_string(root().join("mesh/Containerfile")).expect("a Containerfile");
    let steps: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let words: Vec<&str> = steps.iter().filter_map(|step| step.split(' ').next()).collect();
    // No RUN: there is no shell.
    assert_eq!(words, ["ARG", "FROM", "COPY", "COPY", "USER", "EXPOSE", "ENTRYPOINT", "CMD"], "{steps:?}");
    assert_eq!((steps[0], steps[1], steps[4]), ("ARG BASE", "FROM ${BASE}", "USER 65532:65532"));
    assert_eq!(steps[6], r#"ENTRYPOINT ["/usr/bin/weir"]"#);
    for file in steps[2].split(' ').skip(1).filter(|file| !file.starts_with("target/") && !file.starts_with('/')) {
        assert!(root().join(file).is_file(), "{file}");
    }
    // The profile is there, and its place is named after it.
    let manifest: toml::Value =
        toml::from_str(&std::fs::read_to_string(root().join("Cargo.toml")).expect("a manifest"))
            .expect("Cargo.toml is TOML");
    assert!(manifest["profile"].get("dist").is_some() && steps[3].contains("target/dist/weir "), "{steps:?}");
}
