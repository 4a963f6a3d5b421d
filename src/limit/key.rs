//! Whose counter: one limit has as many as its `per` finds values for.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

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

/// What stands between the values. In none it stands as itself.
const BAR: char = '|';

/// What stands for a value that is not there. At the head of none it stands as itself.
const NONE: char = '~';

/// The longest value that stands as it is, in bytes: what callers say of themselves is no longer.
const LONGEST: usize = 256;

/// So much of a longer one stands before its digest, in bytes at most.
const HEAD: usize = 64;

/// The counter of a call: the limit's id and the value of each key behind it, `fair-use/rpm|search|gpt-4o`. It is
/// what memory, the journal and the store know a counter by.
///
/// Two calls have the same text only if every value is the same, and it has no character that ends a line, a pattern
/// of keys or the hash tag of a Cluster: in a value bars, percent signs, braces and control characters are written as
/// in a URL (`%7C`), and so is a tilde at its head, for a value that is missing is a single tilde. Of a value that is
/// longer than 256 bytes stand the first 64, `%#` and the first 128 bits of its SHA-256 in hexadecimal digits.
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
            (None, WhenKeyMissing::Shared) => text.push(NONE),
            (None, WhenKeyMissing::Skip) => return Counter::Skipped,
            (None, WhenKeyMissing::Deny) => return Counter::Missing(key.clone()),
        }
    }
    Counter::Of(text.into())
}

fn push_value(text: &mut String, value: &str) {
    if value.len() <= LONGEST {
        return push_escaped(text, value);
    }
    push_escaped(text, value.get(..value.floor_char_boundary(HEAD)).unwrap_or_default());
    text.push_str("%#");
    // Callers choose such values: a digest that could be forged would let one spend from another's counter.
    let digest = Sha256::digest(value.as_bytes());
    digest.iter().take(16).for_each(|byte| push_hex(text, *byte));
}

fn push_escaped(text: &mut String, value: &str) {
    for (at, letter) in value.char_indices() {
        match letter {
            BAR | '%' | '{' | '}' => push_percent(text, letter),
            NONE if at == 0 => push_percent(text, letter),
            _ if letter.is_control() => push_percent(text, letter),
            _ => text.push(letter),
        }
    }
}

fn push_percent(text: &mut String, letter: char) {
    for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
        text.push('%');
        push_hex(text, byte);
    }
}

fn push_hex(text: &mut String, byte: u8) {
    for digit in [byte >> 4, byte & 15] {
        text.extend(char::from_digit(digit.into(), 16).map(|digit| digit.to_ascii_uppercase()));
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

#[cfg(test)]
mod tests;
