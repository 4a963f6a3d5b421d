//! An explanation for programs, and one that fits into a header.

use serde_json::{Map, Value, json};

use super::{Explanation, Fate, Line, Standing};
use crate::policy::Mode;

/// The longest header value, in bytes.
pub const HEADER: usize = 4096;

// === impl Explanation ===

impl Explanation {
    /// All of it.
    pub fn to_json(&self) -> Value {
        let facts = self.caller.facts.iter();
        let facts = facts.map(|fact| json!({"name": fact.name, "value": fact.value, "from": fact.from}));
        let route = &self.route;
        let choices = route.choices.iter().map(|choice| {
            let mut shown = json!({
                "backend": choice.backend, "model": choice.model, "priority": choice.priority,
                "weight": choice.weight, "of": choice.of, "fate": choice.fate.word(),
            });
            if let Fate::PassedOver(reason) = &choice.fate {
                shown["reason"] = json!(reason);
            }
            shown
        });
        let rules = route.rules.iter().map(|rule| json!({"rule": rule.rule, "why": rule.why}));
        let documents = self.applied.iter().chain(&self.others).map(Line::to_json);
        json!({
            "caller": {"name": self.caller.name, "rank": self.caller.rank, "facts": facts.collect::<Vec<_>>()},
            "route": {
                "rule": route.rule, "backend": route.backend, "model": route.model, "why": route.why,
                "choices": choices.collect::<Vec<_>>(), "notRules": rules.collect::<Vec<_>>(),
                "omitted": route.omitted,
            },
            "policies": documents.collect::<Vec<_>>(),
            "policiesOmitted": self.omitted,
        })
    }

    /// What its caller may be told, as JSON in ASCII of at most [`HEADER`] bytes: who it is, where the call
    /// goes, and of each policy of root or of the caller's own namespace the name and whether it applies. No
    /// reason: it would tell what others may.
    pub fn to_header(&self) -> String {
        let route = &self.route;
        let mut shown = json!({
            "caller": self.caller.name, "rank": self.caller.rank,
            "rule": route.rule, "backend": route.backend, "model": route.model,
        });
        let mut policies = Map::new();
        let mut omitted = self.omitted;
        let mut left = HEADER.saturating_sub(ascii(&shown.to_string()).len() + ROOM);
        for line in self.applied.iter().chain(&self.others) {
            let is_own = line.namespace.as_ref().is_none_or(|namespace| *namespace == self.caller.namespace);
            let member = ascii(&json!({ &*line.id: line.word() }).to_string()).len();
            match left.checked_sub(member).filter(|_| is_own) {
                Some(rest) => {
                    left = rest;
                    policies.insert(line.id.to_string(), json!(line.word()));
                }
                None => omitted += 1,
            }
        }
        shown["policies"] = Value::Object(policies);
        shown["omitted"] = json!(omitted);
        let text = ascii(&shown.to_string());
        if text.len() > HEADER { format!(r#"{{"omitted":{}}}"#, omitted) } else { text }
    }
}

/// Of the members that close a header.
const ROOM: usize = 64;

/// The same JSON with every character beyond ASCII escaped, for a header carries none.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            ' '..='~' => out.push(character),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out
}

// === impl Line ===

impl Line {
    fn to_json(&self) -> Value {
        let mode = if self.mode == Mode::Shadow { "Shadow" } else { "Enforce" };
        let mut shown = json!({"id": &*self.id, "mode": mode, "verdict": self.word()});
        if let Standing::Refuses(why) | Standing::NotMet(why) = &self.standing {
            shown["why"] = json!(why);
        }
        if let Standing::Replaced(other) | Standing::Conflicted(other) = &self.standing {
            shown["by"] = json!(&**other);
        }
        if !self.names.is_empty() {
            shown["names"] = self.names.iter().map(|name| json!(&**name)).collect();
        }
        shown
    }

    /// One word for it.
    fn word(&self) -> &'static str {
        match (&self.standing, self.mode) {
            (Standing::Refuses(_), Mode::Enforce) => "refuses",
            (Standing::Refuses(_), Mode::Shadow) => "would_refuse",
            (Standing::Allows, _) => "allows",
            (Standing::Applies, _) => "applies",
            (Standing::Replaced(_), _) => "replaced",
            (Standing::Conflicted(_), _) => "conflicted",
            (Standing::NotMet(_), _) => "does_not_apply",
            (Standing::NotAsked, _) => "not_asked",
        }
    }
}

// === impl Fate ===

impl Fate {
    fn word(&self) -> &'static str {
        match self {
            Fate::Chosen => "chosen",
            Fate::PassedOver(_) => "passed_over",
            Fate::NoWeight => "no_weight",
            Fate::Other => "not_drawn",
            Fate::NotNeeded => "not_needed",
        }
    }
}
