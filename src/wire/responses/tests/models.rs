//! What leaves for a model: what each of them takes.

use serde_json::{Value, json};

use super::super::Responses;
use crate::llm::chat::{Effort, Reasoning, Sampling, Tell};
use crate::llm::{Chat, Dropped};
use crate::wire::codec::{Codec, Envelope, Outgoing};

fn written(chat: &Chat<'_>, model: &str) -> (Value, Vec<String>) {
    let to = Outgoing { model, envelope: Envelope::Plain, quirks: &[], ask_usage: false, default_max_output: 9 };
    let (mut out, mut dropped) = (Vec::new(), Dropped::default());
    Responses.write_chat(chat, &to, &mut out, &mut dropped).unwrap();
    (serde_json::from_slice(&out).unwrap(), dropped.names().iter().map(ToString::to_string).collect())
}

#[test]
fn a_model_is_told_what_it_takes() {
    let reasoning = Reasoning { effort: Some(Effort::Max), tell: Some(Tell::Auto), ..Reasoning::default() };
    let chat = Chat {
        reasoning: Some(reasoning),
        sampling: Sampling { temperature: Some("0.5"), top_p: Some("1"), ..Sampling::default() },
        logprobs: Some(true),
        top_logprobs: Some(2),
        verbosity: Some("low".into()),
        ..Chat::default()
    };
    let (body, lost) = written(&chat, "gpt-5.6-sol");
    assert_eq!(lost, ["temperature", "logprobs"]);
    assert_eq!(body["reasoning"], json!({"effort": "max", "summary": "auto"}));
    assert_eq!((&body["include"], body.get("top_logprobs")), (&json!(["reasoning.encrypted_content"]), None));
    assert_eq!((body.get("temperature"), body.get("top_p")), (None, None));
    let (body, lost) = written(&chat, "gpt-4.1");
    assert_eq!(lost, ["reasoning_effort", "verbosity", "reasoning.summary"]);
    assert_eq!((body.get("reasoning"), &body["include"]), (None, &json!(["message.output_text.logprobs"])));
    assert_eq!((&body["temperature"], &body["top_logprobs"]), (&json!(0.5), &json!(2)));
    // Without a thought the model is told as much as one that has none.
    let off = Chat { reasoning: Some(Reasoning { enabled: Some(false), ..Reasoning::default() }), ..chat };
    let (body, lost) = written(&off, "gpt-5.2");
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!((&body["reasoning"], &body["temperature"]), (&json!({"effort": "none"}), &json!(0.5)));
}
