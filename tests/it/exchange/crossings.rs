//! Chats that cross: what of a request its provider would refuse, and how it comes home.

use serde_json::{Value, json};
use weir::exchange::event::Event;
use weir::llm::Dialect;
use weir::policy::Policy;
use weir::target::{Backend, Choice, Rule, Serves, Targets};
use weir::wire::Speaks;

use super::support::*;

/// A rule's world with one backend, `one`.
fn to(dialect: Dialect, prefix: &str, speaks: Speaks) -> Policy {
    let backend = Backend { dialect, prefix: prefix.to_owned(), speaks, ..backend("one", false) };
    Policy { targets: Targets::new(vec![(backend, Serves::default())], [].into()), ..policy() }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

const OPENAI: Speaks = Speaks { responses: true, deployments: false, reasons_in_responses: true };

#[test]
fn a_name_that_a_provider_refuses_comes_home_as_it_was() {
    let name = format!("mcp__{}.read", "x".repeat(80));
    let body = |stream: bool| {
        json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "Hi"}],
            "tools": [{"name": name, "input_schema": {"type": "object"}}]})
    };
    let ask = |stream: bool| {
        let mut world = World::new(to(Dialect::OpenAi, "/v1", Speaks::default()));
        world.call("/v1/messages", body(stream).to_string());
        let left = json_of(&world.upstream());
        let sent = left["tools"][0]["function"]["name"].as_str().expect("a name").to_owned();
        assert!(sent.len() <= 64 && !sent.contains('.') && sent.starts_with("mcp__x"), "{sent}");
        (world, sent)
    };
    let (mut world, sent) = ask(false);
    let call = json!([{"index": 0, "id": "c", "type": "function", "function": {"name": sent, "arguments": "{}"}}]);
    let choice =
        json!({"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant", "tool_calls": call}});
    world.reply(json(), json!({"choices": [choice]}).to_string()).end();
    assert_eq!(json_of(&world.client())["content"][0]["name"], name);
    let (mut world, sent) = ask(true);
    let call = json!([{"index": 0, "id": "c", "type": "function", "function": {"name": sent, "arguments": "{}"}}]);
    let choice = json!({"index": 0, "finish_reason": "tool_calls", "delta": {"tool_calls": call}});
    world.reply(sse(), format!("data: {}\n\ndata: [DONE]\n\n", json!({"choices": [choice]}))).end();
    let said = world.client();
    assert!(said.contains(&format!("\"name\":\"{name}\"")) && !said.contains(&sent), "{said}");
}

#[test]
fn a_custom_tool_is_called_as_one_wherever_it_is() {
    let body = |stream: bool| json!({"model": "m", "stream": stream, "input": "Hi", "tools": [{"type": "custom", "name": "patch"}]});
    for stream in [false, true] {
        let mut world = World::new(to(Dialect::Anthropic, "/v1", Speaks::default()));
        world.call("/v1/responses", body(stream).to_string());
        let left = json_of(&world.upstream());
        assert_eq!(left["tools"][0]["input_schema"]["required"], json!(["input"]));
        let block = json!({"type": "tool_use", "id": "t", "name": "patch", "input": {}});
        let piece = json!({"type": "input_json_delta", "partial_json": "{\"input\": \"a\\nb\"}"});
        let events = [
            json!({"type": "message_start", "message": {"id": "m", "model": "m", "usage": {"input_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": block}),
            json!({"type": "content_block_delta", "index": 0, "delta": piece}),
            json!({"type": "content_block_stop", "index": 0}),
            json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}}),
            json!({"type": "message_stop"}),
        ];
        if stream {
            let event = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
            world.reply(sse(), events.iter().map(event).collect::<String>()).end();
            let said = world.client();
            let input = r#""type":"custom_tool_call","call_id":"t","name":"patch","input":"a\nb""#;
            assert!(said.contains("response.custom_tool_call_input.delta") && said.contains(input), "{said}");
        } else {
            let block = json!({"type": "tool_use", "id": "t", "name": "patch", "input": {"input": "a\nb"}});
            let answer = json!({"id": "m", "type": "message", "role": "assistant", "model": "m", "content": [block],
                "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
            world.reply(json(), answer.to_string()).end();
            let item = &json_of(&world.client())["output"][0];
            assert_eq!((&item["type"], &item["input"]), (&json!("custom_tool_call"), &json!("a\nb")));
        }
    }
}

#[test]
fn a_model_that_thinks_is_asked_by_responses_where_that_is_known() {
    let body = |model: &str| json!({"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Hi"}]});
    for (model, speaks, path) in [
        ("gpt-5.4", OPENAI, "/v1/responses"),
        ("gpt-4o", OPENAI, "/v1/chat/completions"),
        ("gpt-5.4", Speaks { reasons_in_responses: false, ..OPENAI }, "/v1/chat/completions"),
    ] {
        let mut world = World::new(to(Dialect::OpenAi, "/v1", speaks));
        world.call("/v1/messages", body(model).to_string());
        assert_eq!(world.upstream_header(":path"), Some(path), "{model}");
        assert_eq!(json_of(&world.upstream())["model"], model);
    }
    // Its own API, where that serves the model.
    for (model, path) in [("gpt-5.4", "/v1/chat/completions"), ("gpt-5-codex", "/v1/responses")] {
        let mut world = World::new(to(Dialect::OpenAi, "/v1", OPENAI));
        world.call("/v1/chat/completions", body(model).to_string());
        assert_eq!(world.upstream_header(":path"), Some(path), "{model}");
    }
}

/// A call at Vertex, where a rule takes it.
fn at_vertex(path: &str, betas: &str, body: &Value, refuses_loss: bool) -> World {
    let mut policy = to(Dialect::Vertex, "/v1", Speaks::default());
    let choices = vec![Choice { backend: 0, model: None, priority: 0, weight: 1 }];
    let rule = Rule { name: "r/loss".into(), choices, refuses_loss, ..Rule::default() };
    policy.targets.root.rules = vec![rule].into();
    let mut world = World::new(policy);
    let mut head = post(path);
    head.headers.push("anthropic-beta", betas.as_bytes());
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(body.to_string()), true));
    world
}

#[test]
fn a_beta_that_another_cloud_refuses_is_lost_by_name_whatever_is_asked() {
    const ASKED: &str = "claude-code-20250219,context-1m-2025-08-07";
    let turn = json!({"role": "user", "content": "hi"});
    // A thought of somebody else's, for which the history is written anew.
    let seal = json!({"role": "assistant", "content": [
        {"type": "thinking", "thinking": "t", "signature": "weir.gemini.AAAA"}, {"type": "text", "text": "x"}]});
    let plain = json!({"model": "claude-x", "max_tokens": 9, "messages": [turn]});
    let sealed = json!({"model": "claude-x", "max_tokens": 9, "messages": [turn, seal, turn]});
    let counted = json!({"model": "claude-x", "messages": [turn]});
    for (path, body) in [("/v1/messages", &plain), ("/v1/messages", &sealed), ("/v1/messages/count_tokens", &counted)] {
        let mut world = at_vertex(path, ASKED, body, false);
        assert_eq!(world.upstream_header("anthropic-beta"), Some("context-1m-2025-08-07"), "{path}");
        world.end();
        let told = format!("{:?}", world.record().decisions);
        assert!(told.contains("claude-code-20250219"), "{path}: {told}");
        let world = at_vertex(path, ASKED, body, true);
        assert_eq!(world.envoy.client.status, 400, "{path}");
        assert!(world.client().contains("claude-code-20250219"), "{path}: {}", world.client());
    }
    let world = at_vertex("/v1/messages", "context-1m-2025-08-07", &plain, true);
    assert!(world.envoy.upstream.began, "{}", world.client());
}

#[test]
fn another_cloud_is_told_no_beta_that_it_refuses() {
    let body = json!({"model": "claude-x", "max_tokens": 9, "messages": []}).to_string();
    for (named, left) in [
        ("claude-code-20250219,context-1m-2025-08-07", Some("context-1m-2025-08-07")),
        ("claude-code-20250219", None),
        ("context-1m-2025-08-07", Some("context-1m-2025-08-07")),
    ] {
        let mut world = World::new(to(Dialect::Vertex, "/v1", Speaks::default()));
        let mut head = post("/v1/messages");
        head.headers.push("anthropic-version", b"2023-06-01");
        head.headers.push("anthropic-beta", named.as_bytes());
        world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(&body), true));
        assert_eq!(world.upstream_header("anthropic-beta"), left, "{named}");
    }
    let mut world = World::new(to(Dialect::Anthropic, "/v1", Speaks::default()));
    let mut head = post("/v1/messages");
    head.headers.push("anthropic-beta", b"claude-code-20250219");
    world.send(Event::Request(head, false)).send(Event::RequestBody(bytes(&body), true));
    assert_eq!(world.upstream_header("anthropic-beta"), Some("claude-code-20250219"));
}
