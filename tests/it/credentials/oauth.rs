//! The client credentials grant.

use weir::base::base64;
use weir::base::secret::Secret;
use weir::credential::source::{OAuth, Source};

use super::{Fake, fetch, is_an_hour, json, token};

fn source(url: &str, audience: Option<&str>) -> Source {
    Source::OAuth(OAuth {
        token_url: format!("{url}/token"),
        client: "client one".to_owned(),
        secret: Secret::new("s3cr:et/"),
        scopes: vec!["models.read".to_owned(), "models.write".to_owned()],
        audience: audience.map(str::to_owned),
    })
}

#[tokio::test]
async fn a_client_says_who_it_is_in_the_header() {
    let fake = Fake::start(|seen| {
        let form = seen.form();
        assert_eq!((&*seen.method, &*seen.path), ("POST", "/token"));
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!((&*form["scope"], &*form["audience"]), ("models.read models.write", "https://llm.example"));
        assert!(!form.contains_key("client_secret"), "it is said once");
        let basic = base64::encode(b"client%20one:s3cr%3Aet%2F");
        assert_eq!(seen.headers["authorization"], format!("Basic {basic}"));
        json("tok-1", 3600)
    })
    .await;
    let (text, life) = token(fetch(source(&fake.url, Some("https://llm.example")), &[]).await);
    assert_eq!(text, "tok-1");
    assert!(is_an_hour(life), "{life:?}");
}

#[tokio::test]
async fn a_server_that_takes_no_header_is_told_in_the_form() {
    let fake = Fake::start(|seen| {
        if seen.headers.contains_key("authorization") {
            return (401, r#"{"error":"invalid_client"}"#.to_owned());
        }
        let form = seen.form();
        assert_eq!((&*form["client_id"], &*form["client_secret"]), ("client one", "s3cr:et/"));
        assert!(!form.contains_key("audience"));
        json("tok-2", 60)
    })
    .await;
    assert_eq!(token(fetch(source(&fake.url, None), &[]).await).0, "tok-2");
    assert_eq!(fake.seen().len(), 2);
}

#[tokio::test]
async fn a_refusal_says_what_the_server_says_and_no_secret() {
    let fault = r#"{"error":"invalid_client","error_description":"unknown\nclient"}"#;
    let fake = Fake::start(move |_| (401, fault.to_owned())).await;
    let error = fetch(source(&fake.url, None), &[]).await.expect_err("a refusal").to_string();
    assert_eq!(error, format!("{}/token answered 401: invalid_client: unknown client", fake.url));
}
