//! The official OpenAI SDK for Python finds through the egress what it finds at the provider.

use serde_json::{Value, json};

use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::refusals::TWO_BACKENDS;
use crate::support::envoy_stats::Exceptions;
use crate::support::python;

const SCRIPT: &str = include_str!("sdk.py");

/// What a script found at a base URL.
pub async fn found(script: &'static str, base_url: String, flag: &'static str) -> Value {
    let run = tokio::task::spawn_blocking(move || python::run_script(script, &[&base_url, flag], &[]));
    let output = run.await.expect("the script runs");
    assert!(output.status.success(), "{}", output.stderr);
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn text(chunks: &Value) -> String {
    let chunks = chunks.as_array().expect("chunks").iter();
    chunks.filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
}

async fn the_sdk_finds_what_it_finds_at_the_provider(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let direct = format!("http://{}/v1", egress.direct());
    let (direct, through) = tokio::join!(found(SCRIPT, direct, ""), found(SCRIPT, egress.base_url(), ""));
    for (name, expected) in direct.as_object().expect("an object") {
        match &name[..] {
            // Weir answers these itself.
            "models" | "model" | "no_model" => {}
            // The image shows the model that was asked for, which is `dall-e-9` behind Weir.
            "image_edit" | "image_variation" => assert_ne!(&through[name], expected, "{name}"),
            _ => assert_eq!(&through[name], expected, "{name}"),
        }
    }
    let models = through["models"].as_array().expect("models");
    assert!(models.contains(&json!("gpt-4o-mini")) && models.is_sorted_by_key(|id| id.as_str()), "{models:?}");
    assert_eq!((&through["model"]["id"], &through["no_model"]), (&json!("gpt-4o-mini"), &json!("model_not_found")));
    let image = |name: &str| through[name]["data"][0]["b64_json"].clone();
    // "dall-e-9" in base64.
    assert_eq!((image("image_edit"), image("image_variation")), (json!("ZGFsbC1lLTk="), json!("ZGFsbC1lLTk=")));
    assert_eq!(through["image_edit"]["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(through["speech"].as_str().map(str::len), Some(2 * 8 * 256));
    assert_eq!(through["transcription"]["text"], "Water flows.");
    assert_eq!(through["whole"]["usage"]["completion_tokens"], 7);
    assert_eq!(through["whole"]["choices"][0]["finish_reason"], "length");
    assert_eq!(text(&through["stream"]).len(), 32 * 5);
    let last = |name: &str| through[name].as_array().and_then(|all| all.last()).cloned().unwrap_or_default();
    assert!(last("stream")["usage"].is_null());
    assert_eq!(last("stream_usage")["usage"]["completion_tokens"], 32);
    assert_eq!(
        through["lines"]["lines"].as_array().map(|lines| lines[lines.len() - 2].clone()),
        Some("data: [DONE]".into())
    );
    assert_eq!(through["tools"]["message"]["tool_calls"][0]["function"]["name"], "look_up");
    assert_eq!(through["tools_stream"]["name"], "look_up");
    assert_eq!(through["embeddings"]["data"][1]["embedding"].as_array().map(Vec::len), Some(8));
    assert_eq!(through["upload"], json!({"path": "/v1/files", "much": true}));
    let complete = egress.mock.tally().recent.iter().filter(|call| call.complete).count();
    assert!(complete > 15, "{complete}");
    egress.assert_clean(&Exceptions::default()).await;
}

/// A path, a model, and what the ledger says of it: units, input and output tokens, cost in USD. The prices
/// are the catalogue's.
type Billed = (&'static str, &'static str, Value, u64, u64, Option<&'static str>);

/// What each call of `--media` comes to, in order.
fn billed() -> Vec<Billed> {
    let heard = ("/v1/audio/transcriptions", "gpt-4o-transcribe", Value::Null, 14, 2, Some("0.000055"));
    let seconds = json!({"audioInMs": "9000"});
    vec![
        ("/v1/images/generations", "gpt-image-1", json!({"imagesOut": "2"}), 10, 544, Some("0.02181")),
        ("/v1/images/edits", "dall-e-9", json!({"imagesOut": "2"}), 0, 0, None),
        ("/v1/audio/speech", "tts-1", json!({"characters": "6"}), 0, 0, Some("0.00009")),
        ("/v1/audio/transcriptions", "whisper-1", seconds.clone(), 0, 0, Some("0.0009")),
        heard.clone(),
        // It states nothing, and the file is none that says how long it is.
        ("/v1/audio/translations", "whisper-1", Value::Null, 0, 0, None),
        ("/v1/images/generations", "gpt-image-1", json!({"imagesOut": "1"}), 10, 272, Some("0.01093")),
        ("/v1/images/generations", "grok-imagine-image", json!({"imagesOut": "3"}), 0, 0, Some("0.06")),
        ("/v1/audio/speech", "gpt-4o-mini-tts", Value::Null, 4, 50, Some("0.0006024")),
        ("/v1/audio/transcriptions", "whisper-1", seconds, 0, 0, Some("0.0009")),
        ("/v1/audio/transcriptions", "whisper-1", json!({"audioInMs": "1500"}), 0, 0, Some("0.00015")),
        heard,
        ("/v1/rerank", "rerank-v3.5", json!({"queries": "1"}), 0, 0, Some("0.002")),
    ]
}

async fn every_endpoint_is_billed_by_its_own_usage(mode: BodyMode) {
    let priced =
        ONE_BACKEND.replace("spec: {endpoint", "spec: {provider: mock, endpoint").replace("dialect: OpenAI, ", "");
    let egress = Egress::up(mode, &priced).await;
    let found = found(SCRIPT, egress.base_url(), "--media").await;
    assert_eq!(found["images_stream"], json!(["image_generation.partial_image", "image_generation.completed"]));
    assert_eq!((&found["images_counted"], &found["transcription_text"]), (&json!(3), &json!("Water flows.\n")));
    let expected = billed();
    let ledger = egress.ledger_of(expected.len() + 1).await;
    let moderation = |record: &&Value| record["path"] == "/v1/moderations";
    let free = ledger.iter().find(moderation).expect("a moderation is a call");
    assert_eq!((&free["costNanoUsd"], &free["outcome"]), (&json!("0"), &json!("OUTCOME_COMPLETED")));
    let others: Vec<&Value> = ledger.iter().filter(|record| !moderation(record)).collect();
    assert_eq!(others.len(), expected.len(), "{ledger:?}");
    for (record, (path, model, units, input, output, cost)) in others.into_iter().zip(expected) {
        let usage = &record["usage"];
        let total =
            |names: &[&str]| -> u64 { names.iter().filter_map(|name| usage[name].as_str()?.parse::<u64>().ok()).sum() };
        assert_eq!((&record["path"], &record["models"]["sent"]), (&json!(path), &json!(model)), "{record}");
        assert_eq!(usage["units"], units, "{record}");
        let tokens = (total(&["input", "audioIn", "imageIn"]), total(&["output", "audioOut", "imageOut"]));
        assert_eq!(tokens, (input, output), "{record}");
        assert_eq!(record["costUsd"].as_str(), cost, "{record}");
    }
    egress.assert_clean(&Exceptions::default()).await;
}

async fn the_sdk_raises_the_class_that_belongs_to_an_error(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let all = found(SCRIPT, egress.base_url(), "").await;
    let rows = [
        ("400", "BadRequestError", "invalid_request_error"),
        ("401", "AuthenticationError", "invalid_request_error"),
        ("403", "PermissionDeniedError", "permission_error"),
        ("404", "NotFoundError", "invalid_request_error"),
        ("409", "ConflictError", "invalid_request_error"),
        ("422", "UnprocessableEntityError", "invalid_request_error"),
        ("429", "RateLimitError", "requests"),
        ("500", "InternalServerError", "server_error"),
        ("503", "InternalServerError", "server_error"),
    ];
    for (status, class, kind) in rows {
        let error = &all["errors"][status];
        assert_eq!((&error["class"], &error["type"]), (&class.into(), &kind.into()), "{status}: {error}");
        assert_eq!((&error["status"].to_string()[..], &error["after"]), (status, &"3".into()), "{error}");
    }
    assert_eq!(all["errors"]["stream"], json!({"class": "APIError", "code": "server_error"}));
    egress.assert_clean(&Exceptions::default()).await;
}

async fn the_sdk_understands_weirs_own_refusals(mode: BodyMode) {
    let egress = Egress::up(mode, TWO_BACKENDS).await;
    let all = found(SCRIPT, egress.base_url(), "--refusals").await;
    let rows = [
        ("unknown", "NotFoundError", 404, "model_not_found", json!("model")),
        ("keyless", "InternalServerError", 503, "credential_unavailable", Value::Null),
        ("odd", "BadRequestError", 400, "unsupported_value", json!("model")),
    ];
    for (name, class, status, code, param) in rows {
        let error = &all["refusals"][name];
        assert_eq!((&error["class"], &error["status"]), (&class.into(), &status.into()), "{name}: {error}");
        assert_eq!((&error["code"], &error["param"]), (&code.into(), &param), "{name}: {error}");
    }
    assert_eq!(egress.mock.tally().requests, 0);
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(
    the_sdk_finds_what_it_finds_at_the_provider,
    every_endpoint_is_billed_by_its_own_usage,
    the_sdk_raises_the_class_that_belongs_to_an_error,
    the_sdk_understands_weirs_own_refusals
);
