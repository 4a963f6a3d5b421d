//! SIGTERM: readiness goes, nothing new is taken, what runs comes to its end or is ended in words,
//! and no record is lost.

use std::os::unix::net::UnixStream;

use weir::render::envoy::BodyMode;

use super::rig::{LONG, Parts, Rig, aborts, ask, outage, wait};
use crate::support::process::Stream;

async fn a_live_stream_comes_to_its_end_and_nothing_new_is_taken(mode: BodyMode) {
    let mut rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let mut live = rig.open(&[("x-mock-tokens", "100"), ("x-mock-spacing", "30")], &ask("alpha", true)).await;
    live.read_body(300).await;
    assert_eq!(rig.admin("/readyz").await.status, 200);
    rig.weir.signal("TERM");
    wait("end of readiness", || async { rig.admin("/readyz").await.status == 503 }).await;
    assert_eq!(rig.admin("/healthz").await.status, 200, "it is alive while it drains");
    assert_eq!(rig.samples().await.sum("weir_exchanges_in_flight", &[]), 1.0);
    let socket = rig.directory.file("extproc.sock");
    wait("refusal of connections", || async { UnixStream::connect(&socket).is_err() }).await;
    let refused = rig.chat(&[], &ask("alpha", false)).await;
    assert!(refused.status == 503 && refused.json()["error"].is_object(), "{refused:?}");
    let whole = live.finish().await;
    assert!(whole.complete && whole.events().last().is_some_and(|last| last == "[DONE]"), "{whole:?}");
    let status = rig.weir.wait(LONG).expect("Weir ends when the last stream has");
    assert!(status.success(), "{status}: {}", rig.weir.written());
    let record = rig.record_of(&whole).await;
    assert_eq!((&record["outcome"], &record["usage"]["output"]), (&"OUTCOME_COMPLETED".into(), &"100".into()));
    rig.judge(&outage()).await;
}

async fn when_the_time_is_over_a_stream_ends_with_an_error_event(mode: BodyMode) {
    let mut rig = Rig::start(Parts { process: "  drainTimeout: 1s", mode, ..Parts::default() }).await;
    assert_eq!(rig.chat(&[("x-mock-tokens", "9")], &ask("alpha", true)).await.status, 200);
    let mut live = rig.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "30")], &ask("alpha", true)).await;
    live.read_body(300).await;
    rig.weir.signal("TERM");
    let ended = live.finish().await;
    assert!(ended.complete, "the client sees a clean end: {ended:?}");
    let last = ended.events().into_iter().rfind(|event| event != "[DONE]").expect("events");
    let last: serde_json::Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(last["error"]["code"], "shutting_down", "{last}");
    let status = rig.weir.wait(LONG).expect("Weir ends when its time is over");
    assert!(status.success(), "{status}: {}", rig.weir.written());
    let record = rig.record_of(&ended).await;
    assert_eq!(record["outcome"], "OUTCOME_STOPPED", "{record:#}");
    assert_eq!(record["usageSource"], "USAGE_SOURCE_ESTIMATED", "{record:#}");
    rig.judge(&aborts()).await;
}

async fn a_second_signal_ends_the_process_at_once(mode: BodyMode) {
    let mut rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let mut live = rig.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "30")], &ask("alpha", true)).await;
    live.read_body(300).await;
    rig.weir.signal("TERM");
    wait("end of readiness", || async { rig.admin("/readyz").await.status == 503 }).await;
    rig.weir.signal("INT");
    assert_eq!(rig.weir.wait(LONG).expect("Weir ends").code(), Some(130));
    assert!(!live.finish().await.complete, "a stream that is cut is not shown as a whole one");
    rig.judge(&outage()).await;
}

async fn a_restart_under_load_truncates_no_stream(mode: BodyMode) {
    const STREAMS: usize = 20;
    let mut rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let mut live = Vec::new();
    for _ in 0..STREAMS {
        live.push(rig.open(&[("x-mock-tokens", "60"), ("x-mock-spacing", "50")], &ask("alpha", true)).await);
    }
    for stream in &mut live {
        stream.read_body(1).await;
    }
    rig.weir.signal("TERM");
    let socket = rig.directory.file("extproc.sock");
    wait("refusal of connections", || async { UnixStream::connect(&socket).is_err() }).await;
    let mut old = rig.replace_weir();
    // The new one serves while the old one still drains.
    wait("service by the new process", || async { rig.chat(&[], &ask("alpha", false)).await.status == 200 }).await;
    // A record is counted a little later than its call ends.
    let counted = || async { rig.samples().await.sum("weir_decisions_total", &[("step", "target")]) >= 1.0 };
    wait("count of the first call", counted).await;
    for stream in live {
        let whole = stream.finish().await;
        assert!(whole.complete && whole.events().last().is_some_and(|last| last == "[DONE]"), "{whole:?}");
    }
    let status = old.wait(LONG).expect("the old process ends");
    assert!(status.success(), "{status}: {}", old.written());
    assert_eq!(rig.chat(&[], &ask("alpha", false)).await.status, 200, "the socket of the new process is still there");
    let streams = rig.records().iter().filter(|record| record["usage"]["output"] == "60").count();
    assert_eq!(streams, STREAMS, "the old process wrote its records");
    assert_eq!(old.line(Stream::Stderr, |line| line.contains("panicked"), LONG), None);
    rig.end(&outage()).await;
}

async fn a_call_whose_answer_comes_after_the_time_is_over_leaves_its_record(mode: BodyMode) {
    let mut rig = Rig::start(Parts { process: "  drainTimeout: 1s", mode, ..Parts::default() }).await;
    let live = rig.open(&[("x-mock-delay", "60000")], &ask("alpha", false)).await;
    rig.in_flight(1).await;
    rig.weir.signal("TERM");
    let status = rig.weir.wait(LONG).expect("Weir ends when its time is over");
    assert!(status.success(), "{status}: {}", rig.weir.written());
    let records = rig.records_when(1).await;
    assert_eq!(records[0]["outcome"], "OUTCOME_STOPPED", "{records:#?}");
    assert_eq!(records[0]["usageSource"], "USAGE_SOURCE_UNKNOWN", "{records:#?}");
    drop(live);
    rig.judge(&outage()).await;
}

first_mode!(
    a_live_stream_comes_to_its_end_and_nothing_new_is_taken,
    when_the_time_is_over_a_stream_ends_with_an_error_event,
    a_second_signal_ends_the_process_at_once,
    a_restart_under_load_truncates_no_stream,
    a_call_whose_answer_comes_after_the_time_is_over_leaves_its_record
);
