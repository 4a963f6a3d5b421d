//! The rules of all routes, and which one takes a call. What a look-up costs grows with the number of
//! different lengths of literal prefixes and with the rules that say the same of model and header, not
//! with the number of rules; patterns that begin with a star are walked.

use std::collections::HashMap;
use std::ops::Deref;

use super::rule::{Asked, Match, Rule};

/// All rules, in order. First match wins, except that an exact model beats a pattern and no model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    rules: Vec<Rule>,
    /// Alternatives that name one model.
    exact: HashMap<Box<str>, Bucket>,
    /// Patterns, by the text before their first star; the shortest prefixes first.
    prefixes: Vec<(usize, HashMap<Box<str>, Bucket>)>,
    /// Alternatives that say nothing of the model's beginning.
    rest: Bucket,
}

/// Alternatives that say the same of the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Bucket {
    /// Those without a header of one value, in order.
    plain: Vec<Slot>,
    /// The others: by the name of their first such header, then by its value.
    keyed: Vec<(Box<str>, ByValue)>,
}

type ByValue = HashMap<Box<str>, Vec<Slot>>;

/// An alternative by its rule and its place there: in this order the first one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    rule: usize,
    alternative: usize,
}

// === impl Rules ===

impl From<Vec<Rule>> for Rules {
    /// Choices are put in the order of their priorities, and a rule without a match takes every call.
    fn from(mut rules: Vec<Rule>) -> Self {
        for rule in &mut rules {
            rule.choices.sort_by_key(|choice| choice.priority);
            if rule.matches.is_empty() {
                rule.matches.push(Match::default());
            }
        }
        let mut index = Rules::default();
        for (at, rule) in rules.iter().enumerate() {
            for (alternative, says) in rule.matches.iter().enumerate() {
                index.bucket(says).add(says, Slot { rule: at, alternative });
            }
        }
        index.prefixes.sort_by_key(|(length, _)| *length);
        Rules { rules, ..index }
    }
}

impl Deref for Rules {
    type Target = [Rule];

    fn deref(&self) -> &[Rule] {
        &self.rules
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.rules.iter()
    }
}

impl Rules {
    /// The rule that takes a call.
    pub fn find(&self, asked: &Asked<'_>) -> Option<&Rule> {
        let exact = self.exact.get(asked.model).and_then(|bucket| self.first(bucket, asked, None));
        let slot = exact.or_else(|| {
            let mut best = self.first(&self.rest, asked, None);
            for (length, buckets) in &self.prefixes {
                // None in the middle of a character: no pattern's text ends there.
                let prefix = asked.model.get(..*length);
                if let Some(bucket) = prefix.and_then(|prefix| buckets.get(prefix)) {
                    best = self.first(bucket, asked, best);
                }
            }
            best
        })?;
        self.rules.get(slot.rule)
    }

    /// The first of a bucket's alternatives that admits the call, or what is better already.
    fn first(&self, bucket: &Bucket, asked: &Asked<'_>, best: Option<Slot>) -> Option<Slot> {
        let mut best = self.first_of(&bucket.plain, asked, best);
        for (name, values) in &bucket.keyed {
            if let Some(slots) = (asked.header)(name).and_then(|value| values.get(value)) {
                best = self.first_of(slots, asked, best);
            }
        }
        best
    }

    fn first_of(&self, slots: &[Slot], asked: &Asked<'_>, best: Option<Slot>) -> Option<Slot> {
        let earlier = slots.iter().take_while(|slot| best.is_none_or(|best| **slot < best));
        let says = |slot: &Slot| self.rules.get(slot.rule)?.matches.get(slot.alternative);
        let found = earlier.copied().find(|slot| says(slot).is_some_and(|says| says.admits(asked)));
        found.or(best)
    }

    /// Where an alternative belongs.
    fn bucket(&mut self, says: &Match) -> &mut Bucket {
        match &says.model {
            Some(model) if model.is_exact() => self.exact.entry(model.as_str().into()).or_default(),
            Some(model) if !model.prefix().is_empty() => {
                let prefix = model.prefix();
                let known = self.prefixes.iter().position(|(length, _)| *length == prefix.len());
                let at = known.unwrap_or_else(|| {
                    self.prefixes.push((prefix.len(), HashMap::new()));
                    self.prefixes.len() - 1
                });
                self.prefixes[at].1.entry(prefix.into()).or_default()
            }
            _ => &mut self.rest,
        }
    }
}

// === impl Bucket ===

impl Bucket {
    fn add(&mut self, says: &Match, slot: Slot) {
        let Some(header) = says.headers.iter().find(|header| header.value.is_exact()) else {
            return self.plain.push(slot);
        };
        let known = self.keyed.iter().position(|(name, _)| *name == header.name);
        let at = known.unwrap_or_else(|| {
            self.keyed.push((header.name.clone(), HashMap::new()));
            self.keyed.len() - 1
        });
        self.keyed[at].1.entry(header.value.as_str().into()).or_default().push(slot);
    }
}

#[cfg(test)]
mod tests;
