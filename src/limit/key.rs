//! Whose counter: one limit has as many as its `per` finds values for.

use std::sync::Arc;

use super::Limit;

/// What a counter is kept for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
    Fact(Fact),
    /// A tag of the consumer's, or one that the caller sends.
    Tag(Arc<str>),
}

/// What is known of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fact {
    /// That it is a call: one counter for all.
    Global,
    Consumer,
    Team,
    Namespace,
    ServiceAccount,
    Workload,
    Model,
    Backend,
    Route,
    EndUser,
    Session,
}

/// What happens to a call that has no value for a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenKeyMissing {
    /// All of them share one counter.
    #[default]
    Shared,
    /// The limit is not asked.
    Skip,
    /// The call is refused.
    Deny,
}

/// The values of one call. An empty text is none.
#[derive(Clone, Copy)]
pub struct Facts<'a> {
    pub consumer: Option<&'a str>,
    pub team: Option<&'a str>,
    pub namespace: &'a str,
    pub service_account: &'a str,
    pub workload: &'a str,
    /// The model that leaves.
    pub model: &'a str,
    pub backend: &'a str,
    pub route: Option<&'a str>,
    pub end_user: Option<&'a str>,
    pub session: Option<&'a str>,
    pub tag: &'a dyn Fn(&str) -> Option<&'a str>,
}

/// Where a call is counted for one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Under this text; see [`counter`].
    Of(Arc<str>),
    /// Nowhere.
    Skipped,
    /// It has no value for this key, and must have one.
    Missing(Key),
}

/// What stands between the values, and for a value that is not there. In a value it stands twice.
const BAR: char = '|';

/// The counter of a call: the limit's id and the value of each key behind it, `fair-use/rpm|search|gpt-4o`.
/// Two calls have the same text only if every value is the same: a bar in a value is doubled, and a value
/// that is missing is a single tilde where a tilde at a value's head is doubled.
pub fn counter(limit: &Limit, facts: &Facts<'_>) -> Counter {
    let mut text = String::with_capacity(limit.id.len() + 24 * limit.per.len());
    text.push_str(&limit.id);
    for key in &limit.per {
        if *key == Key::Fact(Fact::Global) {
            continue;
        }
        text.push(BAR);
        match (facts.value(key), limit.when_key_missing) {
            (Some(value), _) => push_value(&mut text, value),
            (None, WhenKeyMissing::Shared) => text.push('~'),
            (None, WhenKeyMissing::Skip) => return Counter::Skipped,
            (None, WhenKeyMissing::Deny) => return Counter::Missing(key.clone()),
        }
    }
    Counter::Of(text.into())
}

fn push_value(text: &mut String, value: &str) {
    if value.starts_with('~') {
        text.push('~');
    }
    for letter in value.chars() {
        text.push(letter);
        if letter == BAR {
            text.push(BAR);
        }
    }
}

// === impl Fact ===

impl Fact {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Fact::Global => "Global",
            Fact::Consumer => "Consumer",
            Fact::Team => "Team",
            Fact::Namespace => "Namespace",
            Fact::ServiceAccount => "ServiceAccount",
            Fact::Workload => "Workload",
            Fact::Model => "Model",
            Fact::Backend => "Backend",
            Fact::Route => "Route",
            Fact::EndUser => "EndUser",
            Fact::Session => "Session",
        }
    }

    /// It says who calls, so that what is left of the limit is the caller's own business.
    pub fn is_of_caller(self) -> bool {
        match self {
            Fact::Global | Fact::Model | Fact::Backend | Fact::Route => false,
            Fact::Consumer | Fact::Team | Fact::Namespace | Fact::ServiceAccount => true,
            Fact::Workload | Fact::EndUser | Fact::Session => true,
        }
    }
}

// === impl Facts ===

impl<'a> Facts<'a> {
    /// The value of a key; none for one that is not known of this call.
    pub fn value(&self, key: &Key) -> Option<&'a str> {
        let value = match key {
            Key::Tag(name) => (self.tag)(name),
            Key::Fact(fact) => self.fact(*fact),
        };
        value.filter(|value| !value.is_empty())
    }

    /// The value of a fact; of `Global` an empty text.
    pub fn fact(&self, fact: Fact) -> Option<&'a str> {
        match fact {
            Fact::Global => Some(""),
            Fact::Consumer => self.consumer,
            Fact::Team => self.team,
            Fact::Namespace => Some(self.namespace),
            Fact::ServiceAccount => Some(self.service_account),
            Fact::Workload => Some(self.workload),
            Fact::Model => Some(self.model),
            Fact::Backend => Some(self.backend),
            Fact::Route => self.route,
            Fact::EndUser => self.end_user,
            Fact::Session => self.session,
        }
    }
}
