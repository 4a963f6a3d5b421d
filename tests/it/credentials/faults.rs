//! What a token endpoint can do wrong: each is an error in words, and none of them holds what was sent or came.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use weir::base::base64;
use weir::base::secret::Secret;
use weir::credential::source::{OAuth, Source};
use weir::credential::{self, Http, Outside, lease};

use super::{Fake, Seen, fetch};

fn oauth(url: &str) -> OAuth {
    let (token_url, client) = (url.to_owned(), "client".to_owned());
    OAuth { token_url, client, secret: Secret::new("hush-secret"), scopes: Vec::new(), audience: None }
}

fn source(url: &str) -> Source {
    Source::OAuth(oauth(url))
}

async fn error_of(url: &str) -> String {
    let error = fetch(source(url), &[]).await.expect_err(url).to_string();
    assert!(!error.contains("hush"), "{error}");
    error
}

#[tokio::test]
async fn an_answer_that_is_no_token_is_an_error() {
    let huge = "x".repeat(300 << 10);
    let rows: [(u16, &str, &str); 10] = [
        (500, "oh no", " answered 500"),
        (503, r#"{"error":{"code":503,"message":"try\tlater","status":"UNAVAILABLE"}}"#, " answered 503: try later"),
        (302, "", " answered 302"),
        (200, "", "without a usable token: it is not the JSON of one"),
        (200, "<html>hush</html>", "without a usable token: it is not the JSON of one"),
        (200, "{}", "its `access_token` is absent"),
        (200, r#"{"access_token":""}"#, "its `access_token` is absent"),
        (200, r#"{"access_token":"hush\r\nx-evil: 1"}"#, "its `access_token` is absent, or no header can carry it"),
        (200, r#"{"access_token":"hush","token_type":"mac"}"#, "its `token_type` is not Bearer"),
        (200, &huge, "larger than 262144 bytes"),
    ];
    for (status, body, expected) in rows {
        let body = body.to_owned();
        let fake = Fake::start(move |_| (status, body.clone())).await;
        let error = error_of(&fake.url).await;
        assert!(error.contains(expected) && error.starts_with(&fake.url), "{expected}: {error}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let cut = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"access_token\":\"hu")
            .await
            .expect("written");
    });
    let error = error_of(&url).await;
    assert!(error.contains("ended early") || error.contains("connection failed"), "{error}");
    cut.await.expect("no panic");
    let error = error_of(&url).await;
    assert!(error.contains("cannot be connected to"), "{error}");
    assert!(error_of("ftp://id.example/").await.contains("is no http or https URL"));
}

#[tokio::test]
async fn an_endpoint_that_accepts_and_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/token", listener.local_addr().expect("an address"));
    let hung = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.expect("a connection"));
        }
    });
    let http = Http::limited(Duration::from_millis(50));
    let outside = Outside { http, env: Arc::new(|_| None) };
    let error = credential::fetch(&source(&url), &outside).await.expect_err("no answer").to_string();
    assert_eq!(error, format!("{url}: no answer within 50ms"));
    hung.abort();
}

/// Some servers explain a fault with what they were sent.
#[tokio::test]
async fn an_endpoint_that_repeats_a_secret_is_not_repeated() {
    let repeats: [fn(&Seen) -> String; 3] = [
        |seen| seen.headers.get("authorization").cloned().unwrap_or_default(),
        |seen| seen.body.clone(),
        |seen| seen.form().get("client_secret").cloned().unwrap_or_default(),
    ];
    for repeat in repeats {
        let fake = Fake::start(move |seen| {
            let words = format!("bad request: {}", repeat(seen));
            (400, serde_json::json!({"error": "invalid_client", "error_description": words}).to_string())
        })
        .await;
        let secret = "hush secret/1";
        let of = OAuth { secret: Secret::new(secret), ..oauth(&fake.url) };
        let error = fetch(Source::OAuth(of), &[]).await.expect_err("a refusal").to_string();
        let basic = base64::encode(b"client:hush%20secret%2F1");
        for text in ["hush", &*basic] {
            assert!(!error.contains(text), "{error}");
        }
        // Each way to say who one is was tried.
        assert_eq!(fake.seen().len(), 2);
    }
    let nobody = error_of("http://user:hush@127.0.0.1:1/token?key=hush").await;
    assert!(nobody.starts_with("http://127.0.0.1:1/token: cannot be connected to"), "{nobody}");
}

/// An instant is meant by the clock of whoever wrote it, and that stands in the same answer.
#[tokio::test]
async fn an_instant_is_read_by_the_clock_that_wrote_it() {
    const OTHER: u64 = 946_684_800;
    for (date, end, expected) in [
        (Some("Sat, 01 Jan 2000 00:00:00 GMT"), OTHER + 3600, 3600),
        (Some("Sat, 01 Jan 2000 00:00:00 GMT"), OTHER + 1, 60),
        (Some("last Saturday"), lease::now() + 3600, 3600),
        (None, lease::now() + 3600, 3600),
        (None, lease::now() - 600, 60),
    ] {
        let fake = Fake::dated(date, move |_| (200, format!(r#"{{"access_token":"t","expires_on":{end}}}"#))).await;
        let (_, life) = super::token(fetch(source(&fake.url), &[]).await);
        assert!(life.is_some_and(|life| (expected - 20..=expected).contains(&life)), "{date:?} {end}: {life:?}");
    }
    // What is said as a time from now needs no clock at all.
    let date = Some("Sat, 01 Jan 2000 00:00:00 GMT");
    let fake = Fake::dated(date, |_| (200, r#"{"access_token":"t","expires_in":3600}"#.to_owned())).await;
    let (_, life) = super::token(fetch(source(&fake.url), &[]).await);
    assert!(super::is_an_hour(life), "{life:?}");
}

/// Some answers leave out when the token ends, or write it oddly.
#[tokio::test]
async fn an_end_may_be_absent_or_odd() {
    for (said, expected) in [
        ("", None),
        (r#","expires_in":null"#, None),
        (r#","expires_in":-5"#, None),
        (r#","expires_in":{"a":1}"#, None),
        (r#","expires_in":"soon""#, None),
        (r#","expires_in":3600.5"#, Some(3600)),
        (r#","expires_in":" 3600 ""#, Some(3600)),
    ] {
        let fake = Fake::start(move |_| (200, format!(r#"{{"access_token":"t"{said}}}"#))).await;
        let (_, life) = super::token(fetch(source(&fake.url), &[]).await);
        assert_eq!(life.map(|life| life.div_ceil(100) * 100), expected, "{said}");
    }
}
