//! Where a secret is looked for, and how it is had from there. No error and no warning of this
//! module repeats a secret.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read::Reader;
use super::shape::{Fields, Rule, Shape, may, need};
use super::{text, value};
use crate::base::secret::Secret;

/// Where a secret is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// A mounted Secret: `--secrets-dir/NAME/KEY`, and `--secrets-dir/NAMESPACE/NAME/KEY` for a document that
    /// is not in root.
    Mounted {
        name: String,
        key: String,
    },
    File(PathBuf),
    Env(String),
    /// Written into the document itself.
    Value(Secret),
}

/// The environment and the files, as the process sees them.
pub trait Secrets {
    /// The value of an environment variable, if it is set.
    fn env(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// The file cannot be read, or is no key.
    fn file(&self, path: &Path) -> Result<String, SecretError>;

    /// The content of a file now, of which nothing is kept: whoever uses it reads it again.
    ///
    /// # Errors
    /// As [`Secrets::file`].
    fn peek(&self, path: &Path) -> Result<String, SecretError> {
        self.file(path)
    }
}

/// Why a file gives no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    #[error("does not exist")]
    NotFound,
    #[error("cannot be read")]
    Unreadable,
    #[error("is larger than 64 KiB")]
    TooLarge,
    #[error("is not UTF-8")]
    NotText,
}

/// Why there is no secret, with the place where it was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Missing {
    #[error("environment variable {0} is not set")]
    NotSet(String),
    #[error("environment variable {0} is empty")]
    EmptyEnv(String),
    #[error("file {0} {1}")]
    File(String, SecretError),
    #[error("file {0} is empty")]
    EmptyFile(String),
    #[error("secret {0} is to be a mounted file, and no --secrets-dir is given")]
    NoSecretsDir(String),
    #[error("{0} holds what a header cannot carry")]
    NotAHeader(String),
    #[error("no place to look for it is given")]
    Nowhere,
}

/// Where a secret is; a Kubernetes resource names the place and never holds the secret.
pub(super) const SOURCE: Fields = Fields {
    rows: &[
        may("secretRef", Shape::Object(&REF), "A key of a Kubernetes Secret, mounted below --secrets-dir."),
        may("file", Shape::Text(&text::ANY_PATH), "A file that holds nothing but the secret."),
        may("env", Shape::Text(&text::ENV), "An environment variable of the process.").file_only(),
        may("value", Shape::Text(&text::SECRET), "The secret itself: for trying things out only.").file_only(),
    ],
    rules: &[Rule::OneOf(&["secretRef", "file", "env", "value"])],
};
const REF: Fields = Fields::of(&[
    need("name", Shape::Text(&text::SUBDOMAIN), "The name of the Secret, in the namespace of this document."),
    need("key", Shape::Text(&text::SECRET_KEY), "The key in the Secret's data."),
]);

// === impl SecretSource ===

impl SecretSource {
    pub(super) fn read(reader: &Reader<'_>) -> Option<SecretSource> {
        let object = reader.clone().hushed().object(&SOURCE)?;
        let &[name] = object.names().as_slice() else {
            object.at().error("needs exactly one of secretRef, file, env, value");
            return None;
        };
        let field = object.get(name)?;
        match name {
            "secretRef" => {
                let object = field.object(&REF)?;
                let name = object.need("name").and_then(|name| name.parsed(value::subdomain));
                let key = object.need("key").and_then(|key| key.parsed(value::secret_key));
                Some(SecretSource::Mounted { name: name?, key: key? })
            }
            "file" => field.text().map(|path| SecretSource::File(path.into())),
            "env" => field.parsed(value::env_name).map(SecretSource::Env),
            _ => {
                let secret = Secret::new(field.text()?);
                if !is_header_value(&secret) {
                    field.error("is empty, or holds what a header cannot carry");
                }
                Some(SecretSource::Value(secret))
            }
        }
    }

    /// What a key from there is called in records.
    fn name(&self) -> Arc<str> {
        match self {
            SecretSource::Mounted { name, key } => format!("APIKey/secret/{name}/{key}").into(),
            SecretSource::File(path) => {
                format!("APIKey/file{}{}", if path.has_root() { "" } else { "/" }, path.display()).into()
            }
            SecretSource::Env(name) => format!("APIKey/env/{name}").into(),
            SecretSource::Value(_) => "APIKey/value".into(),
        }
    }

    /// True for what is found wherever the process can read, whoever asks.
    pub(super) fn is_of_the_process(&self) -> bool {
        matches!(self, SecretSource::File(_) | SecretSource::Env(_))
    }

    fn load(&self, secrets: &dyn Secrets, dir: Option<&Path>) -> Result<Secret, Missing> {
        match self {
            SecretSource::Value(secret) => Ok(secret.clone()),
            SecretSource::Env(name) => match secrets.env(name).as_deref().map(Secret::new) {
                None => Err(Missing::NotSet(name.clone())),
                Some(secret) if secret.is_empty() => Err(Missing::EmptyEnv(name.clone())),
                Some(secret) if !is_header_value(&secret) => {
                    Err(Missing::NotAHeader(format!("environment variable {name}")))
                }
                Some(secret) => Ok(secret),
            },
            SecretSource::File(path) => from_file(secrets, path),
            SecretSource::Mounted { name, key } => match dir {
                Some(dir) => from_file(secrets, &dir.join(name).join(key)),
                None => Err(Missing::NoSecretsDir(format!("{name}/{key}"))),
            },
        }
    }
}

/// Where it is, and nothing of what is there.
impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::Mounted { name, key } => write!(f, "key {key} of secret {name}"),
            SecretSource::File(path) => write!(f, "file {}", path.display()),
            SecretSource::Env(name) => write!(f, "environment variable {name}"),
            SecretSource::Value(_) => f.write_str("the document itself"),
        }
    }
}

/// The secret of the first source that has one, and what that is called in records; the reason of the first
/// one otherwise.
pub(super) fn load(
    sources: &[SecretSource],
    secrets: &dyn Secrets,
    dir: Option<&Path>,
) -> Result<(Secret, Arc<str>), Missing> {
    let mut first = None;
    for source in sources {
        match source.load(secrets, dir) {
            Ok(secret) => return Ok((secret, source.name())),
            Err(missing) => first = first.or(Some(missing)),
        }
    }
    Err(first.unwrap_or(Missing::Nowhere))
}

/// What a key is called in records whose first place this is.
pub(super) fn name(sources: &[SecretSource]) -> Arc<str> {
    sources.first().map_or_else(|| "APIKey".into(), SecretSource::name)
}

/// As [`load`], for a text that no header has to carry.
pub(super) fn load_text(
    sources: &[SecretSource],
    secrets: &dyn Secrets,
    dir: Option<&Path>,
) -> Result<Secret, Missing> {
    let of = |source: &SecretSource| {
        let file = |path: &Path| {
            let shown = path.display().to_string();
            match secrets.file(path).map(|text| Secret::new(&text)) {
                Err(error) => Err(Missing::File(shown, error)),
                Ok(text) if text.is_empty() => Err(Missing::EmptyFile(shown)),
                Ok(text) => Ok(text),
            }
        };
        match source {
            SecretSource::Value(secret) => Ok(secret.clone()),
            SecretSource::Env(name) => match secrets.env(name).as_deref().map(Secret::new) {
                None => Err(Missing::NotSet(name.clone())),
                Some(text) if text.is_empty() => Err(Missing::EmptyEnv(name.clone())),
                Some(text) => Ok(text),
            },
            SecretSource::File(path) => file(path),
            SecretSource::Mounted { name, key } => match dir {
                Some(dir) => file(&dir.join(name).join(key)),
                None => Err(Missing::NoSecretsDir(format!("{name}/{key}"))),
            },
        }
    };
    sources.iter().map(of).find(Result::is_ok).or_else(|| sources.first().map(of)).unwrap_or(Err(Missing::Nowhere))
}

/// What stands in the place of a secret where nobody needs it: where it is looked for, and what is wrong
/// there.
pub(super) fn described(sources: &[SecretSource], missing: Option<Missing>) -> Secret {
    let places: Vec<String> = sources.iter().map(ToString::to_string).collect();
    let fault = missing.map(|missing| format!("; it is not there: {missing}")).unwrap_or_default();
    Secret::new(&format!("{}{fault}", places.join(" or ")))
}

fn from_file(secrets: &dyn Secrets, path: &Path) -> Result<Secret, Missing> {
    let shown = path.display().to_string();
    match secrets.file(path).map(|text| Secret::new(&text)) {
        Err(error) => Err(Missing::File(shown, error)),
        Ok(secret) if secret.is_empty() => Err(Missing::EmptyFile(shown)),
        Ok(secret) if !is_header_value(&secret) => Err(Missing::NotAHeader(format!("file {shown}"))),
        Ok(secret) => Ok(secret),
    }
}

/// Visible ASCII without a line break: what every server takes in a header.
pub(super) fn is_header_value(secret: &Secret) -> bool {
    !secret.is_empty() && secret.expose().bytes().all(|byte| matches!(byte, 0x20..=0x7e))
}
