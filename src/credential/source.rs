//! From where a credential is fetched: what a document says, with the secrets in it read.

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::secret::Secret;

/// A source of tokens or of temporary keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Aws(Aws),
    Google(Google),
    Azure(Azure),
    OAuth(OAuth),
}

/// Access keys of AWS that somebody else keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aws {
    /// A profile of the shared configuration files, whatever that profile says.
    Profile { name: String, region: Option<String> },
    /// `sts:AssumeRoleWithWebIdentity` with a token of the cluster.
    WebIdentity { role: String, token_file: PathBuf, region: Option<String> },
    /// What the process itself is: environment, web identity, container or instance, in AWS's own order.
    Ambient { region: Option<String> },
}

/// Access tokens of Google Cloud.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Google {
    /// A file of credentials, as Google writes them: a service account's key, or another kind.
    Key(Secret),
    /// Application default credentials: the file that `GOOGLE_APPLICATION_CREDENTIALS` names, gcloud's own,
    /// the metadata server.
    Ambient,
}

/// Access tokens of Entra ID for Azure's AI services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Azure {
    ClientSecret {
        tenant: String,
        client: String,
        secret: Secret,
    },
    /// A token of the cluster, exchanged; without a file the one that `AZURE_FEDERATED_TOKEN_FILE` names.
    Federated {
        tenant: String,
        client: String,
        token_file: Option<PathBuf>,
    },
    /// The machine's own; with a client, one of several that it has.
    Managed {
        client: Option<String>,
    },
}

/// The client credentials grant (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    pub token_url: String,
    pub client: String,
    pub secret: Secret,
    pub scopes: Vec<String>,
    /// What some servers want beside the standard.
    pub audience: Option<String>,
}

// === impl Source ===

impl Source {
    /// What it is called in records, metrics and logs: no part of it is a secret.
    pub fn name(&self) -> Arc<str> {
        let name = match self {
            Source::Aws(Aws::Profile { name, .. }) => format!("AWS/profile/{name}"),
            Source::Aws(Aws::WebIdentity { role, .. }) => format!("AWS/webIdentity/{role}"),
            Source::Aws(Aws::Ambient { .. }) => "AWS/ambient".to_owned(),
            Source::Google(Google::Key(_)) => "GCP/serviceAccountKey".to_owned(),
            Source::Google(Google::Ambient) => "GCP/ambient".to_owned(),
            Source::Azure(Azure::ClientSecret { client, .. }) => format!("Azure/clientSecret/{client}"),
            Source::Azure(Azure::Federated { client, .. }) => format!("Azure/federated/{client}"),
            Source::Azure(Azure::Managed { client: Some(client) }) => format!("Azure/managedIdentity/{client}"),
            Source::Azure(Azure::Managed { client: None }) => "Azure/managedIdentity".to_owned(),
            Source::OAuth(oauth) => format!("OAuth/{}", oauth.client),
        };
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_named_without_its_secrets() {
        let secret = || Secret::new("hush");
        let (token_url, client) = ("https://id.example/token".to_owned(), "app".to_owned());
        let sources = [
            Source::Google(Google::Key(secret())),
            Source::Azure(Azure::ClientSecret { tenant: "t".into(), client: client.clone(), secret: secret() }),
            Source::OAuth(OAuth { token_url, client, secret: secret(), scopes: Vec::new(), audience: None }),
        ];
        for source in sources {
            let shown = format!("{} {source:?}", source.name());
            assert!(!shown.contains("hush"), "{shown}");
        }
    }
}
