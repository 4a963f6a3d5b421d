//! What an account at a provider is called among replicas.
//!
//! A place in a document is no name for it: documents change, and not at once everywhere. The name is that of the
//! credential (where its key is looked for), and behind it sixteen bits of a hash of the key and of the backend's host:
//! two applications that share a store and call their backends alike are told apart by their keys. That few bits say
//! nothing of a key, even to who can guess.

use std::sync::Arc;

use super::Policy;
use crate::base::secret::Secret;
use crate::credential::Credential;

/// The most characters of a credential's name.
const NAME: usize = 128;

// === impl Policy ===

impl Policy {
    /// The account behind a credential of a backend; none where no key of Weir's leaves with it.
    pub fn account(&self, backend: usize, row: usize) -> Option<String> {
        let authority = &self.targets.backends.get(backend)?.authority;
        let tag = |secret: &Secret| secret.tag(authority);
        let (name, tag) = match &self.credentials.rows(backend).get(row)?.credential {
            Credential::Key(signature) => (&signature.name, tag(&signature.secret)),
            Credential::Aws(key) => (&key.name, tag(&key.keys.id)),
            // What is fetched is another token each time.
            Credential::Fetched(fetched) => (&fetched.lease.name, tag(&Secret::new(""))),
            Credential::Caller | Credential::Anonymous | Credential::Missing(_) => return None,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:-".contains(c);
        let plain: String = name.chars().take(NAME).map(|c| if is_plain(c) { c } else { '_' }).collect();
        Some(format!("{plain}~{tag:04x}"))
    }

    /// The credentials of a backend that are this account's: the backend's name, and their places.
    pub fn credentials_of(&self, backend: &str, account: &str) -> Option<(Arc<str>, Vec<usize>)> {
        let index = self.targets.backends.iter().position(|one| *one.name == *backend)?;
        let rows = 0..self.credentials.rows(index).len();
        let places = rows.filter(|row| self.account(index, *row).is_some_and(|own| own == account)).collect();
        Some((self.targets.backends.get(index)?.name.clone(), places))
    }
}

#[cfg(test)]
mod tests {
    use super::super::credentials::Row;
    use super::*;
    use crate::catalog::Catalog;
    use crate::credential::Signature;
    use crate::llm::Dialect;
    use crate::target::{Backend, Serves, Targets};

    fn key(name: &str, secret: &str) -> Credential {
        let secret = Secret::new(secret);
        Credential::Key(Signature { name: name.into(), header: "authorization".into(), prefix: "Bearer ", secret })
    }

    fn policy(host: &str, keys: Vec<Credential>) -> Policy {
        let backend = Backend {
            name: "a".into(),
            namespace: None,
            provider: "a".into(),
            dialect: Dialect::OpenAi,
            authority: host.into(),
            prefix: String::new(),
            asks_stream_usage: false,
            speaks: crate::wire::Speaks::default(),
            azure: None,
            quirks: Vec::new(),
            headers: Vec::new(),
            removed_headers: Vec::new(),
        };
        let targets = Targets::new(vec![(backend, Serves::default())], [].into());
        let mut policy = Policy::new(targets, vec![Credential::Anonymous], Catalog::default());
        policy.credentials = super::super::credentials::Credentials::default();
        policy.credentials.push(keys.into_iter().map(|credential| Row { callers: None, credential }).collect());
        policy
    }

    #[test]
    fn an_account_is_told_by_its_key_wherever_it_stands_and_without_it() {
        let (one, two) = (key("APIKey/env/ONE", "sk-secret"), key("APIKey/env/TWO", "sk-other"));
        let policy_of = |keys| policy("host", keys);
        let here = policy_of(vec![one.clone(), two.clone()]);
        let there = policy_of(vec![two, one.clone(), Credential::Anonymous, one.clone()]);
        let account = here.account(0, 0).unwrap();
        assert!(account.starts_with("APIKey/env/ONE~") && !account.contains("secret"), "{account}");
        assert_eq!(there.credentials_of("a", &account), Some(("a".into(), vec![1, 3])));
        assert_eq!(there.credentials_of("b", &account), None);
        assert_eq!(there.account(0, 2), None, "no key, no account");
        assert_eq!(here.account(0, 9), None);
        // Another key under the same name, and the same key at another host.
        let others = [policy_of(vec![key("APIKey/env/ONE", "sk-third")]), policy("elsewhere", vec![one])];
        for other in others {
            assert_ne!(other.account(0, 0), Some(account.clone()));
        }
        let odd = policy_of(vec![key("file/a|b\n\u{e9}", "k")]);
        assert!(odd.account(0, 0).unwrap().starts_with("file/a_b__~"));
    }
}
