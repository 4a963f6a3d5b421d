//! Files of `examples/situations` through a real Envoy: each as it is, but that its providers are the mock and
//! its keys are the test's. What each promises call by call is in `exchange::situations`.

use serde_json::{Value, json};
use weir::identity::key::{Digest, RANDOM, new_key};
use weir::render::envoy::BodyMode;

use super::egress::Egress;
use super::pair::{Call, Protocol};
use crate::support::envoy_stats::Exceptions;
use crate::support::response::Response;

/// Where a key is in the environment, there is a backend.
const OPENAI: &[(&str, &str)] = &[("OPENAI_API_KEY", "sk-openai")];
const MISTRAL: &[(&str, &str)] = &[("MISTRAL_API_KEY", "sk-mistral")];

/// The file of a situation; a provider is a path of the mock.
fn file(name: &str) -> String {
    let path = format!("{}/examples/situations/{name}/weir.yaml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("an example");
    let line = |line: &str| match line.strip_prefix("  provider: ") {
        Some(provider) => format!("{line}\n  endpoint: \"http://{{mock}}/{provider}/v1\"\n"),
        None => format!("{line}\n"),
    };
    let edited: String = text.lines().map(line).collect();
    assert!(edited.contains("{mock}"), "{name} has no provider");
    edited
}

fn chat(model: &str) -> Call {
    Call::chat(format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}]}}"#))
}

/// What the provider sees of a call: its path, and its key.
async fn seen(egress: &Egress, call: Call) -> (String, Option<String>) {
    let answer = call.with(&[("x-mock-echo", "1")]).send(Protocol::Http1, &egress.address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let echo = answer.json();
    let pairs = echo["headers"].as_array().expect("headers").iter();
    let key = pairs.filter(|pair| pair[0] == "authorization").filter_map(|pair| pair[1].as_str());
    (echo["path"].as_str().expect("a path").to_owned(), key.map(str::to_owned).next())
}

fn code(answer: &Response) -> (u16, Value) {
    (answer.status, answer.json()["error"]["code"].clone())
}

async fn canary_keeps_a_conversation_with_its_model(mode: BodyMode) {
    let egress = Egress::up_with(mode, &file("canary"), OPENAI).await;
    let mut found = Vec::new();
    for session in 0..60 {
        let session = format!("conversation-{session}");
        let mut models = Vec::new();
        for _ in 0..2 {
            let call = chat("chat-default").with(&[("x-session-id", &session)]);
            let answer = call.send(Protocol::Http1, &egress.address).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            models.push(answer.header("x-weir-model").expect("a model").to_owned());
        }
        assert_eq!(models[0], models[1], "{session}");
        found.push(models.remove(0));
    }
    // By a hash that is the same everywhere, so this is no matter of chance.
    let new = found.iter().filter(|model| *model == "gpt-5-mini").count();
    assert!((1..=9).contains(&new) && found.iter().all(|model| model.starts_with("gpt-")), "{found:?}");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn eu_only_leaves_no_way_out(mode: BodyMode) {
    let environment = [OPENAI, MISTRAL, &[("WEIR_NAMESPACE", "eu-shop")]].concat();
    let egress = Egress::up_with(mode, &file("eu-only"), &environment).await;
    let (path, key) = seen(&egress, chat("chat-default")).await;
    assert_eq!((&*path, key.as_deref()), ("/mistral/v1/chat/completions", Some("Bearer sk-mistral")));
    let refused = chat("openai/gpt-4o-mini").send(Protocol::Http1, &egress.address).await;
    assert_eq!(code(&refused), (403, json!("model_not_allowed")));
    // Three failures in a row of the one that is left lead nowhere else.
    for _ in 0..3 {
        let failing = chat("chat-default").with(&[("x-mock-status", "500")]);
        assert_eq!(failing.send(Protocol::Http1, &egress.address).await.status, 500);
    }
    assert_eq!(seen(&egress, chat("chat-default")).await.0, "/mistral/v1/chat/completions");
    assert_eq!(egress.mock.tally().requests, 5);
    egress.assert_clean(&Exceptions::default()).await;
}

async fn key_per_workload_takes_the_key_and_sends_the_companys(mode: BodyMode) {
    let key = new_key(&[1; RANDOM]);
    let text = file("key-per-workload");
    let begin = text.find("sha256: \"").expect("a digest") + "sha256: \"".len();
    let config = [&text[..begin], &Digest::of(&key).hex(), &text[begin + 64..]].concat();
    let egress = Egress::up_with(mode, &config, OPENAI).await;
    let mut call = chat("gpt-4o-mini");
    call.headers.retain(|(name, _)| name != "authorization");
    let (path, sent) = seen(&egress, call.clone().with(&[("authorization", &format!("Bearer {key}"))])).await;
    assert_eq!((&*path, sent.as_deref()), ("/openai/v1/chat/completions", Some("Bearer sk-openai")));
    let unknown = call.with(&[("authorization", &format!("Bearer {}", new_key(&[9; RANDOM])))]);
    let refused = unknown.send(Protocol::Http1, &egress.address).await;
    assert_eq!(code(&refused), (401, json!("invalid_api_key")));
    let records = egress.ledger_of(2).await;
    let of_ci = records.iter().find(|record| record["status"] == 200).expect("the first call");
    let caller = &of_ci["principal"];
    assert_eq!((&caller["consumer"], &caller["team"]), (&json!("ci"), &json!("platform")), "{of_ci}");
    assert!(!format!("{records:?}{}", egress.weir.written()).contains(&key), "the key was written down");
    egress.assert_clean(&Exceptions::default()).await;
}

async fn pass_through_files_signs_what_it_names(mode: BodyMode) {
    let egress = Egress::up_with(mode, &file("pass-through-files"), OPENAI).await;
    let upload = Call::post("/v1/files", "--x--").with(&[("content-type", "multipart/form-data; boundary=x")]);
    for (call, path, signed) in [
        (upload, "/openai/v1/files", true),
        (Call::bare("GET", "/v1/files/file-1/content"), "/openai/v1/files/file-1/content", true),
        (Call::post("/v1/batches", r#"{"input_file_id":"file-1"}"#), "/openai/v1/batches", true),
        (Call::bare("GET", "/v1/fine_tuning/jobs"), "/openai/v1/fine_tuning/jobs", false),
    ] {
        let key = signed.then(|| "Bearer sk-openai".to_owned());
        assert_eq!(seen(&egress, call).await, (path.to_owned(), key));
    }
    egress.assert_clean(&Exceptions::default()).await;
}

every_mode!(
    canary_keeps_a_conversation_with_its_model,
    eu_only_leaves_no_way_out,
    key_per_workload_takes_the_key_and_sends_the_companys,
    pass_through_files_signs_what_it_names
);
