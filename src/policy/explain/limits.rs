//! Each limit of a policy that speaks for a call: whose counter it is, how much that counter may hold, and what the
//! call takes of it. How full the counter is changes with every call, and is not worked out here.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use super::{Asked, Question, clip};
use crate::limit::Unit;
use crate::limit::key::{Counter, Key};
use crate::policy::Mode;
use crate::policy::limits::{Exceeded, LimitPolicy, Stand, Visit};
use crate::policy::select::Place;

/// Limits of one policy that are told of, at most.
const LIMITS: usize = 64;

/// What a call took of a limit, or would take, in the parts of its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    pub most: u64,
    pub likely: u64,
    /// What it was charged in the end; none where nobody counted.
    pub charged: Option<u64>,
}

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Met {
    pub name: Arc<str>,
    pub id: Arc<str>,
    pub unit: Unit,
    pub ceiling: u64,
    /// `600 requests in 1m`.
    pub words: String,
    /// Why the ceiling is not what the limit says.
    pub because: Vec<String>,
    /// Each key with the call's value, as far as it has one.
    pub by: Vec<(String, Option<String>)>,
    pub counter: Told,
    /// What happens to a call that does not fit.
    pub exceeded: String,
    pub is_enforced: bool,
    pub took: Option<Took>,
}

/// A counter as it is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// Its text.
    Of(String),
    /// The call has no value for this key, and the limit is not asked.
    Skipped(String),
    /// It has no value for this key, and must have one.
    Missing(String),
    /// The same, of a limit that only observes: the call goes on, and is counted nowhere.
    Uncounted(String),
}

/// The limits of a policy that speaks for the call. None for a path without a model: it meets no limit.
pub(super) fn describe(question: &Question<'_>, policy: &LimitPolicy, place: Place<'_>) -> Vec<Met> {
    let (Asked::Model { .. }, Some(went)) = (question.asked, question.went) else { return Vec::new() };
    let visit = Visit { place, model: went.model, unix: question.unix };
    let stands = policy.stand(question.caller, visit).into_iter().take(LIMITS);
    stands.map(|stand| met(question, stand)).collect()
}

fn met(question: &Question<'_>, stand: Stand<'_>) -> Met {
    let (rule, limit) = (stand.rule, &stand.rule.limit);
    let by: Vec<(String, Option<String>)> =
        stand.values.iter().map(|(key, value)| (word(key), value.as_deref().map(clip))).collect();
    let without = || by.iter().find(|(_, value)| value.is_none()).map(|(key, _)| key.clone()).unwrap_or_default();
    let counter = match stand.counter {
        Counter::Of(text) => Told::Of(clip(&text)),
        Counter::Skipped => Told::Skipped(without()),
        Counter::Missing(key) if rule.mode == Mode::Enforce && !rule.is_enforced() => Told::Uncounted(word(&key)),
        Counter::Missing(key) => Told::Missing(word(&key)),
    };
    let mut because = Vec::new();
    if let Some(other) = stand.other {
        let facts: Vec<String> =
            other.matches.iter().map(|(fact, value)| format!("{} {value}", fact.as_str())).collect();
        let until = other.until.map_or(String::new(), |until| format!(" until {}", moment(until)));
        because.push(format!("an override for {}{until}", facts.join(" and ")));
    }
    if let Some(kept) = stand.kept {
        because.push(format!("{}% are kept for others", kept.share));
    }
    Met {
        name: limit.name.clone(),
        id: limit.id.clone(),
        unit: limit.unit,
        ceiling: stand.ceiling,
        words: limit.words(stand.ceiling),
        because,
        by,
        counter,
        exceeded: exceeded(&rule.exceeded),
        is_enforced: rule.is_enforced() && rule.mode == Mode::Enforce,
        took: question.decided.took.and_then(|took| took(&limit.id)),
    }
}

fn word(key: &Key) -> String {
    match key {
        Key::Fact(fact) => fact.as_str().to_owned(),
        Key::Tag(name) => format!("tag {}", clip(name)),
    }
}

fn exceeded(exceeded: &Exceeded) -> String {
    match exceeded {
        Exceeded::Deny => "denies".to_owned(),
        Exceeded::Downgrade(backend, model) => format!("downgrades to {backend} as {model}"),
        Exceeded::Throttle(longest) => format!("throttles for at most {}s", longest.as_secs_f64()),
        Exceeded::Observe => "only observes".to_owned(),
    }
}

/// In UTC, as configurations have it.
fn moment(unix: u64) -> String {
    let moment = i64::try_from(unix).ok().and_then(|unix| jiff::Timestamp::from_second(unix).ok());
    moment.map_or_else(|| unix.to_string(), |moment| moment.to_string())
}

// === impl Met ===

impl Met {
    pub(super) fn to_json(&self) -> Value {
        let by = self.by.iter().map(|(key, value)| json!({"key": key, "value": value})).collect::<Vec<_>>();
        let decimal = |parts: u64| self.unit.decimal(parts);
        let mut shown = json!({
            "limit": &*self.id, "unit": self.unit.as_str(), "ceiling": decimal(self.ceiling), "allows": self.words,
            "because": self.because, "by": by, "exceeded": self.exceeded, "enforced": self.is_enforced,
        });
        match &self.counter {
            Told::Of(text) => shown["counter"] = json!(text),
            Told::Skipped(key) => shown["skippedWithout"] = json!(key),
            Told::Missing(key) => shown["refusedWithout"] = json!(key),
            Told::Uncounted(key) => shown["uncountedWithout"] = json!(key),
        }
        if let Some(took) = self.took {
            shown["atMost"] = json!(decimal(took.most));
            shown["probably"] = json!(decimal(took.likely));
            shown["charged"] = json!(took.charged.map(decimal));
        }
        shown
    }

    fn who(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (key, value)) in self.by.iter().filter(|(key, _)| key != "Global").enumerate() {
            f.write_str(if at == 0 { " by " } else { ", " })?;
            match value {
                Some(value) => write!(f, "{key} {value}")?,
                None => write!(f, "{key} unknown")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Met {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        let counter = match &self.counter {
            Told::Skipped(key) => return write!(f, "not asked, for the call has no {key}"),
            Told::Missing(key) if self.is_enforced => {
                return write!(f, "refuses, for the call has no {key} and must have one");
            }
            Told::Uncounted(key) => return write!(f, "only observes, and counts nothing, for the call has no {key}"),
            Told::Missing(key) => return write!(f, "would refuse, for the call has no {key} and must have one"),
            Told::Of(text) => text,
        };
        f.write_str(&self.words)?;
        if !self.because.is_empty() {
            write!(f, " ({})", self.because.join(", "))?;
        }
        self.who(f)?;
        write!(f, "; {}", self.exceeded)?;
        if let Some(Took { most, likely, charged }) = self.took {
            let words = |parts| self.unit.words(parts);
            match charged {
                Some(charged) => write!(f, "; took {} and was charged {}", words(most), words(charged))?,
                None if likely == most => write!(f, "; takes {}", words(most))?,
                None => write!(f, "; takes at most {}, probably {}", words(most), words(likely))?,
            }
        }
        write!(f, "; counter {counter}")
    }
}
