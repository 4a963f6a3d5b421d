//! Tokens of Entra ID: as `azure-identity` asks for them.

use weir::base::secret::Secret;
use weir::credential::source::{Azure, Source};

use super::{Fake, Seen, fetch, is_an_hour, json, token};

const SCOPE: &str = "https://cognitiveservices.azure.com/.default";
const RESOURCE: &str = "https://cognitiveservices.azure.com";

fn application(seen: &Seen) {
    assert_eq!((&*seen.method, &*seen.path), ("POST", "/tenant-1/oauth2/v2.0/token"));
    let form = seen.form();
    assert_eq!((&*form["grant_type"], &*form["client_id"], &*form["scope"]), ("client_credentials", "app-1", SCOPE));
}

#[tokio::test]
async fn an_application_shows_its_secret() {
    let fake = Fake::start(|seen| {
        application(seen);
        assert_eq!(seen.form()["client_secret"], "a~b+c/d=");
        json("entra", 3600)
    })
    .await;
    let (tenant, client) = ("tenant-1".to_owned(), "app-1".to_owned());
    let source = Source::Azure(Azure::ClientSecret { tenant, client, secret: Secret::new("a~b+c/d=") });
    let authority = format!("{}/", fake.url);
    let (text, life) = token(fetch(source, &[("AZURE_AUTHORITY_HOST", &authority)]).await);
    assert_eq!(text, "entra");
    assert!(is_an_hour(life), "{life:?}");
}

#[tokio::test]
async fn a_workload_shows_the_clusters_token_as_it_is_now() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("token");
    let fake = Fake::start(|seen| {
        application(seen);
        let form = seen.form();
        assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        json(&format!("for-{}", form["client_assertion"]), 3600)
    })
    .await;
    let path = file.to_str().expect("text");
    for (stated, named) in [(Some(file.clone()), None), (None, Some(path))] {
        let (tenant, client) = ("tenant-1".to_owned(), "app-1".to_owned());
        let source = Source::Azure(Azure::Federated { tenant, client, token_file: stated });
        let mut environment = vec![("AZURE_AUTHORITY_HOST", &*fake.url)];
        environment.extend(named.map(|path| ("AZURE_FEDERATED_TOKEN_FILE", path)));
        for assertion in ["eyJ.first", "eyJ.second"] {
            std::fs::write(&file, format!("{assertion}\n")).expect("a file");
            assert_eq!(token(fetch(source.clone(), &environment).await).0, format!("for-{assertion}"));
        }
        std::fs::write(&file, "").expect("a file");
        let error = fetch(source, &environment).await.expect_err("no token").to_string();
        assert_eq!(error, format!("file {path} is empty"));
    }
}

#[tokio::test]
async fn a_machine_has_an_identity_of_its_own() {
    let instance = Fake::start(|seen| {
        assert_eq!((&*seen.method, &*seen.path), ("GET", "/metadata/identity/oauth2/token"));
        assert_eq!((&*seen.headers["metadata"], &*seen.query["api-version"]), ("true", "2018-02-01"));
        assert_eq!((&*seen.query["resource"], &*seen.query["client_id"]), (RESOURCE, "id-2"));
        // The service writes numbers as text.
        (200, r#"{"access_token":"vm","expires_in":"3600","expires_on":"1","token_type":"Bearer"}"#.to_owned())
    })
    .await;
    let source = Source::Azure(Azure::Managed { client: Some("id-2".to_owned()) });
    let (text, life) = token(fetch(source, &[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &instance.url)]).await);
    assert_eq!(text, "vm");
    assert!(is_an_hour(life), "{life:?}");

    let service = Fake::start(|seen| {
        assert_eq!((&*seen.path, &*seen.headers["x-identity-header"]), ("/msi/token", "header-secret"));
        assert_eq!((&*seen.query["api-version"], &*seen.query["resource"]), ("2019-08-01", RESOURCE));
        assert!(!seen.query.contains_key("client_id") && !seen.headers.contains_key("metadata"));
        let end = weir::credential::lease::now() + 3600;
        (200, format!(r#"{{"access_token":"app","expires_on":"{end}","token_type":"Bearer"}}"#))
    })
    .await;
    let endpoint = format!("{}/msi/token", service.url);
    let environment = [("IDENTITY_ENDPOINT", &*endpoint), ("IDENTITY_HEADER", "header-secret")];
    let (text, life) = token(fetch(Source::Azure(Azure::Managed { client: None }), &environment).await);
    assert_eq!(text, "app");
    assert!(is_an_hour(life), "{life:?}");
}
