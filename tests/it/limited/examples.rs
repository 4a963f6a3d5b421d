//! The files of `examples/limits`, each as it is, under `weir up --mock`: what their heads promise. One brings
//! a mock of its own; the one that needs certificates is in `money`, and `weir check` reads them all (`faults::examples`).

use std::path::Path;

use serde_json::json;
use tokio::net::TcpListener;
use weir::mock::Mock;

use crate::faults::rig::{CHAT, LONG};
use crate::support::http1::{self, Request};
use crate::support::process::{self, Child, ready_value};
use crate::support::response::Response;

struct Example {
    weir: Child,
    address: String,
}

impl Example {
    fn start(name: &str) -> Example {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/limits").join(name).join("weir.yaml");
        Example::of(path.to_str().expect("text"), &["--mock"])
    }

    /// `weir up` with this file.
    fn of(path: &str, more: &[&str]) -> Example {
        let arguments = [&["up", "--config", path, "--port", "0", "--admin-port", "0"], more].concat();
        let weir = Child::spawn("weir up", process::weir(&arguments));
        let line = weir.ready_line("ready ", LONG);
        let address = ready_value(&line, "base_url");
        let address = address.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        Example { weir, address }
    }

    async fn call(&self, model: &str, most: u32, headers: &[(&str, &str)]) -> Response {
        let body = json!({"model": model, "max_tokens": most, "messages": [{"role": "user", "content": "hi"}]});
        let headers = [&[("content-type", "application/json")], headers].concat();
        let bytes = Request { method: "POST", path: CHAT, headers: &headers }.with_length(body.to_string().as_bytes());
        http1::exchange(&self.address, "POST", &bytes).await.expect("an answer")
    }

    fn end(mut self) {
        assert!(self.weir.stop(LONG).success(), "{}", self.weir.written());
    }
}

fn code(answer: &Response) -> String {
    match answer.status {
        200 => "200".to_owned(),
        status => format!("{status} {}", answer.json()["error"]["code"].as_str().unwrap_or_default()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests() {
    let example = Example::start("requests");
    for left in ["2", "1", "0"] {
        let answer = example.call("mock/a", 5, &[]).await;
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left), "{answer:?}");
    }
    let refused = example.call("mock/a", 5, &[]).await;
    assert_eq!(code(&refused), "429 rate_limit_exceeded");
    assert!(refused.header("retry-after").is_some() && refused.header("retry-after-ms").is_some(), "{refused:?}");
    example.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens() {
    let example = Example::start("tokens");
    for (most, expected) in [(40, "200"), (40, "200"), (40, "429 rate_limit_exceeded"), (5, "200")] {
        assert_eq!(code(&example.call("mock/a", most, &[]).await), expected);
    }
    assert_eq!(code(&example.call("mock/b", 40, &[]).await), "200", "another model");
    example.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money() {
    let example = Example::start("money");
    for expected in ["200", "200", "429 project_spend_limit_exceeded"] {
        let answer = example.call("mock/a", 39, &[]).await;
        assert_eq!(code(&answer), expected);
        assert_eq!(answer.header("x-should-retry"), (answer.status == 429).then_some("false"), "{answer:?}");
    }
    assert_eq!(example.weir.written().matches("50 % of a limit").count(), 1, "{}", example.weir.written());
    example.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrency() {
    let example = Example::start("concurrency");
    let both = async |delay: &str| {
        let headers = [("x-mock-delay", delay)];
        let (one, other) = tokio::join!(example.call("mock/a", 5, &headers), example.call("mock/a", 5, &headers));
        let mut codes = [code(&one), code(&other)];
        codes.sort();
        codes
    };
    assert_eq!(both("1000").await, ["200", "200"]);
    assert_eq!(both("9000").await, ["200", "429 rate_limit_exceeded"]);
    example.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_tier() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/limits/free-tier/weir.yaml");
    let mock = Mock::start(TcpListener::bind("127.0.0.1:0").await.expect("a free port")).await;
    let text = std::fs::read_to_string(path).expect("an example").replace("127.0.0.1:9700", &mock.addr().to_string());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weir.yaml");
    std::fs::write(&path, text).expect("written");
    let example = Example::of(path.to_str().expect("text"), &[]);
    for (user, model) in [("ada", "large"), ("ada", "large"), ("ada", "small"), ("ada", "small"), ("bob", "large")] {
        let answer = example.call("chat", 5, &[("x-end-user-id", user)]).await;
        assert_eq!((answer.status, answer.header("x-weir-model")), (200, Some(model)), "{answer:?}");
    }
    example.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn end_users() {
    let example = Example::start("end-users");
    let rows = [
        ("ada", "200"),
        ("ada", "200"),
        ("ada", "429 rate_limit_exceeded"),
        ("bob", "200"),
        ("", "400 unsupported_value"),
    ];
    for (user, expected) in rows {
        assert_eq!(code(&example.call("mock/a", 5, &[("x-end-user-id", user)]).await), expected, "{user}");
    }
    example.end();
}
