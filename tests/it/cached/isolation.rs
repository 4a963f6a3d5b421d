//! Nobody's answer is ever given to somebody else: two callers ask the same few questions at once, in any API and
//! form, with any control, under any policy but `Shared`. The provider is ordered to say up to 99 words to the first
//! caller and more to the second, so that each answer says for whom it was made.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::{EXACT, bearer, cache, rig};
use crate::e2e::pair::Call;
use crate::faults::rig::{CHAT, Rig, wait};
use crate::gateway::rig::{Gateway, Parts, Site};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

/// Calls of one round, half of them of each caller.
const CALLS: usize = 80;

/// How many words an answer to this path says. It must be complete.
pub fn spoken(path: &str, answer: &Response) -> u64 {
    assert!(answer.status == 200 && answer.complete, "{path}: {answer:?}");
    let is_stream = answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream"));
    let texts = if is_stream { answer.events() } else { vec![answer.text()] };
    let values = texts.iter().filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let pointers: &[&str] = match path.split(['?', ':']).next().unwrap_or_default() {
        CHAT => &["/choices/0/message/content", "/choices/0/delta/content"],
        "/v1/messages" => &["/content/0/text", "/delta/text"],
        "/v1/responses" if is_stream => &["/delta"],
        "/v1/responses" => &["/output/0/content/0/text"],
        _ => &["/candidates/0/content/parts/0/text"],
    };
    let read = |value: Value| pointers.iter().find_map(|at| value.pointer(at)?.as_str().map(str::to_owned));
    values.filter_map(read).map(|text| text.len() as u64).sum::<u64>() / 5
}

/// A generator of numbers that look random: the same with the same seed (SplitMix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap_or(0)
    }
}

/// One call of a caller, 0 or 1.
struct One {
    caller: usize,
    path: &'static str,
    headers: Vec<(String, String)>,
    body: Value,
}

impl One {
    fn random(chance: &mut Chance, round: usize) -> One {
        let caller = chance.below(2);
        let text = format!("Question {} of round {round}?", chance.below(3));
        let stream = chance.below(2) == 1;
        let (path, body) = match chance.below(5) {
            0 => (
                "/v1/messages",
                json!({"model": "alpha", "max_tokens": 400, "stream": stream, "messages": [{"role": "user", "content": text}]}),
            ),
            1 => {
                ("/v1/responses", json!({"model": "alpha", "max_output_tokens": 400, "stream": stream, "input": text}))
            }
            2 => {
                let path =
                    ["/v1beta/models/alpha:generateContent", "/v1beta/models/alpha:streamGenerateContent?alt=sse"];
                let limit = json!({"maxOutputTokens": 400});
                (
                    path[usize::from(stream)],
                    json!({"contents": [{"role": "user", "parts": [{"text": text}]}], "generationConfig": limit}),
                )
            }
            _ => (
                CHAT,
                json!({"model": "alpha", "max_tokens": 400, "stream": stream, "messages": [{"role": "user", "content": text}]}),
            ),
        };
        let control = [
            ("x-plain", "1"),
            ("x-plain", "2"),
            ("x-plain", "3"),
            ("x-weir-cache", "refresh"),
            ("cache-control", "no-store"),
            ("cache-control", "max-age=1"),
            // Said by a client these say nothing.
            ("x-weir-consumer", "c1"),
            ("x-weir-team", "t0"),
        ][chance.below(8)];
        let words = (100 * caller + 10 + chance.below(90)).to_string();
        let delay = (20 * chance.below(8)).to_string();
        let headers = [control, ("x-mock-tokens", &words), ("x-mock-delay", &delay)];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        One { caller, path, headers, body }
    }

    /// The answer is one that was made for this caller.
    fn is_answered_by(&self, answer: &Response) {
        let words = usize::try_from(spoken(self.path, answer)).expect("a small number");
        assert_eq!(words / 100, self.caller, "another caller's answer of {words} words to {:?}: {answer:?}", self.body);
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// How the calls of a round came to their answers.
fn results(records: &[Value]) -> BTreeMap<String, usize> {
    let mut results = BTreeMap::new();
    for record in records {
        *results.entry(record["cached"]["result"].as_str().unwrap_or_default().to_owned()).or_insert(0) += 1;
    }
    results
}

/// Something was kept and shared: a cache that never answers isolates everybody.
fn assert_used(records: &[Value]) {
    let results = results(records);
    // Which of the two it is goes by how fast the machine is.
    let shared: usize = ["hit", "follow"].iter().filter_map(|how| results.get(*how)).sum();
    assert!(shared > 0, "{results:?}");
}

/// Policies that say who may read whose answers; `c1` and `c2` are of two teams. They count by order of place: one for
/// the backend before one for all.
fn policies(chance: &mut Chance) -> String {
    let spec = |chance: &mut Chance, scope: &str| {
        let exact = ["exact: {ttl: 1h}, ", "exact: {ttl: 1s, toolCalls: Store}, ", ""][chance.below(3)];
        let coalescing = if exact.is_empty() { 0 } else { chance.below(2) };
        format!("scope: {scope}, {exact}coalescing: {}", ["Enabled", "Disabled"][coalescing])
    };
    let mut any = || {
        let scope = ["Consumer", "Team"][chance.below(2)];
        spec(chance, scope)
    };
    let (mut documents, narrow) = (cache(&any()), any());
    if chance.below(2) == 1 {
        let target = format!("targetRefs: [{{kind: LLMBackend, name: main}}], {narrow}");
        documents += &cache(&target).replace("name: faq", "name: narrow");
    }
    documents
}

async fn two_consumers_never_read_one_anothers_answers(mode: BodyMode) {
    let rig = Arc::new(rig(mode, &cache(EXACT)).await);
    let mut chance = Chance(7);
    let base = rig.config().replace(&cache(EXACT), "");
    for round in 0..6 {
        if round > 0 {
            reconfigure(&rig, &(base.clone() + &policies(&mut chance))).await;
        }
        let ones: Vec<One> = (0..CALLS).map(|_| One::random(&mut chance, round)).collect();
        let calls: Vec<_> = ones
            .into_iter()
            .map(|one| {
                let rig = Arc::clone(&rig);
                tokio::spawn(async move {
                    let key = bearer(1 + u8::try_from(one.caller).expect("0 or 1"));
                    let headers = [one.headers(), vec![("authorization", &key)]].concat();
                    let answer = rig.post(one.path, &headers, one.body.to_string().as_bytes()).await;
                    one.is_answered_by(&answer);
                })
            })
            .collect();
        for call in calls {
            call.await.expect("its own answer");
        }
    }
    let rig = Arc::into_inner(rig).expect("all calls are done");
    assert_used(&rig.records_when(6 * CALLS).await);
    rig.end(&Exceptions::default()).await;
}

async fn reconfigure(rig: &Rig, documents: &str) {
    let loads = || async { rig.samples().await.sum("weir_config_reloads_total", &[("result", "success")]) };
    let before = loads().await;
    rig.configure(documents);
    wait("load", || async { loads().await > before }).await;
}

/// Who the callers are is in their certificates: two namespaces, two teams, two consumers.
fn peers(scope: &str) -> String {
    let one = |name: &str| {
        format!(
            "---\napiVersion: weir.dev/v1alpha1\nkind: LLMConsumer\nmetadata: {{name: {name}}}\nspec: {{match: \
             [{{principals: ['spiffe://mesh/ns/{name}/sa/*']}}], team: {name}}}\n"
        )
    };
    [crate::gateway::rig::BACKEND, &one("search"), &one("batch"), &cache(&format!("scope: {scope}, {EXACT}"))].concat()
}

async fn two_peers_never_read_one_anothers_answers(mode: BodyMode) {
    for (seed, scope) in ["Consumer", "Team", "Namespace"].into_iter().enumerate() {
        let site = Site::new();
        let clients = ["search", "batch"]
            .map(|name| Arc::new(site.client(name, Some(&format!("spiffe://mesh/ns/{name}/sa/job")))));
        let gateway = Gateway::start_at(site, Parts { documents: peers(scope), mode, ..Parts::default() }).await;
        let gateway = Arc::new(gateway);
        let mut chance = Chance(100 + seed as u64);
        let calls: Vec<_> = (0..CALLS)
            .map(|_| {
                let one = One::random(&mut chance, 0);
                let (gateway, client) = (Arc::clone(&gateway), Arc::clone(&clients[one.caller]));
                tokio::spawn(async move {
                    let call = Call { headers: Vec::new(), ..Call::post(one.path, one.body.to_string()) };
                    one.is_answered_by(
                        &gateway
                            .call(&client, &call.with(&[("content-type", "application/json")]).with(&one.headers()))
                            .await,
                    );
                })
            })
            .collect();
        for call in calls {
            call.await.expect("its own answer");
        }
        let gateway = Arc::into_inner(gateway).expect("all calls are done");
        wait("records", || async { gateway.records().len() >= CALLS }).await;
        assert_used(&gateway.records());
        gateway.end(&Exceptions::default()).await;
    }
}

every_mode!(two_consumers_never_read_one_anothers_answers);
first_mode!(two_peers_never_read_one_anothers_answers);
