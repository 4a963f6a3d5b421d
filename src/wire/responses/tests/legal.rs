//! A client that takes a stream as strictly as the official SDKs do, and then some: every event in its
//! place, nothing said twice in two ways.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

/// What a strict client knows by now.
#[derive(Default)]
struct Client {
    sequence: u64,
    response: Option<String>,
    /// Items that are not done, by their number.
    open: BTreeMap<u64, Json>,
    /// How many parts of an open item are done, and the text of one that is not.
    parts: BTreeMap<u64, (u64, Option<String>)>,
    annotations: BTreeMap<u64, Vec<Json>>,
    done: Vec<Json>,
    items: u64,
    last: Option<Json>,
}

/// Takes a whole stream and gives the response of its last event.
pub(super) fn accumulate(events: &[Json]) -> Json {
    let mut client = Client::default();
    for event in events {
        client.take(event);
    }
    client.last.expect("the stream ends")
}

impl Client {
    fn take(&mut self, event: &Json) {
        assert_eq!(event["sequence_number"], self.sequence, "{event}");
        self.sequence += 1;
        assert!(self.last.is_none(), "an event behind the last: {event}");
        let kind = event["type"].as_str().unwrap();
        match kind {
            "response.created" => {
                assert_eq!(self.sequence, 1);
                self.response = Some(event["response"]["id"].as_str().unwrap().to_owned());
                assert_eq!(event["response"]["status"], "in_progress");
            }
            "response.in_progress" => assert_eq!(self.sequence, 2),
            "response.completed" | "response.incomplete" | "response.failed" => self.end(kind, event),
            "error" => assert!(event["message"].is_string()),
            _ => self.of_item(kind, event),
        }
        if let Some(response) = event.get("response") {
            check_response(response);
            assert_eq!(response["id"].as_str(), self.response.as_deref(), "one response, one id");
        }
    }

    fn end(&mut self, kind: &str, event: &Json) {
        let response = &event["response"];
        assert_eq!(response["status"].as_str(), kind.strip_prefix("response."));
        if kind != "response.failed" {
            assert!(self.open.is_empty(), "items that are not done: {:?}", self.open);
            assert_eq!(response["output"], json!(self.done), "the last event repeats what was done");
        }
        self.last = Some(response.clone());
    }

    fn of_item(&mut self, kind: &str, event: &Json) {
        assert!(self.response.is_some(), "{kind} before the response is created");
        let index = event["output_index"].as_u64().unwrap_or_else(|| panic!("no output_index: {event}"));
        if kind == "response.output_item.added" {
            assert_eq!(index, self.items, "items are numbered in order");
            self.items += 1;
            let id = event["item"]["id"].as_str().unwrap();
            assert!(self.done.iter().chain(self.open.values()).all(|item| item["id"] != id), "an id stands twice");
            self.open.insert(index, event["item"].clone());
            self.parts.insert(index, (0, None));
            return;
        }
        let item = self.open.get(&index).unwrap_or_else(|| panic!("an item that is not open: {event}")).clone();
        if kind == "response.output_item.done" {
            let done = &event["item"];
            assert_eq!((&done["id"], &done["type"], &done["call_id"]), (&item["id"], &item["type"], &item["call_id"]));
            assert!(self.parts[&index].1.is_none(), "a part that is not done: {event}");
            assert_eq!(index, self.done.len() as u64, "items are done in order");
            self.check_done(index, done);
            self.open.remove(&index);
            self.done.push(done.clone());
            return;
        }
        assert_eq!(event["item_id"], item["id"]);
        self.of_part(kind, index, event);
    }

    fn of_part(&mut self, kind: &str, index: u64, event: &Json) {
        let (done, said) = self.parts.get_mut(&index).unwrap();
        for key in ["content_index", "summary_index"] {
            assert!(event.get(key).is_none_or(|at| at.as_u64() == Some(*done)), "another part: {event}");
        }
        let name = kind.strip_prefix("response.").unwrap();
        match name {
            "content_part.added" | "reasoning_summary_part.added" => {
                assert!(said.replace(String::new()).is_none(), "a part in a part: {event}");
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                said.get_or_insert_default().push_str(event["delta"].as_str().unwrap());
            }
            "output_text.delta" | "refusal.delta" | "reasoning_summary_text.delta" => {
                assert!(name != "output_text.delta" || event["logprobs"].is_array());
                said.as_mut().expect("a part that began").push_str(event["delta"].as_str().unwrap());
            }
            "output_text.annotation.added" => {
                let known = self.annotations.entry(index).or_default();
                assert_eq!(event["annotation_index"], known.len());
                known.push(event["annotation"].clone());
            }
            "output_text.done" | "reasoning_summary_text.done" => assert_eq!(event["text"].as_str(), said.as_deref()),
            "refusal.done" => assert_eq!(event["refusal"].as_str(), said.as_deref()),
            "function_call_arguments.done" => {
                assert_eq!(event["arguments"].as_str(), said.take().as_deref());
            }
            "custom_tool_call_input.done" => {
                assert_eq!(event["input"].as_str().unwrap(), said.take().unwrap_or_default());
            }
            "content_part.done" | "reasoning_summary_part.done" => {
                let part = &event["part"];
                let text = part.get("text").or_else(|| part.get("refusal")).unwrap();
                assert_eq!(text.as_str(), said.take().as_deref());
                let known = self.annotations.remove(&index).unwrap_or_default();
                assert_eq!(part.get("annotations").unwrap_or(&json!([])), &json!(known));
                *done += 1;
            }
            "image_generation_call.completed" => {}
            other => panic!("an event that nobody knows: {other}"),
        }
    }

    fn check_done(&self, index: u64, item: &Json) {
        check_item(item);
        let parts = item.get("content").or_else(|| item.get("summary")).and_then(Json::as_array);
        assert_eq!(parts.map_or(0, Vec::len) as u64, self.parts[&index].0, "every part was added and done: {item}");
    }
}

/// What the SDK's `Response` requires, and what an item of its `output` does.
pub(super) fn check_response(response: &Json) {
    assert_eq!(response["object"], "response");
    for key in ["id", "model", "status", "tool_choice"] {
        assert!(response[key].is_string(), "{key}");
    }
    assert!(response["created_at"].is_u64() && response["parallel_tool_calls"].is_boolean());
    assert!(response["tools"].is_array() && response["metadata"].is_object());
    for key in ["error", "incomplete_details", "instructions", "temperature", "top_p", "usage"] {
        assert!(response.get(key).is_some(), "{key}");
    }
    if let Some(usage) = response["usage"].as_object() {
        for path in [
            "/input_tokens",
            "/output_tokens",
            "/total_tokens",
            "/input_tokens_details/cached_tokens",
            "/input_tokens_details/cache_write_tokens",
            "/output_tokens_details/reasoning_tokens",
        ] {
            assert!(response["usage"].pointer(path).is_some_and(Json::is_u64), "{path} of {usage:?}");
        }
    }
    response["output"].as_array().unwrap().iter().for_each(check_item);
}

fn check_item(item: &Json) {
    let text = |value: &Json, key: &str| assert!(value[key].is_string(), "{key} of {item}");
    text(item, "id");
    match item["type"].as_str().unwrap() {
        "message" => {
            text(item, "status");
            assert_eq!(item["role"], "assistant");
            for part in item["content"].as_array().unwrap() {
                match part["type"].as_str().unwrap() {
                    "output_text" => {
                        text(part, "text");
                        part["annotations"].as_array().unwrap().iter().for_each(check_annotation);
                    }
                    "refusal" => text(part, "refusal"),
                    other => panic!("{other}"),
                }
            }
        }
        "function_call" => ["call_id", "name", "arguments", "status"].iter().for_each(|key| text(item, key)),
        "custom_tool_call" => ["call_id", "name", "input"].iter().for_each(|key| text(item, key)),
        "reasoning" => {
            for part in item["summary"].as_array().unwrap() {
                assert_eq!(part["type"], "summary_text");
                text(part, "text");
            }
        }
        "image_generation_call" => ["status", "result"].iter().for_each(|key| text(item, key)),
        other => panic!("{other}"),
    }
}

fn check_annotation(annotation: &Json) {
    let (texts, numbers): (&[&str], &[&str]) = match annotation["type"].as_str().unwrap() {
        "url_citation" => (&["url", "title"], &["start_index", "end_index"]),
        "file_citation" => (&["file_id", "filename"], &["index"]),
        other => panic!("{other}"),
    };
    texts.iter().for_each(|key| assert!(annotation[key].is_string(), "{key} of {annotation}"));
    numbers.iter().for_each(|key| assert!(annotation[key].is_u64(), "{key} of {annotation}"));
}
