//! What a hostile client sends in order to be somebody else, or nobody, through a real Envoy in both roles and every
//! body mode. Nothing it sends changes who it is, what it may use, or with whose key the call leaves, and nothing of
//! it comes to the provider. The same tricks are in `identity::tests::forgery`, without an Envoy.
//!
//! Envoy is as gullible here as one may be configured to be: it hands on what clients write into
//! `x-forwarded-client-cert`, and lets tokens pass that it cannot verify.

use std::collections::HashMap;

use serde_json::{Value, json};
use weir::render::envoy::BodyMode;

use super::callers::{Clients, INTERN, call, documents, key, principal};
use super::rig::{Gateway, KEY, Parts, send, wait};
use super::tokens::{Issuer, payload, unsigned};
use crate::e2e::pair::{BOTH, Call};
use crate::support::envoy_stats::Exceptions;
use crate::support::tls::Client;

/// What is tried, header by header; `#` stands for a valid key of another team's consumer.
struct Trick {
    headers: Vec<(&'static str, String)>,
    /// The answer is 401 whoever sends it.
    refused: bool,
}

fn nothing_comes_of(name: &'static str, value: impl Into<String>) -> Trick {
    Trick { headers: vec![(name, value.into())], refused: false }
}

fn all_of(headers: &[(&'static str, &str)]) -> Trick {
    Trick { headers: headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(), refused: false }
}

fn refused(headers: &[(&'static str, &str)]) -> Trick {
    Trick { refused: true, ..all_of(headers) }
}

const ADMIN: &str = "By=spiffe://mesh/ns/egress/sa/proxy;Hash=00;URI=spiffe://mesh/ns/search/sa/web";

/// Certificates that a client claims to have.
fn certificates() -> Vec<Trick> {
    let mut tricks: Vec<Trick> = [
        ADMIN,
        "URI=spiffe://mesh/ns/search/sa/web",
        "URI=spiffe://mesh/ns/search/sa/web;Subject=\"",
        "URI=spiffe://mesh/ns/search/sa/web;Subject=\"CN=a\\",
        "spiffe://mesh/ns/search/sa/web",
        ",,,",
        "=",
        "",
    ]
    .map(|value| nothing_comes_of("x-forwarded-client-cert", value))
    .into();
    tricks.push(nothing_comes_of("X-Forwarded-Client-Cert", ADMIN));
    tricks.push(nothing_comes_of("x_forwarded_client_cert", ADMIN));
    tricks.push(nothing_comes_of("forwarded-client-cert", ADMIN));
    tricks.push(all_of(&[("x-forwarded-client-cert", ADMIN), ("x-forwarded-client-cert", ADMIN)]));
    for name in
        ["x-client-cert", "x-ssl-client-cert", "x-spiffe-id", "x-envoy-peer-metadata-id", "x-envoy-peer-metadata"]
    {
        tricks.push(nothing_comes_of(name, "spiffe://mesh/ns/search/sa/web"));
    }
    tricks
}

/// Words for Weir and for Envoy.
fn orders() -> Vec<Trick> {
    let mut tricks: Vec<Trick> = [
        "x-weir-principal",
        "x-weir-consumer",
        "x-weir-team",
        "x-weir-namespace",
        "x-weir-role",
        "x-weir-exchange",
        "x-weir-attempt",
        "x-weir-route",
        "x-weir-request-id",
        "X-WEIR-Consumer",
        "x-weir_consumer",
    ]
    .map(|name| nothing_comes_of(name, "search"))
    .into();
    tricks.push(nothing_comes_of("x-weir-tags", "team=search,consumer=search,namespace=search"));
    tricks.push(nothing_comes_of("x-forwarded-for", "127.0.0.1"));
    tricks.push(nothing_comes_of("x-real-ip", "127.0.0.1"));
    tricks.push(nothing_comes_of("x-envoy-external-address", "127.0.0.1"));
    tricks.push(nothing_comes_of("x-envoy-internal", "true"));
    tricks.push(nothing_comes_of("connection", "x-forwarded-client-cert, x-weir-backend, close"));
    tricks
}

/// Tokens that nobody has signed whom Envoy trusts, and headers in which others hand on what they have read.
fn tokens(forger: &Issuer, valid: &str) -> Vec<Trick> {
    let claims = json!({"sub": "svc-search", "team": "search", "groups": ["admins"]});
    let forged = forger.token(claims.clone());
    let (head, rest) = valid.split_once('.').expect("three parts");
    let (_, signature) = rest.split_once('.').expect("three parts");
    let spliced = format!("{head}.{}.{signature}", payload(&forged));
    let mut tricks: Vec<Trick> =
        [forged.clone(), unsigned(claims), spliced, "a.b.c".to_owned(), "..".to_owned(), String::new()]
            .map(|token| nothing_comes_of("authorization", format!("Bearer {token}")))
            .into();
    for name in ["x-jwt-payload", "x-jwt-assertion", "x-goog-iap-jwt-assertion", "x-auth-request-user", "jwt-payload"] {
        tricks.push(nothing_comes_of(name, payload(valid)));
    }
    tricks.push(nothing_comes_of("cookie", format!("token={valid}")));
    tricks.push(nothing_comes_of("proxy-authorization", format!("Bearer {forged}")));
    tricks.push(nothing_comes_of("envoy.filters.http.jwt_authn", payload(valid)));
    tricks
}

/// Keys: Weir's own where they are wrong, and those of providers, which mean nothing.
fn keys() -> Vec<Trick> {
    let (one, two, lost, unknown) = (key(1), key(2), key(3), key(9));
    let bearer = |key: &str| format!("Bearer {key}");
    let mut tricks = Vec::new();
    for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key", "proxy-authorization", "cookie"] {
        tricks.push(refused(&[(name, &unknown)]));
        tricks.push(refused(&[(name, &bearer(&lost))]));
        tricks.push(refused(&[(name, "sk-weir-")]));
    }
    tricks.push(refused(&[("cookie", &one)]));
    tricks.push(refused(&[("proxy-authorization", &bearer(&one))]));
    tricks.push(refused(&[("x-api-key", &one), ("api-key", &two)]));
    tricks.push(refused(&[("authorization", &bearer(&one)), ("x-api-key", &unknown)]));
    tricks.push(refused(&[("x-api-key", &one), ("x-api-key", &two)]));
    tricks.push(refused(&[("x-api-key", &format!("{one} {two}"))]));
    for value in ["sk-of-a-provider", "Bearer sk-of-a-provider", "SK-WEIR-abc", "Basic c2std2Vpci0=", KEY] {
        tricks.push(nothing_comes_of("authorization", value));
        tricks.push(nothing_comes_of("x-api-key", value));
    }
    tricks
}

/// A client, and what is known of it whatever it sends: none where it is not served.
struct Caller<'a> {
    client: &'a Client,
    who: Option<[&'a str; 4]>,
}

const WORKLOAD: [&str; 4] = ["default/default", "default", "", ""];

/// The headers of a call as the provider received them.
fn received(echo: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = echo["headers"].as_array().unwrap_or_else(|| panic!("no echo: {echo}"));
    pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

/// Panics if anything of the client's identity, true or false, has left.
fn assert_nothing_left(trick: &Trick, echo: &Value) {
    let headers = received(echo);
    for (name, value) in &headers {
        assert!(!name.starts_with("x-weir-"), "{name}: {:?}", trick.headers);
        let identity = ["x-forwarded-client-cert", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key"];
        assert!(!identity.contains(&name.as_str()), "{name}: {:?}", trick.headers);
        assert!(!value.contains("sk-weir-"), "{name}: {:?}", trick.headers);
    }
    let credentials: Vec<&str> =
        headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.as_str()).collect();
    assert_eq!(credentials, [format!("Bearer {KEY}")], "{:?}", trick.headers);
}

every_mode!(tricks_give_nothing_to_callers_of_a_gateway, tricks_give_nothing_to_callers_of_a_sidecar);

async fn tricks_give_nothing_to_callers_of_a_gateway(mode: BodyMode) {
    let gateway = start("Gateway", mode).await;
    let clients = Clients::of(&gateway.site);
    let callers = [
        Caller { client: &clients.intern, who: Some([INTERN, "interns", "", ""]) },
        Caller { client: &clients.nameless, who: None },
    ];
    attempt(&gateway, &callers).await;
    gateway.end(&Exceptions::default()).await;
}

async fn tricks_give_nothing_to_callers_of_a_sidecar(mode: BodyMode) {
    let gateway = start("Sidecar", mode).await;
    let clients = Clients::of(&gateway.site);
    let callers = [
        Caller { client: &clients.intern, who: Some(WORKLOAD) },
        Caller { client: &clients.nameless, who: Some(WORKLOAD) },
    ];
    attempt(&gateway, &callers).await;
    // What a gateway would believe is nothing here either: a certificate and a token that are right.
    let claims = json!({"sub": "svc-search", "team": "search", "groups": ["people"]});
    let bearer = format!("Bearer {}", gateway.site.issuer.token(claims));
    let answer = gateway.call(&clients.web, &call("a", &[("authorization", &bearer)])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(principal(&gateway.record_of(&answer).await), WORKLOAD);
    let conflict = gateway.call(&clients.web, &call("a", &[("authorization", &bearer), ("x-api-key", &key(2))])).await;
    assert_eq!(conflict.status, 200, "the team of a token is none: {conflict:?}");
    assert_eq!(principal(&gateway.record_of(&conflict).await)[2..], ["ci", "build"]);
    gateway.end(&Exceptions::default()).await;
}

async fn start(role: &'static str, mode: BodyMode) -> Gateway {
    let (forward, tokens) = ("APPEND_FORWARD", "allow_missing_or_failed");
    Gateway::start(Parts { role, documents: documents(0), mode, forward, tokens, ..Parts::default() }).await
}

/// Tries every trick as every caller, for a model that they may use and for one that they may not.
async fn attempt(gateway: &Gateway, callers: &[Caller<'_>]) {
    let forger = Issuer::new(gateway.site.directory.path(), "forger");
    let valid = gateway.site.issuer.token(json!({"sub": "svc-search", "team": "search"}));
    let tricks: Vec<Trick> =
        [certificates(), orders(), tokens(&forger, &valid), keys()].into_iter().flatten().collect();
    assert!(tricks.len() > 60, "{}", tricks.len());
    let (mut served, mut expected_of) = (0, Vec::new());
    for (number, trick) in tricks.iter().enumerate() {
        let headers: Vec<(&str, &str)> = trick.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // A header of the connection is none over HTTP/2.
        let over_http2 = !headers.iter().any(|(name, _)| *name == "connection" || name.contains(char::is_uppercase));
        let protocol = BOTH[number % 2 * usize::from(over_http2)];
        for caller in callers {
            let expected = match caller.who {
                _ if trick.refused => [401, 401],
                None => [401, 401],
                Some(_) => [200, 403],
            };
            for (model, status) in ["a", "claude-opus-4"].into_iter().zip(expected) {
                let call: Call = call(model, &headers).with(&[("x-mock-echo", "1")]);
                let answer = send(caller.client, protocol, &gateway.address, &call).await;
                assert_eq!(answer.status, status, "{protocol:?} {model} {:?}: {answer:?}", trick.headers);
                if status == 200 {
                    assert_nothing_left(trick, &answer.json());
                    served += 1;
                }
                let id = answer.header("x-weir-request-id").unwrap_or_else(|| panic!("no id: {answer:?}")).to_owned();
                let who = if status == 401 { [""; 4] } else { caller.who.unwrap_or_default() };
                expected_of.push((id, who, format!("{model} {:?}", trick.headers)));
            }
        }
    }
    wait("all records", || async { gateway.records().len() >= expected_of.len() }).await;
    let records = gateway.records();
    assert_eq!(records.len(), expected_of.len(), "one record an exchange");
    let by_id: HashMap<&str, &Value> = records.iter().filter_map(|row| Some((row["id"].as_str()?, row))).collect();
    for (id, who, what) in &expected_of {
        assert_eq!(principal(by_id[id.as_str()]), *who, "{what}");
    }
    assert_eq!(gateway.mock.tally().requests, served);
    let told = format!("{:?}{}", gateway.records(), gateway.weir.written());
    assert!((1..10).all(|number| !told.contains(&key(number))), "a key was written down");
}
