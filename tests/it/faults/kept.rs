//! Weir is killed and started again on its journal: what was spent is neither forgotten nor charged twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::rig::{BACKEND, LONG, Parts, Rig, ask, outage, wait};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Request};
use crate::support::process::{self, Child};
use crate::support::response::Response;

const CALLERS: usize = 8;

fn parts(limit: &str, mode: BodyMode) -> Parts {
    let policy = format!(
        "---\napiVersion: weir.dev/v1alpha1\nkind: LLMLimitPolicy\nmetadata: {{name: budget}}\n\
         spec: {{counting: Process, limits: [{limit}]}}\n"
    );
    Parts { process: "  journal: {path: {dir}/journal}", documents: BACKEND.to_owned() + &policy, log: "info", mode }
}

/// A call that says how much it may answer.
fn bounded() -> Value {
    let mut call = ask("alpha", false);
    call["max_tokens"] = json!(100);
    call
}

fn is_spent(answer: &Response) -> bool {
    answer.status == 429
}

/// Kills Weir, and waits until another serves.
async fn kill(rig: &mut Rig) {
    rig.weir.signal("KILL");
    rig.weir.wait(LONG).expect("it is gone");
    rig.restart_weir();
    serves(rig).await;
}

/// Waits until Envoy has found the socket again; what Weir answers by itself spends nothing.
async fn serves(rig: &Rig) {
    let list = Request { method: "GET", path: "/v1/models", headers: &[] }.head();
    let answer = || async { http1::exchange(&rig.address, "GET", &list).await.expect("Envoy takes the connection") };
    wait("service", || async { answer().await.status == 200 }).await;
}

/// Calls from many at a time until so many were answered, or none is any more.
async fn load(rig: &Rig, enough: usize) -> usize {
    let (answered, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let caller = || async {
        while answered.load(Ordering::SeqCst) < enough && over.load(Ordering::SeqCst) < CALLERS {
            let answer = rig.chat(&[("x-mock-tokens", "3")], &bounded()).await;
            match answer.status {
                200 => answered.fetch_add(1, Ordering::SeqCst),
                429 => over.fetch_add(1, Ordering::SeqCst),
                status => panic!("{status}: {answer:?}"),
            };
        }
    };
    let [a, b, c, d, e, f, g, h] = [(); CALLERS].map(|()| caller());
    tokio::join!(a, b, c, d, e, f, g, h);
    answered.load(Ordering::SeqCst)
}

async fn a_budget_of_calls_outlives_three_kills_under_load(mode: BodyMode) {
    const BUDGET: usize = 120;
    let limit = format!("{{name: daily, unit: Requests, amount: {BUDGET}, period: {{calendar: Year}}}}");
    let mut rig = Rig::start(parts(&limit, mode)).await;
    let mut answered = 0;
    for _ in 0..3 {
        answered += load(&rig, 20).await;
        // These are with the provider when the process goes; each is spent.
        let mut open = Vec::new();
        for n in 0..4 {
            let headers = [("x-mock-tokens", "3000"), ("x-mock-spacing", "30"), ("x-mock-id", ["a", "b", "c", "d"][n])];
            let mut stream = rig.open(&headers, &ask("alpha", true)).await;
            stream.read_body(100).await;
            open.push(stream);
        }
        kill(&mut rig).await;
        for stream in open {
            assert!(!stream.finish().await.complete);
            answered += 1;
        }
    }
    answered += load(&rig, usize::MAX).await;
    assert_eq!(answered, BUDGET, "no call more and none less");
    assert!(is_spent(&rig.chat(&[], &bounded()).await));
    let samples = rig.samples().await;
    assert_eq!((samples.sum("weir_journal_unkept_total", &[]), samples.sum("weir_journal_failing", &[])), (0.0, 0.0));
    assert!(samples.sum("weir_journal_bytes", &[]) > 0.0);
    rig.end(&outage()).await;
}

async fn tokens_are_charged_as_settled_and_an_open_call_as_reserved(mode: BodyMode) {
    let limit = "{name: tokens, unit: Tokens, amount: 100k, period: {calendar: Year}, per: [Workload]}";
    let mut rig = Rig::start(parts(limit, mode)).await;
    let left = |answer: &Response| -> u64 {
        let header = answer.header("x-ratelimit-remaining-tokens").unwrap_or_else(|| panic!("{answer:?}"));
        header.parse().expect("a number")
    };
    // A header tells what is probably left. A process that has learned nothing of a model tells each time the same.
    let (mut used, mut shown) = (0, None);
    for _ in 0..6 {
        let answer = rig.chat(&[("x-mock-tokens", "30")], &bounded()).await;
        shown.get_or_insert(100_000 - left(&answer));
        let usage = &answer.json()["usage"];
        used += usage["prompt_tokens"].as_u64().expect("told") + usage["completion_tokens"].as_u64().expect("told");
        // When the record is there, its settlement was written.
        rig.record_of(&answer).await;
    }
    // One is killed with the process: what it had reserved is spent.
    let mut call = bounded();
    call["stream"] = json!(true);
    let mut open = rig.open(&[("x-mock-tokens", "3000"), ("x-mock-spacing", "30")], &call).await;
    open.read_body(100).await;
    kill(&mut rig).await;
    assert!(!open.finish().await.complete);
    let after = rig.chat(&[("x-mock-tokens", "30")], &bounded()).await;
    let open = 100_000 - used - shown.expect("calls were made") - left(&after);
    assert_eq!(open, call.to_string().len() as u64 + 100, "a byte is at most a token, and it may answer a hundred");
    assert!(rig.weir.stderr().contains("limits are kept in"), "{}", rig.weir.written());
    rig.end(&outage()).await;
}

async fn a_torn_end_is_told_and_the_rest_counts(mode: BodyMode) {
    let limit = "{name: calls, unit: Requests, amount: 3, period: {calendar: Year}}";
    let mut rig = Rig::start(parts(limit, mode)).await;
    assert_eq!(rig.chat(&[], &bounded()).await.status, 200);
    assert_eq!(rig.chat(&[], &bounded()).await.status, 200);
    rig.idle().await;
    let path = rig.directory.file("journal/limits.journal");
    rig.weir.signal("KILL");
    rig.weir.wait(LONG).expect("it is gone");
    let whole = std::fs::read(&path).expect("the journal");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("torn");
    rig.restart_weir();
    serves(&rig).await;
    let log = rig.weir.stderr();
    assert!(log.contains("bytes behind the last whole entry are cut off"), "{log}");
    assert!(rig.samples().await.sum("weir_journal_cut_bytes_total", &[]) > 0.0);
    // The second call was in the entry that is torn; the first is not forgotten.
    assert_eq!(rig.chat(&[], &bounded()).await.status, 200);
    assert_eq!(rig.chat(&[], &bounded()).await.status, 200);
    assert!(is_spent(&rig.chat(&[], &bounded()).await));
    rig.end(&outage()).await;
}

async fn another_process_on_the_same_journal_does_not_start(mode: BodyMode) {
    let limit = "{name: calls, unit: Requests, amount: 3, period: {calendar: Year}}";
    let rig = Rig::start(parts(limit, mode)).await;
    let other = rig.config().replace("extproc.sock", "other.sock").replace("admin-0", "admin-other");
    let file = rig.directory.file("other.yaml");
    std::fs::write(&file, other).expect("written");
    let command = process::weir(&["run", "--config", &file.display().to_string()]);
    let mut child = Child::spawn("another weir", command);
    let status = child.wait(LONG).expect("it ends");
    assert!(
        !status.success() && child.stderr().contains("another process keeps its limits there"),
        "{}",
        child.written()
    );
    rig.end(&Exceptions::default()).await;
}

modes_that_stream!(
    a_budget_of_calls_outlives_three_kills_under_load,
    tokens_are_charged_as_settled_and_an_open_call_as_reserved,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_journal() {
    a_torn_end_is_told_and_the_rest_counts(BodyMode::FullDuplex).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_journal() {
    another_process_on_the_same_journal_does_not_start(BodyMode::FullDuplex).await;
}
