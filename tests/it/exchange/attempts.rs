//! Attempts at several backends: what one sends puts the client's head back as it came, a call whose original was given
//! up can be written for nobody else, and the record tells of each backend that was left out.

use weir::credential::Credential;
use weir::exchange::event::{Action, Again, Edits, Event, Headers, Local, ResponseHead, Value};
use weir::exchange::record::Attempt;
use weir::policy::Policy;
use weir::target::{Backend, Serves, Targets};

use super::support::*;

fn called(policy: Policy) -> World {
    let mut world = World::new(fails_over(policy));
    world.call(CHAT, chat(false));
    world
}

/// What the n-th attempt was answered.
fn again(world: &World, number: u32) -> &Again {
    let found = world.actions.iter().find_map(|action| match action {
        Action::Retry(attempt, again) if *attempt == number => Some(again),
        _ => None,
    });
    found.expect("the attempt was answered")
}

fn anew(again: &Again) -> &Edits {
    match again {
        Again::Anew { head, .. } => head,
        other => panic!("{other:?}"),
    }
}

/// Backend, status and why it was left out.
fn told(attempts: &[Attempt]) -> Vec<(&str, u16, Option<&str>)> {
    attempts.iter().map(|attempt| (&*attempt.backend, attempt.status, attempt.skipped)).collect()
}

/// The proxy gives the client what an attempt was answered, in the words that it has for a status.
fn pass_on(world: &mut World, local: &Local) {
    let fields: Headers = local.headers.iter().map(|(name, value)| (&**name, value.as_bytes())).collect();
    let own = r#"{"error":{"message":"no healthy upstream","type":"server_error","param":null,"code":"upstream_unavailable"}}"#;
    let head = ResponseHead { status: local.status, headers: fields };
    world.send(Event::Response(head, false)).send(Event::Chunk(bytes(own), true)).end();
}

#[test]
fn a_call_whose_original_was_given_up_hears_so_in_its_own_dialect() {
    for (path, body) in [
        (CHAT, chat(false)),
        (
            "/v1/messages",
            r#"{"model":"gpt-4o-mini","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}"#.into(),
        ),
    ] {
        let mut world = World::new(fails_over(policy()));
        world.call(path, body).send(attempt(1, "one"));
        world.kept = None;
        world.send(attempt(2, "two"));
        let Again::Not(local) = again(&world, 2).clone() else { panic!("{:?}", again(&world, 2)) };
        assert_eq!(local.status, 503);
        pass_on(&mut world, &local);
        assert_eq!((world.envoy.client.status, world.client_header("retry-after")), (503, Some("1")));
        let said: serde_json::Value = serde_json::from_str(&world.client()).expect("JSON");
        match path {
            CHAT => assert_eq!(said["error"]["code"], "overloaded", "{said}"),
            _ => assert_eq!((&said["type"], &said["error"]["type"]), (&"error".into(), &"overloaded_error".into())),
        }
        let record = world.record();
        assert_eq!(told(&record.attempts), [("one", 0, None), ("two", 0, Some("given_up"))]);
        let decided = record.decisions.iter().find(|decision| decision.outcome == "not_retried");
        assert_eq!(decided.map(|decision| (decision.reason, &*decision.detail)), Some(("given_up", "two")));
        assert_eq!(record.refusal, Some("overloaded"));
    }
}

#[test]
fn a_call_goes_to_where_it_stands_written_for_without_its_original() {
    let mut world = called(policy());
    world.send(attempt(1, "one"));
    world.kept = None;
    // The proxy could not connect to `two`, and is at the first again.
    world.send(attempt(2, "one"));
    assert_eq!(*again(&world, 2), Again::Same);
    world.reply(json(), DOCUMENT).end();
    let expected = [("one", 0, None), ("two", 0, Some("not_connected")), ("one", 200, None)];
    assert_eq!(told(&world.record().attempts), expected);
}

#[test]
fn the_first_that_is_heard_of_may_be_the_second() {
    let mut world = called(policy());
    world.send(attempt(1, "two")).reply(json(), DOCUMENT).end();
    let attempts = &world.record().attempts;
    assert_eq!(told(attempts), [("one", 0, Some("not_connected")), ("two", 200, None)]);
    assert_eq!(attempts[0].wasted, 0, "nothing was sent that anybody could bill");
}

#[test]
fn a_backend_that_nothing_can_be_sent_to_is_told_with_the_reason() {
    let mut policy = policy();
    // No token was fetched yet, and none can be waited for.
    policy.credentials.set(1, fetched());
    let mut world = called(policy);
    assert!(!world.exchange.awaits_attempts(), "there is nobody else");
    world.reply(json(), DOCUMENT).end();
    assert_eq!(told(&world.record().attempts), [("one", 200, None), ("two", 0, Some("credential_unavailable"))]);
}

#[test]
fn an_original_is_held_by_the_host_alone_and_for_as_long_as_an_attempt_may_follow() {
    let mut world = called(policy());
    assert_eq!(world.kept.as_deref(), Some(chat(false).as_bytes()));
    // Three may follow the first.
    for (number, backend) in [(1, "one"), (2, "two"), (3, "one"), (4, "two")] {
        assert!(world.exchange.awaits_attempts(), "{number}");
        assert_eq!(world.exchange.buffered(), 0, "{number}");
        world.send(attempt(number, backend));
    }
    assert_eq!(anew(again(&world, 4)).authority.as_deref(), Some("two.example"));
    assert!(!world.exchange.awaits_attempts());
    world.reply(json(), DOCUMENT).end();
    assert_eq!(world.record().backend.as_deref(), Some("two"));
}

#[test]
fn what_one_attempt_changed_comes_back_byte_for_byte() {
    let changed = Backend {
        headers: [("x-many", "own"), ("cookie", "own=1"), ("x-new", "1")]
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        removed_headers: vec!["x-gone".into()],
        ..backend("one", false)
    };
    let plain = Backend { headers: Vec::new(), ..backend("two", false) };
    let backends = vec![(changed, Serves::default()), (plain, Serves::default())];
    let targets = Targets::new(backends, [("gpt-4o-mini".into(), Vec::new())].into());
    let mut policy = Policy { targets, ..policy() };
    // The caller's own pass, its cookies among them.
    (0..2).for_each(|at| policy.credentials.set(at, Credential::Caller));
    let mut world = World::new(fails_over(policy));
    let fields: [(&str, &[u8]); 7] = [
        ("content-type", b"application/json"),
        ("x-many", b"first, with a comma"),
        ("cookie", b"a=1; b=2"),
        ("x-gone", b"\xff\xfe not UTF-8"),
        ("x-many", b"second\xe9"),
        ("cookie", b"c=3"),
        ("x-many", b""),
    ];
    let mut head = post(CHAT);
    head.headers = fields.into_iter().collect();
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(chat(false)), true));
    world.send(attempt(1, "one")).send(attempt(2, "two"));
    let edits = anew(again(&world, 2));
    for name in ["x-many", "cookie", "x-gone"] {
        let expected: Vec<&[u8]> = fields.iter().filter(|(key, _)| *key == name).map(|(_, value)| *value).collect();
        let set: Vec<&Value> = edits.set.iter().filter(|(key, _)| *key == name).map(|(_, value)| value).collect();
        let [Value::Original(original)] = set[..] else { panic!("{name}: {set:?}") };
        assert_eq!(original.iter().map(|(_, value)| value).collect::<Vec<_>>(), expected, "{name}");
    }
    assert!(edits.remove.iter().any(|name| *name == "x-new"), "{:?}", edits.remove);
    world.reply(json(), DOCUMENT).end();
}
