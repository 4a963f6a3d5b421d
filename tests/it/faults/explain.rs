//! `weir explain` as a person asks it: the five questions of the README, which hold their answers, and what
//! it says of questions that make no sense.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::process;

/// The section of the README that holds the questions.
const SECTION: &str = "## Why did this happen?";

/// The commands of that section and the text block behind each.
fn questions(document: &str) -> Vec<(&str, &str)> {
    let section = document.split_once(SECTION).expect("the section").1;
    let blocks: Vec<(&str, &str)> = section
        .split("\n## ")
        .next()
        .unwrap_or_default()
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.split_once('\n'))
        .filter(|(kind, _)| matches!(*kind, "sh" | "text"))
        .collect();
    let pairs = blocks.chunks_exact(2);
    pairs.map(|pair| (pair[0].1, pair[1].1)).collect()
}

/// What a shell writes that finds this `weir`, at the root of the package, with no key in its environment.
pub fn shell(script: &str) -> String {
    let weir = Path::new(env!("CARGO_BIN_EXE_weir")).parent().expect("a directory");
    let path = format!("{}:{}", weir.display(), std::env::var("PATH").expect("a path"));
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear().env("PATH", path);
    let output = command.output().expect("a shell");
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_five_questions_of_the_manual_have_these_answers() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let document = std::fs::read_to_string(&path).expect("the questions");
    let asked = questions(&document);
    assert_eq!(asked.len(), 5);
    let mut found = document.clone();
    for (script, expected) in asked {
        let answer = shell(script);
        // A text block ends behind a line.
        let answer = if answer.ends_with('\n') { answer } else { answer + "\n" };
        let (block, told) =
            (format!("{script}```\n\n```text\n{expected}```"), format!("{script}```\n\n```text\n{answer}```"));
        assert!(found.contains(&block), "{script}");
        found = found.replace(&block, &told);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).expect("the questions");
        return;
    }
    assert!(found == document, "UPDATE_GOLDEN=1 writes the answers anew; they are\n{found}");
}

/// The exit code, stdout and stderr of `weir explain` with this input.
fn explain(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = process::weir(&[&["explain"], arguments].concat());
    command.env_remove("OPENAI_API_KEY").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // One that refuses its arguments does not read.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn example(name: &str) -> String {
    format!("{}/examples/{name}/weir.yaml", env!("CARGO_MANIFEST_DIR"))
}

const CALL: &str = r#"{"model":"gpt-4o","messages":[]}"#;

#[test]
fn a_question_without_sense_is_told_why_and_is_no_error_of_the_configuration() {
    let (sidecar, gateway) = (example("situations/canary"), example("situations/team-budget"));
    for (arguments, input, why) in [
        (&[sidecar.as_str()][..], "", "no request"),
        (&[&sidecar], "hello\n", "neither JSON nor a request"),
        (&[&sidecar, "--as", "spiffe://corp/other"], CALL, "in role Sidecar"),
        (&[&sidecar, "--jwt", "{}"], CALL, "no token is looked at in role Sidecar"),
        (&[&gateway, "--jwt", "{}"], CALL, "spec.identity.jwt"),
        (&[&gateway, "--consumer", "nobody"], CALL, "no LLMConsumer \"nobody\""),
        (&[&gateway, "--header", "no header"], CALL, "NAME: VALUE"),
        (&[&gateway, "--output", "xml"], CALL, "xml"),
    ] {
        let (code, out, err) = explain(arguments, input);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(why), "{arguments:?}: {err}");
    }
    let bad = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bad-config/backend-nothing.yaml");
    let (code, out, err) = explain(&[bad], CALL);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("backend-nothing.yaml:1:spec"), "{err}");
}

#[test]
fn the_answer_for_programs_says_the_same() {
    let path = example("situations/key-per-workload");
    let (code, out, err) = explain(&[&path, "--output", "json", "--consumer", "ci", "--namespace", "ops"], CALL);
    assert_eq!(code, Some(0), "{err}");
    let told: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&told["outcome"], &told["explain"]["caller"]["rank"]), (&"leaves".into(), &"ApiKey".into()));
    let facts = told["explain"]["caller"]["facts"].as_array().expect("a list");
    let fact = |name: &str| facts.iter().find(|fact| fact["name"] == name).map(|fact| fact["value"].clone());
    assert_eq!(fact("consumer"), Some("ci".into()));
    assert_eq!(fact("team"), Some("platform".into()));
    assert_eq!(fact("namespace"), Some("ops".into()));
    assert!(told["credential"].as_str().is_some_and(|text| text.contains("OPENAI_API_KEY")), "{out}");
    assert!(!out.contains("sk-weir-"), "{out}");
}

#[test]
fn no_key_is_shown_whoever_holds_it() {
    let path = example("situations/canary");
    for output in ["text", "json"] {
        let mut command = process::weir(&["explain", &path, "--output", output]);
        command
            .env("OPENAI_API_KEY", "sk-CANARY-1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let request =
            "POST /v1/chat/completions HTTP/1.1\nauthorization: Bearer sk-CANARY-2\n\n{\"model\":\"chat-default\"}";
        child.stdin.take().expect("piped").write_all(request.as_bytes()).expect("it reads");
        let told = child.wait_with_output().expect("it ends");
        let all = String::from_utf8_lossy(&[told.stdout, told.stderr].concat()).into_owned();
        assert!(all.contains("Bearer ***") && all.contains("environment variable OPENAI_API_KEY"), "{all}");
        assert!(!all.contains("CANARY"), "{all}");
    }
}

/// A backend of each API, under the name of its model.
const EVERYWHERE: &str = "\
apiVersion: weir.dev/v1alpha1
kind: LLMProfile
metadata: {name: default}
spec: {discovery: {environment: Disabled}}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: openai}
spec: {provider: openai, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: gemini}
spec: {endpoint: \"http://127.0.0.1:8081/v1beta\", dialect: Gemini, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: claude}
spec: {provider: anthropic, credentials: [{type: None}]}
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: ollama}
spec: {endpoint: \"http://127.0.0.1:11434\", dialect: Ollama, credentials: [{type: None}]}
";

/// A request of each API's client for this model, which bounds its answer at 500 tokens.
fn requests(model: &str) -> Vec<(String, Value)> {
    let said = serde_json::json!([{"role": "user", "content": "hi"}]);
    let parts = serde_json::json!([{"role": "user", "parts": [{"text": "hi"}]}]);
    let blocks = serde_json::json!([{"role": "user", "content": [{"text": "hi"}]}]);
    let encoded = model.replace('/', "%2F");
    vec![
        (
            "/v1/chat/completions".into(),
            serde_json::json!({"model": model, "max_completion_tokens": 500, "messages": said}),
        ),
        ("/v1/responses".into(), serde_json::json!({"model": model, "max_output_tokens": 500, "input": "hi"})),
        ("/v1/messages".into(), serde_json::json!({"model": model, "max_tokens": 500, "messages": said})),
        (
            format!("/v1beta/models/{encoded}:generateContent"),
            serde_json::json!({"contents": parts, "generationConfig": {"maxOutputTokens": 500}}),
        ),
        (
            format!("/model/{encoded}/converse"),
            serde_json::json!({"messages": blocks, "inferenceConfig": {"maxTokens": 500}}),
        ),
    ]
}

fn told(documents: &Path, path: &str, body: &Value) -> Value {
    let documents = documents.to_str().expect("a path");
    let (code, out, err) = explain(&[documents, "--output", "json", "--path", path], &body.to_string());
    assert_eq!(code, Some(0), "{path}: {err}");
    serde_json::from_str(&out).expect("JSON")
}

#[test]
fn tokens_and_cost_are_estimated_for_every_client_at_every_provider() {
    let place = tempfile::tempdir().expect("a directory");
    let documents = place.path().join("weir.yaml");
    std::fs::write(&documents, EVERYWHERE).expect("the documents");
    for (model, has_price) in [
        ("openai/gpt-4o", true),
        ("gemini/gemini-2.5-flash", false),
        ("claude/claude-sonnet-4-5", true),
        ("ollama/x", false),
    ] {
        for (path, body) in requests(model) {
            let told = told(&documents, &path, &body);
            let estimate = &told["estimate"];
            assert_eq!(told["outcome"], "leaves", "{model} {path}: {told}");
            let bytes = told["leaves"]["body"].as_str().expect("a body").len() as u64;
            assert_eq!(
                (&estimate["bodyBytes"], &estimate["maxOutputTokens"]),
                (&bytes.into(), &500.into()),
                "{model} {path}"
            );
            assert!(
                estimate["inputTokens"].as_u64().is_some_and(|tokens| tokens.abs_diff(bytes / 4) <= 1),
                "{model} {path}"
            );
            assert_eq!(estimate["maxUsd"].is_string(), has_price, "{model} {path}: {estimate}");
        }
    }
}

#[test]
fn a_count_is_made_here_where_its_provider_makes_none() {
    let place = tempfile::tempdir().expect("a directory");
    let documents = place.path().join("weir.yaml");
    std::fs::write(&documents, EVERYWHERE).expect("the documents");
    let body = |model: &str| serde_json::json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    let here = told(&documents, "/v1/messages/count_tokens", &body("ollama/x"));
    assert_eq!((&here["outcome"], &here["countedHere"]), (&"answered".into(), &"8 tokens, estimated".into()), "{here}");
    assert_eq!(here["answer"]["body"], r#"{"input_tokens":8}"#);
    // A count is free.
    let there = told(&documents, "/v1/messages/count_tokens", &body("claude/x"));
    assert_eq!(
        (&there["outcome"], &there["countedHere"], &there["estimate"]),
        (&"leaves".into(), &Value::Null, &Value::Null)
    );
    let arguments = [documents.to_str().expect("a path"), "--path", "/v1/messages/count_tokens"];
    let (_, out, _) = explain(&arguments, &body("ollama/x").to_string());
    assert!(out.starts_with("counted here: 8 tokens, estimated\n"), "{out}");
}
