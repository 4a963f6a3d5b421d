//! What a token endpoint can do wrong: each is an error in words, and none of them holds what was sent or came.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use weir::base::secret::Secret;
use weir::credential::source::{OAuth, Source};

use super::{Fake, fetch};

fn source(url: &str) -> Source {
    Source::OAuth(OAuth {
        token_url: url.to_owned(),
        client: "client".to_owned(),
        secret: Secret::new("hush-secret"),
        scopes: Vec::new(),
        audience: None,
    })
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
