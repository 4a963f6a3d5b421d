//! What a limit says of whom it counts, of whom it spares, and of where it sends what does not fit.

use serde_json::json;
use weir::render::envoy::BodyMode;

use super::{PROVIDERS, code, decisions, exceeded, limit, ok, policy, rig};
use crate::faults::rig::{Parts, Rig, ask, wait};
use crate::support::envoy_stats::Exceptions;

/// Who calls is said by a header, and by a key of the team `prod`.
const END_USERS: &str = "---
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {identity: {endUser: {sources: [{header: x-end-user-id}]}, tags: [feature]}}
";

async fn a_call_without_a_key_is_counted_let_go_or_refused(mode: BodyMode) {
    let unsupported = || (400, "unsupported_value".to_owned());
    for (word, first, second) in
        [("Shared", ok(), exceeded()), ("Skip", ok(), ok()), ("Deny", unsupported(), unsupported())]
    {
        let daily = format!(
            "name: daily, unit: Requests, amount: 1, period: {{calendar: Day}}, per: [EndUser], whenKeyMissing: {word}"
        );
        let rig = rig(mode, &(END_USERS.to_owned() + &limit(&daily))).await;
        let call = |user: &'static str| {
            let headers = if user.is_empty() { vec![] } else { vec![("x-end-user-id", user)] };
            let rig = &rig;
            async move { code(&rig.chat(&headers, &ask("alpha", false)).await) }
        };
        let quota = || (429, "insufficient_quota".to_owned());
        assert_eq!((call("ada").await, call("ada").await, call("bob").await), (ok(), quota(), ok()));
        assert_eq!(call("").await, first, "{word}");
        let again = if second == exceeded() { quota() } else { second };
        assert_eq!(call("").await, again, "{word}");
        rig.end(&Exceptions::default()).await;
    }
}

/// A limit by tag, an override that holds, and one that has ended.
async fn an_override_holds_until_its_end(mode: BodyMode) {
    let of = |user: &str, amount: u8, until: &str| {
        format!("\n  - {{limit: hourly, match: {{endUser: {user}}}, amount: {amount}, notAfter: '{until}'}}")
    };
    let documents = END_USERS.to_owned()
        + &policy(&format!(
            "  limits:\n  - {{name: hourly, unit: Requests, amount: 1, period: {{rolling: 1h}}, per: [EndUser]}}\n  overrides:{}{}",
            of("ada", 3, "2999-01-01T00:00:00Z"),
            of("bob", 3, "2001-01-01T00:00:00Z")
        ));
    let rig = rig(mode, &documents).await;
    for (user, passes) in [("ada", 3), ("bob", 1), ("eve", 1)] {
        for nth in 0..4 {
            let answer = rig.chat(&[("x-end-user-id", user)], &ask("alpha", false)).await;
            assert_eq!(code(&answer), if nth < passes { ok() } else { exceeded() }, "{user} {nth}");
            assert_eq!(answer.header("x-ratelimit-limit-requests"), Some(passes.to_string().as_str()), "{user}");
        }
    }
    rig.end(&Exceptions::default()).await;
}

async fn what_is_kept_for_some_is_for_nobody_else(mode: BodyMode) {
    use weir::identity::key::{Digest, RANDOM, new_key};
    let key = new_key(&[7; RANDOM]);
    let documents = format!(
        "---\napiVersion: weir.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: prod}}\nspec: {{match: [{{keys: [{{name: \
         main, sha256: {}}}]}}], team: prod}}\n{}",
        Digest::of(&key).hex(),
        limit(
            "name: all, unit: Requests, amount: 8, period: {rolling: 1h}, reserve: {for: [{teams: [prod]}], share: 25%}"
        )
    );
    let rig = rig(mode, &documents).await;
    let bearer = format!("Bearer {key}");
    let prod = [("authorization", bearer.as_str())];
    let passes = async |headers: &[(&str, &str)]| {
        let mut passed = 0;
        while rig.chat(headers, &ask("alpha", false)).await.status == 200 {
            passed += 1;
        }
        passed
    };
    assert_eq!(passes(&[]).await, 6);
    assert_eq!(passes(&prod).await, 2);
    rig.end(&Exceptions::default()).await;
}

async fn what_does_not_fit_goes_elsewhere_once(mode: BodyMode) {
    let premium = "name: premium, unit: Requests, amount: 2, period: {rolling: 1h}, per: [Model], whenExceeded: {action: \
                   Downgrade, to: {backend: claude, model: small}}";
    let documents = PROVIDERS.to_owned() + &limit(premium);
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let mut models = Vec::new();
    for nth in 0..6 {
        let answer = rig.chat(&[], &ask("main/large", nth % 2 == 0)).await;
        assert!(answer.complete, "{answer:?}");
        let record = rig.record_of(&answer).await;
        let moved = ["admit", "retargeted", "downgrade"].map(str::to_owned);
        assert_eq!(decisions(&record).contains(&moved), nth >= 2, "{record}");
        if answer.status == 200 {
            models.push(super::text(&record["models"]["sent"]));
            continue;
        }
        // It is sent on once, and the small model has a counter of its own.
        assert_eq!(code(&answer), exceeded());
        assert!(answer.json()["error"]["message"].as_str().is_some_and(|text| text.contains("\"premium\"")));
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    assert_eq!(models, ["large", "large", "small", "small"]);
    // What that backend cannot do is refused, and is no call of its.
    let before = rig.mock().tally().requests;
    let body = json!({"model": "main/vectors", "input": "hi"}).to_string();
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(rig.post("/v1/embeddings", &[], body.as_bytes()).await);
    }
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses[..2], [200, 200]);
    assert!((400..500).contains(&statuses[2]), "{answers:?}");
    assert!(answers[2].json()["error"]["message"].is_string(), "{answers:?}");
    assert_eq!(rig.mock().tally().requests, before + 2);
    // Each call is counted once, by what became of it at last.
    let counted = async |decision| {
        let of = [("limit", "fair/premium"), ("decision", decision)];
        rig.samples().await.sum("weir_limit_decisions_total", &of)
    };
    wait("the last record", || async { counted("downgraded").await == 3.0 }).await;
    assert_eq!((counted("granted").await, counted("denied").await), (4.0, 2.0));
    rig.end(&Exceptions::default()).await;
}

async fn limits_of_a_route_hold_where_a_limit_sends_its_calls(mode: BodyMode) {
    let documents = PROVIDERS.to_owned()
        + "---\napiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: chat}\nspec:\n  rules:\n  - {name: all, \
           matches: [{model: {value: chat}}], backends: [{name: main, model: large}]}\n"
        + &policy(
            "  targetRefs: [{kind: LLMRoute, name: chat}]\n  limits:\n  - {name: rph, unit: Requests, amount: 4, period: \
             {rolling: 1h}, per: [Route]}\n  - {name: premium, unit: Requests, amount: 2, period: {rolling: 2h}, \
             whenExceeded: {action: Downgrade, to: {backend: claude, model: small}}}",
        );
    let rig = Rig::start(Parts { documents, mode, ..Parts::default() }).await;
    let mut models = Vec::new();
    for nth in 0..4 {
        let answer = rig.chat(&[], &ask("chat", nth % 2 == 0)).await;
        assert_eq!(code(&answer), ok());
        let record = rig.record_of(&answer).await;
        assert_eq!(record["route"], "chat/all", "the rule took it, wherever it went: {record}");
        models.push(super::text(&record["models"]["sent"]));
    }
    assert_eq!(models, ["large", "large", "small", "small"]);
    let refused = rig.chat(&[], &ask("chat", false)).await;
    assert_eq!(code(&refused), exceeded());
    assert!(refused.json()["error"]["message"].as_str().is_some_and(|text| text.contains("\"rph\"")), "{refused:?}");
    let used = rig.admin("/limits").await.json();
    let used = used["limits"].as_array().expect("rows").iter().map(|row| (&row["counter"], &row["used"]));
    let used: Vec<String> = used.map(|(counter, used)| format!("{counter} {used}")).collect();
    assert_eq!(used, [r#""fair/premium" "4""#, r#""fair/rph|chat" "4""#], "what premium sends on it counts as well");
    rig.end(&Exceptions::default()).await;
}

every_mode!(
    limits_of_a_route_hold_where_a_limit_sends_its_calls,
    a_call_without_a_key_is_counted_let_go_or_refused,
    an_override_holds_until_its_end,
    what_is_kept_for_some_is_for_nobody_else,
    what_does_not_fit_goes_elsewhere_once
);
