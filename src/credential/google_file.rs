//! The credential files of Google Cloud, by their `type` (AIP-4110 to AIP-4117). Reading one looks for what a
//! token is fetched with; whether Google takes it is another matter.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::base::secret::Secret;

/// What a file says.
#[derive(Debug)]
pub enum CredentialFile {
    /// `service_account`.
    ServiceAccount(ServiceAccount),
    /// `authorized_user`: what `gcloud auth application-default login` writes.
    User { client: String, secret: Secret, refresh: Secret, token_url: Option<String> },
    /// `external_account`: workload identity federation.
    External(External),
    /// `impersonated_service_account`; what it starts from is none of these again.
    Impersonated { url: String, source: Box<CredentialFile> },
}

/// A key of a service account.
#[derive(Debug)]
pub struct ServiceAccount {
    pub email: String,
    pub key_id: String,
    /// PKCS #8 in PEM.
    pub key: Secret,
    pub token_url: Option<String>,
}

/// Somebody else's token, and where it is exchanged.
#[derive(Debug)]
pub struct External {
    pub audience: String,
    pub subject_type: String,
    pub token_url: String,
    pub impersonation_url: Option<String>,
    pub subject: Subject,
    /// The field of JSON that holds the token; none where the text is the token.
    pub subject_field: Option<String>,
}

/// Where somebody else's token is.
#[derive(Debug)]
pub enum Subject {
    File(PathBuf),
    Url { url: String, headers: Vec<(String, Secret)> },
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    Json,
    Type,
    ServiceAccount,
    Key,
    User,
    External,
    Subject,
    Impersonated,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    client_email: String,
    private_key_id: String,
    private_key: String,
    token_uri: Option<String>,
    client_id: String,
    client_secret: String,
    refresh_token: String,
    audience: String,
    subject_token_type: String,
    token_url: String,
    service_account_impersonation_url: Option<String>,
    credential_source: RawSource,
    source_credentials: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawSource {
    file: Option<PathBuf>,
    url: Option<String>,
    headers: std::collections::BTreeMap<String, String>,
    format: RawFormat,
    environment_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawFormat {
    subject_token_field_name: Option<String>,
}

// === impl FileError ===

impl FileError {
    /// What is wrong, as a sentence goes on that begins with the file.
    pub fn words(self) -> &'static str {
        match self {
            FileError::Json => "is no JSON object with a `type`",
            FileError::Type => {
                "is of no known `type`; known: service_account, authorized_user, external_account, \
                 impersonated_service_account"
            }
            FileError::ServiceAccount => "lacks `client_email` or `private_key`",
            FileError::Key => "has a `private_key` that is no RSA key of 2048 bits or more in PKCS #8 and PEM",
            FileError::User => "lacks `client_id`, `client_secret` or `refresh_token`",
            FileError::External => "lacks `audience`, `subject_token_type` or `token_url`",
            FileError::Subject => {
                "has a `credential_source` that is neither a file nor a url; certificates, executables and AWS are \
                 not supported"
            }
            FileError::Impersonated => "lacks `service_account_impersonation_url` or `source_credentials`",
        }
    }
}

// === impl CredentialFile ===

impl CredentialFile {
    /// Whether what it signs with can sign; true for what does not sign, and where nothing is built that does.
    pub fn can_sign(&self) -> bool {
        match self {
            #[cfg(feature = "gcp")]
            CredentialFile::ServiceAccount(account) => super::fetch::jwt::Key::read(account.key.expose()).is_some(),
            CredentialFile::Impersonated { source, .. } => source.can_sign(),
            _ => true,
        }
    }

    /// Whether it makes the process read files or ask addresses that the file chooses.
    pub fn reaches_out(&self) -> bool {
        matches!(self, CredentialFile::External(_) | CredentialFile::Impersonated { .. })
    }
}

/// Reads a file.
///
/// # Errors
/// The first thing that is wrong with it; none of its content.
pub fn read(text: &str) -> Result<CredentialFile, FileError> {
    of_json(serde_json::from_str(text).map_err(|_| FileError::Json)?, true)
}

fn of_json(json: Value, may_rest_on_another: bool) -> Result<CredentialFile, FileError> {
    let kind = json.get("type").and_then(Value::as_str).ok_or(FileError::Json)?.to_owned();
    let raw: Raw = serde_json::from_value(json).map_err(|_| FileError::Json)?;
    match kind.as_str() {
        "service_account" => {
            if raw.client_email.is_empty() || raw.private_key.is_empty() {
                return Err(FileError::ServiceAccount);
            }
            if !raw.private_key.contains("-----BEGIN PRIVATE KEY-----") {
                return Err(FileError::Key);
            }
            let key = Secret::new(&raw.private_key);
            let (email, key_id, token_url) = (raw.client_email, raw.private_key_id, raw.token_uri);
            Ok(CredentialFile::ServiceAccount(ServiceAccount { email, key_id, key, token_url }))
        }
        "authorized_user" => {
            if [&raw.client_id, &raw.client_secret, &raw.refresh_token].into_iter().any(String::is_empty) {
                return Err(FileError::User);
            }
            let (secret, refresh) = (Secret::new(&raw.client_secret), Secret::new(&raw.refresh_token));
            Ok(CredentialFile::User { client: raw.client_id, secret, refresh, token_url: raw.token_uri })
        }
        "external_account" => external(raw).map(CredentialFile::External),
        "impersonated_service_account" if may_rest_on_another => {
            match (raw.service_account_impersonation_url, raw.source_credentials) {
                (Some(url), Some(source)) => {
                    Ok(CredentialFile::Impersonated { url, source: Box::new(of_json(source, false)?) })
                }
                _ => Err(FileError::Impersonated),
            }
        }
        _ => Err(FileError::Type),
    }
}

fn external(raw: Raw) -> Result<External, FileError> {
    if [&raw.audience, &raw.subject_token_type, &raw.token_url].into_iter().any(String::is_empty) {
        return Err(FileError::External);
    }
    let RawSource { file, url, headers, format, environment_id } = raw.credential_source;
    let headers = headers.into_iter().map(|(name, value)| (name, Secret::new(&value))).collect();
    let subject = match (file, url, environment_id) {
        (Some(file), None, None) => Subject::File(file),
        (None, Some(url), None) => Subject::Url { url, headers },
        _ => return Err(FileError::Subject),
    };
    Ok(External {
        audience: raw.audience,
        subject_type: raw.subject_token_type,
        token_url: raw.token_url,
        impersonation_url: raw.service_account_impersonation_url,
        subject,
        subject_field: format.subject_token_field_name,
    })
}
