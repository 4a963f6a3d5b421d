//! Known keys, prompts and answers are looked for in everything that is written or said, whatever
//! went wrong meanwhile and however much is logged.

use serde_json::{Value, json};

use weir::render::envoy::BodyMode;

use super::rig::{BACKEND, CHAT, KEY, Parts, Rig, aborts, file};
use crate::support::response::Response;

const FILE_KEY: &str = "sk-canary-of-the-file";
const CLIENT_KEY: &str = "sk-canary-of-the-client";
const PROMPT: &str = "canary prompt about herons";
/// Of the mock's answer: part of every text that it says.
const QUERY: &str = "canary-in-the-query";

/// A second backend, whose key is in a file, and one that nobody answers.
const MORE: &str = "
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: filed}
spec:
  endpoint: http://{mock}/v1
  dialect: OpenAI
  credentials: [{type: APIKey, apiKey: {file: '{dir}/key'}}]
---
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {name: nobody}
spec: {endpoint: 'http://127.0.0.1:1/v1', dialect: OpenAI, credentials: [{type: APIKey, apiKey: {env: RIG_KEY}}]}
";

fn ask(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": PROMPT}]})
}

async fn no_key_prompt_or_answer_is_written_anywhere(mode: BodyMode) {
    let documents = format!("{BACKEND}{MORE}");
    let prepare = |directory: &std::path::Path| std::fs::write(directory.join("key"), format!("{FILE_KEY}\n"));
    let rig = Rig::start_with(Parts { documents, log: "trace", mode, ..Parts::default() }, prepare).await;
    // The signature reaches the provider, else there is nothing to find.
    for (model, key) in [("main/alpha", KEY), ("filed/alpha", FILE_KEY)] {
        let echo = rig.chat(&[("x-mock-echo", "1"), ("authorization", CLIENT_KEY)], &ask(model, false)).await;
        assert!(echo.status == 200 && echo.text().contains(key) && !echo.text().contains(CLIENT_KEY), "{echo:?}");
    }
    let whole = rig.chat(&[("x-mock-tokens", "9")], &ask("main/alpha", false)).await;
    let answer = whole.json()["choices"][0]["message"]["content"].as_str().expect("a text").to_owned();
    assert!(answer.len() > 20, "{answer:?}");

    let mut said = faults(&rig).await;
    rig.idle().await;
    for path in ["/config", "/metrics", "/readyz"] {
        said.push(rig.admin(path).await);
    }
    for record in rig.records() {
        said.push(rig.admin(&format!("/exchanges/{}", record["id"].as_str().expect("an id"))).await);
    }
    assert!(said.iter().all(|answer| answer.status != 0));
    let mut places: Vec<(String, String)> =
        said.iter().map(|answer| ("an answer".into(), format!("{:?} {}", answer.headers, answer.text()))).collect();
    for name in ["usage.jsonl", "access.jsonl", "envoy.log", "envoy.json", "clusters.json", "routes.json"] {
        places.push((name.into(), file(&rig.directory, name)));
    }
    places.push(("what Weir wrote".into(), rig.weir.written()));
    assert!(rig.weir.stderr().contains("TRACE"), "Weir logs everything");
    assert!(places.iter().all(|(name, text)| !text.is_empty() || name == "envoy.log"), "{places:?}");
    for (name, text) in &places {
        for canary in [KEY, FILE_KEY, CLIENT_KEY, PROMPT, QUERY, &answer] {
            let at = text.find(canary);
            assert!(at.is_none(), "{canary:?} in {name}: …{}", &text[at.unwrap_or(0).saturating_sub(300)..]);
        }
    }
    rig.end(&aborts()).await;
}

/// Calls that go wrong in every way there is; gives what their clients were told, where Weir or
/// Envoy told it.
async fn faults(rig: &Rig) -> Vec<Response> {
    let key = ("authorization", CLIENT_KEY);
    let mut said = Vec::new();
    // Weir's and Envoy's own words.
    let broken = format!("{{\"model\": \"main/alpha\", \"messages\": [{{\"content\": \"{PROMPT}\"");
    said.push(rig.post(CHAT, &[key], broken.as_bytes()).await);
    let twice = format!("{{\"model\": \"a\", \"model\": \"b\", \"messages\": \"{PROMPT}\"}}");
    said.push(rig.post(CHAT, &[key], twice.as_bytes()).await);
    said.push(rig.chat(&[key], &ask("unknown/model", false)).await);
    said.push(rig.chat(&[key], &ask("nobody/alpha", false)).await);
    said.push(rig.chat(&[key, ("content-encoding", "gzip")], &ask("main/alpha", false)).await);
    said.push(rig.chat(&[("authorization", "Bearer sk-weir-canary-of-the-client")], &ask("main/alpha", false)).await);
    said.push(rig.post(&format!("/v1/nothing?key={QUERY}"), &[key], PROMPT.as_bytes()).await);
    assert!(said.iter().all(|answer| answer.status >= 400), "{said:?}");
    // The provider's: these may say what they like to the client.
    rig.chat(&[key, ("x-mock-status", "401")], &ask("main/alpha", false)).await;
    rig.chat(&[key, ("x-mock-status", "500")], &ask("filed/alpha", true)).await;
    rig.chat(&[key, ("x-mock-abort", "300")], &ask("main/alpha", true)).await;
    rig.chat(&[key, ("x-mock-malformed", "frame")], &ask("main/alpha", true)).await;
    rig.chat(&[key, ("x-mock-malformed", "json")], &ask("main/alpha", false)).await;
    rig.chat(&[key, ("x-mock-error-event", "2")], &ask("main/alpha", true)).await;
    let mut leaves =
        rig.open(&[key, ("x-mock-tokens", "300"), ("x-mock-spacing", "5")], &ask("main/alpha", true)).await;
    leaves.read_body(1000).await;
    leaves.abort();
    said
}

every_mode!(no_key_prompt_or_answer_is_written_anywhere);
