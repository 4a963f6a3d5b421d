//! What a token says: a small tree of values, as the proxy's JWT filter has left it. It was checked by
//! the proxy; here it is only looked at.

use std::sync::Arc;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// What names nobody: null, a truth, a number that is not whole.
    Other,
    Text(Box<str>),
    List(Vec<Claim>),
    Map(Vec<(Box<str>, Claim)>),
}

/// What is known of a token.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Claims {
    /// There was none, or nobody looks at it.
    #[default]
    None,
    Said(Claim),
    /// There was one, and it is larger or deeper than what is read here. What it says cannot be left
    /// out of account: a rule may refuse one of its groups.
    Unreadable,
}

/// The largest number up to which every whole one is exact in a token.
const EXACT: f64 = 9_007_199_254_740_992.0;

// === impl Claim ===

impl Claim {
    /// A number: one that is whole names somebody by its digits.
    pub fn number(number: f64) -> Claim {
        match number.fract() == 0.0 && number.abs() <= EXACT {
            true => Claim::Text(format!("{number:.0}").into()),
            false => Claim::Other,
        }
    }

    /// The member of this name; of one that stands there twice, the last.
    pub fn get(&self, name: &str) -> Option<&Claim> {
        match self {
            Claim::Map(members) => members.iter().rev().find(|(key, _)| &**key == name).map(|(_, value)| value),
            _ => None,
        }
    }

    /// What is at the end of a way through maps.
    pub fn at(&self, path: &[Arc<str>]) -> Option<&Claim> {
        path.iter().try_fold(self, |claim, name| claim.get(name))
    }

    /// The claim of this name. A name with dots that is no member is a way: `realm_access.roles`.
    pub fn named(&self, name: &str) -> Option<&Claim> {
        self.get(name).or_else(|| match name.contains('.') {
            true => name.split('.').try_fold(self, Claim::get),
            false => None,
        })
    }

    /// The text, or nothing.
    pub fn text(&self) -> Option<&str> {
        match self {
            Claim::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The text, or those of the list.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let list = match self {
            Claim::List(items) => items.as_slice(),
            one => std::slice::from_ref(one),
        };
        list.iter().filter_map(Claim::text)
    }
}
