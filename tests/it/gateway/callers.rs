//! Who calls, through mutual TLS and `jwt_authn`: by certificate, by token, by key, by several of these; and who
//! may use what.

use serde_json::{Value, json};
use weir::identity::key::{Digest, RANDOM, new_key};

use super::rig::{BACKEND, Gateway, Parts, Site};
use super::tokens::{Issuer, unsigned};
use crate::e2e::pair::Call;
use crate::support::envoy_stats::Exceptions;
use crate::support::tls::Client;

/// The key of this number.
pub fn key(number: u8) -> String {
    new_key(&[number; RANDOM])
}

/// `search` has a namespace, a key and a subject; `ci` of another team has a key, and one that is blocked.
pub fn documents(trusted_hops: usize) -> String {
    let digest = |number| Digest::of(&key(number)).hex();
    format!(
        "{BACKEND}---
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {{name: default}}
spec:
  identity:
    jwt: {{metadataNamespace: envoy.filters.http.jwt_authn, metadataPath: [payload], claims: {{subject: sub, team: team, groups: groups}}}}
    trustedHops: {trusted_hops}
---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {{name: search}}
spec:
  match:
  - {{principals: ['spiffe://mesh/ns/search/sa/*']}}
  - {{jwt: [{{claim: sub, value: svc-search}}]}}
  - {{keys: [{{name: web, sha256: {}}}]}}
  team: search
---
apiVersion: weir.dev/v1alpha1
kind: LLMConsumer
metadata: {{name: ci}}
spec:
  match: [{{keys: [{{name: main, sha256: {}}}, {{name: lost, sha256: {}, state: Blocked}}]}}]
  team: build
---
apiVersion: weir.dev/v1alpha1
kind: LLMAccessPolicy
metadata: {{name: interns}}
spec:
  from: [{{principals: ['spiffe://mesh/ns/interns/sa/*']}}, {{groups: [interns]}}, {{namespaces: [default]}}]
  models: {{deny: ['*opus*']}}
",
        digest(1),
        digest(2),
        digest(3)
    )
}

/// A chat call with these headers alone.
pub fn call(model: &str, headers: &[(&str, &str)]) -> Call {
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let call = Call { headers: Vec::new(), ..Call::chat(body) };
    call.with(&[("content-type", "application/json")]).with(headers)
}

/// The clients of these suites.
pub struct Clients {
    pub web: Client,
    pub intern: Client,
    pub batch: Client,
    /// Its certificate is good and names nobody.
    pub nameless: Client,
}

pub const WEB: &str = "spiffe://mesh/ns/search/sa/web";
pub const INTERN: &str = "spiffe://mesh/ns/interns/sa/intern";
pub const BATCH: &str = "spiffe://mesh/ns/batch/sa/job";

impl Clients {
    pub fn of(site: &Site) -> Clients {
        Clients {
            web: site.client("web", Some(WEB)),
            intern: site.client("intern", Some(INTERN)),
            batch: site.client("batch", Some(BATCH)),
            nameless: site.client("nameless", None),
        }
    }
}

/// Of a record's principal: name, namespace, consumer, team; empty for what it has not.
pub fn principal(record: &Value) -> [&str; 4] {
    ["name", "namespace", "consumer", "team"].map(|field| record["principal"][field].as_str().unwrap_or_default())
}

/// Client, model, headers; status, code of a refusal, principal.
type Row<'a> = (&'a Client, &'a str, Vec<(&'a str, &'a str)>, u16, &'a str, [&'a str; 4]);

/// What clients show of themselves: tokens as `authorization` has them, and keys.
struct Credentials {
    search: String,
    build: String,
    someone: String,
    web_key: String,
    ci_key: String,
    lost: String,
    unknown: String,
}

impl Credentials {
    fn of(issuer: &Issuer) -> Credentials {
        let bearer = |claims: Value| format!("Bearer {}", issuer.token(claims));
        Credentials {
            search: bearer(json!({"sub": "svc-search", "team": "search"})),
            build: bearer(json!({"sub": "svc-build", "team": "build"})),
            someone: bearer(json!({"sub": "someone", "groups": ["people", "interns"]})),
            web_key: key(1),
            ci_key: key(2),
            lost: key(3),
            unknown: key(9),
        }
    }
}

fn rows<'a>(clients: &'a Clients, given: &'a Credentials) -> Vec<Row<'a>> {
    let Clients { web, batch, nameless, .. } = clients;
    let no_one = [""; 4];
    let by_web = [WEB, "search", "search", "search"];
    vec![
        (web, "a", vec![], 200, "", by_web),
        (batch, "a", vec![], 200, "", [BATCH, "batch", "", ""]),
        (nameless, "a", vec![], 401, "invalid_api_key", no_one),
        (nameless, "a", vec![("authorization", &given.search)], 200, "", ["svc-search", "", "search", "search"]),
        (nameless, "a", vec![("authorization", &given.build)], 200, "", ["svc-build", "", "", "build"]),
        (nameless, "a", vec![("x-api-key", &given.ci_key)], 200, "", ["ci", "", "ci", "build"]),
        // A lower rank fills what is missing and overwrites nothing.
        (web, "a", vec![("authorization", &given.search)], 200, "", [WEB, "search", "search", "search"]),
        (batch, "a", vec![("authorization", &given.build)], 200, "", [BATCH, "batch", "", "build"]),
        (batch, "a", vec![("x-api-key", &given.ci_key)], 200, "", [BATCH, "batch", "ci", "build"]),
        (web, "a", vec![("x-api-key", &given.web_key)], 200, "", by_web),
        // Two teams.
        (web, "a", vec![("authorization", &given.build)], 403, "identity_conflict", no_one),
        (web, "a", vec![("x-api-key", &given.ci_key)], 403, "identity_conflict", no_one),
        (
            nameless,
            "a",
            vec![("authorization", &given.search), ("x-api-key", &given.ci_key)],
            403,
            "identity_conflict",
            no_one,
        ),
        // Weir's own keys.
        (web, "a", vec![("x-api-key", &given.unknown)], 401, "invalid_api_key", no_one),
        (web, "a", vec![("api-key", &given.lost)], 401, "invalid_api_key", no_one),
        (
            web,
            "a",
            vec![("x-goog-api-key", &given.web_key), ("api-key", &given.ci_key)],
            401,
            "invalid_api_key",
            no_one,
        ),
        (web, "a", vec![("x-api-key", "sk-of-somebody-else")], 200, "", by_web),
    ]
}

/// Who may use what.
fn rights<'a>(clients: &'a Clients, given: &'a Credentials) -> Vec<Row<'a>> {
    let Clients { web, intern, nameless, .. } = clients;
    let (by_web, by_intern) = ([WEB, "search", "search", "search"], [INTERN, "interns", "", ""]);
    vec![
        (intern, "a", vec![], 200, "", by_intern),
        (intern, "claude-opus-4", vec![], 403, "model_not_allowed", by_intern),
        (intern, "main/Claude-OPUS-4", vec![], 403, "model_not_allowed", by_intern),
        (web, "claude-opus-4", vec![], 200, "", by_web),
        (
            nameless,
            "claude-opus-4",
            vec![("authorization", &given.someone)],
            403,
            "model_not_allowed",
            ["someone", "", "", ""],
        ),
        (
            web,
            "claude-opus-4",
            vec![("authorization", &given.someone)],
            403,
            "model_not_allowed",
            [WEB, "search", "search", "search"],
        ),
    ]
}

first_mode!(callers_are_known_by_certificate_token_and_key);

async fn callers_are_known_by_certificate_token_and_key(mode: weir::render::envoy::BodyMode) {
    let gateway = Gateway::start(Parts { documents: documents(0), mode, ..Parts::default() }).await;
    let (clients, given) = (Clients::of(&gateway.site), Credentials::of(&gateway.site.issuer));
    let rows = [rows(&clients, &given), rights(&clients, &given)].concat();
    for (client, model, headers, status, code, who) in &rows {
        let answer = gateway.call(client, &call(model, headers)).await;
        assert_eq!(answer.status, *status, "{headers:?}: {answer:?}");
        let said = answer.json()["error"]["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!(said, *code, "{headers:?}: {answer:?}");
        let record = gateway.record_of(&answer).await;
        assert_eq!(principal(&record), *who, "{headers:?}: {record}");
        assert_eq!(record["signed"].as_bool().unwrap_or_default(), *status == 200, "{record}");
    }
    let signed = rows.iter().filter(|(_, _, _, status, ..)| *status == 200).count();
    // The mock takes no call without the backend's key, so each of these was signed.
    assert_eq!(gateway.mock.tally().requests as usize, signed);
    assert!(gateway.weir.written().contains("signing is on: only the pinned peers"), "{}", gateway.weir.written());
    let told = format!("{:?}{}", gateway.records(), gateway.weir.written());
    let keys = [&given.web_key, &given.ci_key, &given.lost, &given.unknown];
    assert!(keys.iter().all(|key| !told.contains(key.as_str())), "a key was written");
    gateway.end(&Exceptions::default()).await;
}

first_mode!(what_envoy_refuses_is_an_error_of_the_dialect_and_nobodys_call);

/// A token that is wrong, and a client of another mesh, do not get as far as Weir's decision.
async fn what_envoy_refuses_is_an_error_of_the_dialect_and_nobodys_call(mode: weir::render::envoy::BodyMode) {
    let gateway = Gateway::start(Parts { documents: documents(0), mode, ..Parts::default() }).await;
    let clients = Clients::of(&gateway.site);
    let forger = Issuer::new(gateway.site.directory.path(), "forger");
    for token in
        [forger.token(json!({"sub": "svc-search"})), unsigned(json!({"sub": "svc-search"})), "not.a.token".to_owned()]
    {
        let bearer = format!("Bearer {token}");
        let answer = gateway.call(&clients.web, &call("a", &[("authorization", &bearer)])).await;
        assert_eq!((answer.status, answer.complete), (401, true), "{answer:?}");
        let error = &answer.json()["error"];
        assert_eq!([&error["code"], &error["type"]], ["invalid_api_key", "invalid_request_error"], "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        let record = gateway.record_of(&answer).await;
        assert_eq!((principal(&record), record["backend"].as_str()), ([""; 4], None), "{record}");
    }
    for stranger in [
        Client::new(&gateway.site.mesh.certificate, None),
        Client::new(&gateway.site.mesh.certificate, Some(&gateway.site.other.workload("web", &[WEB]))),
    ] {
        let answer = stranger.exchange(&gateway.address, &call("a", &[]).http1()).await;
        assert!(answer.as_ref().map_or(true, |answer| answer.status == 0), "{answer:?}");
    }
    assert_eq!(gateway.mock.tally().requests, 0);
    gateway.end(&Exceptions::default()).await;
}
