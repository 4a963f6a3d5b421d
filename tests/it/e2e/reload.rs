//! `weir up` under a configuration that changes: Envoy has a cluster before a call is sent to it, and
//! keeps it as long as one may be.

use std::time::{Duration, Instant};
use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{Call, Protocol};
use crate::support::envoy_stats::Exceptions;
use crate::support::http1::Connection;
use crate::support::response::Response;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

fn put(egress: &Egress, documents: &str) {
    let documents = documents.replace("{mock}", &egress.mock.addr().to_string());
    let next = egress.config.with_extension("next");
    std::fs::write(&next, documents).expect("a file");
    std::fs::rename(next, &egress.config).expect("a file");
}

fn backend(name: &str) -> String {
    format!(
        "---\napiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {{name: {name}}}\n\
         spec: {{endpoint: \"http://{{mock}}/v1\", dialect: OpenAI, credentials: [{{type: None}}]}}\n"
    )
}

fn call(model: &str) -> Call {
    Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#))
}

/// Calls until the answer has this status; every one before it has the other.
async fn until(egress: &Egress, model: &str, status: u16, before: u16) -> Response {
    let end = Instant::now() + LONG;
    loop {
        let answer = call(model).send(Protocol::Http1, &egress.address).await;
        if answer.status == status {
            return answer;
        }
        assert_eq!(answer.status, before, "{answer:?}\n{}", egress.weir.written());
        assert!(Instant::now() < end, "{model} is still {before}: {}", egress.weir.written());
    }
}

async fn a_backend_that_comes_is_used_when_envoy_has_it_and_one_that_goes_stays_for_who_began(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    assert_eq!(call("mock/alpha").send(Protocol::Http1, &egress.address).await.status, 200);
    for round in 0..5 {
        let (name, model) = (format!("b{round}"), format!("b{round}/alpha"));
        // Two backends, so that none is the only one there is and takes every name.
        put(&egress, &(ONE_BACKEND.to_owned() + &backend("second") + &backend(&name)));
        until(&egress, &model, 200, if round == 0 { 200 } else { 404 }).await;
    }
    let slow = Call::chat(r#"{"model":"b4/alpha","stream":true,"messages":[{"role":"user","content":"Slowly."}]}"#)
        .with(&[("x-mock-tokens", "60"), ("x-mock-spacing", "50")]);
    let mut live = Connection::open(&egress.address, "POST").await.expect("a connection");
    live.send(&slow.http1()).await.expect("sent");
    live.read_until(|response| response.events().len() >= 2).await;
    put(&egress, &(ONE_BACKEND.to_owned() + &backend("second")));
    until(&egress, "b4/alpha", 404, 200).await;
    let whole = live.finish().await;
    assert!(whole.complete && whole.text().ends_with("data: [DONE]\n\n"), "{whole:?}");
    let clusters = || std::fs::read_to_string(egress.run_directory.join("clusters.json")).expect("a file");
    let end = Instant::now() + LONG;
    while clusters().contains("\"b4\"") {
        assert!(Instant::now() < end, "a cluster that nothing uses stays: {}", clusters());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(call("second/alpha").send(Protocol::Http1, &egress.address).await.status, 200);
    egress.assert_clean(&Exceptions { clusters_went: true, ..Exceptions::default() }).await;
}

modes_that_stream!(a_backend_that_comes_is_used_when_envoy_has_it_and_one_that_goes_stays_for_who_began);
