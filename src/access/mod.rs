//! Who may use which model and which backend: one rule against one place that a call could go to. Whose
//! calls a rule is about, and what becomes of several, is not known here.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::base::glob::Glob;

/// What may be used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    allow: Option<Vec<Glob>>,
    /// In lower case.
    deny: Vec<Glob>,
    backends: Labels,
}

/// Labels of a backend, or those that it must have.
pub type Labels = Vec<(Arc<str>, Arc<str>)>;

/// The model of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model<'a> {
    Named(Names<'a>),
    /// There is none in such a request.
    None,
    /// There may be one, and nobody can read it.
    Unreadable,
}

/// Every name that a model has on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// As the client asked.
    pub requested: &'a str,
    /// As it leaves.
    pub leaving: &'a str,
    /// `BACKEND/MODEL`, by the backend's id: `NAMESPACE/NAME/MODEL` for one that a namespace defines.
    pub long: &'a str,
    /// The namespace that defines the backend; none for root.
    pub namespace: Option<&'a str>,
    /// A namespace has said where the call goes, by a rule or a backend of its own: what was asked for is
    /// then a text of its choice.
    pub mapped: bool,
}

/// Whose names make a model an allowed one. A name that is denied is denied whoever gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Believed {
    /// Root's alone: no document of a namespace can meet the rule.
    Root,
    All,
}

/// Why a place may not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused<'a> {
    Denied {
        model: &'a str,
        pattern: &'a str,
    },
    /// No name of the model is one of those that are allowed.
    NotAllowed,
    Unreadable,
    /// The backend lacks this label.
    Backend {
        key: &'a str,
        value: &'a str,
    },
}

// === impl Rule ===

impl Rule {
    /// A rule that allows the models that match (none: every one), denies those that match, whatever
    /// their case and whatever stands before a slash, and wants these labels of a backend.
    pub fn new(allow: Option<Vec<Glob>>, deny: &[Glob], backends: Labels) -> Self {
        // Some servers take a model's name in any case; one that is denied stays so.
        let deny = deny.iter().map(|glob| Glob::new(&glob.as_str().to_lowercase())).collect();
        Rule { allow, deny, backends }
    }

    /// Whether a call for this model may go to a backend with these labels.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check<'a>(&'a self, model: Model<'a>, labels: &Labels, believed: Believed) -> Result<(), Refused<'a>> {
        let has = |wanted: &(Arc<str>, Arc<str>)| labels.contains(wanted);
        if let Some((key, value)) = self.backends.iter().find(|wanted| !has(wanted)) {
            return Err(Refused::Backend { key, value });
        }
        match model {
            Model::Named(names) => self.check_names(names, believed),
            Model::Unreadable if self.allow.is_some() || !self.deny.is_empty() => Err(Refused::Unreadable),
            Model::Unreadable | Model::None => Ok(()),
        }
    }

    fn check_names<'a>(&'a self, names: Names<'a>, believed: Believed) -> Result<(), Refused<'a>> {
        for model in names.of(Believed::All).filter(|_| !self.deny.is_empty()) {
            let lower = match model.chars().any(char::is_uppercase) {
                true => Cow::Owned(model.to_lowercase()),
                false => Cow::Borrowed(model),
            };
            if let Some(pattern) = self.deny.iter().find(|glob| ends(&lower).any(|end| glob.matches(end))) {
                return Err(Refused::Denied { model, pattern: pattern.as_str() });
            }
        }
        let is_allowed = |allow: &[Glob]| names.of(believed).any(|name| allow.iter().any(|glob| glob.matches(name)));
        match self.allow.as_deref().is_none_or(is_allowed) {
            true => Ok(()),
            false => Err(Refused::NotAllowed),
        }
    }
}

/// A name, and what follows each slash in it: some servers take `VENDOR/MODEL` for `MODEL`.
fn ends(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |end| end.split_once('/').map(|(_, rest)| rest))
}

// === impl Names ===

impl<'a> Names<'a> {
    fn of(self, believed: Believed) -> impl Iterator<Item = &'a str> {
        let all = believed == Believed::All;
        // `NAME/MODEL`, as the namespace itself calls its backend.
        let short = self.namespace.and_then(|namespace| self.long.get(namespace.len() + 1..));
        let requested = Some(self.requested).filter(|_| all || !self.mapped);
        [requested, Some(self.leaving), Some(self.long), short.filter(|_| all)].into_iter().flatten()
    }
}

// === impl Refused ===

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Denied { model, pattern } => write!(f, "models.deny has {pattern:?}, which is {model:?}"),
            Refused::NotAllowed => f.write_str("models.allow has none of its names"),
            Refused::Unreadable => f.write_str("its model cannot be read, and models are restricted"),
            Refused::Backend { key, value } => write!(f, "the backend has no label {key}={value}"),
        }
    }
}

#[cfg(test)]
mod tests;
