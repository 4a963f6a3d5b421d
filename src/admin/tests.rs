//! The admin server over real sockets, spoken to in raw HTTP.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::limit::take::{Posture, Take};
use crate::limit::window::Window;
use crate::limit::{Ask, Limit, Unit};
use crate::telemetry::{record, sample};

/// A server on loopback that ends with the test.
struct Server {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    task: AbortHandle,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn admin(ready: &Arc<AtomicBool>) -> Admin {
    let ready = Arc::clone(ready);
    let admin = Admin {
        metrics: Arc::default(),
        recent: Arc::default(),
        ready: Arc::new(move || ready.load(Ordering::Relaxed)),
        explain: Arc::new(|record| serde_json::json!({"of": &*record.id})),
        config: Arc::new(|| "role: Sidecar\n".to_owned()),
        limits: Arc::default(),
        in_store: Arc::new(|_, _| None),
        cooling: Arc::new(Vec::new),
        cache: Caching { show: Arc::new(Seen::default), forget: Arc::new(|whose| Ok(usize::from(whose.is_some()))) },
        mutations: false,
    };
    admin.metrics.observe(&sample());
    admin.recent.insert(Box::new(sample()));
    admin
}

async fn serve(scope: Scope) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let task = tokio::spawn(serve_tcp(listener, admin(&ready), scope)).abort_handle();
    Server { address, ready, task }
}

/// Head and body of the whole answer; the server closes after one.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> (String, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_ascii_lowercase(), body.to_owned())
}

impl Server {
    async fn raw(&self, request: &str) -> (String, String) {
        exchange(TcpStream::connect(self.address).await.unwrap(), request).await
    }

    async fn get(&self, path: &str) -> (String, String) {
        self.raw(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address)).await
    }
}

#[tokio::test]
async fn health_and_readiness() {
    for scope in [Scope::Full, Scope::Public] {
        let server = serve(scope).await;
        assert!(server.get("/healthz").await.0.starts_with("http/1.1 200 "));
        assert!(server.get("/readyz").await.0.starts_with("http/1.1 200 "));
        server.ready.store(false, Ordering::Relaxed);
        assert!(server.get("/readyz").await.0.starts_with("http/1.1 503 "));
        assert!(server.get("/healthz?x=1").await.0.starts_with("http/1.1 200 "));
    }
}

#[tokio::test]
async fn metrics_are_open_metrics() {
    for scope in [Scope::Full, Scope::Public] {
        let (head, body) = serve(scope).await.get("/metrics").await;
        assert!(head.starts_with("http/1.1 200 "));
        assert!(head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
        assert!(body.contains("\nweir_usage_total{source=\"provider\"} 1\n"));
        assert!(body.ends_with("# EOF\n"));
    }
}

#[tokio::test]
async fn an_exchange_by_its_id() {
    let server = serve(Scope::Full).await;
    let (head, body) = server.get("/exchanges/req-1").await;
    assert!(head.starts_with("http/1.1 200 "));
    assert!(head.contains("content-type: application/json"));
    let line = record::line(&sample());
    assert_eq!(body, format!(r#"{},"explain":{{"of":"req-1"}}}}"#, line.strip_suffix('}').unwrap()));
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(value["decisions"][0]["reason"], "match");
    let (head, body) = server.get("/exchanges/req-2").await;
    assert!(head.starts_with("http/1.1 404 "));
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert!(value["error"]["message"].as_str().unwrap().contains("1024"));
}

#[tokio::test]
async fn the_public_scope_shows_no_exchange_and_no_configuration() {
    let server = serve(Scope::Public).await;
    for path in ["/exchanges/req-1", "/config", "/", "/metrics/", "//config", "/%63onfig", "/metrics/../config"] {
        let (head, body) = server.get(path).await;
        assert!(head.starts_with("http/1.1 404 "), "{path}: {head}");
        assert!(!body.contains("Sidecar") && !body.contains("gpt-4o"), "{path}");
    }
    let full = serve(Scope::Full).await;
    assert_eq!(full.get("/config").await.1, "role: Sidecar\n");
}

#[tokio::test]
async fn a_rebound_name_is_refused_on_loopback() {
    let server = serve(Scope::Full).await;
    let address = server.address;
    let refused = [
        "GET /config HTTP/1.1\r\nhost: evil.example\r\n\r\n".to_owned(),
        format!("GET /config HTTP/1.1\r\nhost: evil.example:{}\r\n\r\n", address.port()),
        format!("GET http://evil.example/config HTTP/1.1\r\nhost: {address}\r\n\r\n"),
        format!("GET /config HTTP/1.1\r\nhost: {address}\r\nhost: evil.example\r\n\r\n"),
        "GET /config HTTP/1.0\r\n\r\n".to_owned(),
    ];
    for request in refused {
        let (head, body) = server.raw(&request).await;
        assert!(head.contains(" 403 ") || head.contains(" 400 "), "{request}{head}");
        assert!(!body.contains("Sidecar"), "{request}");
        assert!(!head.contains("access-control"), "{request}");
    }
    let (head, _) = server.raw("GET /config HTTP/1.1\r\nhost: localhost\r\norigin: http://evil.example\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 200 ") && !head.contains("access-control"));
    // A scraper reaches the public port by whatever name the mesh gives it.
    let public = serve(Scope::Public).await;
    let (head, _) = public.raw("GET /metrics HTTP/1.1\r\nhost: weir.mesh.example\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 200 "));
}

#[tokio::test]
async fn a_page_is_made_beside_the_threads_that_serve_and_a_probe_on_them() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let (mut admin, here) = (admin(&ready), std::thread::current().id());
    let tell = told.clone();
    admin.ready = Arc::new(move || std::thread::current().id() == here);
    admin.config = Arc::new(move || {
        tell.lock().unwrap().push(std::thread::current().id());
        String::new()
    });
    let task = tokio::spawn(serve_tcp(listener, admin, Scope::Full)).abort_handle();
    let server = Server { address, ready, task };
    // Metrics go the same way.
    for page in ["/config", "/metrics", "/readyz"] {
        assert!(server.get(page).await.0.starts_with("http/1.1 200 "), "{page}");
    }
    let told = told.lock().unwrap().clone();
    assert!(told.len() == 1 && told[0] != here, "{told:?}");
}

#[tokio::test]
async fn only_get_and_head_are_served() {
    let server = serve(Scope::Full).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /config HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        let (head, _) = server.raw(&request).await;
        assert!(head.starts_with("http/1.1 405 ") && head.contains("allow: get, head"), "{method}: {head}");
    }
    let (head, body) = server.raw("HEAD /config HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 200 ") && head.contains("content-length: 14"));
    assert_eq!(body, "");
}

/// An admin of a process in which two callers have used money, and one has a call in flight.
async fn used(mutations: bool) -> Admin {
    let admin = Admin { mutations, ..admin(&Arc::new(AtomicBool::new(true))) };
    let limit = |id: &str, unit: Unit, amount: u64, window| Arc::new(Limit::new(id, unit, amount, window));
    let budget = limit("team/monthly", Unit::Usd, 2_000_000_000, Window::Rolling(Duration::from_secs(3600)));
    let parallel = limit("team/parallel", Unit::Concurrency, 4, Window::Held);
    for (limit, who, amount) in
        [(&budget, "a b", 500_000_000), (&budget, "search", 1_500_000_000), (&parallel, "search", 1)]
    {
        let (limit, key) = (limit.clone(), format!("{}|{who}", limit.id).into());
        let take = Take { ceiling: limit.amount, limit, key, amount, posture: Posture::Enforce };
        admin.limits.reserve(&Ask { takes: vec![take] }).await.unwrap();
    }
    admin
}

/// The answer of this admin to one request, over a Unix socket or over loopback TCP.
async fn ask(admin: Admin, tcp: bool, request: &str) -> (String, String) {
    if tcp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = AbortOnDropHandle::new(tokio::spawn(serve_tcp(listener, admin, Scope::Full)));
        let answer = exchange(TcpStream::connect(address).await.unwrap(), request).await;
        drop(task);
        return answer;
    }
    let dir = tempfile::tempdir().unwrap();
    let listener = bind_unix(&dir.path().join("admin.sock")).await.unwrap();
    let task = AbortOnDropHandle::new(tokio::spawn(super::serve(listener, admin)));
    let answer = exchange(UnixStream::connect(dir.path().join("admin.sock")).await.unwrap(), request).await;
    drop(task);
    answer
}

fn counters(admin: &Admin) -> Vec<String> {
    admin.limits.list(None, 10).iter().map(|row| row.key.to_string()).collect()
}

#[tokio::test]
async fn limits_are_shown_the_fullest_first_in_the_words_of_their_units() {
    let get = async |path: &str| {
        let (head, body) =
            ask(used(false).await, true, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")).await;
        let value: serde_json::Value = serde_json::from_str(&body).unwrap();
        (head.split(' ').nth(1).unwrap().parse::<u16>().unwrap(), value)
    };
    let (status, shown) = get("/limits").await;
    let rows = shown["limits"].as_array().unwrap();
    assert_eq!((status, rows.len()), (200, 3));
    let mut first = rows[0].clone();
    let reset = first["resetSeconds"].take().as_u64().unwrap();
    assert!((3_600..=3_660).contains(&reset), "{reset}");
    let expected = serde_json::json!({
        "limit": "team/monthly", "counter": "team/monthly|search", "unit": "USD", "used": "1.5", "ceiling": "2",
        "period": "1h", "utilization": 0.75, "resetSeconds": null,
    });
    assert_eq!(first, expected);
    assert_eq!((&rows[1]["counter"], &rows[1]["used"]), (&"team/monthly|a b".into(), &"0.5".into()), "0.25, and by id");
    let held = &rows[2];
    assert_eq!((&held["used"], &held["period"], &held["resetSeconds"]), (&"1".into(), &().into(), &().into()));
    assert_eq!(get("/limits?most=1").await.1["limits"].as_array().unwrap().len(), 1);
    assert_eq!(get("/limits?limit=team%2Fparallel").await.1["limits"].as_array().unwrap().len(), 1);
    assert_eq!(get("/limits?limit=nobody").await.1, serde_json::json!({"limits": []}));
    for wrong in ["/limits?most=0", "/limits?most=10001", "/limits?most=x", "/limits?limits=a", "/limits?limit="] {
        assert_eq!(get(wrong).await.0, 400, "{wrong}");
    }
    let (head, _) = serve(Scope::Public).await.get("/limits").await;
    assert!(head.starts_with("http/1.1 404 "));
}

#[tokio::test]
async fn of_a_limit_that_replicas_share_is_said_how_it_is_reset_there() {
    let in_store: Arc<InStore> = Arc::new(|limit, key| Some(format!("w:{{{}}}", key.unwrap_or(limit))));
    let admin = Admin { in_store, ..used(true).await };
    for (query, command) in [
        ("limit=team/monthly", r"redis-cli --scan --pattern 'w:{team/monthly}' | xargs -r -d '\\n' redis-cli unlink"),
        ("limit=team/monthly&key=a'%3Bb", r"redis-cli unlink 'w:{a'\\'';b}'"),
    ] {
        let head = "host: localhost\r\nx-weir-admin: 1\r\ncontent-length: 0\r\n\r\n";
        let request = format!("POST /limits/reset?{query} HTTP/1.1\r\n{head}");
        let (head, body) = ask(admin.clone(), true, &request).await;
        assert!(head.starts_with("http/1.1 409 ") && body.contains(command), "{head}{body}");
    }
    assert_eq!(counters(&admin).len(), 3);
}

#[tokio::test]
async fn a_limit_is_reset_by_whom_the_process_was_started_for_and_by_no_web_page() {
    const CONFIRMED: &str = "host: localhost\r\nx-weir-admin: 1\r\n";
    let path = "/limits/reset?limit=team/monthly";
    let post = |fields: &str| format!("POST {path} HTTP/1.1\r\n{fields}content-length: 0\r\n\r\n");
    let evil = "host: localhost\r\norigin: http://evil.example\r\n";
    for (mutations, request, status) in [
        (false, post(CONFIRMED), 403),
        // What a page can send without asking: a form, or a fetch without leave.
        (true, post("host: localhost\r\n"), 403),
        (true, post(evil), 403),
        (true, post(&format!("{evil}x-weir-admin: 1\r\n")), 403),
        (true, post("host: evil.example\r\nx-weir-admin: 1\r\n"), 403),
        // What a browser asks before it sends the header, and what may be in a link.
        (true, format!("OPTIONS {path} HTTP/1.1\r\n{evil}access-control-request-method: POST\r\n\r\n"), 405),
        (true, format!("GET {path} HTTP/1.1\r\n{CONFIRMED}\r\n"), 405),
        (true, format!("POST /limits HTTP/1.1\r\n{CONFIRMED}\r\n"), 405),
        (true, format!("POST /limits/reset HTTP/1.1\r\n{CONFIRMED}\r\n"), 400),
        (true, format!("POST /limits/reset?limit=nobody HTTP/1.1\r\n{CONFIRMED}\r\n"), 404),
        (true, format!("POST /limits/reset?limit=team/parallel HTTP/1.1\r\n{CONFIRMED}\r\n"), 404),
    ] {
        let admin = used(mutations).await;
        let (head, body) = ask(admin.clone(), true, &request).await;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{request}{head}{body}");
        assert!(!head.contains("access-control"), "{request}{head}");
        assert_eq!(counters(&admin).len(), 3, "{request}");
    }
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = public.local_addr().unwrap();
    let admin = used(true).await;
    let task = AbortOnDropHandle::new(tokio::spawn(serve_tcp(public, admin.clone(), Scope::Public)));
    let (head, _) = exchange(TcpStream::connect(address).await.unwrap(), &post(CONFIRMED)).await;
    assert!(head.starts_with("http/1.1 405 ") && counters(&admin).len() == 3, "{head}");
    drop(task);
    for (query, reset, left) in [
        ("limit=team/monthly&key=team/monthly%7Ca%20b", 1, &["team/monthly|search", "team/parallel|search"][..]),
        ("limit=team/monthly", 2, &["team/parallel|search"]),
    ] {
        let admin = used(true).await;
        let request = format!("POST /limits/reset?{query} HTTP/1.1\r\n{CONFIRMED}\r\n");
        let (head, body) = ask(admin.clone(), false, &request).await;
        assert!(head.starts_with("http/1.1 200 ") && body.contains(&format!("\"reset\":{reset}")), "{head}{body}");
        assert_eq!(counters(&admin), left);
    }
}

#[tokio::test]
async fn who_resets_a_limit_is_logged_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let admin = used(true).await;
    let request = |peer: Peer| {
        let request = http::Request::post("/limits/reset?limit=team/monthly&key=a%0Ab").header("x-weir-admin", "1");
        let path = dir.path().join(peer.to_string());
        let log = Arc::new(std::fs::File::create(&path).unwrap());
        let subscriber = tracing_subscriber::fmt().with_writer(log).with_ansi(false).finish();
        tracing::subscriber::with_default(subscriber, || limits::reset(&admin, peer, &request.body(()).unwrap()));
        std::fs::read_to_string(path).unwrap()
    };
    let line = request(Peer::User(1000));
    assert_eq!(line.lines().count(), 1, "{line}");
    assert!(line.contains("by=uid 1000") && line.contains("\"team/monthly\"") && line.contains("a\\nb"), "{line}");
    assert!(request(Peer::Address("127.0.0.1:9".parse().unwrap())).contains("by=127.0.0.1:9 "));
}

#[tokio::test]
async fn the_user_at_the_other_end_of_a_unix_socket_is_known() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let listener = bind_unix(&dir.path().join("admin.sock")).await.unwrap();
    let _stream = UnixStream::connect(dir.path().join("admin.sock")).await.unwrap();
    let (_, peer) = Listener::accept(&listener).await.unwrap();
    let mine = std::fs::metadata(dir.path()).unwrap().uid();
    assert_eq!(peer.to_string(), format!("uid {mine}"));
}

#[tokio::test]
async fn a_huge_head_is_refused() {
    let server = serve(Scope::Public).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(4 * BUFFER));
    // The server may close before it has read everything, so neither side of this need succeed.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "));
    assert!(server.get("/metrics").await.0.starts_with("http/1.1 200 "));
}

#[tokio::test]
async fn the_unix_socket_serves_everything_under_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let listener = bind_unix(&dir.path().join("admin.sock")).await.unwrap();
    let ready = Arc::new(AtomicBool::new(true));
    let task = tokio::spawn(super::serve(listener, admin(&ready)));
    let stream = UnixStream::connect(dir.path().join("admin.sock")).await.unwrap();
    let (head, body) = exchange(stream, "GET /config HTTP/1.1\r\nhost: weir\r\n\r\n").await;
    assert!(head.starts_with("http/1.1 200 "));
    assert_eq!(body, "role: Sidecar\n");
    task.abort();
}

#[tokio::test]
async fn the_full_scope_is_not_served_to_the_network() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let error = serve_tcp(listener, admin(&Arc::default()), Scope::Full).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn who_only_holds_a_place_keeps_no_probe_waiting() {
    for scope in [Scope::Full, Scope::Public] {
        let server = serve(scope).await;
        let mut idle = Vec::new();
        for index in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            // Some say nothing at all, some begin and do not go on.
            stream.write_all(&b"GET /healthz HTTP/1.1\r\n"[..index % 3 * 10]).await.unwrap();
            idle.push(stream);
        }
        assert!(server.get("/readyz").await.0.starts_with("http/1.1 200 "));
        // The oldest gave up its place; had the probe waited for the timeout, all would be gone.
        let mut oldest = idle.remove(0);
        assert_eq!(oldest.read(&mut [0; 16]).await.unwrap_or(0), 0);
        for (index, stream) in (1..).zip(idle) {
            let rest = &"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"[index % 3 * 10..];
            assert!(exchange(stream, rest).await.0.starts_with("http/1.1 200 "), "{index}");
        }
    }
}
