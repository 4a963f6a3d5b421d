//! Metrics and the admin pages say what happened, no more and no less, in a bounded number of series.

use serde_json::Value;

use weir::render::envoy::BodyMode;

use super::rig::{CHAT, LONG, Parts, Rig, Samples, aborts, ask, number};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::{self, Request};
use crate::support::http2::{self, Client};

const USAGE: &str = "gen_ai_client_token_usage_sum";

async fn every_family_counts_what_it_says(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let before = rig.samples().await;
    assert_eq!(before.sum("weir_build_info", &[("version", env!("CARGO_PKG_VERSION"))]), 1.0);
    assert_eq!(rig.chat(&[("x-mock-tokens", "10")], &ask("alpha", false)).await.status, 200);
    assert_eq!(rig.chat(&[("x-mock-tokens", "7")], &ask("alpha", true)).await.status, 200);
    rig.records_when(2).await;
    // Estimated: the provider states nothing.
    assert_eq!(rig.chat(&[("x-mock-tokens", "5"), ("x-mock-usage", "absent")], &ask("alpha", true)).await.status, 200);
    assert_eq!(rig.chat(&[("x-mock-status", "429")], &ask("alpha", false)).await.status, 429);
    assert_eq!(rig.post(CHAT, &[], b"{").await.status, 400);
    let mut leaves = rig.open(&[("x-mock-tokens", "400"), ("x-mock-spacing", "5")], &ask("alpha", true)).await;
    leaves.read_body(1000).await;
    rig.in_flight(1).await;
    leaves.abort();
    let records = rig.records_when(6).await;
    rig.idle().await;

    let samples = rig.samples().await;
    let stated: Vec<&Value> =
        records.iter().filter(|record| record["usageSource"] == "USAGE_SOURCE_PROVIDER").collect();
    let sum = |field: &str| stated.iter().map(|record| number(&record["usage"][field])).sum::<u64>() as f64;
    assert_eq!(samples.sum(USAGE, &[("gen_ai_token_type", "output")]), 17.0);
    assert_eq!(samples.sum(USAGE, &[("gen_ai_token_type", "output")]), sum("output"));
    assert_eq!(samples.sum(USAGE, &[("gen_ai_token_type", "input")]), sum("input"));
    let guessed = records.iter().filter(|record| record["usageSource"] == "USAGE_SOURCE_ESTIMATED");
    let guessed: u64 = guessed.map(|record| number(&record["usage"]["output"])).sum();
    assert!(guessed > 5, "the abandoned stream counts too");
    assert_eq!(samples.sum("weir_estimated_tokens_total", &[("type", "output")]), guessed as f64);
    assert_eq!(samples.sum("weir_usage_total", &[("source", "estimated")]), 2.0);
    families(&samples, &records);
    assert_eq!(before.sum("weir_usage_total", &[]), 0.0);
    rig.end(&aborts()).await;
}

/// The families that are no tokens, after two complete calls, one without usage, an error of the
/// provider's, a refusal and a stream that was left.
fn families(samples: &Samples, records: &[Value]) {
    let calls = |name: &str| samples.sum(name, &[("gen_ai_request_model", "alpha")]);
    assert_eq!(calls("gen_ai_client_operation_duration_seconds_count"), 5.0);
    assert_eq!(samples.sum("gen_ai_client_operation_duration_seconds_count", &[]), 6.0);
    assert_eq!(calls("gen_ai_client_operation_time_to_first_chunk_seconds_count"), 3.0);
    let longest = samples.of("gen_ai_client_operation_duration_seconds_bucket", &[("le", "600.0")]).count();
    assert!(longest > 0, "the buckets end at 600 s");
    for phase in ["receive", "decide", "wait", "answer"] {
        let count = samples.sum("weir_phase_duration_seconds_count", &[("phase", phase)]);
        assert!(count >= 4.0, "{phase}: {count}");
    }
    let cost: u64 = records.iter().map(|record| number(&record["costNanoUsd"])).sum();
    let shown = samples.sum("weir_cost_usd_total", &[]);
    assert!(cost > 0 && (shown * 1e9).round() == cost as f64, "{shown} USD shown, {cost} nano-USD in the ledger");
    assert_eq!(samples.sum("weir_streams_truncated_total", &[]), 1.0);
    let chosen = [("step", "target"), ("outcome", "chosen")];
    assert_eq!(samples.sum("weir_decisions_total", &chosen), 5.0);
    let refused = [("outcome", "refused"), ("reason", "invalid_json")];
    assert_eq!(samples.sum("weir_decisions_total", &refused), 1.0);
    assert_eq!(samples.sum("weir_ledger_dropped_total", &[]), 0.0);
    assert_eq!(samples.of("weir_ledger_dropped_total", &[]).count(), 1);
    assert_eq!(samples.sum("weir_notes_dropped_total", &[]), 0.0);
    assert_eq!(samples.of("weir_notes_dropped_total", &[]).count(), 1);
    assert_eq!(samples.sum("weir_shed_total", &[]), 0.0);
}

async fn the_admin_pages_tell_of_an_exchange_and_of_the_process(mode: BodyMode) {
    let rig = Rig::start(Parts { mode, ..Parts::default() }).await;
    let answer = rig.chat(&[("x-mock-tokens", "4")], &ask("alpha", false)).await;
    let record = rig.record_of(&answer).await;
    let id = record["id"].as_str().expect("an id");
    let page = rig.admin(&format!("/exchanges/{id}")).await;
    assert_eq!(page.status, 200, "{page:?}");
    // The record as it is written down, and why.
    let mut shown = page.json();
    let told = shown.as_object_mut().and_then(|shown| shown.remove("explain")).expect("why");
    assert_eq!((shown, &told["route"]["backend"]), (record.clone(), &"main".into()));
    let chosen = page.json()["decisions"].as_array().expect("decisions").iter().any(|decision| {
        decision["step"] == "target" && decision["outcome"] == "chosen" && decision["detail"] == "main/alpha"
    });
    assert!(chosen, "{page:?}");
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/config", 200), ("/exchanges/no", 404)]
    {
        assert_eq!(rig.admin(path).await.status, status, "{path}");
    }
    let config = rig.admin("/config").await.json();
    assert_eq!((&config["backends"][0], &config["signing"]), (&"main".into(), &true.into()), "{config}");
    // The port that a mesh scrapes says nothing of exchanges or of the configuration.
    for (path, status) in
        [("/healthz", 200), ("/readyz", 200), ("/config", 404), (format!("/exchanges/{id}").as_str(), 404)]
    {
        let request = Request { method: "GET", path, headers: &[] }.head();
        let answer = http1::exchange(&rig.metrics, "GET", &request).await.expect("the port answers");
        assert_eq!(answer.status, status, "{path}");
    }
    rig.end(&Exceptions::default()).await;
}

async fn invented_model_names_do_not_make_series_without_end(mode: BodyMode) {
    const NAMES: usize = 2000;
    const AT_ONCE: usize = 16;
    let rig = std::sync::Arc::new(Rig::start(Parts { mode, ..Parts::default() }).await);
    assert_eq!(rig.chat(&[("x-mock-tokens", "2")], &ask("alpha", false)).await.status, 200);
    let workers = (0..AT_ONCE).map(|worker| {
        let address = rig.address.clone();
        tokio::spawn(async move {
            let mut client = Client::connect(&address).await.expect("Envoy takes the connection");
            for n in (worker..NAMES).step_by(AT_ONCE) {
                let body = ask(&format!("invented-{n}"), false).to_string();
                let request = http::Request::post(format!("http://test{CHAT}"))
                    .header("content-type", "application/json")
                    .header("x-mock-tokens", "1")
                    // Every second name is one that the provider refuses.
                    .header("x-mock-status", if n % 2 == 0 { "200" } else { "404" })
                    .body(http2::whole(body.as_bytes()));
                client.exchange(request.expect("a request")).await.expect("an answer");
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        tokio::time::timeout(LONG, worker).await.expect("in time").expect("no panic");
    }
    rig.idle().await;
    let samples = rig.samples().await;
    let named = samples.of("gen_ai_client_operation_duration_seconds_count", &[]).count();
    assert!(named <= 640, "{named} series of durations");
    assert!(samples.len() < 100_000, "{} samples", samples.len());
    assert_eq!(samples.sum("gen_ai_client_operation_duration_seconds_count", &[]), NAMES as f64 + 1.0);
    let known = samples.sum("gen_ai_client_operation_duration_seconds_count", &[("gen_ai_request_model", "alpha")]);
    assert_eq!(known, 1.0, "a model that was there first keeps its series");
    let rig = std::sync::Arc::into_inner(rig).expect("all workers are done");
    rig.end(&Exceptions::default()).await;
}

every_mode!(
    the_admin_pages_tell_of_an_exchange_and_of_the_process,
    invented_model_names_do_not_make_series_without_end
);

modes_that_stream!(every_family_counts_what_it_says);
