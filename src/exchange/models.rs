//! The list of models, answered from the configuration: no provider is asked and nothing is billed.

use bytes::Bytes;

use super::Exchange;
use super::access::Named;
use super::event::{Action, Local, RequestHead};
use super::explain::EXPLAIN_HEADER;
use super::record::Outcome;
use super::request::State;
use super::story::Bill;
use crate::llm::{Dialect, Operation, Refusal};
use crate::target::{Asked, Name, Target};
use crate::wire::models::{self, ANTHROPIC_VERSION, GOOGLE_KEY, Model};

// === impl Exchange ===

impl Exchange {
    /// Answers the list, or one model of it, in the API that the client speaks.
    pub(super) fn answer_models(&mut self, head: &RequestHead, out: &mut Vec<Action>) {
        if head.headers.contains(ANTHROPIC_VERSION) {
            self.story.dialect = Dialect::Anthropic;
        } else if self.story.dialect == Dialect::OpenAi && head.headers.contains(GOOGLE_KEY) {
            self.story.dialect = Dialect::Gemini;
        }
        let policy = self.policy();
        // A model of which every call would be refused is not seen: it may not be used, its price has to be known
        // and is not, or its key is missing.
        let caller = self.story.caller.clone();
        let speaking = policy.access_of(&caller);
        let admits = |target: &Target, requested: &str| self.door(&speaking, target.into(), requested).is_ok();
        let named = Named::new(&policy, &caller);
        let asked = Asked {
            namespace: &caller.namespace,
            model: "",
            operation: Operation::Chat,
            header: &|name| head.headers.get(name),
            caller: &|index| named.are(index),
        };
        let names = policy.targets.names(asked, admits);
        match body(self.story.dialect, &head.path, &names) {
            Ok(body) => {
                self.story.decide("models", "answered", "configuration", "");
                self.answer_locally(Bytes::from(body), &Bill::nothing(), out);
            }
            Err(refusal) => {
                self.story.decide("models", "refused", refusal.code.as_str(), "");
                self.refuse(refusal, out);
            }
        }
    }

    /// Answers with what no provider was asked for.
    pub(super) fn answer_locally(&mut self, body: Bytes, bill: &Bill, out: &mut Vec<Action>) {
        let mut local = Local { status: 200, body, ..Local::default() };
        local.headers.push(("content-type".into(), "application/json".into()));
        if self.profile.response_headers.request_id {
            local.headers.push(("x-weir-request-id".into(), (&self.story.id).into()));
        }
        local.headers.extend(self.reason().map(|reason| (EXPLAIN_HEADER.into(), reason.into())));
        local.meta = self.closing_meta(bill, Outcome::Answered);
        self.story.status = local.status;
        self.story.left = true;
        self.story.decided(self.now.mono);
        self.request = State::Released(None);
        self.push(Action::Respond(local), out);
        self.response.release();
        self.tell_bill(Outcome::Answered, bill, out);
    }
}

fn body(dialect: Dialect, path: &str, names: &[Name]) -> Result<Vec<u8>, Refusal> {
    let mut models = names.iter().map(|name| Model { id: &name.id, owner: &name.backend.provider });
    match models::wanted(path) {
        Some(id) => {
            let found = models.find(|model| model.id == id).ok_or_else(|| models::unknown(&id))?;
            Ok(models::one(dialect, &found))
        }
        None => models::list(dialect, path, &models.collect::<Vec<_>>()),
    }
}
