//! Every endpoint of the official SDK: its answer and two errors are what they are at the provider, and the
//! ledger has each with its operation, its end, and the tokens that the provider counts. (`models` is what
//! Weir answers itself: see `sdk`.)

use serde_json::Value;
use weir::render::envoy::BodyMode;

use super::egress::{Egress, ONE_BACKEND};
use super::sdk;
use crate::support::envoy_stats::Exceptions;

const SCRIPT: &str = include_str!("sdk_matrix.py");

/// A name in the script; method, path and operation in the ledger; input and output tokens. Those of images
/// and audio, and what is billed otherwise, are other suites' matter.
type Row = (&'static str, &'static str, &'static str, Option<[u64; 2]>);

const ENDPOINTS: &[Row] = &[
    ("chat", "POST /v1/chat/completions", "chat", Some([4, 32])),
    ("chat_stream", "POST /v1/chat/completions", "chat", Some([4, 32])),
    ("chat_tools", "POST /v1/chat/completions", "chat", Some([4, 32])),
    ("completion", "POST /v1/completions", "text_completion", Some([1, 5])),
    ("completion_stream", "POST /v1/completions", "text_completion", Some([1, 5])),
    ("response", "POST /v1/responses", "responses", Some([4, 32])),
    ("response_stream", "POST /v1/responses", "responses", Some([4, 32])),
    ("embeddings", "POST /v1/embeddings", "embeddings", Some([2, 0])),
    ("embeddings_floats", "POST /v1/embeddings", "embeddings", Some([1, 0])),
    ("image", "POST /v1/images/generations", "image", None),
    ("image_edit", "POST /v1/images/edits", "image", None),
    ("image_variation", "POST /v1/images/variations", "image", None),
    ("speech", "POST /v1/audio/speech", "audio", None),
    ("transcription", "POST /v1/audio/transcriptions", "audio", None),
    ("transcription_tokens", "POST /v1/audio/transcriptions", "audio", None),
    ("translation", "POST /v1/audio/translations", "audio", None),
    ("moderation", "POST /v1/moderations", "moderation", None),
    ("rerank", "POST /v1/rerank", "rerank", None),
    ("file_create", "POST /v1/files", "other", None),
    ("file_list", "GET /v1/files", "other", None),
    ("file", "GET /v1/files/file-1", "other", None),
    ("file_content", "GET /v1/files/file-1/content", "other", None),
    ("file_delete", "DELETE /v1/files/file-1", "other", None),
    ("batch_create", "POST /v1/batches", "other", None),
    ("batch_list", "GET /v1/batches", "other", None),
    ("batch", "GET /v1/batches/batch-1", "other", None),
    ("batch_cancel", "POST /v1/batches/batch-1/cancel", "other", None),
];

/// What the script provokes: the kind, and the status. The first is the answer itself.
const KINDS: [(&str, u64); 3] = [("answer", 200), ("limited", 429), ("failed", 500)];

/// What a record must say: where, what it is, how it ended, and its tokens if they are known here.
type Told = (String, String, u64, &'static str, Option<[u64; 2]>);

fn expected() -> Vec<Told> {
    let row = |(_, path, operation, tokens): &Row| {
        KINDS.map(|(_, status)| match status {
            200 => (path.to_string(), operation.to_string(), status, "OUTCOME_COMPLETED", *tokens),
            _ => (path.to_string(), operation.to_string(), status, "OUTCOME_UPSTREAM_ERROR", None),
        })
    };
    let mut all: Vec<Told> = ENDPOINTS.iter().flat_map(row).collect();
    all.sort();
    all
}

fn told(record: &Value) -> Told {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    let (path, operation) = (format!("{} {}", text("method"), text("path")), text("operation"));
    let status = record["status"].as_u64().expect("a status");
    let known = ENDPOINTS.iter().any(|row| row.1 == path && row.3.is_some());
    let count = |name: &str| record["usage"][name].as_str().map_or(0, |count| count.parse().expect("a number"));
    let outcome = ["OUTCOME_COMPLETED", "OUTCOME_UPSTREAM_ERROR"].into_iter().find(|name| record["outcome"] == *name);
    let by_provider = record["usageSource"] == "USAGE_SOURCE_PROVIDER";
    let tokens = (known && status == 200 && by_provider).then(|| [count("input"), count("output")]);
    (path, operation, status, outcome.unwrap_or("another"), tokens)
}

async fn every_endpoint_answers_and_fails_as_at_the_provider(mode: BodyMode) {
    let egress = Egress::up(mode, ONE_BACKEND).await;
    let direct = format!("http://{}/v1", egress.direct());
    let (direct, through) = tokio::join!(sdk::found(SCRIPT, direct, ""), sdk::found(SCRIPT, egress.base_url(), ""));
    let names: Vec<&String> = through.as_object().expect("an object").keys().collect();
    assert_eq!(names, ENDPOINTS.iter().map(|row| row.0).collect::<Vec<_>>(), "the script and the table");
    for (name, ..) in ENDPOINTS {
        assert_eq!(through[name], direct[name], "{name}");
        let answer = &through[name]["answer"];
        assert!(!answer.is_null() && answer["class"].is_null(), "{name}: {answer}");
        for (kind, class, status) in [("limited", "RateLimitError", 429), ("failed", "InternalServerError", 500)] {
            let error = &through[name][kind];
            assert_eq!((&error["class"], &error["status"]), (&class.into(), &status.into()), "{name}: {error}");
        }
        assert_eq!(through[name]["limited"]["after"], "3", "{name}");
    }
    let mut records: Vec<Told> = egress.ledger_of(ENDPOINTS.len() * KINDS.len()).await.iter().map(told).collect();
    records.sort();
    assert_eq!(records, expected());
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(every_endpoint_answers_and_fails_as_at_the_provider);
