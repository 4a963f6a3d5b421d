//! A policy in Shadow: everybody is answered by the provider, and it is counted what would have come from memory.

use weir::render::envoy::BodyMode;

use super::{EXACT, answers, ask, asked, cache, question, rig, said, words};
use crate::faults::rig::wait;
use crate::support::envoy_stats::Exceptions;

async fn what_would_be_a_hit_is_counted_and_not_served(mode: BodyMode) {
    let rig = rig(mode, &cache(&format!("mode: Shadow, {EXACT}"))).await;
    let body = question("Would it?", false);
    for (round, words) in [10, 20, 30].into_iter().enumerate() {
        let answer = ask(&rig, words, &body, &[]).await;
        assert_eq!((super::words(&answer), answer.header("age")), (words, None), "{answer:?}");
        assert_ne!(said(&answer), Some("hit"), "{answer:?}");
        answers(&rig, "kept", 1).await;
        let record = rig.record_of(&answer).await;
        let would = record["decisions"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["step"] == "recall" && one["outcome"] == "would_hit"));
        assert_eq!(would, round > 0, "{record:#}");
    }
    let hits =
        || async { rig.samples().await.sum("weir_decisions_total", &[("step", "recall"), ("outcome", "would_hit")]) };
    wait("count of would-be hits", || async { hits().await == 2.0 }).await;
    // Nobody waits for anybody.
    let orders = [("x-mock-delay", "1500")];
    let body = question("At once?", false);
    let (one, other) = tokio::join!(ask(&rig, 40, &body, &orders), ask(&rig, 41, &body, &orders));
    assert_eq!((words(&one), words(&other), asked(&rig)), (40, 41, 5));
    rig.end(&Exceptions::default()).await;
}

every_mode!(what_would_be_a_hit_is_counted_and_not_served);
