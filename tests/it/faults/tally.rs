//! Weir's bill is what the mock says it produced: exactly for calls that were complete, within one
//! token for calls that ended early.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use weir::render::envoy::BodyMode;
use weir::wire::decode::{Decoder, Limits};

use super::rig::{CHAT, Parts, Rig, aborts, ask, number, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http2::{self, Client};
use crate::support::response::Response;

/// Calls of the mixed load, and connections that they come over.
const CALLS: usize = 200;
const CONNECTIONS: usize = 8;

/// Sums over the ledger, by model: prompt, completion, nano-USD.
type Sums = BTreeMap<String, (u64, u64, u64)>;

/// What the n-th call of the load asks for.
struct Ask {
    model: &'static str,
    stream: bool,
    headers: Vec<(&'static str, String)>,
}

fn plan(n: usize) -> Ask {
    let stream = n.is_multiple_of(2);
    let model = ["alpha", "beta", "silent"][n / 2 % 3];
    let mut headers =
        vec![("x-mock-tokens", (n % 17 + 1).to_string()), ("x-mock-chunk-tokens", (n % 4 + 1).to_string())];
    match (model, n % 5) {
        ("silent", 0..3) => headers.push(("x-mock-usage", "absent".into())),
        ("silent", _) => headers.push(("x-mock-usage", "null".into())),
        ("beta", 0..2) => headers.push(("x-mock-cached", "3".into())),
        ("alpha", 0) if stream => headers.push(("x-mock-usage", "present".into())),
        ("alpha", 1) => headers.push(("x-mock-encoding", "gzip!".into())),
        _ => {}
    }
    Ask { model, stream, headers }
}

async fn a_complete_call_is_billed_as_the_provider_counts_it(mode: BodyMode) {
    let rig = Arc::new(Rig::start(Parts { mode, ..Parts::default() }).await);
    // A call with usage teaches what a token is, so that the silent ones can be estimated exactly.
    let taught = rig.chat(&[("x-mock-tokens", "40")], &ask("silent", false)).await;
    assert_eq!(taught.status, 200, "{taught:?}");
    rig.records_when(1).await;
    let workers = (0..CONNECTIONS).map(|worker| tokio::spawn(work(Arc::clone(&rig), worker)));
    let mut ids = HashSet::from([taught.header("x-weir-request-id").expect("an id").to_owned()]);
    for worker in workers {
        ids.extend(worker.await.expect("no panic"));
    }
    let records = rig.records_when(CALLS + 1).await;
    let told: HashSet<String> = records.iter().map(|record| record["id"].as_str().expect("an id").into()).collect();
    assert_eq!(told, ids, "one record an exchange, under the id that its answer named");

    let mut sums = Sums::new();
    for record in &records {
        add(&mut sums, record);
    }
    let tally = rig.mock().tally();
    assert_eq!(tally.requests as usize, CALLS + 1);
    for model in ["alpha", "beta"] {
        let (prompt, completion, cost) = sums[model];
        assert_eq!((prompt, completion), (tally.models[model].prompt_tokens, tally.models[model].completion_tokens));
        assert!(cost > 0);
    }
    let (prompt, completion, _) = sums["silent"];
    assert_eq!((prompt, completion), (tally.models["silent"].prompt_tokens, tally.models["silent"].completion_tokens));
    let rig = Arc::into_inner(rig).expect("all workers are done");
    rig.end(&Exceptions::default()).await;
}

/// Every [`CONNECTIONS`]-th call, half of the workers over HTTP/2; gives the ids of the answers.
async fn work(rig: Arc<Rig>, worker: usize) -> Vec<String> {
    let mut ids = Vec::new();
    let mut client = Client::connect(&rig.address).await.expect("Envoy takes the connection");
    for n in (worker..CALLS).step_by(CONNECTIONS) {
        let Ask { model, stream, headers } = plan(n);
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let answer = match worker % 2 {
            0 => rig.chat(&headers, &ask(model, stream)).await,
            _ => client.exchange(request(&headers, &ask(model, stream))).await.expect("an answer"),
        };
        assert!(answer.status == 200 && answer.complete, "call {n}: {answer:?}");
        ids.push(answer.header("x-weir-request-id").expect("an id").to_owned());
    }
    ids
}

fn request(headers: &[(&str, &str)], body: &Value) -> http::Request<http2::RequestBody> {
    let mut request = http::Request::post(format!("http://test{CHAT}")).header("content-type", "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(http2::whole(Bytes::from(body.to_string()).as_ref())).expect("a request")
}

/// Adds a record to the sums, and checks its price.
fn add(sums: &mut Sums, record: &Value) {
    let model = record["models"]["requested"].as_str().expect("a model");
    assert_eq!((&record["outcome"], &record["signed"]), (&"OUTCOME_COMPLETED".into(), &true.into()), "{record:#}");
    let usage = &record["usage"];
    let (input, cached, output) = (number(&usage["input"]), number(&usage["cacheRead"]), number(&usage["output"]));
    let sum = sums.entry(model.to_owned()).or_default();
    *sum = (sum.0 + input + cached, sum.1 + output, sum.2 + number(&record["costNanoUsd"]));
    if model == "silent" {
        assert!(record["costNanoUsd"].is_null(), "a model without a price has no cost: {record:#}");
        return;
    }
    assert_eq!(record["usageSource"], "USAGE_SOURCE_PROVIDER", "{record:#}");
    assert_eq!(number(&record["costNanoUsd"]), input * 150 + cached * 75 + output * 600, "{record:#}");
}

/// The whole words of the mock that are in what a client has read.
fn words(read: &Response) -> u64 {
    let texts = read.events().into_iter().filter_map(|event| {
        let event: Value = serde_json::from_str(&event).ok()?;
        Some(event["choices"][0]["delta"]["content"].as_str()?.len() as u64)
    });
    texts.sum::<u64>() / 5
}

/// An answer as far as it was read, without its coding.
fn plain(read: &Response) -> Response {
    let (mut plain, mut body) = (read.clone(), Vec::new());
    let mut decoder =
        Decoder::new(read.header("content-encoding").unwrap_or_default(), Limits::default()).expect("a known coding");
    decoder.push(&read.body, &mut body).expect("what the mock encodes");
    plain.body = body;
    plain
}

async fn a_call_that_the_client_left_is_billed_by_what_went_through(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    assert_eq!(rig.chat(&[("x-mock-tokens", "30")], &ask("alpha", false)).await.status, 200);
    rig.records_when(1).await;
    let mut client = Client::connect(&rig.address).await.expect("Envoy takes the connection");
    let (none, gzip, zstd) = ("identity", "gzip!", "zstd!");
    let early =
        [(none, 1), (none, 700), (gzip, 600), (zstd, 4000), (none, 900), (none, 3000), (zstd, 2500), (gzip, 900)];
    for (n, (coding, bytes)) in early.into_iter().enumerate() {
        let name = format!("abort-{n}");
        let order = [("x-mock-tokens", "400"), ("x-mock-spacing", "5"), ("x-mock-encoding", coding)];
        let headers = [&order[..], &[("x-mock-id", name.as_str())]].concat();
        let body = ask("alpha", true);
        let read = if n % 2 == 0 {
            let mut connection = rig.open(&headers, &body).await;
            connection.read_body(bytes).await;
            connection.abort()
        } else {
            let mut exchange = client.send(request(&headers, &body)).await.expect("a head");
            exchange.read_until(|response| response.body.len() >= bytes).await.clone()
        };
        assert!(!read.complete, "the stream was over before the client left: {read:?}");
        let record = rig.record_of(&read).await;
        within(&rig, &name, &record, words(&plain(&read))).await;
        assert_eq!(record["outcome"], "OUTCOME_ABANDONED", "{record:#}");
    }
    rig.end(&aborts()).await;
}

async fn a_call_that_the_provider_cut_is_billed_by_what_went_through(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    assert_eq!(rig.chat(&[("x-mock-tokens", "30")], &ask("alpha", false)).await.status, 200);
    rig.records_when(1).await;
    for (n, bytes) in ["1", "900", "5000", "7777"].into_iter().enumerate() {
        let name = format!("cut-{n}");
        let headers =
            [("x-mock-tokens", "100"), ("x-mock-spacing", "2"), ("x-mock-abort", bytes), ("x-mock-id", name.as_str())];
        let read = rig.chat(&headers, &ask("alpha", true)).await;
        assert!(read.status == 200 && !read.complete, "{read:?}");
        assert!(!read.text().contains("[DONE]"), "a cut stream is not shown as a whole one: {read:?}");
        let record = rig.record_of(&read).await;
        within(&rig, &name, &record, words(&read)).await;
        assert!(
            ["OUTCOME_ABANDONED", "OUTCOME_TRUNCATED"].contains(&record["outcome"].as_str().unwrap_or_default()),
            "{record:#}"
        );
    }
    rig.end(&Exceptions::default()).await;
}

/// `record` bills at most what the mock produced and at least what the client read, within a token.
async fn within(rig: &Rig, name: &str, record: &Value, read: u64) {
    let find = || rig.mock().tally().recent.into_iter().find(|request| request.id.as_deref() == Some(name));
    wait("end of the call at the mock", || async { find().is_some_and(|request| request.aborted) }).await;
    let produced = find().expect("just seen").produced;
    let billed = number(&record["usage"]["output"]);
    assert!(billed <= produced + 1, "{name}: billed {billed}, produced {produced}: {record:#}");
    assert!(billed + 1 >= read, "{name}: billed {billed}, read {read}: {record:#}");
    assert_eq!(record["usageSource"], "USAGE_SOURCE_ESTIMATED", "{record:#}");
    let (input, cost) = (number(&record["usage"]["input"]), number(&record["costNanoUsd"]));
    assert!(input > 0 && cost == input * 150 + billed * 600, "{record:#}");
}

every_mode!(a_complete_call_is_billed_as_the_provider_counts_it);

modes_that_stream!(
    a_call_that_the_client_left_is_billed_by_what_went_through,
    a_call_that_the_provider_cut_is_billed_by_what_went_through
);
