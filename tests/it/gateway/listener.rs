//! The TCP listener of ext_proc: who gets a byte out of it, who does not, and what the process takes from those who
//! only try.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::rig::{BACKEND, LONG, PROXY, Samples, Site, bootstrap, samples, start_weir, wait};
use crate::support::certs::{Authority, Pair, Subject};
use crate::support::process::{self, Child, Stream};
use crate::support::tls::Client;

/// What an HTTP/2 client says first, and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A Weir behind mutual TLS and no Envoy.
struct Listening {
    site: Site,
    weir: Child,
    address: String,
    metrics: String,
}

// === impl Listening ===

impl Listening {
    fn start() -> Listening {
        let site = Site::new();
        let documents =
            bootstrap("Gateway", &site.listen(), site.directory.path()) + &BACKEND.replace("{mock}", "127.0.0.1:1");
        let (weir, ready) = start_weir(&site.directory, &documents);
        Listening::at(site, weir, &ready)
    }

    fn at(site: Site, weir: Child, ready: &str) -> Listening {
        let address = process::ready_value(ready, "extproc").trim_start_matches("tcp:").to_owned();
        Listening { site, weir, address, metrics: process::ready_value(ready, "metrics") }
    }

    /// A client with this certificate, which trusts ours.
    fn client(&self, own: Option<&Pair>, alpn: &[&[u8]], version: &'static SupportedProtocolVersion) -> Client {
        Client::with(&self.site.mesh.certificate, own, alpn, &[version])
    }

    /// The proxy that is waited for.
    fn proxy(&self) -> Client {
        self.client(Some(&self.site.proxy), &[b"h2"], &TLS13)
    }

    async fn samples(&self) -> Samples {
        samples(&self.metrics).await
    }

    async fn refused(&self, reason: &str) -> f64 {
        self.samples().await.sum("weir_tls_refused_total", &[("reason", reason)])
    }

    /// The bytes of HTTP/2 that this client gets to hear.
    async fn heard(&self, client: &Client) -> Vec<u8> {
        let Ok(mut stream) = client.connect(&self.address).await else { return Vec::new() };
        let mut heard = vec![0; 1024];
        // With TLS 1.3 a client learns only from the first read that it is refused.
        let read = async {
            stream.write_all(PREFACE).await?;
            stream.read(&mut heard).await
        };
        let read = timeout(LONG, read).await.expect("an answer or an end").unwrap_or(0);
        heard.truncate(read);
        heard
    }
}

/// True for what an HTTP/2 server says first: a SETTINGS frame.
fn is_settings(bytes: &[u8]) -> bool {
    bytes.len() >= 9 && bytes[3] == 4
}

/// A certificate that the proxy's own key has signed, with the proxy's behind it: the proxy is no authority.
fn signed_by_the_proxy(site: &Site) -> Pair {
    let mut signed = Authority::of(&site.proxy).workload("minted", &[PROXY]);
    let chain = site.directory.file("minted.chain.pem");
    let mut file = std::fs::File::create(&chain).expect("a file of our own");
    for part in [&signed.certificate, &site.proxy.certificate] {
        file.write_all(&std::fs::read(part).expect("a certificate")).expect("a file of our own");
    }
    signed.certificate = chain;
    signed
}

fn sign(site: &Site, name: &str, names: &str, usage: &str, days: u32) -> Pair {
    site.mesh.sign(Subject { name, names, usage, days })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_pinned_peer_gets_a_byte() {
    let weir = Listening::start();
    let site = &weir.site;
    let (pinned, web) = (format!("URI:{PROXY}"), "URI:spiffe://mesh/ns/search/sa/web");
    let ended = sign(site, "ended", &pinned, "", 0);
    // It ends with the second in which it was made.
    tokio::time::sleep(Duration::from_millis(2100)).await;
    let rows: Vec<(Pair, &str)> = vec![
        (site.other.workload("proxy", &[PROXY]), "untrusted"),
        (signed_by_the_proxy(site), "untrusted"),
        (sign(site, "server-only", &pinned, "serverAuth", 2), "untrusted"),
        (ended, "expired"),
        (sign(site, "web", web, "", 2), "not_pinned"),
        (sign(site, "longer", &format!("{pinned}2"), "", 2), "not_pinned"),
        (sign(site, "shorter", "URI:spiffe://mesh/ns/egress/sa/prox", "", 2), "not_pinned"),
        (sign(site, PROXY_AS_NAME, "", "", 2), "not_pinned"),
        (sign(site, "dns", "DNS:proxy.egress.mesh,email:proxy@mesh", "", 2), "not_pinned"),
        (sign(site, "two", &format!("{pinned},{web}"), "", 2), "not_pinned"),
        (sign(site, "two-turned", &format!("{web},{pinned}"), "", 2), "not_pinned"),
        (sign(site, "twice", &format!("{pinned},{pinned}"), "", 2), "not_pinned"),
    ];
    for version in [&TLS13, &TLS12] {
        assert_eq!(weir.heard(&weir.client(None, &[b"h2"], version)).await, b"", "no certificate");
        for (pair, reason) in &rows {
            let heard = weir.heard(&weir.client(Some(pair), &[b"h2"], version)).await;
            assert_eq!(heard, b"", "{version:?} {pair:?} {reason}");
        }
        // The same steps with the right certificate, and without a word about what is spoken inside.
        for alpn in [&[&b"h2"[..]][..], &[b"h2", b"http/1.1"], &[]] {
            let heard = weir.heard(&weir.client(Some(&site.proxy), alpn, version)).await;
            assert!(is_settings(&heard), "{version:?} {alpn:?} {heard:?}");
        }
        let client_auth = sign(site, "client-only", &pinned, "clientAuth", 2);
        assert!(is_settings(&weir.heard(&weir.client(Some(&client_auth), &[b"h2"], version)).await));
        assert_eq!(weir.heard(&weir.client(Some(&site.proxy), &[b"http/1.1"], version)).await, b"", "{version:?}");
    }
    let count = |reason| 2.0 * rows.iter().filter(|(_, expected)| *expected == reason).count() as f64;
    let expected = [
        ("no_certificate", 2.0),
        ("untrusted", count("untrusted")),
        ("expired", count("expired")),
        ("not_pinned", count("not_pinned")),
        ("protocol", 2.0),
    ];
    for (reason, number) in expected {
        wait(reason, || async { weir.refused(reason).await >= number }).await;
        assert_eq!(weir.refused(reason).await, number, "{reason}");
    }
    let samples = weir.samples().await;
    assert_eq!(samples.sum("weir_tls_accepted_total", &[]), 8.0);
    assert_eq!(samples.sum("weir_decisions_total", &[]), 0.0, "nothing was decided, so nothing was signed");
    let line = weir.weir.line(Stream::Stderr, |line| line.contains("not exactly one of"), LONG);
    let line = line.unwrap_or_else(|| panic!("{}", weir.weir.written()));
    assert!(line.contains("from=127.0.0.1:") && line.contains("names=spiffe://mesh/ns/search/sa/web"), "{line}");
}

/// A common name is no identity, whatever it says.
const PROXY_AS_NAME: &str = "spiffe:..mesh.ns.egress.sa.proxy";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_speaks_no_tls_hears_no_grpc() {
    let weir = Listening::start();
    for bytes in [PREFACE, b"GET / HTTP/1.1\r\nhost: weir\r\n\r\n", &[0; 64], &[0xff; 64]] {
        let mut stream = TcpStream::connect(&weir.address).await.expect("a connection");
        stream.write_all(bytes).await.expect("it is sent");
        let mut heard = Vec::new();
        // An alert of TLS (type 21) or a reset, and nothing else.
        let _ = timeout(LONG, stream.read_to_end(&mut heard)).await.expect("an end");
        assert!(heard.is_empty() || (heard[0] == 21 && heard.len() == 7), "{heard:?}");
    }
    wait("refusals", || async { weir.refused("not_tls").await + weir.refused("protocol").await >= 4.0 }).await;
    assert!(weir.refused("not_tls").await >= 3.0);
    drop(TcpStream::connect(&weir.address).await.expect("a connection"));
    wait("a client that leaves", || async { weir.refused("closed").await >= 1.0 }).await;
    assert!(is_settings(&weir.heard(&weir.proxy()).await));
}

/// Connects from a loopback address, and says nothing.
async fn idle(from: u8, to: &str) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, from], 0).into()).expect("a loopback address");
    socket.connect(to.parse().expect("an address")).await.ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_say_nothing_keep_nobody_away_and_fill_no_log() {
    let weir = Listening::start();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.extend(idle(2, &weir.address).await);
    }
    wait("no more of one address", || async { weir.refused("crowded").await >= 232.0 }).await;
    assert!(is_settings(&weir.heard(&weir.proxy()).await), "another address has places");
    wait("an end of the wait", || async { weir.refused("timeout").await >= 32.0 }).await;
    assert!(is_settings(&weir.heard(&weir.proxy().from(2)).await), "and this one again");
    let said = weir.weir.written().matches("ext_proc connection refused").count();
    assert!((2..20).contains(&said), "{said} lines of {} connections", silent.len());
    assert_eq!(weir.refused("crowded").await + weir.refused("timeout").await, 300.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_without_descriptors_takes_connections_again() {
    let site = Site::new();
    let documents =
        bootstrap("Gateway", &site.listen(), site.directory.path()) + &BACKEND.replace("{mock}", "127.0.0.1:1");
    let path = site.directory.file("weir.yaml");
    std::fs::write(&path, documents).expect("a file of our own");
    let run = process::weir(&["run", "--config", path.to_str().expect("text")]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    command.env("RIG_KEY", "k").env("WEIR_LOG", "info");
    let weir = Child::spawn("weir run", command);
    let ready = weir.ready_line("ready ", LONG);
    let weir = Listening::at(site, weir, &ready);
    let mut silent = Vec::new();
    for number in 0..100 {
        silent.extend(idle(2 + number % 50, &weir.address).await);
    }
    let told = || weir.weir.written().contains("takes no connection at the moment");
    wait("no descriptors", || async { told() }).await;
    drop(silent);
    assert!(is_settings(&weir.heard(&weir.proxy()).await));
}

#[test]
fn files_that_are_of_no_use_end_the_start_and_say_why() {
    let site = Site::new();
    let at = |name: &str, text: &str| {
        let path = site.directory.file(name);
        std::fs::write(&path, text).expect("a file of our own");
        path.display().to_string()
    };
    let (garbage, empty) = (at("garbage.pem", "no PEM"), at("empty.pem", ""));
    let cut = at("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    let damaged = at("damaged.pem", "-----BEGIN PRIVATE KEY-----\n!!CANARY!!\n-----END PRIVATE KEY-----\n");
    let nonsense = at("nonsense.pem", "-----BEGIN CERTIFICATE-----\nQ0FOQVJZ\n-----END CERTIFICATE-----\n");
    let good = site.listen();
    let shown = |path: &std::path::Path| path.display().to_string();
    let (own, key, ca) = (shown(&site.weir.certificate), shown(&site.weir.key), shown(&site.client_ca));
    let absent = site.directory.file("absent.pem").display().to_string();
    let rows = [
        (&own, &absent, "spec.listen.tls.certificate"),
        (&own, &garbage, "holds no certificate in PEM"),
        (&own, &empty, "holds no certificate in PEM"),
        (&own, &cut, "a section has no end"),
        (&own, &nonsense, "do not make a pair"),
        (&own, &shown(&site.proxy.certificate), "do not make a pair"),
        (&key, &absent, "spec.listen.tls.key"),
        (&key, &own, "holds no private key in PEM"),
        (&key, &damaged, "its Base64 is damaged"),
        (&key, &shown(&site.proxy.key), "do not make a pair"),
        (&ca, &absent, "spec.listen.tls.clientCA"),
        (&ca, &empty, "holds no certificate in PEM"),
        (&ca, &nonsense, "certificate 1 of"),
    ];
    for (right, wrong, expected) in rows {
        let listen = good.replace(&format!("file: {right}}}"), &format!("file: {wrong}}}"));
        assert_ne!(listen, good);
        let path = at("weir.yaml", &bootstrap("Gateway", &listen, site.directory.path()));
        let mut weir = Child::spawn("weir run", process::weir(&["run", "--config", &path]));
        let status = weir.wait(LONG).expect("it ends");
        let said = weir.written();
        assert!(!status.success() && said.contains(expected) && said.contains(wrong.as_str()), "{expected}: {said}");
        assert!(!said.contains("CANARY") && !said.contains("ready "), "{said}");
        // What is in the files is no matter of the documents.
        let checked = process::weir(&["check", &path]).output().expect("it runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
}

#[tokio::test]
async fn a_key_that_everybody_can_read_is_told() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    for (mode, told) in [(0o644, true), (0o640, false), (0o600, false)] {
        let site = Site::new();
        set_permissions(&site.weir.key, Permissions::from_mode(mode)).expect("a file of our own");
        let (weir, _) = start_weir(&site.directory, &bootstrap("Gateway", &site.listen(), site.directory.path()));
        // Its words come by another way than that it is ready, and may come later.
        let says = |line: &str| line.contains("every user of this machine can read");
        let said = told.then(|| weir.line(Stream::Stderr, says, LONG)).flatten();
        assert_eq!(said.is_some() || weir.written().lines().any(says), told, "{mode:o}: {}", weir.written());
    }
}
