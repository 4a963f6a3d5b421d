//! An explanation for programs.

use serde_json::{Value, json};

use super::{Explanation, Fate, Line, Met, Standing};
use crate::policy::Mode;

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
        if !self.limits.is_empty() {
            shown["limits"] = self.limits.iter().map(Met::to_json).collect();
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
