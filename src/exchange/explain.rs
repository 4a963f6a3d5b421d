//! Why it came out so: an exchange, or the record that is left of it, as a question to
//! [`policy::explain`](crate::policy::explain).

use super::Exchange;
use super::event::{Headers, RequestHead};
use super::record::{Decision, Record};
use super::story::NANOS;
use crate::identity::Principal;
use crate::limit::charge::Charge;
use crate::llm::{Dialect, Operation};
use crate::policy::explain::{Asked, Decided, Explanation, Question, Took, Went};
use crate::policy::{Explain, Policy};

/// The header by which a caller asks why, and in which it is told.
pub const EXPLAIN_HEADER: &str = "x-weir-explain";

/// What an exchange and a record both know of a call.
#[derive(Clone, Copy)]
struct Told<'a> {
    caller: &'a Principal,
    hides_model: bool,
    operation: Operation,
    dialect: Dialect,
    /// As the client asked; empty where there is none.
    model: &'a str,
    went: Option<Went<'a>>,
    decisions: &'a [Decision],
    /// What limits took of it.
    charges: &'a [Charge],
    /// In seconds since the Unix epoch.
    unix: u64,
}

// === impl Exchange ===

impl Exchange {
    /// Remembers whether the caller asks why, and may. Only once the caller is known: to
    /// one that was refused its identity nothing is told, and until then root's profile speaks for all.
    pub(super) fn hear_question(&mut self, head: &RequestHead) {
        let may_ask = self.setup.policy.profile.explain == Explain::Header;
        self.question = may_ask && head.headers.get(EXPLAIN_HEADER).is_some_and(|value| value.trim() == "1");
    }

    /// The answer, for the one header of it; none where nobody asked.
    pub(super) fn reason(&self) -> Option<String> {
        // A namespace can forbid what root allows.
        if !self.question || self.profile.explain != Explain::Header {
            return None;
        }
        let story = &self.story;
        let went = story.backend().map(|target| Went {
            rule: target.rule.as_ref().map(|rule| &**rule.text()),
            backend: &target.backend.name,
            model: &target.model,
        });
        let told = Told {
            caller: &story.caller,
            hides_model: story.hides_model,
            operation: story.operation,
            dialect: story.dialect,
            model: story.call.as_ref().map_or("", |call| &call.model),
            went,
            decisions: &story.decisions,
            charges: &[],
            unix: story.started_unix / NANOS,
        };
        Some(told.brief(&self.setup.policy))
    }
}

// === impl Record ===

impl Record {
    /// Why it came out so, by the configuration that was in force. Where the headers of the request are not
    /// known any more, a rule that wants one is told of as such.
    pub fn explain(&self, policy: &Policy, headers: Option<&Headers>) -> Explanation {
        let went = self.backend.as_deref().map(|backend| Went {
            rule: self.route.as_deref(),
            backend,
            model: &self.sent_model,
        });
        let told = Told {
            caller: &self.caller,
            hides_model: self.hides_model,
            operation: self.operation,
            dialect: self.dialect,
            model: &self.requested_model,
            went,
            decisions: &self.decisions,
            charges: &self.limits,
            unix: self.started / NANOS,
        };
        told.explain(policy, headers)
    }
}

// === impl Told ===

impl<'a> Told<'a> {
    fn explain(self, policy: &'a Policy, headers: Option<&'a Headers>) -> Explanation {
        let header = |name: &str| headers.and_then(|headers| headers.get(name));
        let passed_over = |choice: &str| {
            let mut passed = self.decisions.iter().filter(|decision| decision.outcome == "passed_over");
            passed.find(|decision| *decision.detail == *choice).map(|decision| decision.reason)
        };
        let took = |limit: &str| {
            let charge = self.charges.iter().find(|charge| *charge.limit.id == *limit)?;
            Some(Took { most: charge.reserved, likely: charge.likely, charged: charge.charged })
        };
        let question = Question {
            policy,
            caller: self.caller,
            asked: self.asked(),
            header: headers.is_some().then_some(&header),
            went: self.went,
            unix: self.unix,
            decided: Decided { why: self.why(), passed_over: Some(&passed_over), took: Some(&took) },
        };
        question.explain()
    }

    /// The little of it that a caller is told: no header is looked at for that.
    fn brief(self, policy: &'a Policy) -> String {
        let (caller, asked, went) = (self.caller, self.asked(), self.went);
        Question { policy, caller, asked, header: None, went, unix: self.unix, decided: Decided::default() }.brief()
    }

    fn asked(&self) -> Asked<'a> {
        match self.went {
            _ if !self.model.is_empty() => {
                Asked::Model { model: self.model, operation: self.operation, dialect: self.dialect }
            }
            Some(_) => Asked::Path { hidden: self.hides_model },
            None => Asked::Unread,
        }
    }

    fn why(&self) -> &'static str {
        if self.decisions.iter().any(|decision| decision.outcome == "retargeted") {
            return "downgrade";
        }
        let mut chosen = self.decisions.iter().rev().filter(|decision| decision.step == "target");
        chosen.find(|decision| matches!(decision.outcome, "chosen" | "passed")).map_or("", |decision| decision.reason)
    }
}
