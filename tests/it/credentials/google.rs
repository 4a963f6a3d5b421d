//! Tokens of Google Cloud: as `google-auth` asks for them.

use std::path::Path;

use serde_json::{Value, json as value};
use weir::base::base64;
use weir::base::secret::Secret;
use weir::credential::source::{Google, Source};

use super::{Fake, fetch, is_an_hour, json, token};
use crate::support::certs::openssl;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// A key of a service account, and what checks its signatures.
pub struct Account {
    pub pem: String,
    public: Vec<u8>,
}

// === impl Account ===

impl Account {
    pub fn new(folder: &Path) -> Account {
        let file = folder.join("key.pem");
        let path = file.to_str().expect("text");
        openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", path]);
        let public = openssl(&["rsa", "-in", path, "-RSAPublicKey_out", "-outform", "DER"]);
        Account { pem: std::fs::read_to_string(&file).expect("the key"), public }
    }

    /// The file that Google writes.
    pub fn file(&self, token_url: &str) -> String {
        value!({
            "type": "service_account", "project_id": "p", "private_key_id": "kid-1", "private_key": self.pem,
            "client_email": "weir@p.iam.gserviceaccount.com", "client_id": "1", "token_uri": token_url,
        })
        .to_string()
    }
}

/// The claims of an assertion whose signature holds; panics where it does not.
pub fn claims(assertion: &str, public: &[u8]) -> Value {
    let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
    let (header, claims) = signed.split_once('.').expect("three parts");
    let decode = |part: &str| base64::decode(part.as_bytes()).expect("base64");
    let key = ring::signature::UnparsedPublicKey::new(&ring::signature::RSA_PKCS1_2048_8192_SHA256, public);
    key.verify(signed.as_bytes(), &decode(signature)).expect("a signature that holds");
    let header: Value = serde_json::from_slice(&decode(header)).expect("JSON");
    assert_eq!(header, value!({"alg": "RS256", "typ": "JWT", "kid": "kid-1"}));
    serde_json::from_slice(&decode(claims)).expect("JSON")
}

/// A token server that takes the assertions of one account.
pub async fn token_server(account: &Account, token: &'static str) -> Fake {
    let public = account.public.clone();
    Fake::start(move |seen| {
        let form = seen.form();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        let claims = claims(&form["assertion"], &public);
        let audience = format!("http://{}/token", seen.headers["host"]);
        assert_eq!((&claims["iss"], &claims["aud"]), (&value!("weir@p.iam.gserviceaccount.com"), &value!(audience)));
        assert_eq!(claims["scope"], SCOPE);
        let (issued, end) = (claims["iat"].as_u64().expect("iat"), claims["exp"].as_u64().expect("exp"));
        let now = weir::credential::lease::now();
        assert!(issued <= now && now < end && end - issued <= 3600, "{claims}");
        json(token, 3600)
    })
    .await
}

async fn of_file(text: &str) -> (String, Option<u64>) {
    token(fetch(Source::Google(Google::Key(Secret::new(text))), &[]).await)
}

#[tokio::test]
async fn a_service_account_signs_for_itself() {
    let folder = tempfile::tempdir().expect("a directory");
    let account = Account::new(folder.path());
    let fake = token_server(&account, "ya29.sa").await;
    let file = account.file(&format!("{}/token", fake.url));
    let (text, life) = of_file(&file).await;
    assert_eq!(text, "ya29.sa");
    assert!(is_an_hour(life), "{life:?}");
    // The same by the environment, as application default credentials.
    let path = folder.path().join("adc.json");
    std::fs::write(&path, file).expect("a file");
    let environment = [("GOOGLE_APPLICATION_CREDENTIALS", path.to_str().expect("text"))];
    assert_eq!(token(fetch(Source::Google(Google::Ambient), &environment).await).0, "ya29.sa");
}

#[tokio::test]
async fn a_user_has_a_refresh_token() {
    let fake = Fake::start(|seen| {
        let form = seen.form();
        let own = (&*form["client_id"], &*form["client_secret"], &*form["refresh_token"]);
        assert_eq!((&*form["grant_type"], own), ("refresh_token", ("id", "hush", "1//r")));
        json("ya29.user", 3600)
    })
    .await;
    let file = value!({
        "type": "authorized_user", "client_id": "id", "client_secret": "hush", "refresh_token": "1//r",
        "token_uri": fake.url,
    });
    // gcloud's own file, found where gcloud puts it.
    let home = tempfile::tempdir().expect("a directory");
    let folder = home.path().join(".config/gcloud");
    std::fs::create_dir_all(&folder).expect("a directory");
    std::fs::write(folder.join("application_default_credentials.json"), file.to_string()).expect("a file");
    let environment = [("HOME", home.path().to_str().expect("text"))];
    assert_eq!(token(fetch(Source::Google(Google::Ambient), &environment).await).0, "ya29.user");
}

#[tokio::test]
async fn a_machine_asks_its_metadata() {
    let fake = Fake::start(|seen| {
        assert_eq!(seen.path, "/computeMetadata/v1/instance/service-accounts/default/token");
        assert_eq!((&*seen.method, &*seen.headers["metadata-flavor"]), ("GET", "Google"));
        json("ya29.gce", 3600)
    })
    .await;
    let environment = [("GCE_METADATA_HOST", fake.host())];
    assert_eq!(token(fetch(Source::Google(Google::Ambient), &environment).await).0, "ya29.gce");
}

#[tokio::test]
async fn somebody_elses_token_is_exchanged_and_then_impersonates() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("subject");
    std::fs::write(&file, "eyJ.subject\n").expect("a file");
    let fake = Fake::start(|seen| match &*seen.path {
        "/subject" => {
            assert_eq!(seen.headers["authorization"], "Bearer request-token");
            (200, r#"{"value":"eyJ.subject"}"#.to_owned())
        }
        "/v1/token" => {
            let form = seen.form();
            assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:token-exchange");
            assert_eq!(form["requested_token_type"], "urn:ietf:params:oauth:token-type:access_token");
            assert_eq!((&*form["subject_token"], &*form["scope"]), ("eyJ.subject", SCOPE));
            assert_eq!(form["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
            assert_eq!(
                form["audience"],
                "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k"
            );
            json("sts-token", 3600)
        }
        "/v1/projects/-/serviceAccounts/weir@p.iam.gserviceaccount.com:generateAccessToken" => {
            assert_eq!(seen.headers["authorization"], "Bearer sts-token");
            let body: Value = serde_json::from_str(&seen.body).expect("JSON");
            assert_eq!(body["scope"], value!([SCOPE]));
            (200, r#"{"accessToken":"ya29.imp","expireTime":"2100-01-01T00:00:00Z"}"#.to_owned())
        }
        path => panic!("{path}"),
    })
    .await;
    let url = |path: &str| format!("{}{path}", fake.url);
    let external = |source: Value, impersonates: bool| {
        let mut file = value!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/k",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": url("/v1/token"), "credential_source": source,
        });
        if impersonates {
            let name = "/v1/projects/-/serviceAccounts/weir@p.iam.gserviceaccount.com:generateAccessToken";
            file["service_account_impersonation_url"] = value!(url(name));
        }
        file
    };
    let of_disk = value!({"file": file});
    let of_url = value!({
        "url": url("/subject"), "headers": {"Authorization": "Bearer request-token"},
        "format": {"type": "json", "subject_token_field_name": "value"},
    });
    assert_eq!(of_file(&external(of_disk.clone(), false).to_string()).await.0, "sts-token");
    let (text, life) = of_file(&external(of_url, true).to_string()).await;
    assert_eq!(text, "ya29.imp");
    assert!(life.is_some_and(|life| life > 3600), "{life:?}");
    let impersonated = value!({
        "type": "impersonated_service_account", "source_credentials": external(of_disk, false),
        "service_account_impersonation_url":
            url("/v1/projects/-/serviceAccounts/weir@p.iam.gserviceaccount.com:generateAccessToken"),
    });
    assert_eq!(of_file(&impersonated.to_string()).await.0, "ya29.imp");
}

#[tokio::test]
async fn a_file_that_is_none_says_what_it_lacks() {
    for (text, expected) in [
        ("{", "is no JSON object with a `type`"),
        ("{}", "is no JSON object with a `type`"),
        (r#"{"type":"gdch_service_account"}"#, "is of no known `type`; known: service_account,"),
        (r#"{"type":"service_account","client_email":"a"}"#, "lacks `client_email` or `private_key`"),
        (
            r#"{"type":"service_account","client_email":"a","private_key":"MIIhush"}"#,
            "`private_key` that is no RSA key of 2048 bits or more in PKCS #8",
        ),
        (
            r#"{"type":"service_account","client_email":"a",
                "private_key":"-----BEGIN PRIVATE KEY-----\nMIIhush\n-----END PRIVATE KEY-----\n"}"#,
            "has no usable `private_key`",
        ),
        (r#"{"type":"authorized_user","client_id":"a"}"#, "lacks `client_id`, `client_secret` or `refresh_token`"),
        (
            r#"{"type":"external_account","audience":"a","subject_token_type":"b","token_url":"c",
                "credential_source":{"environment_id":"aws1","url":"http://hush"}}"#,
            "`credential_source` that is neither a file nor a url",
        ),
    ] {
        let error = fetch(Source::Google(Google::Key(Secret::new(text))), &[]).await.expect_err(text).to_string();
        assert!(error.starts_with("the credential file ") && error.contains(expected), "{text}: {error}");
        assert!(!error.contains("hush"), "{error}");
    }
}
