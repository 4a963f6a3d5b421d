//! With whose key a caller's calls leave: of each backend the first credential whose `from` names the
//! caller, else the one without a `from`, wherever that stands.

use super::select::Callers;
use crate::credential::{Credential, Fetched};
use crate::identity::Principal;

/// The credentials of all backends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials(Vec<Vec<Row>>);

/// One credential of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// None for the default.
    pub callers: Option<Callers>,
    pub credential: Credential,
}

/// The credential of one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// Its place among those of the backend.
    pub row: usize,
    pub credential: &'a Credential,
}

// === impl Credentials ===

impl Credentials {
    /// Adds those of the next backend. Without any the backend is open to nobody.
    pub fn push(&mut self, rows: Vec<Row>) {
        self.0.push(rows);
    }

    /// Puts one credential, for every caller, in the place of all that a backend has.
    pub fn set(&mut self, index: usize, credential: Credential) {
        if let Some(rows) = self.0.get_mut(index) {
            *rows = vec![Row { callers: None, credential }];
        }
    }

    /// What a caller's calls to a backend leave with; none where the backend is not open to the caller.
    pub fn of(&self, index: usize, caller: &Principal) -> Option<Held<'_>> {
        let rows = self.0.get(index)?.iter().enumerate();
        let mut default = None;
        for (row, Row { callers, credential }) in rows {
            match callers {
                None => default = default.or(Some(Held { row, credential })),
                Some(callers) if callers.has(caller) => return Some(Held { row, credential }),
                Some(_) => {}
            }
        }
        default
    }

    /// All credentials of a backend, in the order of its document.
    pub fn rows(&self, index: usize) -> &[Row] {
        self.0.get(index).map_or(&[], Vec::as_slice)
    }

    /// Those that are fetched, of every backend.
    pub fn fetched(&mut self) -> impl Iterator<Item = &mut Fetched> {
        self.0.iter_mut().flatten().filter_map(|row| match &mut row.credential {
            Credential::Fetched(fetched) => Some(fetched),
            _ => None,
        })
    }

    /// How many backends there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when there is no backend.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One credential for each backend, whoever calls.
impl From<Vec<Credential>> for Credentials {
    fn from(all: Vec<Credential>) -> Self {
        Credentials(all.into_iter().map(|credential| vec![Row { callers: None, credential }]).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::glob::Glob;
    use crate::identity::{Rules, Workload};
    use crate::policy::select::{Caller, From};

    fn workload(namespace: &str) -> Principal {
        let own = Workload { namespace: namespace.into(), service_account: "a".into(), name: "w".into() };
        (*Rules::new(&own).own).clone()
    }

    fn row(namespaces: &[&str], reason: &str) -> Row {
        let namespaces = namespaces.iter().map(|glob| Glob::new(glob)).collect();
        let from = From(vec![Caller { namespaces, ..Caller::default() }]);
        Row { callers: Some(Callers { namespace: None, from }), credential: Credential::Missing(reason.into()) }
    }

    fn default(reason: &str) -> Row {
        Row { callers: None, credential: Credential::Missing(reason.into()) }
    }

    #[test]
    fn the_first_that_names_the_caller_wins_and_the_default_stands_anywhere() {
        let (billing, any_b) = (row(&["billing"], "billing"), row(&["b*"], "any b"));
        for (rows, namespace, expected) in [
            (vec![billing.clone(), any_b.clone(), default("rest")], "billing", Some((0, "billing"))),
            (vec![any_b.clone(), billing.clone(), default("rest")], "billing", Some((0, "any b"))),
            (vec![default("rest"), any_b.clone()], "billing", Some((1, "any b"))),
            (vec![any_b.clone(), default("rest"), billing.clone()], "shop", Some((1, "rest"))),
            (vec![any_b.clone(), billing], "shop", None),
            (vec![any_b], "", None),
            (vec![], "shop", None),
        ] {
            let mut credentials = Credentials::default();
            credentials.push(rows);
            let caller = workload(namespace);
            let held = credentials.of(0, &caller);
            let found = held.map(|held| (held.row, format!("{:?}", held.credential)));
            let expected = expected.map(|(row, reason)| (row, format!("{:?}", Credential::Missing(reason.into()))));
            assert_eq!(found, expected, "{namespace}");
            assert_eq!(credentials.of(1, &caller), None, "there is no such backend");
        }
    }
}
