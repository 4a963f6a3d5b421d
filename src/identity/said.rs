//! What a caller says of itself: its end user, its session, its tags. None of it is ever a fact: it
//! says for whom a known caller asks, and does not make a caller known.

use std::sync::Arc;

use super::claims::Claim;
use super::{MAX_TEXT, Principal};

/// Where an end user or a session is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A claim of the token, which the caller cannot choose.
    Claim(Arc<str>),
    /// A header, in lower case.
    Header(Arc<str>),
    /// The field of the body in which the dialect says it.
    Body,
}

/// What is taken of what a caller says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// Where its end user is looked for; the first source that has one counts.
    pub end_user: Vec<Source>,
    /// The same of its session.
    pub session: Vec<Source>,
    /// The names that are taken from `x-weir-tags`.
    pub tags: Vec<Arc<str>>,
}

/// Tags that are taken of one request, at most.
pub const MAX_TAGS: usize = 16;

/// The header of the tags.
const TAGS_HEADER: &str = "x-weir-tags";

// === impl Said ===

impl Said {
    /// True if nothing is taken.
    pub fn is_empty(&self) -> bool {
        self.end_user.is_empty() && self.session.is_empty() && self.tags.is_empty()
    }

    /// True if the end user may be named by the body.
    pub fn asks_body(&self) -> bool {
        self.end_user.contains(&Source::Body)
    }
}

/// The first text that a source has, and whether it is a claim. A claim that is there and names nobody ends the search: what the
/// caller writes itself never takes the place of what its token says.
pub fn first<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    sources: &[Source],
    claims: Option<&Claim>,
    headers: impl Fn() -> I,
) -> (Option<Arc<str>>, bool) {
    let header = |name: &str| {
        let (_, value) = headers().find(|(key, _)| **key == *name)?;
        bounded(std::str::from_utf8(value).ok()?.trim())
    };
    for source in sources {
        let found = match source {
            Source::Claim(name) => match claims.and_then(|claims| claims.named(name)) {
                Some(claim) => {
                    let said = claim.text().and_then(bounded);
                    let is_claim = said.is_some();
                    return (said, is_claim);
                }
                None => None,
            },
            Source::Header(name) => header(name),
            Source::Body => None,
        };
        if found.is_some() {
            return (found, false);
        }
    }
    (None, false)
}

/// The tags of these names that a caller states: `NAME=VALUE,…`. The first of a name counts, and what a
/// consumer's document says under that name is not overwritten.
pub fn tags<'h>(
    names: &[Arc<str>],
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    into: &mut Vec<(Arc<str>, Arc<str>)>,
) {
    let known = into.len();
    let values = headers.filter(|(name, _)| *name == TAGS_HEADER);
    let texts = values.filter_map(|(_, value)| std::str::from_utf8(value).ok());
    for (name, value) in texts.flat_map(|text| text.split(',')).filter_map(|pair| pair.split_once('=')) {
        let Some(name) = names.iter().find(|known| ***known == *name.trim()) else { continue };
        if into.len() - known < MAX_TAGS && !into.iter().any(|(other, _)| other == name) {
            into.extend(bounded(value.trim()).map(|value| (name.clone(), value)));
        }
    }
}

/// The same caller with the end user that the body names, where none is known yet.
pub fn with_end_user(principal: &Arc<Principal>, user: &str) -> Arc<Principal> {
    match (&principal.end_user, bounded(user)) {
        (None, Some(user)) => Arc::new(Principal { end_user: Some(user), ..(**principal).clone() }),
        _ => principal.clone(),
    }
}

/// A text that names somebody: short, not empty, and nothing in it that would break a line of a log.
pub fn bounded(text: &str) -> Option<Arc<str>> {
    let fits = (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(char::is_control);
    fits.then(|| text.into())
}
