//! The same question again: answered without the provider, in the form that it was asked in, told as such, counted
//! as a request, and free.

use serde_json::json;
use weir::render::envoy::BodyMode;

use super::{EXACT, answers, ask, asked, cache, question, recorded, rig, said, tokens, words};
use crate::faults::rig::{CHAT, number};
use crate::support::envoy_stats::Exceptions;

async fn a_question_is_answered_from_memory_in_either_form(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    for (round, kept_as) in [false, true].into_iter().enumerate() {
        let text = format!("What is kept as a stream: {kept_as}?");
        let first = ask(&rig, 20, &question(&text, kept_as), &[]).await;
        assert_eq!((words(&first), said(&first)), (20, Some("miss")), "{first:?}");
        answers(&rig, "kept", round as u64 + 1).await;
        for (more, stream) in [false, true, true, false].into_iter().enumerate() {
            let again = ask(&rig, 30 + more as u64, &question(&text, stream), &[]).await;
            assert_eq!((words(&again), said(&again)), (20, Some("hit")), "kept as {kept_as}, asked as {stream}");
            if !stream && !kept_as {
                assert_eq!(again.json()["id"], first.json()["id"], "it is the caller's own answer");
            }
            let age: u64 = again.header("age").and_then(|age| age.parse().ok()).expect("an age");
            assert!(age < 3600, "{again:?}");
            assert_eq!(again.header("x-weir-cost-usd"), Some("0.000000000"), "{again:?}");
        }
        assert_eq!(asked(&rig), round as u64 + 1, "the provider was asked once a question");
    }
    rig.end(&Exceptions::default()).await;
}

async fn a_stream_from_memory_says_its_usage_where_that_was_asked_for(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    assert_eq!(words(&ask(&rig, 12, &question("How much?", false), &[]).await), 12);
    answers(&rig, "kept", 1).await;
    let mut body = question("How much?", true);
    let plain = ask(&rig, 13, &body, &[]).await;
    assert!(!plain.text().contains("prompt_tokens"), "{plain:?}");
    body["stream_options"] = json!({"include_usage": true});
    let told = ask(&rig, 14, &body, &[]).await;
    let events = told.events();
    let usage: serde_json::Value = serde_json::from_str(&events[events.len() - 2]).expect("JSON");
    assert_eq!((words(&told), &usage["usage"]["completion_tokens"]), (12, &json!(12)), "{usage}");
    assert_eq!(asked(&rig), 1);
    rig.end(&Exceptions::default()).await;
}

/// Key order, white space and the names of fields that mean the same make no other question; every other value does.
async fn what_means_the_same_is_the_same_question(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let one = r#"{"model":"alpha","temperature":0.50,"messages":[{"role":"user","content":"same"}],"max_tokens":90}"#;
    let same = [
        "{ \"max_completion_tokens\" : 90,\n\"messages\":[{\"content\":\"s\\u0061me\",\"role\":\"user\"}],\"temperature\":0.5,\"model\":\"alpha\"}",
        r#"{"model":"main/alpha","temperature":0.5,"messages":[{"role":"user","content":[{"type":"text","text":"same"}]}],"max_tokens":90,"stream":true}"#,
    ];
    let others = [
        one.replace("0.50", "0.51"),
        one.replace("same", "same "),
        one.replace("90", "91"),
        one.replace("alpha", "beta"),
        one.replace("\"user\"", "\"system\""),
        one.replace("}]", "},{\"role\":\"user\",\"content\":\"same\"}]"),
        one.replace("{\"model\"", "{\"seed\":1,\"model\""),
        one.replace("{\"model\"", "{\"x_of_tomorrow\":1,\"model\""),
        one.replace("{\"model\"", "{\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}],\"model\""),
    ];
    let key = super::bearer(1);
    let call = |words: u64, body: String| {
        let (rig, key) = (&rig, &key);
        async move {
            let headers = [("authorization", &key[..]), ("x-mock-tokens", &words.to_string())];
            rig.post(CHAT, &headers, body.as_bytes()).await
        }
    };
    assert_eq!(words(&call(20, one.to_owned()).await), 20);
    answers(&rig, "kept", 1).await;
    for same in same {
        let answer = call(21, same.to_owned()).await;
        assert_eq!((words(&answer), said(&answer)), (20, Some("hit")), "{same}");
    }
    for (more, other) in others.iter().enumerate() {
        let answer = call(30 + more as u64, other.clone()).await;
        assert_eq!((words(&answer), said(&answer)), (30 + more as u64, Some("miss")), "{other}");
    }
    assert_eq!(asked(&rig), 1 + others.len() as u64);
    rig.end(&Exceptions::default()).await;
}

async fn a_hit_counts_as_a_request_and_spends_nothing(mode: BodyMode) {
    let limits = "---
apiVersion: weir.dev/v1alpha1
kind: LLMLimitPolicy
metadata: {name: fair}
spec:
  limits:
  - {name: rph, unit: Requests, amount: 4, period: {rolling: 1h}, per: [Consumer]}
  - {name: tph, unit: Tokens, amount: 60, period: {rolling: 1h}, per: [Consumer]}
  - {name: usd, unit: USD, amount: '0.0001', period: {calendar: Month}, per: [Consumer]}
";
    let rig = rig(mode, &(cache(EXACT) + limits)).await;
    let body = json!({"model": "alpha", "max_tokens": 40, "messages": [{"role": "user", "content": "Is it free?"}]});
    let first = ask(&rig, 40, &body, &[]).await;
    assert_eq!((words(&first), first.header("x-ratelimit-remaining-requests")), (40, Some("3")));
    let paid = rig.record_of(&first).await;
    answers(&rig, "kept", 1).await;
    for left in ["2", "1", "0"] {
        let hit = ask(&rig, 5, &body, &[]).await;
        assert_eq!((words(&hit), said(&hit)), (40, Some("hit")), "{hit:?}");
        assert_eq!(hit.header("x-ratelimit-remaining-requests"), Some(left), "a hit is a request: {hit:?}");
        let record = rig.record_of(&hit).await;
        assert_eq!(record["outcome"], "OUTCOME_REPLAYED", "{record:#}");
        assert_eq!((number(&record["costNanoUsd"]), tokens(&record["usage"])), (0, [0, 0]), "{record:#}");
        let cached = &record["cached"];
        assert_eq!((&cached["result"], &cached["policy"]), (&"hit".into(), &"faq".into()), "{record:#}");
        assert_eq!(tokens(&cached["saved"]), tokens(&paid["usage"]), "{record:#}");
        assert_eq!(number(&cached["savedNanoUsd"]), number(&paid["costNanoUsd"]), "{record:#}");
        assert!(number(&paid["costNanoUsd"]) > 0, "{paid:#}");
    }
    let refused = ask(&rig, 5, &body, &[]).await;
    assert_eq!((refused.status, said(&refused)), (429, None), "{refused:?}");
    let samples = rig.samples().await;
    assert_eq!(samples.sum("weir_cache_calls_total", &[("result", "hit")]), 3.0);
    assert_eq!(samples.sum("weir_cache_calls_total", &[("result", "miss")]), 1.0);
    let [input, output] = tokens(&paid["usage"]);
    assert_eq!(samples.sum("weir_cache_saved_tokens_total", &[("type", "input")]), (3 * input) as f64);
    assert_eq!(samples.sum("weir_cache_saved_tokens_total", &[("type", "output")]), (3 * output) as f64);
    let saved = samples.sum("weir_cache_saved_usd_total", &[]);
    assert!((saved * 1e9 - 3.0 * number(&paid["costNanoUsd"]) as f64).abs() < 0.5, "{saved}");
    assert_eq!((samples.sum("weir_cache_entries", &[]), asked(&rig)), (1.0, 1));
    rig.end(&Exceptions::default()).await;
}

async fn a_call_that_no_policy_is_about_says_nothing_of_a_cache(mode: BodyMode) {
    let rig = rig(mode, &cache(&format!("from: [{{consumers: [c2]}}], {EXACT}"))).await;
    for words in [5, 6] {
        let answer = ask(&rig, words, &question("mine?", false), &[]).await;
        assert_eq!((super::words(&answer), said(&answer), answer.header("age")), (words, None, None));
        assert_eq!(recorded(&rig, &answer).await, Default::default());
    }
    rig.end(&Exceptions::default()).await;
}

every_mode!(
    a_question_is_answered_from_memory_in_either_form,
    a_stream_from_memory_says_its_usage_where_that_was_asked_for,
    a_hit_counts_as_a_request_and_spends_nothing,
);
first_mode!(what_means_the_same_is_the_same_question, a_call_that_no_policy_is_about_says_nothing_of_a_cache);
