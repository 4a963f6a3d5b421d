//! Which documents apply to a call: by the namespace that a document speaks for, by the callers that it
//! names (`from`), and by the routes and backends that it points at (`targetRefs`). All three must be
//! met; what a document does not say is met by every call.

use std::fmt;
use std::sync::Arc;

use super::Mode;
use super::view::View;
use crate::base::glob::Glob;
use crate::identity::Principal;
use crate::target::{RuleName, Target};

/// For which calls a document speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// `KIND/NAME`, for records.
    pub id: Arc<str>,
    /// Only calls by workloads of this namespace; none for a document of the root namespace, which
    /// speaks for all.
    pub namespace: Option<Arc<str>>,
    pub mode: Mode,
    pub targets: Vec<TargetRef>,
    pub from: From,
}

/// What a document points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetRef {
    /// An LLMRoute by its id, or one rule of it.
    Route { name: Arc<str>, rule: Option<Arc<str>> },
    /// An LLMBackend by its id.
    Backend(Arc<str>),
}

/// Where a call goes, as far as documents point at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The id of an LLMRoute; none where the backend was chosen by name.
    pub route: Option<&'a str>,
    /// None as well where a `passthrough` chose it.
    pub rule: Option<&'a str>,
    /// Its id.
    pub backend: &'a str,
}

/// How particular a document is about a call: the later, the more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It points at nothing.
    Everything,
    Backend,
    Route,
    Rule,
}

/// Callers: any of these entries; nobody is left out where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct From(pub Vec<Caller>);

/// The callers that a part of a document is about: of all whom its namespace may speak for, those that
/// its `from` names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Callers {
    /// Of the document; none for root.
    pub namespace: Option<Arc<str>>,
    pub from: From,
}

/// One entry of a `from`: every word that is said must fit, and of each word one of its patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Caller {
    pub namespaces: Vec<Glob>,
    /// Namespace and account.
    pub service_accounts: Vec<(Glob, Glob)>,
    /// SPIFFE ids.
    pub principals: Vec<Glob>,
    /// Names of root's consumers; in a document of a namespace a whole name of one of its own is
    /// `NAMESPACE/NAME`, and a pattern is about both.
    pub consumers: Vec<Glob>,
    pub teams: Vec<Glob>,
    pub groups: Vec<Glob>,
}

/// The first condition that a call does not meet; its words are for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    /// The document speaks for another namespace.
    Namespace {
        speaks_for: Arc<str>,
        caller: Arc<str>,
    },
    /// A word of the only, or the first, entry of `from`.
    From {
        word: &'static str,
        wanted: String,
        caller: String,
        /// Entries that were tried.
        entries: usize,
    },
    Target {
        wanted: String,
        place: String,
    },
}

// === impl Scope ===

impl Scope {
    /// Whether the document speaks for this call.
    ///
    /// # Errors
    /// The first condition that is not met.
    pub fn admits(&self, principal: &Principal, place: Place<'_>) -> Result<(), Unmet> {
        self.admits_caller(principal)?;
        self.admits_place(place)
    }

    /// The same without words, for the way of a call.
    pub fn speaks_for(&self, principal: &Principal, place: Place<'_>) -> bool {
        self.has_place(place) && self.has_caller(principal)
    }

    /// Whether the document speaks for this caller's calls to some place.
    pub fn has_caller(&self, principal: &Principal) -> bool {
        View::of(self.namespace.as_deref(), principal).is_some_and(|caller| self.from.has(caller))
    }

    /// Whether the document speaks for somebody's calls to this place.
    pub fn has_place(&self, place: Place<'_>) -> bool {
        self.targets.is_empty() || self.targets.iter().any(|target| target.is(place))
    }

    /// By what the document points at this place; none where it points at others alone.
    pub fn level(&self, place: Place<'_>) -> Option<Level> {
        if self.targets.is_empty() {
            return Some(Level::Everything);
        }
        self.targets.iter().filter(|target| target.is(place)).map(TargetRef::level).max()
    }

    /// The half of it that the head of a request decides.
    ///
    /// # Errors
    /// As [`Scope::admits`].
    pub fn admits_caller(&self, principal: &Principal) -> Result<(), Unmet> {
        match (View::of(self.namespace.as_deref(), principal), &self.namespace) {
            (Some(caller), _) => self.from.admits(caller),
            (None, speaks_for) => {
                let speaks_for = speaks_for.clone().unwrap_or_default();
                Err(Unmet::Namespace { speaks_for, caller: principal.namespace.clone() })
            }
        }
    }

    fn admits_place(&self, place: Place<'_>) -> Result<(), Unmet> {
        if self.has_place(place) {
            return Ok(());
        }
        let wanted: Vec<String> = self.targets.iter().map(ToString::to_string).collect();
        Err(Unmet::Target { wanted: wanted.join(", "), place: place.to_string() })
    }
}

// === impl Callers ===

impl Callers {
    /// Whether this caller is one of them.
    pub fn has(&self, principal: &Principal) -> bool {
        View::of(self.namespace.as_deref(), principal).is_some_and(|caller| self.from.has(caller))
    }
}

// === impl From ===

impl From {
    /// Whether this caller is one of them.
    ///
    /// # Errors
    /// The first condition that is not met.
    pub fn admits(&self, caller: View<'_>) -> Result<(), Unmet> {
        if self.has(caller) {
            return Ok(());
        }
        // Words are made only for who fails, and not on the way of a call that somebody else's rule skips.
        let entries = self.0.len();
        Err(match self.0.first().and_then(|entry| Some((entry, entry.failing(caller)?))) {
            Some((entry, word)) => entry.unmet(word, caller, entries),
            None => Unmet::From { word: "from", wanted: String::new(), caller: String::new(), entries },
        })
    }

    /// The same without words.
    pub fn has(&self, caller: View<'_>) -> bool {
        self.0.is_empty() || self.0.iter().any(|entry| entry.failing(caller).is_none())
    }
}

// === impl Caller ===

impl Caller {
    /// The first word that does not fit. What is not known of a caller fits no pattern, not even `*`.
    fn failing(&self, caller: View<'_>) -> Option<&'static str> {
        let principal = caller.principal();
        let text = |globs: &[Glob], text: Option<&str>| {
            globs.is_empty()
                || text.filter(|text| !text.is_empty()).is_some_and(|text| globs.iter().any(|glob| glob.matches(text)))
        };
        let account = (&*principal.namespace, &*principal.service_account);
        let is_account = |(namespace, name): &(Glob, Glob)| namespace.matches(account.0) && name.matches(account.1);
        let known = !account.0.is_empty() && !account.1.is_empty();
        let in_group = |glob: &Glob| principal.groups.iter().any(|group| glob.matches(group));
        let words = [
            ("namespaces", text(&self.namespaces, Some(account.0))),
            (
                "serviceAccounts",
                self.service_accounts.is_empty() || known && self.service_accounts.iter().any(is_account),
            ),
            ("principals", text(&self.principals, principal.spiffe.as_deref())),
            ("consumers", self.consumers.is_empty() || caller.consumers().any(|name| self.is_consumer(name))),
            ("teams", text(&self.teams, caller.team())),
            ("groups", self.groups.is_empty() || self.groups.iter().any(in_group)),
        ];
        words.into_iter().find(|(_, fits)| !fits).map(|(word, _)| word)
    }

    /// A whole name says which namespace's consumer is meant; a pattern is about names alone.
    fn is_consumer(&self, id: &str) -> bool {
        let name = id.rsplit('/').next().unwrap_or(id);
        self.consumers.iter().any(|glob| glob.matches(if glob.is_exact() { id } else { name }))
    }

    fn unmet(&self, word: &'static str, caller: View<'_>, entries: usize) -> Unmet {
        let principal = caller.principal();
        let join = |globs: &[Glob]| globs.iter().map(Glob::as_str).collect::<Vec<_>>().join(", ");
        let text = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
        let (wanted, caller) = match word {
            "namespaces" => (join(&self.namespaces), principal.namespace.to_string()),
            "serviceAccounts" => {
                let pair = |(namespace, name): &(Glob, Glob)| format!("{}/{}", namespace.as_str(), name.as_str());
                let wanted: Vec<String> = self.service_accounts.iter().map(pair).collect();
                (wanted.join(", "), format!("{}/{}", principal.namespace, principal.service_account))
            }
            "principals" => (join(&self.principals), text(&principal.spiffe)),
            "consumers" => (join(&self.consumers), caller.consumers().collect::<Vec<_>>().join(", ")),
            "teams" => (join(&self.teams), caller.team().unwrap_or_default().to_owned()),
            _ => (join(&self.groups), principal.groups.join(", ")),
        };
        Unmet::From { word, wanted, caller, entries }
    }
}

// === impl TargetRef ===

impl TargetRef {
    fn level(&self) -> Level {
        match self {
            TargetRef::Backend(_) => Level::Backend,
            TargetRef::Route { rule: None, .. } => Level::Route,
            TargetRef::Route { rule: Some(_), .. } => Level::Rule,
        }
    }

    fn is(&self, place: Place<'_>) -> bool {
        match self {
            TargetRef::Backend(name) => **name == *place.backend,
            TargetRef::Route { name, rule: None } => place.route == Some(name),
            TargetRef::Route { name, rule } => place.route == Some(name) && place.rule == rule.as_deref(),
        }
    }
}

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TargetRef::Backend(name) => write!(f, "LLMBackend {name}"),
            TargetRef::Route { name, rule: None } => write!(f, "LLMRoute {name}"),
            TargetRef::Route { name, rule: Some(rule) } => write!(f, "rule {rule} of LLMRoute {name}"),
        }
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    /// Of a call that goes there.
    pub fn of(target: &'a Target) -> Self {
        Place::new(target.rule.as_ref(), &target.backend.name)
    }

    /// `name` is that of the rule, or of the route whose `passthrough` chose the backend.
    pub fn new(name: Option<&'a RuleName>, backend: &'a str) -> Self {
        let (route, rule) = (name.map(RuleName::route), name.and_then(RuleName::rule));
        Place { route, rule, backend }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LLMBackend {}", self.backend)?;
        match (self.route, self.rule) {
            (Some(route), Some(rule)) => write!(f, " by rule {rule} of LLMRoute {route}"),
            (Some(route), None) => write!(f, " by LLMRoute {route}"),
            (None, _) => f.write_str(" by its name"),
        }
    }
}

// === impl Unmet ===

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { format!("{text:?}") };
        match self {
            Unmet::Namespace { speaks_for, caller } => {
                write!(f, "it speaks for namespace {speaks_for:?}, and the caller's is {}", or_none(caller))
            }
            Unmet::From { word, wanted, caller, entries } => {
                write!(f, "from.{word} wants {wanted:?}, and the caller's is {}", or_none(caller))?;
                match entries {
                    0 | 1 => Ok(()),
                    more => write!(f, "; none of the {more} entries fits"),
                }
            }
            Unmet::Target { wanted, place } => write!(f, "targetRefs want {wanted}, and the call goes to {place}"),
        }
    }
}

#[cfg(test)]
mod tests;
