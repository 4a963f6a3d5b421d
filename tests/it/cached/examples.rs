//! What `examples/cache/README.md` shows: its commands are run by a shell against `weir up`, and must write what stands
//! below each.

use std::path::{Path, PathBuf};

use tokio::net::TcpListener;
use weir::mock::Mock;

use crate::faults::explain::shell;
use crate::faults::rig::LONG;
use crate::support::process::{self, Child, ready_value};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cache")
}

/// The blocks of this kind on a page.
fn blocks<'p>(page: &'p str, kind: &str) -> Vec<&'p str> {
    let begin = format!("```{kind}\n");
    page.split(&begin[..]).skip(1).map(|rest| rest.split_once("```").expect("a block has an end").0).collect()
}

/// The commands of a block, each with what is below it. A line that goes on begins with a `>` or is indented behind a
/// backslash.
fn commands(block: &str) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = Vec::new();
    let mut goes_on = false;
    for line in block.lines() {
        let begins = line.strip_prefix("$ ");
        match (begins, all.last_mut()) {
            (Some(command), _) => all.push((format!("{command}\n"), String::new())),
            (None, Some((command, _))) if goes_on => *command += &format!("{line}\n"),
            (None, Some((command, _))) if line.starts_with("> ") => *command += &format!("{}\n", &line[2..]),
            (None, Some((_, output))) => *output += &format!("{line}\n"),
            (None, None) => panic!("output of nothing: {line}"),
        }
        goes_on = line.ends_with('\\') && !line.starts_with("> ");
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_what_happens() {
    let mock = Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await;
    let read = |name: &str| std::fs::read_to_string(folder().join(name)).expect("an example");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weir.yaml");
    std::fs::write(&path, read("weir.yaml").replace("127.0.0.1:9700", &mock.addr().to_string())).expect("written");
    let path = path.to_str().expect("text").to_owned();
    let file = path.clone();
    let weir = tokio::task::spawn_blocking(move || {
        Child::spawn("weir up", process::weir(&["up", "--config", &path, "--port", "0", "--admin-port", "0"]))
    });
    let mut weir = weir.await.expect("it starts");
    let line = weir.ready_line("ready ", LONG);
    let address = ready_value(&line, "base_url").trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let admin = ready_value(&line, "admin").trim_start_matches("http://").to_owned();
    let scratch = directory.path().display().to_string();
    let page = read("README.md");
    let prelude = blocks(&page, "sh").concat();
    let shown: Vec<(String, String)> = blocks(&page, "console").into_iter().skip(1).flat_map(commands).collect();
    assert!(shown.len() >= 12, "{shown:?}");
    // One shell, for a variable of one command is another's; a line between two outputs parts them.
    let script: String = shown.iter().map(|(command, _)| format!("{command}echo ---\n")).collect();
    let script = (prelude + &script)
        .replace("127.0.0.1:10000", &address)
        .replace("127.0.0.1:10001", &admin)
        .replace("/tmp/", &format!("{scratch}/"))
        .replace("examples/cache/weir.yaml", &file);
    let written = tokio::task::spawn_blocking(move || shell(&script)).await.expect("the shell ends");
    let written: Vec<&str> = written.split_terminator("---\n").collect();
    assert_eq!(written.len(), shown.len(), "{written:?}");
    for ((command, expected), found) in shown.iter().zip(written) {
        assert_eq!(found, expected, "{command}");
    }
    assert!(weir.stop(LONG).success(), "{}", weir.written());
}
