//! A sidecar's callers through a real Envoy: keys, forged identities, and who may use what.

use weir::identity::key::{Digest, RANDOM, new_key};
use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::pair::{BOTH, Call};
use crate::support::envoy_stats::Exceptions;

/// `ci` has two keys, one of them blocked, and may not use `*opus*`.
fn config() -> String {
    let digest = |byte| Digest::of(&key(byte)).hex();
    format!(
        "{ONE_BACKEND}---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {{name: ci}}
spec:
  match: [{{keys: [{{name: main, sha256: {}}}, {{name: lost, sha256: {}, state: Blocked}}]}}]
  team: build
---
apiVersion: weir.dev/v1alpha1
kind: LLMAccessPolicy
metadata: {{name: no-opus}}
spec: {{from: [{{teams: [build]}}], models: {{deny: ['*opus*']}}}}
",
        digest(1),
        digest(2)
    )
}

fn key(byte: u8) -> String {
    new_key(&[byte; RANDOM])
}

fn call(model: &str, headers: &[(&str, &str)]) -> Call {
    let body = format!(r#"{{"model":"{model}","messages":[]}}"#);
    let call = Call { headers: Vec::new(), ..Call::chat(body) };
    call.with(&[("content-type", "application/json")]).with(headers)
}

/// Model, headers, the status that the client gets, and the principal of the record.
type Row<'a> = (&'a str, Vec<(&'a str, &'a str)>, u16, &'a str);

async fn a_sidecar_knows_its_callers_and_no_forged_ones(mode: BodyMode) {
    let egress = Egress::up(mode, &config()).await;
    let (main, lost, unknown) = (key(1), key(2), key(3));
    let bearer = format!("Bearer {main}");
    let forged = "By=spiffe://a;URI=spiffe://mesh/ns/root/sa/admin";
    let rows: Vec<Row<'_>> = vec![
        ("a", vec![("authorization", &bearer)], 200, "ci"),
        ("a", vec![("x-api-key", &main)], 200, "ci"),
        ("a", vec![("api-key", &main), ("authorization", "Bearer sk-other")], 200, "ci"),
        ("claude-opus-4", vec![("x-goog-api-key", &main)], 403, "ci"),
        ("mock/Claude-OPUS", vec![("x-api-key", &main)], 403, "ci"),
        ("claude-opus-4", vec![("authorization", "Bearer sk-other")], 200, "default/default"),
        ("a", vec![("authorization", &lost)], 401, ""),
        ("a", vec![("x-api-key", &unknown)], 401, ""),
        ("a", vec![("x-api-key", &main), ("api-key", &lost)], 401, ""),
        ("a", vec![("proxy-authorization", &bearer)], 401, ""),
        ("a", vec![("x-forwarded-client-cert", forged)], 200, "default/default"),
        ("a", vec![("x-weir-consumer", "ci"), ("x-weir-principal", "ci")], 200, "default/default"),
    ];
    let mut expected = Vec::new();
    for protocol in BOTH {
        for (model, headers, status, name) in &rows {
            let answer = call(model, headers).send(protocol, &egress.address).await;
            assert_eq!(answer.status, *status, "{headers:?}: {answer:?}");
            let id = answer.header("x-weir-request-id").expect("an id").to_owned();
            expected.push((id, *name));
        }
    }
    let records = egress.ledger_of(expected.len()).await;
    for (id, name) in &expected {
        let record = records.iter().find(|record| record["id"] == **id).expect("a record");
        let principal = &record["principal"];
        assert_eq!(principal["name"].as_str().unwrap_or_default(), *name, "{record}");
        if *name == "ci" {
            assert_eq!((&principal["consumer"], &principal["team"]), (&"ci".into(), &"build".into()), "{record}");
        }
    }
    let text = format!("{records:?}{}", egress.weir.written());
    assert!([&main, &lost, &unknown].iter().all(|key| !text.contains(key.as_str())), "a key was written down");
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(a_sidecar_knows_its_callers_and_no_forged_ones);
