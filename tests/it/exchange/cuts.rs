//! `onExhausted: Cut`: which answers can be ended, what is taken of those that cannot, and how one ends.

use serde_json::{Value, json};
use weir::exchange::event::{Answer, Ask, Event, Failure};
use weir::exchange::phase::BodyMode;
use weir::exchange::record::Outcome;
use weir::limit::Unit;
use weir::limit::memory::Memory;
use weir::llm::Dialect;
use weir::policy::limits::Rule;
use weir::policy::{OnError, Policy};
use weir::target::{self, Backend, Choice, Serves, Targets};
use weir::wire::rewrite::{Action, Changes, Parameter};

use super::limits::{TOKEN, own, used, with, words};
use super::support::*;

const ROOM: u64 = 100_000;

const PROMPT: u64 = 100;

/// A world whose only backend speaks this dialect, under a limit that cuts.
fn to(dialect: Dialect, amount: u64, mode: BodyMode) -> World {
    under(Rule { cuts: true, ..Rule::new(own("tpm", Unit::Tokens, amount)) }, dialect, mode)
}

fn under(rule: Rule, dialect: Dialect, mode: BodyMode) -> World {
    let prefix = if dialect == Dialect::OpenAi { "/v1" } else { "" };
    let backend = Backend { dialect, prefix: prefix.to_owned(), ..backend("one", false) };
    let targets = Targets::new(vec![(backend, Serves::default())], [].into());
    let mut world = World::in_mode(Policy { targets, ..with([rule]) }, mode);
    world.store = Some(Memory::new(10));
    // More than by what is known of its bytes.
    world.tokens = PROMPT;
    world
}

/// What is taken now, without the prompt.
fn output(world: &World) -> u64 {
    used(world, "tpm") / TOKEN - PROMPT
}

fn messages(model: &str) -> String {
    let prompt = json!([{"role": "user", "content": "Hi"}]);
    json!({"model": model, "max_tokens": 5_000, "stream": true, "messages": prompt}).to_string()
}

fn event(event: &Value) -> String {
    format!("event: {}\ndata: {event}\n\n", event["type"].as_str().expect("a type"))
}

/// The beginning of an answer of Anthropic's.
fn opening() -> String {
    let message = json!({"id": "m", "model": "m", "usage": {"input_tokens": 9, "output_tokens": 1}});
    let block = json!({"type": "text", "text": ""});
    [
        json!({"type": "message_start", "message": message}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
    ]
    .iter()
    .map(event)
    .collect()
}

/// Words of Anthropic's, each a token by what is known of its bytes.
fn said(count: usize) -> String {
    let delta = json!({"type": "text_delta", "text": "abcd"});
    event(&json!({"type": "content_block_delta", "index": 0, "delta": delta})).repeat(count)
}

const CLOSING: &str = concat!(
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},",
    "\"usage\":{\"output_tokens\":70}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

const BROKEN: &str = "event: content_block_delta\ndata: {\"type\":\"content_bl\n\n";

#[test]
fn an_answer_that_may_be_ended_is_asked_for_as_it_is() {
    for (amount, coding) in [(ROOM, "identity"), (0, "gzip")] {
        let mut world = match amount {
            0 => under(Rule::new(own("tpm", Unit::Tokens, ROOM)), Dialect::Anthropic, BodyMode::FullDuplex),
            amount => to(Dialect::Anthropic, amount, BodyMode::FullDuplex),
        };
        let head =
            request("POST", "/v1/messages", &[("accept-encoding", "gzip"), ("content-type", "application/json")]);
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(messages("m")), true));
        assert_eq!(world.upstream_header("accept-encoding"), Some(coding));
    }
}

/// What a provider answers to a call that was taken step by step, and what is then taken of the limit.
#[test]
fn of_an_answer_that_turns_out_not_to_be_one_that_can_be_ended_the_rest_is_taken() {
    let coded = response(200, &[("content-type", "text/event-stream"), ("content-encoding", "gzip")]);
    for (head, least) in [(sse(), 0), (coded, 5_000), (json(), 5_000), (response(400, &[]), 0)] {
        for amount in [ROOM, 1_000] {
            let mut world = to(Dialect::Anthropic, amount, BodyMode::FullDuplex);
            world.call("/v1/messages", messages("m"));
            assert!(output(&world) <= 256, "{}", output(&world));
            world.send(Event::Response(head.clone(), false));
            assert!(output(&world) >= least, "{head:?}: {}", output(&world));
            assert!(least > 0 || output(&world) <= 256, "{head:?}: {}", output(&world));
            world.end();
        }
    }
}

/// Streams that nobody can end are taken whole beforehand, and refused where they do not fit.
#[test]
fn what_cannot_be_ended_is_taken_whole_before_it_leaves() {
    let contents = json!({"contents": [{"parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 5_000}});
    let contents = contents.to_string();
    let gemini = |query: &str| format!("/v1beta/models/m:streamGenerateContent{query}");
    let claude = "/v1/messages".to_owned();
    let (duplex, other) = (BodyMode::FullDuplex, BodyMode::BufferedStreamed);
    let rows: &[(Dialect, String, String, BodyMode, bool)] = &[
        (Dialect::Gemini, gemini("?alt=sse"), contents.clone(), duplex, true),
        (Dialect::Gemini, gemini(""), contents.clone(), duplex, false),
        // What is written here can be ended in whatever form.
        (Dialect::Anthropic, gemini(""), contents.clone(), duplex, true),
        (Dialect::Anthropic, claude.clone(), messages("m"), duplex, true),
        (Dialect::Bedrock, claude.clone(), messages("eu.anthropic.claude-3-5-haiku-20241022-v1:0"), duplex, true),
        // Elsewhere the provider goes on when its stream is ended, and bills what it makes.
        (Dialect::Anthropic, claude.clone(), messages("m"), other, false),
        (Dialect::Anthropic, claude.clone(), messages("m"), BodyMode::Buffered, false),
        (Dialect::Gemini, gemini("?alt=sse"), contents, other, false),
    ];
    for (dialect, path, body, mode, is_stepwise) in rows {
        let mut world = to(*dialect, ROOM, *mode);
        world.call(path, body);
        let taken = output(&world);
        assert_eq!(taken <= 256, *is_stepwise, "{path} {mode:?}: {taken}");
        world.end();
        let mut world = to(*dialect, 4_000, *mode);
        world.call(path, body);
        assert_eq!(world.envoy.upstream.began, *is_stepwise, "{path} {mode:?}");
    }
}

/// Thoughts that nobody sees are billed as output all the same.
#[test]
fn what_a_model_thinks_in_silence_is_taken_whole() {
    let chat = |model: &str, more: &str| {
        let ask = r#""stream":true,"max_completion_tokens":5000,"messages":[{"role":"user","content":"hi"}]"#;
        (CHAT, format!(r#"{{"model":"{model}",{ask}{more}}}"#))
    };
    let claude = |model: &str, more: &str| ("/v1/messages", messages(model).replacen('{', &format!("{{{more}"), 1));
    let rows: &[(Dialect, (&str, String), bool)] = &[
        (Dialect::OpenAi, chat("gpt-4o-mini", ""), false),
        (Dialect::OpenAi, chat("o3", ""), true),
        (Dialect::OpenAi, chat("gpt-5-mini", ""), true),
        (Dialect::OpenAi, chat("openai/gpt-5-mini", ""), true),
        (Dialect::OpenAi, chat("gpt-5.2", ""), false),
        (Dialect::OpenAi, chat("gpt-5.2", r#","reasoning_effort":"high""#), true),
        (Dialect::OpenAi, chat("gpt-5.2", r#","reasoning_effort":"none""#), false),
        (Dialect::OpenAi, chat("grok-4", ""), true),
        (Dialect::OpenAi, chat("deepseek-reasoner", ""), false),
        (Dialect::Gemini, chat("gemini-2.5-pro", ""), true),
        (Dialect::Gemini, chat("gemini-2.0-flash", ""), false),
        (Dialect::Anthropic, claude("claude-sonnet-4-5", ""), false),
        (
            Dialect::Anthropic,
            claude("claude-sonnet-4-5", r#""thinking":{"type":"enabled","budget_tokens":1024},"#),
            true,
        ),
        (Dialect::Anthropic, claude("claude-sonnet-4-5", r#""thinking":{"type":"disabled"},"#), false),
        (Dialect::Anthropic, claude("claude-opus-5-5", ""), true),
    ];
    for (dialect, (path, body), is_whole) in rows {
        let mut world = to(*dialect, ROOM, BodyMode::FullDuplex);
        world.call(path, body);
        assert_eq!(output(&world), if *is_whole { 5_000 } else { 256 }, "{body}");
        world.end();
    }
    // A rule that says how much a model shall think says so after the call was read.
    let parameter = |name: &str| Parameter { name: name.to_owned(), action: Action::Override(b"\"high\"".to_vec()) };
    for (name, taken) in [("reasoning_effort", 5_000), ("user", 256)] {
        let mut policy = Policy::clone(&to(Dialect::OpenAi, ROOM, BodyMode::FullDuplex).policy);
        let changes = Changes { parameters: vec![parameter(name)], ..Changes::default() };
        let choices = vec![Choice { backend: 0, model: None, priority: 0, weight: 1 }];
        let rule = target::Rule { name: "r/hard".into(), choices, changes: Some(changes.into()), ..Default::default() };
        policy.targets.root.rules = vec![rule].into();
        let mut world = World::new(policy);
        (world.store, world.tokens) = (Some(Memory::new(10)), PROMPT);
        world.call(CHAT, chat("gpt-5.2", "").1);
        assert_eq!(output(&world), taken, "{name}");
    }
    // Where nothing bounds it, what was taken is what it may bring; then it is ended.
    let mut world = to(Dialect::OpenAi, 3_000, BodyMode::FullDuplex);
    world.call(CHAT, chat("gpt-5-mini", "").1.replace(r#""max_completion_tokens":5000,"#, ""));
    assert_eq!(output(&world), 1_024, "as much as is assumed");
    world.send(Event::Response(sse(), false)).send(Event::Chunk(bytes(words(4_000)), false)).end();
    assert_eq!(world.record().outcome, Outcome::Cut);
}

/// Wherever the event stands in the piece that waits.
#[test]
fn no_byte_overtakes_one_that_waits_where_an_event_cannot_be_read() {
    let mut waited = 0;
    for before in 300..325 {
        let mut world = to(Dialect::Anthropic, ROOM, BodyMode::FullDuplex);
        world.call("/v1/messages", messages("m")).send(Event::Response(sse(), false));
        let first = opening() + &said(200);
        world.send(Event::Chunk(bytes(&first), false));
        // The store takes its time.
        let store = world.store.take();
        let second = said(before) + BROKEN + &said(9);
        let third = said(100) + CLOSING;
        world.send(Event::Chunk(bytes(&second), false)).send(Event::Chunk(bytes(&third), true));
        waited += usize::from(world.client().len() < first.len() + second.len());
        world.store = store;
        world.send(Event::Tick).end();
        assert_eq!(world.client(), first + &second + &third);
        assert_eq!(world.record().outcome, Outcome::Completed);
    }
    assert!(waited > 5, "{waited}");
}

/// The last that fits is the limit's end, whatever the piece that does not is made of.
#[test]
fn a_stream_with_an_event_that_cannot_be_read_ends_before_it_or_goes_on_to_its_end() {
    for before in 0..40 {
        let mut world = to(Dialect::Anthropic, 291 + PROMPT, BodyMode::FullDuplex);
        world.call("/v1/messages", messages("m")).send(Event::Response(sse(), false));
        world.send(Event::Chunk(bytes(opening()), false));
        let all = said(10 * before) + BROKEN + &said(200) + CLOSING;
        world.send(Event::Chunk(bytes(&all), true));
        world.end();
        let (record, told) = (world.record(), world.client());
        assert!(told.ends_with("data: {\"type\":\"message_stop\"}\n\n"), "{before}: {:?} {told}", record.outcome);
        match record.outcome {
            Outcome::Cut => assert!(!told.contains(BROKEN) && told.contains("max_tokens"), "{told}"),
            Outcome::Completed => {
                assert_eq!(told, opening() + &all);
                assert!(output(&world) >= 5_000, "nothing ends it any more: {}", output(&world));
            }
            outcome => panic!("{outcome:?}"),
        }
        assert_eq!(record.outcome, if before < 29 { Outcome::Completed } else { Outcome::Cut }, "{before}");
    }
}

/// A store that is away, while an answer runs.
#[test]
fn an_outage_ends_a_stream_only_where_the_limit_says_so() {
    for (on_error, outcome) in [(OnError::Allow, Outcome::Completed), (OnError::Deny, Outcome::Cut)] {
        let rule = Rule { cuts: true, on_error, ..Rule::new(own("tpm", Unit::Tokens, ROOM)) };
        let mut world = under(rule, Dialect::Anthropic, BodyMode::FullDuplex);
        world.call("/v1/messages", messages("m")).send(Event::Response(sse(), false));
        world.store = None;
        world.send(Event::Chunk(bytes(opening()), false));
        for _ in 0..20 {
            world.side = Some(Answer::Failed(Failure::Unavailable));
            world.send(Event::Chunk(bytes(said(100)), false));
        }
        world.send(Event::Chunk(bytes(CLOSING), true)).end();
        let record = world.record();
        assert_eq!(record.outcome, outcome);
        let opened: Vec<_> = record.decisions.iter().filter(|decision| decision.reason == "fail_open").collect();
        assert_eq!(opened.len(), usize::from(on_error == OnError::Allow), "once, and not at each step: {opened:?}");
        assert!(opened.iter().all(|decision| &*decision.detail == "tpm"));
    }
}

fn chunks(world: &World) -> Vec<Value> {
    let told = world.client();
    assert!(told.ends_with("data: [DONE]\n\n"), "{told}");
    let events = told.split("\n\n").filter_map(|event| event.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
    events.map(|data| serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))).collect()
}

/// Why each choice ended, in order.
fn finishes(chunks: &[Value]) -> Vec<(u64, String)> {
    let choices = chunks.iter().flat_map(|chunk| chunk["choices"].as_array().expect("choices"));
    let finished = choices.filter(|choice| choice["finish_reason"].is_string());
    finished
        .map(|choice| (choice["index"].as_u64().unwrap(), choice["finish_reason"].as_str().unwrap().to_owned()))
        .collect()
}

#[test]
fn each_choice_that_runs_is_ended_once_and_usage_is_said_to_who_asked() {
    let piece = |index: u64, text: &str, finish: Option<&str>| {
        let choice = json!({"index": index, "delta": {"content": text}, "finish_reason": finish});
        format!("data: {}\n\n", json!({"id": "c", "model": "m", "choices": [choice], "usage": null}))
    };
    for usage in [true, false] {
        let mut world = to(Dialect::OpenAi, 300, BodyMode::FullDuplex);
        let prompt = json!([{"role": "user", "content": "hi"}]);
        let body = json!({"model": "m", "stream": true, "n": 3, "messages": prompt,
            "stream_options": {"include_usage": usage}});
        world.call(CHAT, body.to_string()).send(Event::Response(sse(), false));
        let first = piece(0, "abcd", None) + &piece(1, "abcd", None) + &piece(0, "", Some("stop"));
        world.send(Event::Chunk(bytes(first), false));
        for _ in 0..20 {
            world.send(Event::Chunk(bytes(piece(1, "abcdefgh", None).repeat(10)), false));
        }
        world.end();
        let record = world.record();
        assert_eq!(record.outcome, Outcome::Cut);
        let chunks = chunks(&world);
        assert_eq!(finishes(&chunks), [(0, "stop".to_owned()), (1, "length".to_owned())]);
        let said: Vec<&Value> = chunks.iter().filter(|chunk| chunk["usage"].is_object()).collect();
        assert_eq!(said.len(), usize::from(usage));
        for chunk in said {
            assert_eq!(chunk["choices"], json!([]));
            assert_eq!(chunk["usage"]["completion_tokens"], record.usage.output, "what it is billed");
            assert_eq!(chunk["usage"]["prompt_tokens"], record.usage.input);
        }
    }
}

/// The same where the answer is written anew.
#[test]
fn each_choice_of_an_answer_that_crosses_is_ended_once() {
    let mut world = to(Dialect::Gemini, 300, BodyMode::FullDuplex);
    let prompt = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "gemini-2.0-flash", "stream": true, "n": 2, "messages": prompt,
        "stream_options": {"include_usage": true}});
    world.call(CHAT, body.to_string()).send(Event::Response(sse(), false));
    let piece = |index: u64, text: &str, finish: Option<&str>| {
        let content = json!({"role": "model", "parts": [{"text": text}]});
        let candidate = json!({"index": index, "content": content, "finishReason": finish});
        format!("data: {}\n\n", json!({"candidates": [candidate]}))
    };
    world.send(Event::Chunk(bytes(piece(0, "abcd", Some("STOP"))), false));
    for _ in 0..40 {
        world.send(Event::Chunk(bytes(piece(1, "abcdefgh", None).repeat(10)), false));
    }
    world.end();
    assert_eq!(world.record().outcome, Outcome::Cut);
    let chunks = chunks(&world);
    assert_eq!(finishes(&chunks), [(0, "stop".to_owned()), (1, "length".to_owned())]);
    let last = chunks.last().expect("a chunk");
    assert_eq!(last["usage"]["completion_tokens"], world.record().usage.output, "{last}");
}

/// What the provider states while it answers is more than what can be seen.
#[test]
fn what_a_provider_states_on_the_way_counts_as_brought() {
    let mut world = to(Dialect::Gemini, 2_000, BodyMode::FullDuplex);
    let contents = json!({"contents": [{"parts": [{"text": "Hi"}]}]}).to_string();
    world.call("/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse", contents);
    world.send(Event::Response(sse(), false));
    let piece = |thoughts: u64| {
        let candidate = json!({"content": {"role": "model", "parts": [{"text": "abcd"}]}});
        let usage = json!({"promptTokenCount": 9, "candidatesTokenCount": 1, "thoughtsTokenCount": thoughts});
        format!("data: {}\n\n", json!({"candidates": [candidate], "usageMetadata": usage}))
    };
    world.send(Event::Chunk(bytes(piece(1_000)), false));
    let asked = world.asks.iter().filter(|ask| matches!(ask, Ask::Reserve(_))).count();
    assert!((2..=3).contains(&asked), "all that is missing is asked for at once: {asked}");
    assert!(output(&world) > 1_000, "{}", output(&world));
    world.send(Event::Chunk(bytes(piece(1_999)), false)).end();
    assert_eq!(world.record().outcome, Outcome::Cut);
}

/// A call that is half said is closed, and is none that the client may make.
#[test]
fn a_call_of_a_tool_that_is_cut_is_closed_and_is_no_call() {
    let tool = json!({"type": "tool_use", "id": "t", "name": "find", "input": {}});
    let begin = event(&json!({"type": "content_block_start", "index": 0, "content_block": tool}));
    let piece = json!({"type": "input_json_delta", "partial_json": "[1, "});
    let piece = event(&json!({"type": "content_block_delta", "index": 0, "delta": piece}));
    let start = event(&json!({"type": "message_start", "message": {"id": "m", "model": "m"}}));
    let ask = |model: &str| json!({"model": model, "max_tokens": 5_000, "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    for (path, ends) in [
        (CHAT, &[r#""finish_reason":"length""#, "data: [DONE]"][..]),
        ("/v1/messages", &[r#""type":"content_block_stop""#, r#""stop_reason":"max_tokens""#, "message_stop\"}\n"]),
    ] {
        let mut world = to(Dialect::Anthropic, 300, BodyMode::FullDuplex);
        world.call(path, ask("m").to_string()).send(Event::Response(sse(), false));
        world.send(Event::Chunk(bytes(start.clone() + &begin + &piece.repeat(600)), false)).end();
        assert_eq!(world.record().outcome, Outcome::Cut);
        let told = world.client();
        let places: Vec<_> = ends.iter().map(|end| told.find(end).unwrap_or_else(|| panic!("{end}: {told}"))).collect();
        assert!(places.is_sorted() && !told.contains("tool_calls\"}") && !told.contains(r#""tool_use"}"#), "{told}");
    }
}
