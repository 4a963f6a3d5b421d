//! Tokens counted here: what a client asks of a provider that has no call for it. Nothing leaves, nothing is
//! billed, and the number is an estimate.

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Answer, Ask, Slot};
use super::steps::{Deciding, Flow};
use super::story::Bill;
use crate::llm::{Operation, Refusal};
use crate::tokens::learned::Key;
use crate::wire::count::{self, Wording};
use crate::wire::{Rewrite, openai};

// === impl Exchange ===

impl Exchange {
    /// Has the chat counted, where its provider counts none.
    pub(super) fn count_here(&mut self, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        let Some(target) = deciding.target.clone() else { return Flow::Go };
        if deciding.fields.call.operation != Operation::CountTokens || Self::passage(deciding, &target).is_some() {
            return Flow::Go;
        }
        let changes = target.changes.as_deref();
        let wording = match wording(deciding, changes) {
            Ok(wording) => wording,
            Err(refusal) => return Flow::Refuse(refusal),
        };
        let key = Key { backend: &target.backend.name, model: &target.model };
        deciding.estimate = self.setup.learned.estimate_input(key, wording.bytes()).saturating_add(wording.added());
        let (caller, model) = (self.story.caller.name.clone(), target.model.to_string());
        self.ask(Slot::Gate, Ask::Wording { caller, model, wording }, out);
        Flow::Park
    }

    /// The number, or what is known of the model where nobody has counted.
    pub(super) fn counted(&mut self, answer: Answer, deciding: &Deciding, out: &mut Vec<Action>) -> Flow {
        match answer {
            Answer::Count(tokens) => Flow::Counted(tokens),
            other => {
                self.give_back(other, out);
                Flow::Counted(deciding.estimate)
            }
        }
    }

    pub(super) fn answer_count(&mut self, tokens: u64, out: &mut Vec<Action>) {
        self.story.decide("count", "answered", "counted_here", format!("{tokens} tokens, estimated"));
        let body = Bytes::from(count::answer(self.story.dialect, tokens));
        self.answer_locally(body, &Bill::free(), out);
    }
}

/// What would be read, as far as a rule changes it.
fn wording(deciding: &Deciding, changes: Option<&crate::wire::rewrite::Changes>) -> Result<Wording, Refusal> {
    let fields = &deciding.fields;
    let want = Rewrite { model: &fields.call.model, ask_usage: false, quirks: &[], changes };
    let (body, _) = openai::rewrite(&deciding.body, fields, want)?;
    count::wording(fields.call.dialect, &body)
}
