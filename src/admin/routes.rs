//! Request in, response out; no I/O. An answer that is no page of its own is JSON:
//! `{"error": {"message": …}}`.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;

use super::{Admin, Peer, Scope, cache, cooling, limits};
use crate::telemetry::{metrics, record};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// What a listener serves, and to whom.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    pub scope: Scope,
    /// The request must call this host by address or `localhost`.
    pub local_host: bool,
}

pub type Answer = Response<Full<Bytes>>;

/// Answers one request. The body of the request is not looked at.
pub fn answer<B>(admin: &Admin, form: Form, peer: Peer, request: &Request<B>) -> Answer {
    if form.local_host && !names_local_host(request) {
        return error(StatusCode::FORBIDDEN, "the Host header must be localhost or an IP address");
    }
    let is_reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match (request.uri().path(), form.scope) {
        (limits::RESET, Scope::Full) if *request.method() == Method::POST => {
            return limits::reset(admin, peer, request);
        }
        (cache::PATH, Scope::Full) if *request.method() == Method::DELETE => {
            return cache::forget(admin, peer, request);
        }
        (cache::PATH, Scope::Full) if !is_reading => {
            return not_allowed("this path takes a GET or a DELETE", "GET, HEAD, DELETE");
        }
        (limits::RESET, Scope::Full) => return not_allowed("this path takes a POST", "POST"),
        _ if !is_reading => return not_allowed("only GET is served here", "GET, HEAD"),
        _ => {}
    }
    match (request.uri().path(), form.scope) {
        ("/healthz", _) => page(StatusCode::OK, TEXT, "ok\n"),
        ("/readyz", _) if (admin.ready)() => page(StatusCode::OK, TEXT, "ready\n"),
        ("/readyz", _) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "not ready\n"),
        ("/metrics", _) => page(StatusCode::OK, metrics::CONTENT_TYPE, admin.metrics.render()),
        ("/config", Scope::Full) => page(StatusCode::OK, TEXT, (admin.config)()),
        ("/limits", Scope::Full) => limits::show(admin, request.uri().query()),
        (cache::PATH, Scope::Full) => cache::show(admin),
        ("/cooldowns", Scope::Full) => cooling::show(admin),
        (path, Scope::Full) => match path.strip_prefix("/exchanges/") {
            Some(id) => exchange(admin, id),
            None => error(StatusCode::NOT_FOUND, "no such page"),
        },
        (_, Scope::Public) => error(StatusCode::NOT_FOUND, "no such page"),
    }
}

/// True for a page that is made at once.
pub fn is_probe<B>(request: &Request<B>) -> bool {
    matches!(request.uri().path(), "/healthz" | "/readyz")
}

fn exchange(admin: &Admin, id: &str) -> Answer {
    if let Some(found) = admin.recent.get(id) {
        let mut shown = record::line(&found);
        // The record's own members stay as they are written.
        if shown.pop() == Some('}') {
            let _ = write!(shown, r#","explain":{}}}"#, (admin.explain)(&found));
        }
        return page(StatusCode::OK, JSON, shown);
    }
    let message = format!("no exchange with this id among the last {} that ended", admin.recent.capacity());
    error(StatusCode::NOT_FOUND, &message)
}

fn not_allowed(message: &str, methods: &'static str) -> Answer {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, message);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(methods));
    answer
}

/// A page of JSON.
pub fn json(value: &serde_json::Value) -> Answer {
    page(StatusCode::OK, JSON, value.to_string())
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// An answer that is no page.
pub fn error(status: StatusCode, message: &str) -> Answer {
    page(status, JSON, serde_json::json!({ "error": { "message": message } }).to_string())
}

/// Whether the request says once whom it means, by address or as `localhost`. A browser that was
/// lured here through a name of the attacker's says that name, and cannot say another.
fn names_local_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    // A target in absolute form carries a second name.
    let target = request.uri().authority().is_none_or(|authority| is_local_host(authority.as_str()));
    target && host.to_str().is_ok_and(is_local_host)
}

/// Whether `host`, with or without a port, is an IP address or `localhost`.
fn is_local_host(host: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok() && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    port.is_none_or(is_port) && (name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::is_local_host;

    #[test]
    fn only_addresses_and_localhost_are_local() {
        for host in ["localhost", "LocalHost:10001", "127.0.0.1", "127.0.0.1:1", "10.0.0.7:80", "[::1]", "[::1]:9"] {
            assert!(is_local_host(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:10001",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "evil@127.0.0.1",
            "localhost:evil",
            "::1",
            "[::1].evil",
            "[evil]",
            "[::1",
            "127.1",
        ] {
            assert!(!is_local_host(host), "{host}");
        }
    }
}
