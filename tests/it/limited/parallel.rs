//! Concurrency: so many at a time, and a place is free as soon as its call is over.

use std::time::Duration;

use weir::render::envoy::BodyMode;

use super::{code, decisions, exceeded, limit, ok, rig, told};
use crate::faults::rig::{Rig, aborts, ask, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::Connection;

const LONG: &[(&str, &str)] = &[("x-mock-tokens", "3000"), ("x-mock-spacing", "20")];

async fn running(rig: &Rig, headers: &[(&str, &str)]) -> Connection {
    let mut stream = rig.open(headers, &ask("alpha", true)).await;
    assert_eq!(stream.read_body(1).await.status, 200);
    stream
}

/// A call passes again. That its place is free is told by nothing else.
async fn free(rig: &Rig) {
    wait("place", || async { rig.chat(&[("x-mock-tokens", "1")], &ask("alpha", false)).await.status == 200 }).await;
}

async fn so_many_at_a_time_and_each_end_frees_a_place(mode: BodyMode) {
    let rig = rig(mode, &limit("name: parallel, unit: Concurrency, amount: 2")).await;
    let mut live = vec![running(&rig, LONG).await, running(&rig, LONG).await];
    let refused = rig.chat(&[], &ask("alpha", false)).await;
    assert_eq!(code(&refused), exceeded());
    assert_eq!(told(&refused, "retry-after"), 1);
    // At an abort, at the end, at the provider's error, in the middle of a stream and before it.
    live.pop().expect("a stream").abort();
    free(&rig).await;
    for headers in [
        &[("x-mock-tokens", "3")][..],
        &[("x-mock-status", "500")],
        &[("x-mock-abort", "200")],
        &[("x-mock-error-event", "3")],
        &[("x-mock-early", "1"), ("x-mock-status", "400")],
    ] {
        let ended = rig.open(headers, &ask("alpha", true)).await.finish().await;
        assert_ne!(ended.status, 429, "{headers:?}: {ended:?}");
        free(&rig).await;
    }
    // None was lost and none was won.
    let second = running(&rig, LONG).await;
    assert_eq!(code(&rig.chat(&[], &ask("alpha", false)).await), exceeded());
    second.abort();
    live.pop().expect("a stream").abort();
    rig.end(&aborts()).await;
}

async fn throttled_calls_wait_for_their_turn(mode: BodyMode) {
    let one = "name: one, unit: Concurrency, amount: 1, whenExceeded: {action: Throttle, maxDelay: 50s}";
    let rig = rig(mode, &limit(one)).await;
    let headers = [("x-mock-tokens", "10"), ("x-mock-spacing", "20")];
    let body = ask("alpha", true);
    let call = || rig.chat(&headers, &body);
    let began = std::time::Instant::now();
    let (a, b, c, d) = tokio::join!(call(), call(), call(), call());
    for answer in [&a, &b, &c, &d] {
        assert!(answer.status == 200 && answer.complete, "{answer:?}");
    }
    // One after another: each takes nine times its spacing.
    assert!(began.elapsed() >= Duration::from_millis(4 * 9 * 20), "{:?}", began.elapsed());
    rig.end(&Exceptions::default()).await;
}

async fn who_would_wait_too_long_is_refused_at_once(mode: BodyMode) {
    let documents =
        "name: few, unit: Requests, amount: 1, period: {rolling: 5s}, whenExceeded: {action: Throttle, maxDelay: ";
    let rig_of = async |delay: &str| rig(mode, &limit(&format!("{documents}{delay}}}"))).await;
    let short = rig_of("100ms").await;
    assert_eq!(code(&short.chat(&[], &ask("alpha", false)).await), ok());
    let refused = short.chat(&[], &ask("alpha", false)).await;
    assert_eq!(code(&refused), exceeded());
    assert!(told(&refused, "retry-after-ms") > 100);
    short.end(&Exceptions::default()).await;
    let long = rig_of("30s").await;
    assert_eq!(code(&long.chat(&[], &ask("alpha", false)).await), ok());
    let began = std::time::Instant::now();
    assert_eq!(code(&long.chat(&[], &ask("alpha", false)).await), ok());
    assert!(began.elapsed() >= Duration::from_secs(4), "it waited for its turn");
    long.end(&Exceptions::default()).await;
}

async fn what_is_only_observed_or_in_shadow_refuses_nobody(mode: BodyMode) {
    let one = "name: one, unit: Requests, amount: 1, period: {rolling: 1h}";
    let observed = super::limit(&format!("{one}, whenExceeded: {{action: Observe}}"));
    let shadowed = super::policy(&format!("  mode: Shadow\n  limits:\n  - {{{one}}}"));
    for (documents, outcome) in [(observed, "observed"), (shadowed, "would_refuse")] {
        let rig = rig(mode, &documents).await;
        for nth in 0..4 {
            let answer = rig.chat(&[], &ask("alpha", nth % 2 == 0)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let found = decisions(&rig.record_of(&answer).await);
            let over = ["admit", outcome, "exceeded"].map(str::to_owned);
            assert_eq!(found.contains(&over), nth > 0, "{found:?}");
        }
        let labels = [("step", "admit"), ("outcome", outcome), ("reason", "exceeded")];
        assert_eq!(rig.samples().await.sum("weir_decisions_total", &labels), 3.0);
        rig.end(&Exceptions::default()).await;
    }
}

modes_that_stream!(so_many_at_a_time_and_each_end_frees_a_place);
every_mode!(
    throttled_calls_wait_for_their_turn,
    who_would_wait_too_long_is_refused_at_once,
    what_is_only_observed_or_in_shadow_refuses_nobody
);
