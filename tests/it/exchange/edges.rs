//! What stands at the edges: the proxy's own words, codings that cannot be read, flights without an
//! answer, an exchange for which there is no room.

use weir::cache::{Recall, Ticket};
use weir::credential::Credential;
use weir::exchange::LOCAL_REPLY_HEADER;
use weir::exchange::event::{Answer, Event, Feed, Note, RequestHead, Slot, Stop};
use weir::exchange::record::Outcome;
use weir::llm::{Delta, Dialect};
use weir::policy::{Mode, Policy};
use weir::target::{Backend, Choice, Rule, Serves, Targets};

use super::support::*;

const LOCAL: &str = r#"{"error":{"message":"connection refused","type":"server_error","code":"upstream_unavailable"}}"#;

fn accepting(coding: &str) -> RequestHead {
    request("POST", CHAT, &[("content-type", "application/json"), ("accept-encoding", coding)])
}

#[test]
fn a_provider_is_asked_only_for_codings_that_can_be_metered() {
    for (accepted, asked) in [
        ("gzip, deflate, br, zstd", "gzip"),
        ("br", "br"),
        ("zstd, compress", "zstd"),
        ("zstd;q=0, *", "identity"),
        ("br;q=1.0, GZIP;q=0.5", "gzip"),
        ("gzip;q=0", "identity"),
        ("gzip; q=0.0, br", "br"),
        ("*", "identity"),
    ] {
        let mut world = World::new(policy());
        world.send(Event::Request(accepting(accepted), false)).send(Event::RequestBody(bytes(chat(false)), true));
        assert_eq!(world.upstream_header("accept-encoding"), Some(asked), "{accepted}");
    }
    let mut world = World::new(policy());
    world.call(CHAT, chat(false));
    assert_eq!(world.upstream_header("accept-encoding"), None, "nothing is added where nothing was said");
}

#[test]
fn the_proxys_own_json_is_said_in_the_clients_dialect() {
    let marked = || response(503, &[("content-type", "application/json"), (LOCAL_REPLY_HEADER, "1")]);
    let mut world = World::new(policy());
    world.call(CHAT, chat(false)).reply(marked(), LOCAL);
    assert_eq!(world.refused(), (503, "upstream_unavailable".to_owned()));
    assert!(world.client().contains("connection refused"));
    assert_eq!(world.client_header(LOCAL_REPLY_HEADER), None);
    assert_eq!(world.end().record().outcome, Outcome::UpstreamError);

    let mut policy = policy();
    let mut backend = backend("one", true);
    backend.dialect = weir::llm::Dialect::Anthropic;
    policy.targets.backends[0] = backend.into();
    let mut world = World::new(policy);
    world.call("/v1/messages", chat(false)).reply(marked(), LOCAL);
    let value: serde_json::Value = serde_json::from_str(&world.client()).unwrap();
    assert_eq!((value["type"].as_str(), value["error"]["type"].as_str()), (Some("error"), Some("overloaded_error")));
}

#[test]
fn a_providers_own_json_error_is_not_the_proxys() {
    let mut world = World::new(policy());
    world.call(CHAT, chat(false)).reply(response(503, &[("content-type", "application/json")]), LOCAL);
    assert_eq!(world.client(), LOCAL);
}

#[test]
fn what_would_pass_is_shed_as_well() {
    let mut world = World::new(policy());
    world.send(Event::Stop(Stop::Shed)).send(Event::Request(request("GET", "/v1/models", &[]), true));
    assert_eq!(world.refused(), (503, "overloaded".to_owned()));
    assert_eq!(world.client_header("retry-after"), Some("1"));
}

fn leads() -> World {
    let mut policy = policy();
    policy.caches = caches(Mode::Enforce);
    let mut world = World::new(policy).answers([Answer::Recall(Recall::Lead(Ticket(5)))]);
    world.call(CHAT, chat(true)).send(Event::Feed(Feed::Followed));
    world
}

/// Whether the flight has landed, and whether it was forsaken.
fn flight(world: &mut World) -> (bool, bool) {
    let notes = world.end().notes();
    let ended = notes.iter().any(|note| matches!(note, Note::Remember(kept) if kept.ticket == Ticket(5)));
    assert!(!ended || notes.contains(&&Note::Publish(Ticket(5), Delta::End)));
    let over = |note: &Note| matches!(note, Note::Forsake(Ticket(5)) | Note::Part(Ticket(5), _));
    let forsaken = notes.iter().filter(|note| over(note)).count();
    assert!(forsaken <= 1);
    (ended, forsaken == 1)
}

#[test]
fn a_flight_has_an_end_or_is_forsaken_and_never_both() {
    let mut whole = leads();
    whole.reply(sse(), STREAM);
    assert_eq!(flight(&mut whole), (true, false));
    let mut refused = leads();
    refused.reply(response(500, &[("content-type", "application/json")]), "{\"error\":{}}");
    assert_eq!(flight(&mut refused), (false, true));
    let mut left = leads();
    assert_eq!(flight(&mut left), (false, true));
    let mut broken = leads();
    broken.reply(sse(), "data: {\"error\":{\"message\":\"no\"}}\n\ndata: [DONE]\n\n");
    assert_eq!(flight(&mut broken), (false, true));
    let mut early = leads();
    early.send(Event::Stop(Stop::Deadline));
    assert_eq!(flight(&mut early), (false, true));
    let mut late = leads();
    late.send(Event::Stop(Stop::Deadline)).reply(sse(), STREAM);
    assert_eq!(flight(&mut late), (false, true));
}

#[test]
fn a_lead_that_is_given_when_nobody_asks_any_more_is_forsaken() {
    let mut policy = policy();
    policy.caches = caches(Mode::Enforce);
    for stop in [Stop::Leave, Stop::Deadline] {
        let mut world = World::new(policy.clone());
        world.call(CHAT, chat(true)).send(Event::Stop(stop));
        world.send(Event::Answer(Slot::Gate, Answer::Recall(Recall::Lead(Ticket(5)))));
        assert_eq!(flight(&mut world), (false, true), "{stop:?}");
    }
}

/// Whatever wrote it: a key does not leave with another host than the backend's own.
#[test]
fn a_key_does_not_leave_for_another_host() {
    for header in ["host", "Host", ":authority"] {
        let mut policy = policy();
        let mut backend = (*policy.targets.backends[0]).clone();
        backend.headers.push((header.into(), "evil.example".into()));
        policy.targets.backends[0] = std::sync::Arc::new(backend);
        let mut world = World::new(policy.clone());
        world.call(CHAT, chat(false)).end();
        assert_eq!(world.refused(), (503, "credential_unavailable".to_owned()), "{header}");
        let mut world = World::new(policy);
        world.send(Event::Request(request("GET", "/v1/files", &[]), true)).end();
        assert_eq!(world.refused(), (503, "credential_unavailable".to_owned()), "{header} of what passes");
    }
}

#[test]
fn an_empty_model_is_refused_and_named() {
    let mut world = World::new(policy());
    world.call(CHAT, r#"{"model":"","messages":[]}"#).end();
    assert_eq!(world.refused(), (400, "unsupported_value".to_owned()));
    let said: serde_json::Value = serde_json::from_str(&world.client()).expect("JSON");
    assert_eq!(said["error"]["param"], "model");
}

/// A rule for every name takes `BACKEND/MODEL` as well, and the provider knows nothing of Weir's names.
#[test]
fn under_a_rule_the_name_of_the_backend_does_not_leave_either() {
    for (asked, leaves) in [
        ("one/gpt-4o-mini", "gpt-4o-mini"),
        ("one/org/model", "org/model"),
        ("org/model", "org/model"),
        ("two/other", "two/other"),
        ("one/", "one/"),
        ("gpt-4o-mini", "gpt-4o-mini"),
    ] {
        let mut policy = policy();
        let choices = vec![Choice { backend: 0, model: None, priority: 0, weight: 1 }];
        policy.targets.root.rules = vec![Rule { name: "all/r".into(), choices, ..Rule::default() }].into();
        let mut world = World::new(policy);
        world.call(CHAT, format!(r#"{{"model":"{asked}","messages":[]}}"#));
        let left: serde_json::Value = serde_json::from_str(&world.upstream()).expect("JSON");
        assert_eq!(left["model"], leaves, "{asked}");
        world.reply(json(), DOCUMENT).end();
        assert_eq!((&*world.record().requested_model, &*world.record().sent_model), (asked, leaves));
    }
}

/// Google's APIs take a key in the query. Where the caller's own credential travels on, so does that one, to an
/// API that knows it; to every other, and with a key of Weir's, the query is left behind.
#[test]
fn a_callers_key_in_the_query_travels_to_an_api_that_reads_it_there() {
    let contents = r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#;
    let left = |dialect, credential: Credential, path: &str| {
        let place = Backend { dialect, prefix: "/v1beta".into(), ..backend("one", false) };
        let mut policy = Policy { targets: Targets::new(vec![(place, Serves::default())], [].into()), ..policy() };
        policy.credentials.set(0, credential);
        let mut world = World::new(policy);
        world.send(Event::Request(request("POST", path, &[("content-type", "application/json")]), false));
        world.send(Event::RequestBody(bytes(contents), true));
        world.upstream_header(":path").unwrap_or_default().to_owned()
    };
    let (chat, stream) = ("/v1beta/models/g:generateContent", "/v1beta/models/g:streamGenerateContent");
    let asked = |path: &str| format!("{path}?key=AIza&alt=sse");
    for (dialect, credential, path, leaves) in [
        (Dialect::Gemini, Credential::Caller, asked(chat), format!("{chat}?key=AIza")),
        (Dialect::Gemini, Credential::Caller, asked(stream), format!("{stream}?alt=sse&key=AIza")),
        (
            Dialect::Gemini,
            Credential::Caller,
            "/v1beta/models/g:countTokens?key=AIza".into(),
            "/v1beta/models/g:countTokens?key=AIza".into(),
        ),
        (Dialect::Gemini, Credential::Caller, format!("{chat}?key=sk-weir-nobody"), String::new()),
        (Dialect::Gemini, key("k"), asked(chat), chat.to_owned()),
        (Dialect::Gemini, Credential::Anonymous, asked(chat), chat.to_owned()),
        (Dialect::OpenAi, Credential::Caller, asked(chat), "/v1beta/chat/completions".to_owned()),
    ] {
        assert_eq!(left(dialect, credential.clone(), &path), leaves, "{dialect} {path}");
    }
}

/// A stream that ends as its body does has an end as well, for those who follow and for who remembers.
#[test]
fn a_leaders_stream_without_a_last_event_ends_with_its_body() {
    let place = Backend { dialect: Dialect::Gemini, prefix: "/v1beta".into(), ..backend("one", false) };
    let mut policy = Policy { targets: Targets::new(vec![(place, Serves::default())], [].into()), ..policy() };
    policy.caches = caches(Mode::Enforce);
    let event = |part: &str, rest: &str| {
        format!("data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{part}]}}{rest}}}]}}\n\n")
    };
    let (first, last) = (event("{\"text\":\"Hi\"}", ""), event("{\"text\":\".\"}", ",\"finishReason\":\"STOP\""));
    for (body, whole) in [([&first[..], &last].concat(), true), (first, false)] {
        let mut world = World::new(policy.clone()).answers([Answer::Recall(Recall::Lead(Ticket(5)))]);
        let path = "/v1beta/models/g:streamGenerateContent?alt=sse";
        world.call(path, r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#);
        world.send(Event::Feed(Feed::Followed)).reply(sse(), &body);
        assert_eq!((world.client(), flight(&mut world)), (body, (whole, !whole)));
        assert_eq!(world.notes().iter().any(|note| matches!(note, Note::Remember(_))), whole);
    }
}
