//! An https backend with a CA of its own: the key goes to the server whose certificate that CA signed
//! for that name, and to no other.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use weir::render::envoy::BodyMode;
use weir::up::RunDir;

use super::egress::Egress;
use super::pair::{Call, Protocol};
use crate::support::envoy_stats::Exceptions;
use crate::support::process::{Child, ready_value};

/// Answers every request with one completion, and says on stderr whose key it was sent.
pub(super) const SERVER: &str = r#"
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        print("asked", self.path, self.headers["host"], flush=True, file=sys.stderr)
        body = (b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":'
                b'{"role":"assistant","content":"hi"},"finish_reason":"stop"}],'
                b'"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}')
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready port=%d" % server.server_port, flush=True)
server.serve_forever()
"#;

const START: Duration = Duration::from_secs(60);

/// A certificate that is its own CA, for `llm.test`.
pub(super) fn certificate(directory: &Path, name: &str) -> (String, String) {
    let path = |end: &str| directory.join(format!("{name}.{end}")).display().to_string();
    let (certificate, key) = (path("pem"), path("key"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=llm.test"])
        .args(["-addext", "subjectAltName=DNS:llm.test", "-keyout", &key, "-out", &certificate])
        .output()
        .expect("these tests need the openssl command");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    (certificate, key)
}

fn configuration(port: &str, ca: &str, server_name: &str) -> String {
    format!(
        "\
apiVersion: weir.dev/v1alpha1
kind: LLMBackend
metadata: {{name: private}}
spec:
  endpoint: https://127.0.0.1:{port}/llm/v1
  dialect: OpenAI
  tls: {{ca: {{file: {ca}}}, serverName: {server_name}}}
  credentials: [{{type: APIKey, apiKey: {{value: sk-private}}}}]
"
    )
}

fn serve(certificate: &str, key: &str) -> (Child, String) {
    let mut command = Command::new("python3");
    command.args(["-c", SERVER, certificate, key]);
    let server = Child::spawn("a TLS server", command);
    let port = ready_value(&server.ready_line("ready ", START), "port");
    (server, port)
}

async fn an_https_backend_is_checked_against_its_own_ca_and_name(mode: BodyMode) {
    let directory = RunDir::create().expect("a temporary directory");
    let (own, key) = certificate(directory.path(), "own");
    let (other, _) = certificate(directory.path(), "other");
    let (server, port) = serve(&own, &key);
    let call = Call::chat(r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#);

    let egress = Egress::up(mode, &configuration(&port, &own, "llm.test")).await;
    let answer = call.clone().send(Protocol::Http1, &egress.address).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let record = egress.ledger_of(1).await.remove(0);
    assert_eq!((&record["usage"]["input"], &record["usage"]["output"]), (&"5".into(), &"1".into()), "{record}");
    drop(egress);
    assert!(
        server.stderr().contains(&format!("asked /llm/v1/chat/completions 127.0.0.1:{port}")),
        "{}",
        server.stderr()
    );
    let asked = server.stderr().matches("asked").count();

    for (ca, name) in [(&other, "llm.test"), (&own, "another.test")] {
        let egress = Egress::up(mode, &configuration(&port, ca, name)).await;
        let answer = call.clone().send(Protocol::Http1, &egress.address).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_str()), (503, Some("upstream_unavailable")));
        egress.assert_clean(&Exceptions { may_miss_requests: true, ..Exceptions::default() }).await;
    }
    assert_eq!(server.stderr().matches("asked").count(), asked, "no request may reach a server that is not the one");
}

every_mode!(an_https_backend_is_checked_against_its_own_ca_and_name);
