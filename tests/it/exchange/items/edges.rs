//! Vectors at the edges: other backends, what cannot be held, what is no such call, providers of other APIs.

use weir::policy::limits::Exceeded;

use super::*;

#[test]
fn another_backend_is_asked_for_all_and_nothing_of_it_is_kept() {
    let shop = Shop::new(fails_over(policy()));
    shop.call(&body(&["a"]));
    let asked = body(&["a", "b"]);
    let mut world = shop.ask(&asked);
    assert_eq!(inputs(&world.upstream()), [json!("b")]);
    world.send(attempt(1, "one")).send(attempt(2, "two"));
    let retried = world.actions.iter().find_map(|action| match action {
        Action::Retry(2, Again::Anew { body, .. }) => Some(String::from_utf8_lossy(body).into_owned()),
        _ => None,
    });
    assert_eq!(retried.as_deref(), Some(&*asked), "all of it, as it came");
    world.reply(json(), provided(&asked));
    shop.finish(&mut world);
    assert_eq!(world.client(), provided(&asked));
    assert_eq!((shop.kept(), shop.refused(Reason::OtherBackend)), (1, 1));
    assert_eq!(world.record().cached.as_deref().and_then(|cached| cached.saved), None);
    // Back at the first one all is asked for as well.
    let mut world = shop.ask(&asked);
    world.send(attempt(1, "one")).send(attempt(2, "two")).send(attempt(3, "one"));
    let retried = world.actions.iter().rev().find_map(|action| match action {
        Action::Retry(3, Again::Anew { body, .. }) => Some(String::from_utf8_lossy(body).into_owned()),
        _ => None,
    });
    assert_eq!(retried.as_deref(), Some(&*asked));
    world.reply(json(), provided(&asked));
    shop.finish(&mut world);
    assert_eq!((world.client(), shop.kept()), (provided(&asked), 1));
    // Where nothing was sent to the other one, what the first is asked for is still a part.
    let mut world = shop.ask(&asked);
    world.kept = None;
    world.send(attempt(1, "one")).send(attempt(2, "two")).send(attempt(3, "one"));
    assert!(world.actions.contains(&Action::Retry(3, Again::Same)), "{:?}", world.actions);
    world.reply(json(), provided(&body(&["b"])).replace("0.10", "0.20"));
    shop.finish(&mut world);
    let said: Value = serde_json::from_str(&world.client()).expect("JSON");
    assert_eq!(said["data"].as_array().map(Vec::len), Some(2));
    // Another attempt at the same backend is asked for the same.
    let asked = body(&["a", "c"]);
    let mut world = shop.ask(&asked);
    world.send(attempt(1, "one"));
    assert_eq!(inputs(&world.upstream()), [json!("c")]);
    world.reply(json(), provided(&body(&["c"])));
    shop.finish(&mut world);
    assert_eq!((data(&world.client()), shop.kept()), (data(&provided(&asked)), 3));
}

/// What a limit sends to another model was taken apart for the first one.
#[test]
fn a_limit_that_sends_a_call_elsewhere_sends_all_of_it() {
    let to = Exceeded::Downgrade("two".into(), "another".into());
    let mut limited = policy();
    limited.limits = limits(Mode::Enforce, weir::policy::OnError::Deny, &to);
    let shop = Shop::new(limited);
    shop.call(&body(&["a"]));
    let mut world = World::new(shop.policy.clone());
    let asked = body(&["a", "b"]);
    world.send(Event::Request(post(EMBEDDINGS), false)).send(Event::RequestBody(bytes(&asked), true));
    let mut stages = 0;
    while world.gate_open {
        let answer = match world.asks.last() {
            Some(Ask::RecallItems(ask)) => Answer::RecallItems(shop.cache.recall_items_now(ask).expect("nobody else")),
            Some(Ask::Reserve(_)) => {
                stages += 1;
                // First by what is estimated, and then by what was counted.
                if (2..4).contains(&stages) { exhausted(None) } else { granted(stages) }
            }
            Some(Ask::Count { .. }) => Answer::Count(9),
            other => panic!("{other:?} is not asked here"),
        };
        world.send(Event::Answer(Slot::Gate, answer));
    }
    let left: Value = serde_json::from_str(&world.upstream()).expect("JSON");
    assert_eq!((&left["model"], &left["input"]), (&json!("another"), &json!(["a", "b"])));
    let answer = provided(&world.upstream());
    world.reply(json(), &answer);
    shop.finish(&mut world);
    assert_eq!(data(&world.client()), data(&answer));
    assert_eq!((shop.kept(), shop.cache.on_their_way()), (3, (0, 0)), "each model has its own");
}

#[test]
fn what_cannot_be_held_is_not_taken_apart() {
    let mut small = policy();
    small.profile.bodies.max_response_hold = 400;
    let shop = Shop::new(small);
    shop.call(&body(&["a", "b", "c"]));
    let many = body(&["a", "b", "c", "d"]);
    let mut whole = shop.ask(&many);
    assert_eq!(whole.upstream(), many);
    shop.finish(&mut whole);
    let few = body(&["a", "d"]);
    let mut world = shop.ask(&few);
    assert_eq!(inputs(&world.upstream()), [json!("d")]);
    // It was not to be foreseen.
    world.reply(json(), provided(&body(&["d"])).replace("1.0", &"1".repeat(400)));
    shop.finish(&mut world);
    assert_eq!(world.refused(), (502, "upstream_invalid_response".to_owned()));
    assert_eq!(shop.kept(), 3);

    let shop = Shop::new(policy());
    shop.call(&body(&["a"]));
    let world = shop.ask_with(BodyMode::BufferedStreamed, &[], &few);
    assert_eq!(world.upstream(), few, "no head waits for its body there");
}

#[test]
fn no_more_than_a_capture_is_copied() {
    let mut small = policy();
    small.profile.bodies.max_capture = 100;
    let shop = Shop::new(small);
    let world = shop.call(&body(&["a", "b"]));
    assert_eq!((world.client(), shop.refused(Reason::TooLarge)), (provided(&body(&["a", "b"])), 1));
    let shop = Shop::new(policy());
    let mut world = shop.ask(&body(&["a"]));
    let answer = provided(&body(&["a"]));
    world.send(Event::Response(json(), false)).send(Event::Chunk(bytes(&answer[..50]), false));
    assert!(world.exchange.is_holding_response() && world.exchange.buffered() >= 50);
    world.send(Event::Stop(Stop::Shed));
    assert!(!world.exchange.is_holding_response());
    world.send(Event::Chunk(bytes(&answer[50..]), true));
    shop.finish(&mut world);
    assert_eq!((world.client(), shop.kept(), shop.refused(Reason::TooLarge)), (answer, 0, 1));
}

#[test]
fn what_is_no_such_call_goes_on_as_it_is() {
    let shop = Shop::new(policy());
    let many: Vec<String> = (0..2049).map(|n| n.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (asked, reason) in [
        (r#"{"model":"text-embedding-3-small","input":[]}"#, Reason::Unreadable),
        (r#"{"model":"text-embedding-3-small","input":"a","input":"b"}"#, Reason::Unreadable),
        (r#"{"model":"text-embedding-3-small","input":[null]}"#, Reason::Unreadable),
        (r#"{"model":"text-embedding-3-small"}"#, Reason::Unreadable),
        (r#"{"model":"text-embedding-3-small","input":"a","conversation":"c"}"#, Reason::Stateful),
        (&*body(&many), Reason::TooLarge),
    ] {
        let mut world = shop.ask(asked);
        assert_eq!(world.upstream(), asked);
        world.reply(json(), "{}").end();
        let cached = world.record().cached.as_deref().expect("a rule is about it");
        assert_eq!((cached.status, cached.reason), (Status::Bypass, Some(reason)), "{asked:.80}");
    }
    let most = body(&many[..2048]);
    shop.call(&most);
    let world = shop.call(&most);
    assert!(!world.envoy.upstream.began);
    assert_eq!(data(&world.client()), data(&provided(&most)));
}

#[test]
fn a_provider_of_another_api_is_asked_for_what_nobody_knows() {
    let backend = Backend { dialect: Dialect::Gemini, prefix: "/v1beta".into(), ..backend("one", false) };
    let shop = Shop::new(Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() });
    let call = |inputs: &[&str], base64: bool, values: &[&str]| {
        let form = if base64 { "base64" } else { "float" };
        let asked = json!({"model": "g", "input": inputs, "encoding_format": form}).to_string();
        let mut world = shop.ask(&asked);
        let left = world.envoy.upstream.began.then(|| {
            let left: Value = serde_json::from_str(&world.upstream()).expect("JSON");
            left["requests"].as_array().map_or(0, Vec::len)
        });
        if left.is_some() {
            let each: Vec<String> = values.iter().map(|values| format!(r#"{{"values":[{values}]}}"#)).collect();
            let answer = format!(r#"{{"embeddings":[{}],"usageMetadata":{{"promptTokenCount":4}}}}"#, each.join(","));
            world.reply(json(), answer);
        }
        shop.finish(&mut world);
        let said: Value = serde_json::from_str(&world.client()).expect("JSON");
        (left, data(&world.client()).to_owned(), said["usage"]["prompt_tokens"].clone())
    };
    let element = |n: usize, vector: &str| format!(r#"{{"object":"embedding","index":{n},"embedding":{vector}}}"#);
    let list = |elements: &[String]| format!("\"data\":[{}]", elements.join(","));
    let first = call(&["a", "b"], false, &["0.50,1e-3", "2"]);
    assert_eq!(first, (Some(2), list(&[element(0, "[0.50,1e-3]"), element(1, "[2]")]), json!(4)));
    let second = call(&["b", "c", "a"], false, &["3"]);
    let expected = list(&[element(0, "[2]"), element(1, "[3]"), element(2, "[0.50,1e-3]")]);
    assert_eq!(second, (Some(1), expected.clone(), json!(4)));
    assert_eq!(call(&["b", "c", "a"], false, &[]), (None, expected, json!(8)));
    // In base64 they are others.
    let encoded = call(&["a", "b"], true, &["0.5", "2"]);
    let expected = list(&[element(0, "\"AAAAPw==\""), element(1, "\"AAAAQA==\"")]);
    assert_eq!(encoded, (Some(2), expected.clone(), json!(4)));
    assert_eq!(call(&["a", "b"], true, &[]), (None, expected, json!(4)));
    let mut failed = shop.ask(r#"{"model":"g","input":["a","z"]}"#);
    failed.reply(json(), r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#).end();
    assert_eq!(failed.refused().0, 502);
}
