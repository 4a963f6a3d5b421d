//! What a request says of the cache itself, and who may read whose answers and be told so.

use weir::render::envoy::BodyMode;

use super::{EXACT, answers, ask, ask_as, asked, cache, question, recorded, rig, said, words};
use crate::faults::rig::{ask as plain, wait};
use crate::support::envoy_stats::Exceptions;

/// One call: what it says beside its question, how many words the answer must have, and what the answer says of the
/// cache. The provider would say as many words as the number of the row, from 10 on.
type Row = (&'static [(&'static str, &'static str)], u64, &'static str);

const ROWS: &[Row] = &[
    (&[], 10, "miss"),
    (&[], 10, "hit"),
    // It is not looked for, and kept.
    (&[("x-weir-cache", "refresh")], 12, "refresh"),
    (&[], 12, "hit"),
    (&[("cache-control", "no-cache")], 14, "refresh"),
    (&[("cache-control", "max-age=3600")], 14, "hit"),
    // It is looked for, and would not be kept.
    (&[("cache-control", "no-store")], 14, "hit"),
    // Neither is: there is nothing newer in memory than what was there before.
    (&[("cache-control", "no-store, no-cache")], 17, "refresh"),
    (&[], 14, "hit"),
    // Nobody lets this consumer.
    (&[("x-weir-cache", "bypass")], 14, "hit"),
];

async fn a_request_may_want_less_of_the_cache(mode: BodyMode) {
    let rig = rig(mode, &cache(&format!("{EXACT}, bypass: {{from: [{{consumers: [c2]}}]}}"))).await;
    let mut kept = 0;
    for (at, (headers, expected, word)) in ROWS.iter().enumerate() {
        let stream = at % 2 == 1;
        let answer = ask(&rig, 10 + at as u64, &question("What now?", stream), headers).await;
        assert_eq!((words(&answer), said(&answer)), (*expected, Some(*word)), "row {at}: {answer:?}");
        if *word != "hit" && !headers.iter().any(|(_, value)| value.contains("no-store")) {
            kept += 1;
            answers(&rig, "kept", kept).await;
        }
    }
    answers(&rig, "no_store", 1).await;
    // Who may: neither looked for nor kept.
    let mine = question("Mine?", false);
    assert_eq!(words(&ask_as(&rig, 2, 40, &mine, &[]).await), 40);
    answers(&rig, "kept", kept + 1).await;
    let passed = ask_as(&rig, 2, 41, &mine, &[("x-weir-cache", "bypass")]).await;
    assert_eq!((words(&passed), said(&passed)), (41, Some("bypass")));
    assert_eq!(recorded(&rig, &passed).await, ("bypass".to_owned(), "asked".to_owned()));
    assert_eq!(words(&ask_as(&rig, 2, 42, &mine, &[]).await), 40);
    rig.end(&Exceptions::default()).await;
}

/// An answer that is older than its caller wants is asked for anew, and the new one is kept.
async fn what_is_too_old_is_asked_for_anew(mode: BodyMode) {
    let rig = rig(mode, &cache(EXACT)).await;
    let body = question("How old?", false);
    assert_eq!(words(&ask(&rig, 10, &body, &[]).await), 10);
    answers(&rig, "kept", 1).await;
    let is_older = || async {
        let answer = ask(&rig, 99, &body, &[]).await;
        assert_eq!(words(&answer), 10);
        answer.header("age").is_some_and(|age| age != "0")
    };
    wait("a second", is_older).await;
    let anew = ask(&rig, 20, &body, &[("cache-control", "max-age=0")]).await;
    assert_eq!((words(&anew), said(&anew)), (20, Some("miss")));
    answers(&rig, "kept", 2).await;
    assert_eq!(words(&ask(&rig, 30, &body, &[]).await), 20);
    assert_eq!(asked(&rig), 2);
    rig.end(&Exceptions::default()).await;
}

async fn what_is_over_is_not_there(mode: BodyMode) {
    let rig = rig(mode, &cache("exact: {ttl: 1s}")).await;
    let body = question("How long?", true);
    assert_eq!(words(&ask(&rig, 10, &body, &[]).await), 10);
    answers(&rig, "kept", 1).await;
    wait("end of an entry", || async { words(&ask(&rig, 11, &body, &[]).await) == 11 }).await;
    assert_eq!(asked(&rig), 2);
    rig.end(&Exceptions::default()).await;
}

/// `c2` and `c3` are of one team, and `c1` of another one. Above the scope of a consumer nobody is told what another
/// one has asked.
async fn a_team_reads_its_answers_and_nobody_is_told(mode: BodyMode) {
    let rig = rig(mode, &cache(&format!("scope: Team, {EXACT}"))).await;
    let body = question("Whose?", false);
    let first = ask_as(&rig, 2, 12, &body, &[]).await;
    assert_eq!(words(&first), 12);
    answers(&rig, "kept", 1).await;
    for (consumer, expected, result) in [(3, 12, "hit"), (1, 30, "miss"), (2, 12, "hit")] {
        let answer = ask_as(&rig, consumer, 30, &body, &[]).await;
        assert_eq!((words(&answer), said(&answer), answer.header("age")), (expected, None, None), "c{consumer}");
        let id = answer.header("x-weir-request-id").expect("an id");
        assert_eq!(answer.json()["id"] == format!("chatcmpl-{id}"), result == "hit", "its own: {answer:?}");
        assert_ne!(answer.json()["id"], first.json()["id"]);
        assert_eq!(recorded(&rig, &answer).await, (result.to_owned(), String::new()), "c{consumer}");
    }
    rig.end(&Exceptions::default()).await;
}

async fn who_has_no_name_at_the_scope_has_no_cache(mode: BodyMode) {
    for (scope, is_told) in [("Consumer", true), ("Team", false)] {
        let rig = rig(mode, &cache(&format!("scope: {scope}, {EXACT}"))).await;
        for words in ["7", "8"] {
            let answer = rig.chat(&[("x-mock-tokens", words)], &plain("alpha", false)).await;
            assert_eq!(
                (super::words(&answer).to_string(), said(&answer)),
                (words.to_owned(), is_told.then_some("bypass"))
            );
            assert_eq!(recorded(&rig, &answer).await, ("bypass".to_owned(), "no_scope".to_owned()));
        }
        let samples = rig.samples().await;
        assert_eq!(samples.sum("weir_cache_calls_total", &[("result", "bypass"), ("reason", "no_scope")]), 2.0);
        assert_eq!(samples.sum("weir_cache_entries", &[]), 0.0);
        rig.end(&Exceptions::default()).await;
    }
}

every_mode!(a_request_may_want_less_of_the_cache, who_has_no_name_at_the_scope_has_no_cache);
first_mode!(what_is_too_old_is_asked_for_anew, what_is_over_is_not_there, a_team_reads_its_answers_and_nobody_is_told);
