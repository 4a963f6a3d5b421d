//! What the clouds want beside a key: with what a call is signed, and where, or what a token is fetched with. A credential that cannot be had says so, as one that stands in a file does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::secret::{self, SecretError, Secrets};
use super::spec::{ApiKey, CloudKey, CredentialSpec, GcpPlace, LlmBackend, Way};
use super::value::Endpoint;
use super::{KeysAre, Options};
use crate::base::secret::Secret;
use crate::credential::google_file::{self, FileError};
use crate::credential::sigv4::Keys;
use crate::credential::source::{Aws, Azure, Google, OAuth, Source};
use crate::credential::{AwsKey, AwsPlace, Credential, Fetched, Lease, Signature};

/// What compiling a credential needs.
pub(super) struct Making<'a> {
    pub backend: &'a LlmBackend,
    pub endpoint: &'a Endpoint,
    /// None for root, whose documents may name what is the process's own.
    pub namespace: Option<&'a str>,
    pub options: &'a Options,
    pub secrets: &'a dyn Secrets,
    /// Where Secrets of this namespace are mounted.
    pub dir: Option<&'a Path>,
}

/// Something that is missing or wrong: where it is said, and what it is.
pub(super) struct Lack {
    pub path: String,
    pub message: String,
    /// False where it may yet come while the process runs.
    pub is_fatal: bool,
}

/// The names that the services of Bedrock sign under, by how their hosts begin.
const SERVICES: &[(&str, &str)] =
    &[("bedrock-runtime.", "bedrock"), ("bedrock-runtime-fips.", "bedrock"), ("bedrock-mantle.", "bedrock-mantle")];

/// The project and location that the first credential with some names.
pub(super) fn place(backend: &LlmBackend) -> Option<&GcpPlace> {
    backend.credentials.iter().find_map(|row| match &row.credential {
        CredentialSpec::Cloud(key) => key.place(),
        _ => None,
    })
}

// === impl Making ===

impl Making<'_> {
    /// The credential, and what is wrong with it.
    pub fn credential(&self, key: &CloudKey) -> (Credential, Vec<Lack>) {
        let mut lacks = Vec::new();
        let credential = self.make(key, &mut lacks);
        match (credential, lacks.iter().find(|lack| lack.is_fatal)) {
            (Some(credential), None) => (credential, lacks),
            (_, Some(lack)) => (Credential::Missing(lack.message.as_str().into()), lacks),
            (None, None) => (Credential::Missing("it is incomplete".into()), lacks),
        }
    }

    fn make(&self, key: &CloudKey, lacks: &mut Vec<Lack>) -> Option<Credential> {
        let fetched = |source, place| Credential::Fetched(Fetched { lease: Arc::new(Lease::new(source)), place });
        match &key.way {
            Way::AwsKey { id, secret, token } => {
                let (id, name) = self.secret(id, lacks)?;
                let (secret, _) = self.secret(secret, lacks)?;
                let token = match token {
                    Some(token) => Some(self.secret(token, lacks)?.0),
                    None => None,
                };
                let name = name.replacen("APIKey", "AWS/accessKey", 1).into();
                let place = self.aws_place(key, lacks)?;
                Some(Credential::Aws(AwsKey { name, keys: Arc::new(Keys { id, secret, token }), place }))
            }
            Way::AwsProfile(_) | Way::AwsWebIdentity { .. } | Way::AwsAmbient => {
                let place = self.aws_place(key, lacks)?;
                built(cfg!(feature = "aws"), "aws", key, lacks);
                Some(fetched(Source::Aws(self.aws(key, &place, lacks)?), Some(place)))
            }
            Way::GcpKey { key: file, .. } => {
                built(cfg!(feature = "gcp"), "gcp", key, lacks);
                Some(fetched(Source::Google(Google::Key(self.google_file(file, lacks)?)), None))
            }
            Way::GcpToken { token, .. } => {
                let (secret, name) = self.secret(token, lacks)?;
                let name = name.replacen("APIKey", "GCP/accessToken", 1).into();
                let (header, prefix) = ("authorization".into(), "Bearer ");
                Some(Credential::Key(Signature { name, header, prefix, secret }))
            }
            Way::GcpAmbient { .. } => {
                built(cfg!(feature = "gcp"), "gcp", key, lacks);
                Some(fetched(Source::Google(Google::Ambient), None))
            }
            Way::AzureSecret { .. } | Way::AzureFederated { .. } | Way::AzureManaged { .. } => {
                built(cfg!(feature = "azure"), "azure", key, lacks);
                Some(fetched(Source::Azure(self.azure(key, lacks)?), None))
            }
            Way::OAuth { token_url, client, secret, scopes, audience } => {
                built(cfg!(feature = "oauth"), "oauth", key, lacks);
                let (secret, _) = self.secret(secret, lacks)?;
                let (token_url, client) = (token_url.clone(), client.clone());
                let (scopes, audience) = (scopes.clone(), audience.clone());
                Some(fetched(Source::OAuth(OAuth { token_url, client, secret, scopes, audience }), None))
            }
        }
    }

    fn aws(&self, key: &CloudKey, place: &AwsPlace, lacks: &mut Vec<Lack>) -> Option<Aws> {
        let region = Some(place.region.to_string());
        match &key.way {
            Way::AwsProfile(name) => {
                self.look_for_profile(key, name, lacks);
                Some(Aws::Profile { name: name.clone(), region })
            }
            Way::AwsWebIdentity { role, token_file } => {
                self.look(&format!("{}.webIdentity.tokenFile", key.path), token_file, lacks);
                Some(Aws::WebIdentity { role: role.clone(), token_file: token_file.clone(), region })
            }
            Way::AwsAmbient => Some(Aws::Ambient { region }),
            _ => None,
        }
    }

    fn azure(&self, key: &CloudKey, lacks: &mut Vec<Lack>) -> Option<Azure> {
        match &key.way {
            Way::AzureSecret { tenant, client, secret } => {
                let (secret, _) = self.secret(secret, lacks)?;
                Some(Azure::ClientSecret { tenant: tenant.clone(), client: client.clone(), secret })
            }
            Way::AzureFederated { tenant, client, token_file } => {
                if let Some(file) = token_file {
                    self.look(&format!("{}.federated.tokenFile", key.path), file, lacks);
                }
                let token_file = token_file.clone();
                Some(Azure::Federated { tenant: tenant.clone(), client: client.clone(), token_file })
            }
            Way::AzureManaged { client } => Some(Azure::Managed { client: client.clone() }),
            _ => None,
        }
    }

    /// Where a signature is good: what the document says, else what the endpoint's own name says, else what the
    /// environment does.
    fn aws_place(&self, key: &CloudKey, lacks: &mut Vec<Lack>) -> Option<AwsPlace> {
        let host = &self.endpoint.host;
        let known = SERVICES.iter().find_map(|(start, service)| Some((host.strip_prefix(start)?, *service)));
        let of_host = || known.and_then(|(rest, _)| rest.split_once('.')).map(|(region, _)| region.to_owned());
        let of_env = || ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().find_map(|name| self.secrets.env(name));
        let stated = self.backend.region.as_ref().map(|region| region.value.clone());
        let region = stated.or_else(of_host).or_else(of_env).filter(|region| !region.is_empty());
        if region.is_none() {
            let message = "a signature for AWS needs to know its region: state `region`, or set AWS_REGION";
            lacks.push(Lack { path: key.path.clone(), message: message.to_owned(), is_fatal: true });
        }
        Some(AwsPlace { region: region?.into(), service: known.map_or("bedrock", |(_, service)| service) })
    }

    /// A key as it stands in its place.
    fn secret(&self, key: &ApiKey, lacks: &mut Vec<Lack>) -> Option<(Secret, Arc<str>)> {
        let loaded = secret::load(&key.sources, self.secrets, self.dir);
        let loaded = match self.options.keys {
            KeysAre::Read => loaded,
            KeysAre::Described => Ok((secret::described(&key.sources, loaded.err()), secret::name(&key.sources))),
        };
        let lack =
            |missing: &dyn ToString| Lack { path: key.path.clone(), message: missing.to_string(), is_fatal: true };
        loaded.map_err(|missing| lacks.push(lack(&missing))).ok()
    }

    /// The text of one of Google's credential files.
    fn google_file(&self, key: &ApiKey, lacks: &mut Vec<Lack>) -> Option<Secret> {
        let mut lack = |message: String| lacks.push(Lack { path: key.path.clone(), message, is_fatal: true });
        let loaded = secret::load_text(&key.sources, self.secrets, self.dir);
        let text = match (loaded, self.options.keys) {
            (Ok(text), _) => text,
            (Err(missing), KeysAre::Described) => return Some(secret::described(&key.sources, Some(missing))),
            (Err(missing), KeysAre::Read) => {
                lack(missing.to_string());
                return None;
            }
        };
        match google_file::read(text.expose()) {
            Err(error) => lack(format!("the credential file {}", error.words())),
            Ok(file) if !file.can_sign() => lack(format!("the credential file {}", FileError::Key.words())),
            Ok(file) if file.reaches_out() && self.namespace.is_some() => lack(
                "the credential file names files and addresses, which is for the root namespace; say the key of a \
                 service account"
                    .to_owned(),
            ),
            Ok(_) if self.options.keys == KeysAre::Described => return Some(secret::described(&key.sources, None)),
            Ok(_) => return Some(text),
        }
        None
    }

    /// A file whose content is read when a token is fetched: it may come later, and it changes by itself.
    fn look(&self, path: &str, file: &Path, lacks: &mut Vec<Lack>) {
        let what = match self.secrets.peek(file) {
            Err(error @ (SecretError::NotFound | SecretError::Unreadable | SecretError::TooLarge)) => error.to_string(),
            Ok(text) if text.trim().is_empty() => "is empty".to_owned(),
            Ok(_) | Err(SecretError::NotText) => return,
        };
        let message = format!("file {} {what}; without it no token is fetched", file.display());
        lacks.push(Lack { path: path.to_owned(), message, is_fatal: false });
    }

    /// A profile stands in one of two files, which may come later.
    fn look_for_profile(&self, key: &CloudKey, name: &str, lacks: &mut Vec<Lack>) {
        let home = || Some(PathBuf::from(self.secrets.env("HOME").filter(|home| !home.is_empty())?));
        let file = |variable: &str, own: &str| {
            let named = self.secrets.env(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
            named.or_else(|| Some(home()?.join(own)))
        };
        let files = [file("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), file("AWS_CONFIG_FILE", ".aws/config")];
        let looked: Vec<PathBuf> = files.into_iter().flatten().collect();
        let has = |file: &PathBuf| match self.secrets.peek(file) {
            Ok(text) => text.lines().any(|line| profile_of(line) == Some(name)),
            // What cannot be judged is not judged.
            Err(SecretError::TooLarge | SecretError::NotText) => true,
            Err(_) => false,
        };
        if !looked.iter().any(has) {
            let places: Vec<String> = looked.iter().map(|file| file.display().to_string()).collect();
            let places = if places.is_empty() { "HOME is not set".to_owned() } else { places.join(", ") };
            let message = format!("there is no profile {name:?} ({places}); without it nothing is signed");
            lacks.push(Lack { path: format!("{}.profile", key.path), message, is_fatal: false });
        }
    }
}

/// The name of the profile that such a line begins: `[NAME]`, or `[profile NAME]`.
fn profile_of(line: &str) -> Option<&str> {
    let inner = line.trim().strip_prefix('[')?.split(']').next()?.trim();
    Some(inner.strip_prefix("profile ").map_or(inner, str::trim))
}

fn built(is_built: bool, feature: &str, key: &CloudKey, lacks: &mut Vec<Lack>) {
    if !is_built {
        let message = format!("this Weir was built without the feature {feature:?}");
        lacks.push(Lack { path: key.path.clone(), message, is_fatal: true });
    }
}
