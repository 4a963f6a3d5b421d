//! A price file on the command line: every command that prices calls takes one, and refuses a wrong one whole.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const BACKEND: &str = "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: first}\n\
                       spec: {provider: openai, endpoint: 'http://127.0.0.1:1/v1', credentials: [{type: None}]}\n";

const PRICES: &str = r#"{"format": "weir.prices/v1", "version": "mine", "source": "", "models": [
    {"provider": "openai", "model": "own-model", "rates": [
        {"unit": "input", "rate": "1"}, {"unit": "output", "rate": "1e-06"}]}]}"#;

const LINE: &str = r#"{"model":"own-model","provider":"openai","usage":{"p":1}}"#;

/// Runs `weir` in a directory with `weir.yaml`, `good.json` and `bad.json`.
fn weir(directory: &Path, args: &[&str], variable: Option<&str>, input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(args).current_dir(directory).env_remove("WEIR_PRICES");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(path) = variable {
        command.env("WEIR_PRICES", path);
    }
    let mut child = command.spawn().expect("weir runs");
    // One that refuses does not read it.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    child.wait_with_output().expect("it ends")
}

#[test]
fn every_command_that_prices_calls_takes_a_price_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path();
    fs::write(path.join("weir.yaml"), BACKEND).expect("a file");
    fs::write(path.join("good.json"), PRICES).expect("a file");
    fs::write(path.join("bad.json"), PRICES.replace("\"1\"", "\"-1\"").replace("\"output\"", "\"furlong\""))
        .expect("a file");
    let call = r#"{"model":"own-model","messages":[{"role":"user","content":"hi"}]}"#;
    let commands: [(&[&str], &str, &str); 4] = [
        (&["check", "weir.yaml"], "", "valid: 1 backends"),
        (&["explain", "weir.yaml"], call, "openai/own-model"),
        (&["prices", "--model", "own-model"], "", "openai/own-model"),
        (&["prices", "cost", "--jsonl"], LINE, "\"cost_nanousd\":1000000000"),
    ];
    for (args, input, wanted) in commands {
        let named = |file| [args, &["--prices", file]].concat();
        for output in [
            weir(path, &named("good.json"), None, input),
            weir(path, args, Some("good.json"), input),
            weir(path, &named("good.json"), Some("bad.json"), input),
        ] {
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && said.contains(wanted), "{args:?}: {said}");
        }
        for output in [weir(path, &named("bad.json"), None, input), weir(path, args, Some("bad.json"), input)] {
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
            for error in ["rates[0]: \"-1\": a price", "rates[1]: \"furlong\" is not known"] {
                assert!(said.contains(&format!("bad.json: models[0] openai/own-model: {error}")), "{args:?}: {said}");
            }
        }
        let output = weir(path, args, Some(""), input);
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("cannot read"), "an empty variable names no file: {said}");
    }
}
