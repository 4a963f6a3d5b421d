//! `counting: Fleet` end to end: processes of Weir behind a real Envoy each, which share one real Redis.

use std::sync::Arc;

use serde_json::Value;

use crate::faults::rig::{BACKEND, LONG, Parts, Rig, ask, outage, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::redis::Server;
use crate::support::redis_proxy::Proxy;
use crate::support::response::Response;

/// Tokens out that a call states, and that it brings.
const STATED: u64 = 40;
const BRINGS: u64 = 25;

/// So that what a call may come to is what it states.
const OUTPUT_ALONE: &str = "weights: {input: '0', cacheRead: '0', cacheWrite: '0', output: '1'}";

/// A Redis, and how processes reach it.
struct Shared {
    server: Server,
    proxy: Proxy,
}

/// What became of some calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    refused: u64,
    /// Neither: whoever decided was gone.
    broken: u64,
}

// === impl Shared ===

impl Shared {
    async fn new() -> Shared {
        let server = Server::new();
        let proxy = Proxy::new(server.socket(), None).await;
        Shared { server, proxy }
    }

    /// A process that counts these limits here, and waits for the answer as long as it takes.
    async fn process(&self, limits: &str) -> Rig {
        self.hasty(limits, "30s").await
    }

    async fn hasty(&self, limits: &str, timeout: &str) -> Rig {
        let stores =
            format!("  stores: {{redis: {{urls: ['{}'], timeout: {timeout}, prefix: test}}}}", self.proxy.url());
        let policy = format!(
            "---\napiVersion: weir.dev/v1alpha1\nkind: LLMLimitPolicy\nmetadata: {{name: shared}}\nspec:\n  \
             counting: Fleet\n  lease: 0%\n  limits: [{limits}]\n"
        );
        let documents = format!("{BACKEND}{policy}");
        let rig = Rig::start(Parts { process: stores.leak(), documents, log: "info", ..Parts::default() }).await;
        until(&rig, "ok").await;
        rig
    }
}

/// Waits until its store is in this state.
async fn until(rig: &Rig, state: &str) {
    wait(state, || async { rig.samples().await.sum("weir_limit_store_state", &[("state", state)]) == 1.0 }).await;
}

fn body(stream: bool) -> Value {
    let mut body = ask("alpha", stream);
    body["max_tokens"] = STATED.into();
    body
}

async fn call(rig: &Rig, stream: bool) -> Response {
    let tokens = BRINGS.to_string();
    rig.chat(&[("x-mock-tokens", &tokens), ("x-mock-delay", "20")], &body(stream)).await
}

/// So many callers of each process at the same time, one call each.
async fn crowd(rigs: &[&Arc<Rig>], callers: usize) -> Tally {
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..callers {
        for rig in rigs {
            let rig = Arc::clone(rig);
            calls.spawn(async move { call(&rig, number % 2 == 0).await });
        }
    }
    let mut tally = Tally::default();
    while let Some(answer) = calls.join_next().await {
        tally.count(&answer.expect("no panic"));
    }
    tally
}

/// One call after another until so many have passed over all.
async fn pass_until(rig: &Rig, tally: &mut Tally, passed: u64) {
    let end = tokio::time::Instant::now() + LONG;
    while tally.passed < passed {
        assert!(tokio::time::Instant::now() < end, "no more than {tally:?} pass of {passed}");
        tally.count(&call(rig, false).await);
    }
}

// === impl Tally ===

impl Tally {
    fn count(&mut self, answer: &Response) {
        match answer.status {
            200 if answer.complete => self.passed += 1,
            429 => {
                assert!(answer.json()["error"]["type"].is_string(), "{answer:?}");
                self.refused += 1;
            }
            _ => self.broken += 1,
        }
    }
}

async fn end(rig: Arc<Rig>) {
    Arc::into_inner(rig).expect("nobody calls any more").end(&Exceptions::default()).await;
}

#[tokio::test]
async fn two_processes_hold_one_limit_of_requests() {
    let shared = Shared::new().await;
    let limits = "{name: rpm, unit: Requests, amount: 20, period: {rolling: 1h}}";
    let (one, two) = (Arc::new(shared.process(limits).await), Arc::new(shared.process(limits).await));
    let tally = crowd(&[&one, &two], 32).await;
    assert_eq!(tally, Tally { passed: 20, refused: 44, broken: 0 });
    end(one).await;
    end(two).await;
}

/// Each call takes what it states and comes to less: whatever the interleaving, exactly as many pass in the end as
/// have room, so nothing is charged twice, and all that is not used comes back.
#[tokio::test]
async fn two_processes_hold_one_limit_of_tokens() {
    const AMOUNT: u64 = 500;
    let shared = Shared::new().await;
    let limits = format!("{{name: tpm, unit: Tokens, amount: 500, period: {{rolling: 1h}}, {OUTPUT_ALONE}}}");
    let (one, two) = (Arc::new(shared.process(&limits).await), Arc::new(shared.process(&limits).await));
    let mut tally = crowd(&[&one, &two], 32).await;
    assert!(tally.passed * BRINGS <= AMOUNT && tally.passed >= AMOUNT / STATED && tally.broken == 0, "{tally:?}");
    let room = (AMOUNT - STATED) / BRINGS + 1;
    pass_until(&one, &mut tally, room).await;
    for rig in [&one, &two] {
        wait("settlements", || async { rig.samples().await.sum("weir_limit_store_waiting", &[]) == 0.0 }).await;
        assert_eq!(call(rig, false).await.status, 429, "{tally:?}");
    }
    end(one).await;
    end(two).await;
}

/// What the dead one had reserved stays charged, and nothing of it is free a second time.
#[tokio::test]
async fn a_process_that_is_killed_frees_nothing() {
    const AMOUNT: u64 = 1_000;
    let shared = Shared::new().await;
    let limits = format!("{{name: tpm, unit: Tokens, amount: 1000, period: {{rolling: 1h}}, {OUTPUT_ALONE}}}");
    let one = Arc::new(shared.process(&limits).await);
    let mut two = shared.process(&limits).await;
    let mut tally = Tally::default();
    let other = {
        let one = Arc::clone(&one);
        tokio::spawn(async move { crowd(&[&one], 16).await })
    };
    // Calls of the one that dies which are certainly under way.
    let mut live = Vec::new();
    for _ in 0..3 {
        let headers = [("x-mock-tokens", "40"), ("x-mock-spacing", "200")];
        let mut stream = two.open(&headers, &body(true)).await;
        stream.read_body(1).await;
        live.push(stream);
    }
    two.weir.signal("KILL");
    for stream in live {
        let broken = stream.finish().await;
        assert!(!broken.complete || broken.status == 200, "{broken:?}");
    }
    two.weir.wait(LONG).expect("it is dead");
    tally.broken += 3;
    let crowd = other.await.expect("no panic");
    tally = Tally { passed: tally.passed + crowd.passed, refused: crowd.refused, broken: tally.broken + crowd.broken };
    two.restart_weir();
    until(&two, "ok").await;
    let charged = |tally: &Tally| tally.passed * BRINGS + 3 * STATED;
    let room = (AMOUNT - 3 * STATED - STATED) / BRINGS + 1;
    pass_until(&two, &mut tally, room).await;
    wait("settlements", || async { two.samples().await.sum("weir_limit_store_waiting", &[]) == 0.0 }).await;
    assert_eq!(call(&two, false).await.status, 429, "{tally:?}");
    assert_eq!(call(&one, false).await.status, 429, "{tally:?}");
    assert!(charged(&tally) <= AMOUNT && charged(&tally) + STATED > AMOUNT, "{tally:?}");
    end(one).await;
    two.end(&outage()).await;
}

/// The calls of a dead process are held until it has not been heard of for a while, and free then.
#[tokio::test]
async fn calls_of_a_killed_process_are_free_in_the_end() {
    let shared = Shared::new().await;
    let limits = "{name: parallel, unit: Concurrency, amount: 2}";
    let mut one = shared.process(limits).await;
    let two = shared.process(limits).await;
    let mut live = Vec::new();
    for _ in 0..2 {
        let mut stream = one.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "30")], &body(true)).await;
        stream.read_body(1).await;
        live.push(stream);
    }
    let refused = call(&two, false).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    one.weir.signal("KILL");
    one.weir.wait(LONG).expect("it is dead");
    assert_eq!(call(&two, false).await.status, 429, "it may still be alive");
    wait("places", || async { call(&two, false).await.status == 200 }).await;
    // A place is free again at once when its call is over, and only then.
    for _ in 0..4 {
        let (first, second) = tokio::join!(call(&two, true), call(&two, false));
        assert_eq!((first.status, second.status), (200, 200));
        wait("release", || async { two.samples().await.sum("weir_limit_store_waiting", &[]) == 0.0 }).await;
    }
    drop(live);
    two.end(&Exceptions::default()).await;
    one.judge(&outage()).await;
}

/// Stopped, the store answers nobody: who must not pass unchecked is refused, who may passes and is counted, and what
/// passed is charged when the store is back.
#[tokio::test]
async fn a_stopped_store_is_what_its_limits_say_it_is() {
    let shared = Shared::new().await;
    let limits = "{name: rpm, unit: Requests, amount: 6, period: {rolling: 1h}, onError: Deny}";
    let rig = shared.hasty(limits, "200ms").await;
    assert_eq!(call(&rig, false).await.status, 200);
    shared.server.signal("STOP");
    for _ in 0..3 {
        let refused = call(&rig, false).await;
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{refused:?}");
        assert_eq!(refused.json()["error"]["code"], "limit_store_unavailable", "{refused:?}");
    }
    until(&rig, "down").await;
    assert_eq!(rig.samples().await.sum("weir_fail_open_total", &[]), 0.0);
    rig.configure(&rig.config().replace("onError: Deny", "onError: Allow"));
    let loads = || async { rig.samples().await.sum("weir_config_reloads_total", &[("result", "success")]) };
    wait("the new configuration", || async { loads().await == 2.0 }).await;
    for _ in 0..3 {
        assert_eq!(call(&rig, false).await.status, 200);
    }
    // It is counted with the record, which comes a little later than the answer.
    let open = || async { rig.samples().await.sum("weir_fail_open_total", &[("policy", "shared/rpm")]) };
    wait("the count of what passed", || async { open().await == 3.0 }).await;
    shared.server.signal("CONT");
    until(&rig, "ok").await;
    wait("settlements", || async { rig.samples().await.sum("weir_limit_store_waiting", &[]) == 0.0 }).await;
    // One was checked, three were not, and those that were refused took nothing.
    let statuses = [call(&rig, false).await.status, call(&rig, false).await.status, call(&rig, false).await.status];
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(rig.samples().await.sum("weir_limit_store_dropped_total", &[]), 0.0);
    let written = rig.weir.written();
    let mut told: Vec<&str> =
        written.split("the limit store is ").skip(1).filter_map(|rest| rest.split(';').next()).collect();
    let count = told.len();
    told.iter_mut().for_each(|line| *line = line.split([':', '\n']).next().unwrap_or_default());
    told.dedup();
    assert_eq!(
        (told.len(), told.last()),
        (count, Some(&"ok")),
        "a line for each transition, and for nothing else: {written}"
    );
    assert!(told.contains(&"degraded") && told.contains(&"down"), "{written}");
    rig.end(&Exceptions::default()).await;
}

/// It starts without the store, and counts as soon as there is one.
#[tokio::test]
async fn a_process_starts_before_its_store() {
    let mut shared = Shared::new().await;
    shared.server.kill();
    let stores = format!("  stores: {{redis: {{urls: ['{}'], timeout: 1s}}}}", shared.proxy.url());
    let policy = "---\napiVersion: weir.dev/v1alpha1\nkind: LLMLimitPolicy\nmetadata: {name: shared}\nspec:\n  \
                  counting: Fleet\n  limits: [{name: rpm, unit: Requests, amount: 1, period: {rolling: 1h}, onError: Deny}]\n";
    let documents = format!("{BACKEND}{policy}");
    let rig = Rig::start(Parts { process: stores.leak(), documents, ..Parts::default() }).await;
    until(&rig, "down").await;
    assert_eq!(call(&rig, false).await.status, 503);
    shared.server.resume();
    until(&rig, "ok").await;
    assert_eq!([call(&rig, false).await.status, call(&rig, false).await.status], [200, 429]);
    rig.end(&Exceptions::default()).await;
}

/// What is used of a limit that replicas share is told by those who ask for it, and reset where it is counted.
#[tokio::test]
async fn what_replicas_share_is_told_and_reset_in_the_store() {
    let shared = Shared::new().await;
    let rig = shared
        .process(
            "{name: rpm, unit: Requests, amount: 4, period: {rolling: 1h}, per: [Model]}, {name: all, unit: Requests, \
             amount: 100, period: {rolling: 1h}}, {name: other, unit: Requests, amount: 9, period: {rolling: 1h}, per: \
             [Backend]}",
        )
        .await;
    let full = async |limit: &str| {
        let of = [("limit", limit), ("unit", "Requests")];
        rig.samples().await.sum("weir_limit_utilization_ratio", &of)
    };
    assert_eq!(full("shared/rpm").await, 0.0, "absent");
    for used in 1..=3_u32 {
        assert_eq!(call(&rig, false).await.status, 200);
        assert_eq!(full("shared/rpm").await, f64::from(used) / 4.0);
    }
    assert_eq!(full("shared/all").await, 0.03);
    assert_eq!([call(&rig, false).await.status, call(&rig, false).await.status], [200, 429]);
    assert_eq!(full("shared/rpm").await, 1.0);
    // Counted with the record, which comes a little later than the answer; once for each call.
    let counted = |limit: &'static str, decision: &'static str| {
        let rig = &rig;
        async move { rig.samples().await.sum("weir_limit_decisions_total", &[("limit", limit), ("decision", decision)]) }
    };
    wait("the refusal", || async { counted("shared/rpm", "denied").await == 1.0 }).await;
    for (limit, decision, count) in [("rpm", "granted", 4.0), ("all", "granted", 4.0), ("all", "denied", 0.0)] {
        let limit = if limit == "rpm" { "shared/rpm" } else { "shared/all" };
        assert_eq!(counted(limit, decision).await, count, "{limit} {decision}");
    }

    let refused = async |query: &str| {
        let answer = rig.change(&format!("/limits/reset?limit=shared/rpm{query}")).await;
        assert_eq!(answer.status, 409, "{answer:?}");
        let message = answer.json()["error"]["message"].as_str().expect("words").to_owned();
        message.split_once(" is forgotten by: ").expect("a command").1.to_owned()
    };
    let command = refused("").await;
    let pattern = "test:{shared/rpm|*}:requests:r3600000000";
    assert_eq!(command, format!(r"redis-cli --scan --pattern '{pattern}' | xargs -r -d '\n' redis-cli unlink"));
    let keys: Vec<String> = shared.server.say(&["KEYS", pattern]);
    assert_eq!(keys, [pattern.replace('*', "alpha")], "the counters of this limit, and no mark of a grant");
    assert_eq!(refused("&key=shared/rpm%7Calpha").await, format!("redis-cli unlink '{}'", keys[0]));
    assert_eq!(shared.server.say::<u64>(&["UNLINK", &keys[0]]), 1);
    let statuses = [call(&rig, false).await.status, call(&rig, false).await.status];
    assert_eq!(statuses, [200, 200], "what was settled late of calls before is charged nowhere");
    assert_eq!(shared.server.say::<Vec<String>>(&["KEYS", pattern]).len(), 1);
    rig.end(&Exceptions::default()).await;
}
