//! [io] Access tokens of Google Cloud: what a credential file says (`application_default_credentials.json`
//! and its kin, AIP-4110 to AIP-4117), or the metadata server.

use std::path::{Path, PathBuf};

use http::{Request, header};
use serde_json::json;

use super::jwt;
use super::token;
use super::{FetchError, Issued, Outside, file};
use crate::base::secret::Secret;
use crate::credential::google_file::{self, CredentialFile, External, ServiceAccount, Subject};
use crate::credential::lease::{self, Grant};
use crate::credential::source::Google;

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// How long an assertion is good, in seconds: the longest that Google takes.
const ASSERTION: u64 = 3600;

/// How much an assertion is dated back, in seconds: Google refuses what is issued in its future.
const SKEW: u64 = 60;

pub(super) async fn fetch(source: &Google, outside: &Outside) -> Result<Issued, FetchError> {
    match source {
        Google::Key(text) => of_text(outside, text.expose()).await,
        Google::Ambient => match ambient_file(outside) {
            Some(path) => of_text(outside, &file(&path).await?).await,
            None => metadata(outside).await,
        },
    }
}

/// The file that the environment names, else gcloud's own where there is one.
fn ambient_file(outside: &Outside) -> Option<PathBuf> {
    if let Some(path) = outside.env("GOOGLE_APPLICATION_CREDENTIALS") {
        return Some(path.into());
    }
    let folder = outside.env("CLOUDSDK_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(Path::new(&outside.env("HOME")?).join(".config/gcloud")))?;
    Some(folder.join("application_default_credentials.json")).filter(|path| path.exists())
}

async fn of_text(outside: &Outside, text: &str) -> Result<Issued, FetchError> {
    let read = google_file::read(text).map_err(|error| FetchError::Malformed(error.words()))?;
    match &read {
        CredentialFile::Impersonated { url, source } => {
            let own = plain(outside, source).await?;
            impersonate(outside, url, own).await
        }
        file => plain(outside, file).await,
    }
}

/// What a file gives that does not rest on another one.
async fn plain(outside: &Outside, read: &CredentialFile) -> Result<Issued, FetchError> {
    match read {
        CredentialFile::ServiceAccount(account) => service_account(outside, account).await,
        CredentialFile::User { client, secret, refresh, token_url } => {
            let form = [
                ("grant_type", "refresh_token"),
                ("client_id", &**client),
                ("client_secret", secret.expose()),
                ("refresh_token", refresh.expose()),
            ];
            token::ask(outside, token_url.as_deref().unwrap_or(TOKEN_URL), &form, None).await
        }
        CredentialFile::External(external) => federated(outside, external).await,
        CredentialFile::Impersonated { .. } => Err(FetchError::Malformed("impersonates through another impersonation")),
    }
}

async fn service_account(outside: &Outside, account: &ServiceAccount) -> Result<Issued, FetchError> {
    let url = account.token_url.as_deref().unwrap_or(TOKEN_URL);
    let issued = lease::now().saturating_sub(SKEW);
    let claims = json!({
        "iss": account.email, "scope": SCOPE, "aud": url, "iat": issued, "exp": issued + ASSERTION,
    });
    let key = jwt::Key::read(account.key.expose()).ok_or(FetchError::Malformed("has no usable `private_key`"))?;
    let assertion = key.sign(&account.key_id, &claims.to_string());
    let assertion = assertion.ok_or(FetchError::Nowhere("this machine gives no random numbers"))?;
    token::ask(outside, url, &[("grant_type", JWT_BEARER), ("assertion", assertion.expose())], None).await
}

/// Workload identity federation (AIP-4117): somebody else's token in exchange.
async fn federated(outside: &Outside, external: &External) -> Result<Issued, FetchError> {
    let subject = subject_token(outside, external).await?;
    let form = [
        ("grant_type", TOKEN_EXCHANGE),
        ("audience", &*external.audience),
        ("scope", SCOPE),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token", subject.expose()),
        ("subject_token_type", &*external.subject_type),
    ];
    let own = token::ask(outside, &external.token_url, &form, None).await?;
    match &external.impersonation_url {
        Some(url) => impersonate(outside, url, own).await,
        None => Ok(own),
    }
}

async fn subject_token(outside: &Outside, external: &External) -> Result<Secret, FetchError> {
    let (text, place) = match &external.subject {
        Subject::File(path) => (file(path).await?, path.display().to_string()),
        Subject::Url { url, headers } => {
            let request = headers
                .iter()
                .fold(Request::get(url), |request, (name, value)| request.header(name.as_str(), value.expose()));
            let answer = token::send(outside, url, request, String::new()).await?;
            let sent: Vec<&str> = headers.iter().map(|(_, value)| value.expose()).collect();
            token::must_succeed(url, &answer, &sent)?;
            (String::from_utf8_lossy(&answer.body).trim().to_owned(), token::place(url))
        }
    };
    let none = || FetchError::NoToken { place, what: "it is not in the place that the credential file names" };
    match &external.subject_field {
        None => Some(text).filter(|text| !text.is_empty()),
        Some(field) => {
            let json: Option<serde_json::Value> = serde_json::from_str(&text).ok();
            json.and_then(|json| json.get(field)?.as_str().map(str::to_owned))
        }
    }
    .map(|text| Secret::new(&text))
    .ok_or_else(none)
}

/// The token of a service account, by one that may ask for it (IAM Credentials API, `generateAccessToken`).
async fn impersonate(outside: &Outside, url: &str, own: Issued) -> Result<Issued, FetchError> {
    let Grant::Token(own) = own.grant else { return Err(FetchError::Malformed("gives no token")) };
    let request = Request::post(url)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", own.expose()));
    let answer = token::send(outside, url, request, json!({"scope": [SCOPE]}).to_string()).await?;
    token::read(url, &answer)
}

/// The metadata server of a machine, a GKE node or Cloud Run.
async fn metadata(outside: &Outside) -> Result<Issued, FetchError> {
    let host = outside.env("GCE_METADATA_HOST").unwrap_or_else(|| "metadata.google.internal".to_owned());
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let answer = token::send(outside, &url, Request::get(&url).header("metadata-flavor", "Google"), String::new());
    token::read(&url, &answer.await?)
}
