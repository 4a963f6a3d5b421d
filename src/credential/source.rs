//! From where a credential is fetched: what a document says, with the secrets in it read.

use std::path::PathBuf;
use std::sync::Arc;

use super::google_file::{self, CredentialFile, ServiceAccount};
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
            Source::Google(Google::Key(file)) => match account(file) {
                Some(account) => format!("GCP/serviceAccountKey/{}", account.email),
                None => "GCP/serviceAccountKey".to_owned(),
            },
            Source::Google(Google::Ambient) => "GCP/ambient".to_owned(),
            Source::Azure(Azure::ClientSecret { client, .. }) => format!("Azure/clientSecret/{client}"),
            Source::Azure(Azure::Federated { client, .. }) => format!("Azure/federated/{client}"),
            Source::Azure(Azure::Managed { client: Some(client) }) => format!("Azure/managedIdentity/{client}"),
            Source::Azure(Azure::Managed { client: None }) => "Azure/managedIdentity".to_owned(),
            Source::OAuth(oauth) => format!("OAuth/{}", oauth.client),
        };
        name.into()
    }

    /// Whether it is another one but for a secret: what either gives is the same one's, with the same rights.
    pub fn follows(&self, before: &Source) -> bool {
        match (self, before) {
            (Source::Google(Google::Key(file)), Source::Google(Google::Key(before))) => {
                let who = |file| account(file).map(|account| (account.email, account.token_url));
                who(file).is_some_and(|own| who(before) == Some(own))
            }
            (Source::Azure(azure), Source::Azure(before)) => match (azure, before) {
                (Azure::ClientSecret { tenant, client, .. }, Azure::ClientSecret { tenant: t, client: c, .. }) => {
                    (tenant, client) == (t, c)
                }
                _ => false,
            },
            (Source::OAuth(oauth), Source::OAuth(before)) => {
                *oauth == OAuth { secret: oauth.secret.clone(), ..before.clone() }
            }
            _ => false,
        }
    }
}

/// Whose key a credential file holds, where it is a service account's.
fn account(file: &Secret) -> Option<ServiceAccount> {
    match google_file::read(file.expose()) {
        Ok(CredentialFile::ServiceAccount(account)) => Some(account),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_file(email: &str, id: &str) -> Source {
        let key = "-----BEGIN PRIVATE KEY-----\\nhush\\n-----END PRIVATE KEY-----";
        let text = format!(
            r#"{{"type":"service_account","client_email":"{email}","private_key_id":"{id}","private_key":"{key}"}}"#
        );
        Source::Google(Google::Key(Secret::new(&text)))
    }

    /// What one had may be used until the other has something: never somebody else's.
    #[test]
    fn a_source_follows_what_it_is_but_for_a_secret() {
        let azure = |tenant: &str, client: &str, secret: &str| {
            let (tenant, client) = (tenant.to_owned(), client.to_owned());
            Source::Azure(Azure::ClientSecret { tenant, client, secret: Secret::new(secret) })
        };
        let oauth = |client: &str, scope: &str, secret: &str| {
            let (token_url, client) = ("https://id.example/token".to_owned(), client.to_owned());
            let (scopes, secret) = (vec![scope.to_owned()], Secret::new(secret));
            Source::OAuth(OAuth { token_url, client, secret, scopes, audience: None })
        };
        let ambient = Source::Google(Google::Ambient);
        let odd = Source::Google(Google::Key(Secret::new("{")));
        for (one, other, expected) in [
            (azure("t", "c", "1"), azure("t", "c", "2"), true),
            (azure("t", "c", "1"), azure("t", "d", "1"), false),
            (azure("t", "c", "1"), azure("u", "c", "1"), false),
            (oauth("c", "s", "1"), oauth("c", "s", "2"), true),
            (oauth("c", "s", "1"), oauth("c", "r", "2"), false),
            (oauth("c", "s", "1"), oauth("d", "s", "2"), false),
            (key_file("a@p", "1"), key_file("a@p", "2"), true),
            (key_file("a@p", "1"), key_file("b@p", "1"), false),
            (odd.clone(), odd, false),
            (ambient.clone(), ambient, false),
            (oauth("c", "s", "1"), azure("t", "c", "1"), false),
        ] {
            assert_eq!((one.follows(&other), other.follows(&one)), (expected, expected), "{one:?} {other:?}");
        }
    }

    #[test]
    fn a_source_is_named_without_its_secrets() {
        let secret = || Secret::new("hush");
        let (token_url, client) = ("https://id.example/token".to_owned(), "app".to_owned());
        let sources = [
            Source::Google(Google::Key(secret())),
            key_file("weir@p.iam", "1"),
            Source::Azure(Azure::ClientSecret { tenant: "t".into(), client: client.clone(), secret: secret() }),
            Source::OAuth(OAuth { token_url, client, secret: secret(), scopes: Vec::new(), audience: None }),
        ];
        for source in sources {
            let shown = format!("{} {source:?}", source.name());
            assert!(!shown.contains("hush"), "{shown}");
        }
        assert_eq!(&*key_file("weir@p.iam", "1").name(), "GCP/serviceAccountKey/weir@p.iam");
    }
}
