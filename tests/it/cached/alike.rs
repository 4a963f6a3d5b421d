//! Like questions, by their letters: what is served, what a veto stands against, and what Shadow finds out.

use weir::render::envoy::BodyMode;

use super::{answers, ask, ask_as, asked, cache, question, recorded, rig, said, words};
use crate::faults::rig::{Rig, wait};
use crate::support::envoy_stats::Exceptions;

const ALIKE: &str = "coalescing: Enabled, semantic: {threshold: '0.95', ttl: 1h, embedder: {builtin: Lexical}}";

/// What became of like questions.
async fn alike(rig: &Rig, result: &str) -> f64 {
    rig.samples().await.sum("weir_cache_alike_total", &[("result", result)])
}

async fn a_question_in_other_letters_is_answered_and_another_one_is_not(mode: BodyMode) {
    let rig = rig(mode, &cache(ALIKE)).await;
    let first = ask(&rig, 20, &question("How do I enable it for 10 users?", false), &[]).await;
    assert_eq!((words(&first), said(&first)), (20, Some("miss")));
    answers(&rig, "kept", 1).await;
    // The vector is kept beside the answer, and nobody waits for it.
    let like = question("how do I enable it for 10 users", true);
    wait("like question", || async { words(&ask(&rig, 21, &like, &[("cache-control", "no-store")]).await) == 20 })
        .await;
    let served = ask(&rig, 22, &like, &[]).await;
    assert_eq!((words(&served), said(&served)), (20, Some("semantic")));
    assert_eq!(recorded(&rig, &served).await.0, "semantic");
    let before = asked(&rig);
    for (more, other) in
        ["How do I disable it for 10 users?", "How do I enable it for 100 users?", "How do I enable it for 10 groups?"]
            .into_iter()
            .enumerate()
    {
        let answer = ask(&rig, 30 + more as u64, &question(other, false), &[]).await;
        assert_eq!((words(&answer), said(&answer)), (30 + more as u64, Some("miss")), "{other}");
    }
    assert_eq!(asked(&rig), before + 3);
    // Another caller, and another system prompt, are other places.
    assert_eq!(words(&ask_as(&rig, 2, 40, &like, &[]).await), 40);
    let mut told = like.clone();
    let system = serde_json::json!({"role": "system", "content": "Be brief."});
    told["messages"].as_array_mut().expect("messages").insert(0, system);
    assert_eq!(words(&ask(&rig, 41, &told, &[]).await), 41);
    // Nobody can ask for less likeness than the rule does.
    let lower = [("x-weir-cache-threshold", "0.1")];
    assert_eq!(words(&ask(&rig, 42, &question("How do I disable it for 11 users?", false), &lower).await), 42);
    rig.end(&Exceptions::default()).await;
}

async fn in_shadow_the_live_answer_is_served_and_compared(mode: BodyMode) {
    let shadow = ALIKE.replace("semantic: {", "exact: {ttl: 1h}, semantic: {mode: Shadow, ");
    let rig = rig(mode, &cache(&shadow)).await;
    assert_eq!(words(&ask(&rig, 20, &question("What is a weir?", false), &[]).await), 20);
    answers(&rig, "kept", 1).await;
    let like = ask(&rig, 21, &question("what is a weir", false), &[]).await;
    assert_eq!((words(&like), said(&like)), (21, Some("miss")), "{like:?}");
    // The mock's longer answer begins as its shorter one does.
    wait("would-be answer", || async { alike(&rig, "would_same").await + alike(&rig, "would_alike").await == 1.0 })
        .await;
    assert_eq!(words(&ask(&rig, 22, &question("what is a weir", false), &[]).await), 21, "that is the same question");
    rig.end(&Exceptions::default()).await;
}

every_mode!(a_question_in_other_letters_is_answered_and_another_one_is_not);
every_mode!(in_shadow_the_live_answer_is_served_and_compared);
