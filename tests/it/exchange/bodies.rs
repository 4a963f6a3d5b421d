//! What a provider answers: a document, and the same as a stream.

pub const DOCUMENT: &str = r#"{"id":"c-1","object":"chat.completion","created":5,"model":"gpt-4o-mini-2024-07-18",
 "choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],
 "usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}
"#;

/// What a provider streams when it is asked for usage.
pub const STREAM: &str = concat!(
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":""}}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Hello."}}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
    "\n\n",
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}"#,
    "\n\ndata: [DONE]\n\n",
);

/// What it streams when it is not.
pub const UNASKED: &str = concat!(
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":"Hello."}}]}"#,
    "\n\n",
    r#"data: {"id":"c-1","created":5,"model":"gpt-4o-mini","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
    "\n\ndata: [DONE]\n\n",
);
