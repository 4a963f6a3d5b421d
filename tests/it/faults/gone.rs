//! Weir hangs or dies: clients get an error within seconds, and service when it is there again.

use weir::render::envoy::BodyMode;

use super::rig::{LONG, Parts, Rig, ask, outage, wait};
use crate::support::response::Response;

/// An error of Envoy's own, in JSON.
fn is_refused(answer: &Response) -> bool {
    answer.status == 503 && answer.complete && answer.json()["error"]["message"].is_string()
}

/// The third field of a process's `stat`, behind its name in brackets, is its state.
fn is_stopped(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it is there");
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

async fn a_stopped_weir_costs_seconds(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200);
    let mut live = rig.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "30")], &ask("alpha", true)).await;
    live.read_body(300).await;
    rig.weir.signal("STOP");
    // A signal takes effect when a thread of the process gets its turn.
    wait("stop", || async { is_stopped(rig.weir.id()) }).await;
    // Keepalive finds out after 7 seconds; the client's patience is far longer.
    let call = ask("alpha", false);
    let (answer, live) = tokio::join!(rig.chat(&[], &call), live.finish());
    assert!(is_refused(&answer), "{answer:?}");
    assert!(!live.complete, "{live:?}");
    rig.weir.signal("CONT");
    wait("service", || async { rig.chat(&[], &ask("alpha", false)).await.status == 200 }).await;
    rig.record_of(&live).await;
    rig.end(&outage()).await;
}

async fn a_killed_weir_is_replaced_on_the_same_socket(mode: BodyMode) {
    let mut rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let mut live = rig.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "30")], &ask("alpha", true)).await;
    live.read_body(300).await;
    rig.weir.signal("KILL");
    rig.weir.wait(LONG).expect("it is gone");
    assert!(!live.finish().await.complete);
    let answer = rig.chat(&[], &ask("alpha", false)).await;
    assert!(is_refused(&answer), "{answer:?}");
    assert!(rig.directory.file("extproc.sock").exists(), "the stale socket is there");
    rig.restart_weir();
    wait("service", || async { rig.chat(&[], &ask("alpha", false)).await.status == 200 }).await;
    wait("records of the new process", || async { !rig.records().is_empty() }).await;
    rig.end(&outage()).await;
}

modes_that_stream!(a_stopped_weir_costs_seconds, a_killed_weir_is_replaced_on_the_same_socket);
