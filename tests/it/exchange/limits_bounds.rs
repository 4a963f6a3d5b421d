//! What a call is taken for before it leaves, and what it is charged when nobody says what it used.

use std::sync::Arc;
use std::time::Duration;

use weir::exchange::event::{Answer, Ask, Event, Failure};
use weir::limit::take::{Grant, Refused, Standing};
use weir::limit::{Spent, Unit};
use weir::llm::UsageSource;
use weir::policy::limits::{Exceeded, Rule};
use weir::target::Choice;
use weir::tokens::learned::Key;
use weir::wire::rewrite::{Action, Changes, Parameter};

use super::limits::{TOKEN, own, with, world};
use super::support::*;

const COMPLETIONS: &str = "/v1/completions";
const MESSAGES: &str = "/v1/messages";
const RESPONSES: &str = "/v1/responses";
const IMAGES: &str = "/v1/images/generations";
const KEY: Key<'_> = Key { backend: "one", model: "gpt-4o-mini" };

/// What was taken of the first limit, each time it was asked.
fn taken(world: &World) -> Vec<u64> {
    let amount = |ask: &Ask| match ask {
        Ask::Reserve(ask) => Some(ask.takes[0].amount),
        _ => None,
    };
    world.asks.iter().filter_map(amount).collect()
}

fn tokens_of(path: &str, body: &str, limit: u64) -> Vec<u64> {
    let mut world = world([Rule::new(own("tpm", Unit::Tokens, limit))]);
    world.call(path, body);
    taken(&world).iter().map(|parts| parts / TOKEN).collect()
}

fn cost_of(path: &str, body: &str) -> u64 {
    let mut world = world([Rule::new(own("usd", Unit::Usd, 100))]);
    world.call(path, body);
    taken(&world)[0]
}

#[test]
fn the_largest_bound_counts_and_each_answer_that_is_made() {
    for (path, fields, output) in [
        (CHAT, r#""messages":[],"max_tokens":20"#, 20),
        (CHAT, r#""messages":[],"max_output_tokens":1,"max_tokens":100000"#, 100_000),
        (CHAT, r#""messages":[],"max_completion_tokens":1,"max_tokens":1e5"#, 100_000),
        (CHAT, r#""messages":[],"max_tokens":-1,"max_output_tokens":1"#, 1_024),
        (CHAT, r#""messages":[],"n":3,"max_tokens":20"#, 60),
        (CHAT, r#""messages":[],"n":3"#, 3 * 1_024),
        (COMPLETIONS, r#""prompt":["a","b","c"],"n":2,"best_of":4,"max_tokens":10"#, 120),
        (RESPONSES, r#""input":"hi","max_output_tokens":7"#, 7),
        // What a server of this format passes over bounds nothing, and may be more than is assumed.
        (CHAT, r#""messages":[],"n_predict":1"#, 1_024),
        (CHAT, r#""messages":[],"max_output_tokens":1"#, 1_024),
        (CHAT, r#""messages":[],"n_predict":4000"#, 4_000),
        (MESSAGES, r#""messages":[],"max_completion_tokens":1"#, 1_024),
        (RESPONSES, r#""input":"hi","max_tokens":1"#, 1_024),
    ] {
        let body = format!(r#"{{"model":"gpt-4o-mini",{fields}}}"#);
        assert_eq!(tokens_of(path, &body, 1_000_000), [body.len() as u64 + output], "{body}");
    }
}

#[test]
fn what_a_rule_puts_into_a_call_is_taken_for_it() {
    let body = r#"{"model":"gpt-4o-mini","n":1,"max_tokens":10,"messages":[]}"#;
    let tools = br#"[{"type":"function","function":{"name":"a_long_name_of_a_tool"}}]"#;
    for (name, value, more) in [("n", &b"5"[..], 40), ("tools", tools, tools.len() as u64 + 9)] {
        let parameter = Parameter { name: name.to_owned(), action: Action::Override(value.to_vec()) };
        let changes = Changes { parameters: vec![parameter], ..Changes::default() };
        let mut policy = with([Rule::new(own("tpm", Unit::Tokens, 1_000_000))]);
        let choices = vec![Choice { backend: 0, model: None, priority: 0, weight: 1 }];
        let rule = weir::target::Rule { choices, changes: Some(Arc::new(changes)), ..weir::target::Rule::default() };
        policy.targets.root.rules = vec![rule].into();
        let mut world = World::new(policy);
        world.store = Some(weir::limit::memory::Memory::new(10));
        world.call(CHAT, body);
        assert_eq!(taken(&world), [(body.len() as u64 + 10 + more) * TOKEN], "{name}");
    }
}

/// A chat about a part, with a bound of 20 tokens.
fn about(part: &str) -> String {
    format!(r#"{{"model":"gpt-4o-mini","max_tokens":20,"messages":[{{"role":"user","content":[{part}]}}]}}"#)
}

#[test]
fn a_count_of_the_text_leaves_an_image_what_it_may_come_to() {
    let url = format!("data:image/png;base64,{}", "A".repeat(1 << 20));
    let part = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#);
    let body = about(&part);
    // The text around it by its bytes, then by its count, and the largest image that this model knows.
    let text = (body.len() - url.len() - 2) as u64;
    assert_eq!(tokens_of(CHAT, &body, 1_000_000), [text + 48_169 + 20]);
    assert_eq!(tokens_of(CHAT, &body, 48_200), [48_200], "what is only assumed is no more than the limit");
    let mut world = world([Rule { exact: true, ..Rule::new(own("tpm", Unit::Tokens, 1_000_000)) }]);
    world.call(CHAT, &body);
    assert_eq!(taken(&world), [(9 + 48_169 + 20) * TOKEN]);
}

/// Where requests are asked for before a guard and tokens behind it, what the guard has seen is read as well.
#[test]
fn an_image_is_seen_behind_a_guard() {
    let rules = [Rule::new(own("rpm", Unit::Requests, 10)), Rule::new(own("tpm", Unit::Tokens, 1_000_000))];
    let mut policy = with(rules);
    policy.guards.rules = vec![weir::guard::Rule { name: "pii".to_owned() }];
    let verdict = Answer::Judge(weir::guard::Verdict::Pass);
    let mut world = World::new(policy).answers([granted(1), verdict]);
    let body = about(r#"{"type":"image_url","image_url":{"url":"u"}}"#);
    world.call(CHAT, &body);
    assert_eq!(taken(&world), [1, (body.len() as u64 - 3 + 48_169 + 20) * TOKEN]);
}

/// Who calls here.
fn caller() -> Arc<str> {
    let mut world = world([Rule::new(own("rpm", Unit::Requests, 1))]);
    world.call(CHAT, chat(false)).end();
    world.record().caller.name.clone()
}

/// What is taken of a limit of a million tokens for a call that refers to something, beside its bytes and its bound,
/// after prompts of `before` tokens.
fn referred(path: &str, body: &str, before: Option<u64>) -> u64 {
    let mut world = world([Rule::new(own("tpm", Unit::Tokens, 1_000_000))]);
    if let Some(before) = before {
        world.learned.observe_answer(&caller(), KEY, before, 1);
    }
    world.call(path, body);
    taken(&world)[0] / TOKEN - body.len() as u64 - 20
}

#[test]
fn what_is_referred_to_is_taken_for_as_much_as_came_before() {
    let earlier = r#"{"model":"gpt-4o-mini","input":"hi","previous_response_id":"r","max_output_tokens":20}"#;
    // All that the model reads is 128,000, and what nothing is known of is no more than an eighth of the limit.
    for (before, more) in [(None, 125_000), (Some(50_000), 50_000), (Some(10), 8_192)] {
        assert_eq!(referred(RESPONSES, earlier, before), more, "{before:?}");
    }
    // A prompt that has its history in it is as long as those before, whatever its tools find.
    let text = "a".repeat(40_000);
    let found = format!(
        r#"{{"model":"gpt-4o-mini","input":"{text}","tools":[{{"type":"web_search"}}],"max_output_tokens":20}}"#
    );
    for (before, more) in [(None, 125_000), (Some(50_000), 50_000 - found.len() as u64 / 4), (Some(10), 8_192)] {
        assert!(referred(RESPONSES, &found, before).abs_diff(more) < 50, "{before:?}");
    }
    let small = |limit| tokens_of(RESPONSES, earlier, limit);
    assert_eq!([small(5_000), small(50)], [vec![earlier.len() as u64 + 20 + 625], vec![earlier.len() as u64 + 20, 35]]);
}

#[test]
fn a_document_is_taken_for_a_guess_until_prompts_are_known() {
    let file = format!("data:application/pdf;base64,{}", "A".repeat(400_000));
    let body = about(&format!(r#"{{"type":"file","file":{{"file_data":"{file}"}}}}"#));
    let bytes = file.len() as u64 + 2;
    let known = body.len() as u64 - bytes + 20 + bytes.div_ceil(8);
    let taken_of = |limit: u64, before: Option<u64>| {
        let mut world = world([Rule::new(own("tpm", Unit::Tokens, limit))]);
        if let Some(before) = before {
            world.learned.observe_answer(&caller(), KEY, before, 1);
        }
        world.call(CHAT, &body);
        taken(&world)[0] / TOKEN
    };
    // The model reads 128,000, of which an eighth of the bytes are known.
    assert_eq!(taken_of(10_000_000, None), known + 128_000 - bytes.div_ceil(8));
    assert_eq!(taken_of(400_000, None), known + 50_000, "a guess is no more than an eighth of the limit");
    assert_eq!(taken_of(400_000, Some(10)), known + 50_000, "short prompts before say nothing of it");
}

#[test]
fn media_are_taken_of_a_limit_of_tokens_as_well() {
    let sound = format!(r#"{{"model":"one/gpt-4o-mini-tts","input":"{}"}}"#, "a".repeat(100));
    let image = r#"{"model":"one/gpt-image-1","prompt":"a","n":2}"#;
    assert_eq!(tokens_of("/v1/audio/speech", &sound, 1_000_000), [100 + 500]);
    assert_eq!(tokens_of(IMAGES, image, 1_000_000), [image.len() as u64 + 2 * 6_240]);
    // Nobody knows whether it has tokens at all.
    assert_eq!(tokens_of(IMAGES, image, 8_000), [1_000], "an eighth of the limit");
    let low = r#"{"model":"one/gpt-image-1","prompt":"a","quality":"low"}"#;
    assert_eq!(tokens_of(IMAGES, low, 8_000), [low.len() as u64 + 408]);
}

#[test]
fn who_has_no_room_for_the_rest_of_a_call_is_not_counted() {
    let text = "word ".repeat(200);
    let body =
        format!(r#"{{"model":"gpt-4o-mini","max_tokens":20,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    let counts = |world: &World| world.asks.iter().filter(|ask| matches!(ask, Ask::Count { .. })).count();
    let wait = |seconds| Some(Duration::from_secs(seconds));
    let refused = |left: u64, wait| {
        let standing = Standing { ceiling: 1_000 * TOKEN, left: left * TOKEN, reset: Duration::from_secs(60) };
        Answer::Reserve(Err(Refused { take: 0, wait, standings: vec![standing] }))
    };
    for (left, counted) in [(0, 0), (19, 0), (20, 1), (500, 1)] {
        // It is asked again for the tokens that it probably has, and told when there are as many.
        let mut answers = vec![refused(left, wait(50)), refused(left, wait(7))];
        if counted > 0 {
            answers.insert(1, Answer::Count(9));
        }
        let mut world = world([Rule::new(own("tpm", Unit::Tokens, 1_000))]).answers(answers);
        world.call(CHAT, &body).end();
        assert_eq!(counts(&world), counted, "{left}");
        let estimate = (body.len() as u64 + 2) / 4;
        let most = if counted == 0 { estimate } else { 9 };
        assert_eq!(taken(&world), [body.len() as u64 + 20, most + 20].map(|tokens| tokens * TOKEN), "{left}");
        assert_eq!((world.refused().0, world.client_header("retry-after")), (429, Some("7")));
    }
    // Room comes before it is asked again: a count says whether it is enough, and the estimate takes nothing.
    let grant = |id| Answer::Reserve(Ok(Grant { id, taken: Vec::new() }));
    let answers = [refused(0, wait(50)), grant(1), Answer::Count(9), grant(2)];
    let mut meanwhile = world([Rule::new(own("tpm", Unit::Tokens, 1_000))]).answers(answers);
    meanwhile.call(CHAT, &body);
    assert_eq!((counts(&meanwhile), taken(&meanwhile).last()), (1, Some(&(29 * TOKEN))));
    assert!(meanwhile.envoy.upstream.began);
    let undone = meanwhile.settles().iter().map(|settle| (settle.grant.id, settle.spent)).collect::<Vec<_>>();
    assert_eq!(undone, [(1, Spent::Undone)]);
    // By the estimate it would never fit: that is for a count to say.
    let answers = [refused(0, wait(50)), refused(0, None), Answer::Count(9), refused(0, wait(9))];
    let mut never = world([Rule::new(own("tpm", Unit::Tokens, 1_000))]).answers(answers);
    never.call(CHAT, &body).end();
    assert_eq!((counts(&never), taken(&never).len(), never.client_header("retry-after")), (1, 3, Some("9")));
}

#[test]
fn another_tokenizers_count_is_no_bound_where_its_own_is_known() {
    let text = "word ".repeat(200);
    for (model, knows, half) in
        [("gpt-4o-mini", true, false), ("claude-opus-4-1", false, false), ("claude-opus-4-1", true, true)]
    {
        let body =
            format!(r#"{{"model":"one/{model}","max_tokens":20,"messages":[{{"role":"user","content":"{text}"}}]}}"#);
        let mut world = world([Rule { exact: true, ..Rule::new(own("tpm", Unit::Tokens, 1_000_000)) }]);
        if knows {
            world.learned.observe_input(Key { model, ..KEY }, 500, 1_000);
        }
        world.call(CHAT, &body);
        let most = if half { (body.len() as u64).div_ceil(2) } else { 9 };
        assert_eq!(taken(&world), [(most + 20) * TOKEN], "{model} {knows}");
    }
}

#[test]
fn media_are_taken_for_the_dearest_that_they_may_be() {
    for (fields, nanos) in [
        (r#""prompt":"a""#, 250_000_000),
        (r#""prompt":"a","n":4"#, 1_000_000_000),
        (r#""prompt":"a","size":"auto","quality":"auto""#, 250_000_000),
        (r#""prompt":"a","size":"1024x1024""#, 167_000_000),
        (r#""prompt":"a","quality":"low""#, 16_000_000),
        (r#""prompt":"a","size":"1024x1024","quality":"low","n":2"#, 22_000_000),
        (r#""prompt":"a","size":"7x7","quality":"low""#, 250_000_000),
    ] {
        let body = format!(r#"{{"model":"one/gpt-image-1",{fields}}}"#);
        assert_eq!(cost_of(IMAGES, &body), nanos, "{fields}");
    }
    // No price for the piece: 6,240 tokens at 30 USD a million.
    assert_eq!(cost_of(IMAGES, r#"{"model":"one/gpt-image-2","prompt":"a"}"#), 187_200_000);
    let speech = |model: &str| {
        cost_of("/v1/audio/speech", &format!(r#"{{"model":"one/{model}","input":"{}"}}"#, "a".repeat(100)))
    };
    assert_eq!(speech("tts-1"), 1_500_000);
    // 100 tokens of text at 0.6, and 500 of sound at 12 USD a million.
    assert_eq!(speech("gpt-4o-mini-tts"), 6_060_000);
}

/// Sound and images are dearer than text on both sides, and what a model makes of a chat is its own choice.
#[test]
fn a_chat_is_taken_for_the_dearest_that_its_answer_may_be() {
    let ask = |content: &str| {
        format!(r#"{{"model":"one/gpt-audio","max_tokens":1000,"messages":[{{"role":"user","content":{content}}}]}}"#)
    };
    let text = ask(r#""hi""#);
    // 64 USD a million for what is said, 2.5 for text.
    let said = 64_000_000;
    assert_eq!(cost_of(CHAT, &text), said + text.len() as u64 * 2_500);
    let sound = ask(r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}]"#);
    // 32 tokens of sound at 32 USD, and the text around it.
    assert_eq!(cost_of(CHAT, &sound), said + 32 * 32_000 + (sound.len() as u64 - 6) * 2_500);
}

#[test]
fn sound_that_does_not_say_its_length_is_taken_for_the_longest_that_its_bytes_can_be() {
    let form = [
        &b"--bnd\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\none/whisper-1\r\n"[..],
        b"--bnd\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        &[0; 7_500],
        b"\r\n--bnd--\r\n",
    ];
    let mut world = world([Rule::new(own("usd", Unit::Usd, 100))]);
    let kind = [("content-type", "multipart/form-data; boundary=bnd")];
    world.send(Event::Request(request("POST", "/v1/audio/transcriptions", &kind), false));
    world.send(Event::RequestBody(bytes(form.concat()), true));
    // Ten seconds at 0.0001 USD.
    assert_eq!(taken(&world), [1_000_000]);
}

#[test]
fn calls_that_are_dearer_when_they_ask_for_it_are_taken_for_that() {
    let body = |more: &str| format!(r#"{{"model":"one/gpt-4o-mini","max_tokens":1000,"messages":[]{more}}}"#);
    let (plain, fast) = (cost_of("/v1/messages", &body("")), cost_of("/v1/messages", &body(r#","speed":"fast""#)));
    // This model has no such price: nothing but the bytes differ.
    assert!(fast >= plain && fast < 2 * plain, "{plain} {fast}");
}

fn spent(world: &World) -> Vec<Spent> {
    world.settles().iter().map(|settled| settled.spent).collect()
}

#[test]
fn what_may_have_run_stays_charged_as_it_was_taken() {
    let broke = [("content-type", "application/json"), ("x-weir-local-reply", "UC")];
    let refused = [("content-type", "application/json"), ("x-weir-local-reply", "UF,URX")];
    let zero =
        |spent: &Spent| matches!(spent, Spent::Used { usage, .. } if usage.total_input() + usage.total_output() == 0);
    // It was given up before an answer began.
    let mut gone = world([Rule::new(own("tpm", Unit::Tokens, 5_000))]);
    gone.call(CHAT, chat(false)).end();
    assert_eq!((spent(&gone), gone.record().usage_source), (vec![Spent::Unknown], UsageSource::Unknown));
    // The connection broke, or was never made; the provider says that it made nothing.
    for (head, is_zero) in [(response(503, &broke), false), (response(503, &refused), true), (response(500, &[]), true)]
    {
        let mut world = world([Rule::new(own("tpm", Unit::Tokens, 5_000))]);
        world.call(CHAT, chat(false)).reply(head, "{}").end();
        match is_zero {
            true => assert!(spent(&world).iter().all(zero), "{:?}", spent(&world)),
            false => assert_eq!(spent(&world), [Spent::Unknown]),
        }
    }
}

#[test]
fn a_stream_of_a_model_that_reasons_stays_charged_as_it_was_taken_when_it_is_left() {
    for reasons in [false, true] {
        let mut world = world([Rule::new(own("tpm", Unit::Tokens, 5_000))]);
        if reasons {
            world.learned.observe_reasoning(KEY);
        }
        world.call(CHAT, chat(true)).send(Event::Response(sse(), false));
        world.send(Event::Chunk(bytes(super::limits::words(3)), false)).end();
        assert_eq!(spent(&world) == [Spent::Unknown], reasons, "{:?}", spent(&world));
        let charge = &world.record().limits[0];
        assert_eq!(charge.charged == Some(charge.reserved), reasons, "{charge:?}");
        assert_eq!(world.record().usage_source, UsageSource::Estimated, "the ledger says what was seen");
        // One that brought more than was taken is charged that.
        let mut long = World::new(with([Rule { output: Some(1), ..Rule::new(own("tpm", Unit::Tokens, 5_000)) }]));
        long.store = Some(weir::limit::memory::Memory::new(10));
        long.learned.observe_reasoning(KEY);
        long.call(CHAT, chat(true)).send(Event::Response(sse(), false));
        long.send(Event::Chunk(bytes(super::limits::words(300)), false)).end();
        assert!(matches!(spent(&long)[..], [Spent::Used { .. }]), "{:?}", spent(&long));
    }
}

#[test]
fn who_could_not_be_counted_is_asked_to_come_again() {
    let rule = || Rule { exact: true, ..Rule::new(own("tpm", Unit::Tokens, 30)) };
    let body = format!(
        r#"{{"model":"gpt-4o-mini","max_tokens":20,"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "a ".repeat(200)
    );
    let busy = || Answer::Failed(Failure::Unavailable);
    let mut refused = world([rule()]).answers([busy()]);
    refused.call(CHAT, &body).end();
    assert_eq!(refused.refused(), (429, "rate_limit_exceeded".to_owned()));
    assert_eq!((refused.client_header("retry-after"), refused.client_header("x-should-retry")), (Some("1"), None));
    // One that waits is counted when it asks again.
    let longest = Exceeded::Throttle(Duration::from_secs(5));
    let mut waits =
        world([Rule { exceeded: longest, ..rule() }]).answers([busy(), exhausted(Some(Duration::from_secs(1)))]);
    waits.call(CHAT, &body);
    assert!(!waits.envoy.upstream.began);
    waits.wait(Duration::from_secs(2));
    let counts = waits.asks.iter().filter(|ask| matches!(ask, Ask::Count { .. })).count();
    assert_eq!((counts, taken(&waits).last()), (2, Some(&(29 * TOKEN))));
    assert!(waits.envoy.upstream.began);
    waits.reply(json(), DOCUMENT).end();
}

#[test]
fn a_guess_is_nobodys_where_nothing_is_known() {
    let body = r#"{"model":"gpt-4o-mini","messages":[],"web_search_options":{},"max_tokens":20}"#;
    let mut gone = world([Rule::new(own("tpm", Unit::Tokens, 1_000_000))]);
    gone.call(CHAT, body).end();
    let known = (body.len() as u64 + 20) * TOKEN;
    assert_eq!(taken(&gone), [known + 125_000 * TOKEN]);
    let charge = &gone.record().limits[0];
    assert_eq!((charge.reserved, charge.charged), (known + 125_000 * TOKEN, Some(known)));
    let [settle] = gone.settles()[..] else { panic!("{:?}", gone.settles()) };
    assert_eq!((settle.spent, settle.clone().settlement().amounts), (Spent::Unknown, vec![known]));
}
