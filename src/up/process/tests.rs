//! What is read from Envoy's words, and what a process that is no Envoy leads to. A real Envoy is
//! run by the integration tests.

use serde_json::json;

use super::*;
use crate::up::RunDir;

#[test]
fn a_counter_is_found_by_its_whole_name() {
    let stats = json!({"stats": [{"name": "a.update_success", "value": 3}, {"histograms": {}}]});
    assert_eq!(counter(&stats, "a.update_success"), 3);
    assert_eq!(counter(&stats, "update_success"), 0);
    assert_eq!(counter(&Value::Null, "a"), 0);
}

#[test]
fn a_listener_without_a_port_is_not_bound_yet() {
    let address = |port: u32| json!({"address": "127.0.0.1", "port_value": port});
    assert_eq!(socket_address(&address(10000)), Some(([127, 0, 0, 1], 10000).into()));
    assert_eq!(socket_address(&address(0)), None);
    assert_eq!(socket_address(&address(70000)), None);
    assert_eq!(socket_address(&Value::Null), None);
}

#[test]
fn the_tail_is_short_and_says_when_there_is_none() {
    let long: String = (0..100).map(|line| format!("line {line}\n\n")).collect();
    assert_eq!(tail_of(&long).lines().count(), TAIL_LINES);
    assert!(tail_of(&long).ends_with("line 99"));
    assert_eq!(tail_of("\n"), "(it is empty)");
}

fn launch<'a>(envoy: &'a Path, directory: &'a RunDir, listen: SocketAddr) -> Launch<'a> {
    let any = ([127, 0, 0, 1], 0).into();
    Launch {
        envoy,
        config: Path::new("/dev/null"),
        directory: directory.path(),
        listen,
        admin: any,
        concurrency: Some(1),
        log_level: "warn",
    }
}

#[tokio::test]
async fn a_taken_port_is_named_before_anything_starts() {
    let held = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = held.local_addr().unwrap();
    let directory = RunDir::create().unwrap();
    let error = Envoy::spawn(&launch(Path::new("/bin/false"), &directory, taken)).unwrap_err();
    assert!(matches!(error, ProcessError::PortInUse(address) if address == taken), "{error}");
}

#[tokio::test]
async fn an_envoy_that_dies_is_reported_with_its_words() {
    let directory = RunDir::create().unwrap();
    // `ls` knows no `--config-path` and says so on standard error.
    let any = ([127, 0, 0, 1], 0).into();
    let mut envoy = Envoy::spawn(&launch(Path::new("/bin/ls"), &directory, any)).unwrap();
    let error = envoy.wait_ready(Duration::from_secs(30)).await.unwrap_err();
    let ProcessError::Died { tail, .. } = &error else { unreachable!("{error}") };
    assert!(tail.contains("/bin/ls"), "{tail}");
}

#[test]
fn envoys_own_words_for_a_taken_port_are_understood() {
    let line = "error adding listener: cannot bind '127.0.0.1:10000': Address already in use";
    assert_eq!(quoted_address(line), Some(([127, 0, 0, 1], 10000).into()));
    assert_eq!(quoted_address("no quotes"), None);
}
