//! What is kept outlives a change of configuration that is not about it; it ends with the word of an operator, with
//! the backend that it came from, and with the process.

use weir::render::envoy::BodyMode;

use super::{EXACT, answers, ask, ask_as, asked, cache, question, rig, said, words};
use crate::faults::rig::{Rig, outage, wait};
use crate::support::envoy_stats::Exceptions;

async fn configure(rig: &Rig, documents: &str) {
    let loads = || async { rig.samples().await.sum("weir_config_reloads_total", &[("result", "success")]) };
    let before = loads().await;
    rig.configure(documents);
    wait("load", || async { loads().await > before }).await;
}

/// The answers of this process, as an operator sees them.
async fn entries(rig: &Rig) -> u64 {
    rig.admin("/cache").await.json()["memory"]["entries"].as_u64().expect("a number")
}

async fn entries_outlive_a_reload_but_not_their_backend(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let body = question("Still?", false);
    assert_eq!(words(&ask(&rig, 20, &body, &[]).await), 20);
    answers(&rig, "kept", 1).await;
    let config = rig.config();
    configure(&rig, &config.replace("'0.60'", "'0.61'")).await;
    let answer = ask(&rig, 21, &body, &[]).await;
    assert_eq!((words(&answer), said(&answer)), (20, Some("hit")), "prices are another matter");
    // Another place under the same name.
    configure(&rig, &config.replace("/v1\n", "/elsewhere/v1\n")).await;
    let answer = ask(&rig, 22, &body, &[]).await;
    assert_eq!((words(&answer), said(&answer)), (22, Some("miss")));
    assert_eq!(
        rig.mock().tally().paths.get("/elsewhere/v1/chat/completions"),
        Some(&1),
        "{:?}",
        rig.mock().tally().paths
    );
    configure(&rig, &config.replace(EXACT, "coalescing: Enabled")).await;
    assert_eq!(words(&ask(&rig, 23, &body, &[]).await), 23, "there is no such rule any more");
    configure(&rig, &config).await;
    assert_eq!((words(&ask(&rig, 24, &body, &[]).await), asked(&rig)), (20, 3));
    rig.end(&Exceptions::default()).await;
}

async fn an_operator_forgets_the_answers_of_one_or_of_all(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let body = question("Forgotten?", false);
    for consumer in 1..=3 {
        assert_eq!(
            words(&ask_as(&rig, consumer, 10 + u64::from(consumer), &body, &[]).await),
            10 + u64::from(consumer)
        );
    }
    answers(&rig, "kept", 3).await;
    assert_eq!(entries(&rig).await, 3);
    let forgotten = rig.remove("/cache?scope=consumer/c2").await;
    assert_eq!((forgotten.status, &forgotten.json()["forgotten"]), (200, &1.into()), "{forgotten:?}");
    assert_eq!(entries(&rig).await, 2);
    for (consumer, expected) in [(1, 11), (2, 20), (3, 13)] {
        assert_eq!(words(&ask_as(&rig, consumer, 20, &body, &[]).await), expected, "c{consumer}");
    }
    answers(&rig, "kept", 4).await;
    assert_eq!(rig.remove("/cache?scope=consumer/nobody").await.json()["forgotten"], 0);
    assert_eq!(rig.remove("/cache?scope=all").await.json()["forgotten"], 3);
    assert_eq!(entries(&rig).await, 0);
    assert_eq!(words(&ask_as(&rig, 1, 30, &body, &[]).await), 30);
    for wrong in ["/cache", "/cache?scope=everybody", "/cache?scope=consumer/"] {
        assert_eq!(rig.remove(wrong).await.status, 400, "{wrong}");
    }
    rig.end(&Exceptions::default()).await;
}

/// What a process has in memory is nobody else's, and its keys are made with a secret that ends with it.
async fn memory_ends_with_its_process(mode: BodyMode) {
    let mut rig = rig(mode, &cache(EXACT)).await;
    let body = question("After all?", false);
    assert_eq!(words(&ask(&rig, 20, &body, &[]).await), 20);
    answers(&rig, "kept", 1).await;
    rig.idle().await;
    rig.weir.stop(crate::faults::rig::LONG);
    rig.restart_weir();
    wait("service by the new process", || async { ask(&rig, 21, &question("Up?", false), &[]).await.status == 200 })
        .await;
    assert_eq!(words(&ask(&rig, 22, &body, &[]).await), 22);
    rig.end(&outage()).await;
}

every_mode!(an_operator_forgets_the_answers_of_one_or_of_all);
first_mode!(entries_outlive_a_reload_but_not_their_backend, memory_ends_with_its_process);
