//! The step Recall of a call for embeddings: each input is looked for by itself, its provider is asked for those
//! that are not known, and what it answers is put together with what is. A call is split only where the whole answer
//! can be held, and where its head can wait for it; any other one goes as it is. Of an answer that cannot be put
//! together nothing is sent.

mod plan;

use std::sync::Arc;

use bytes::Bytes;

pub(super) use plan::{Answered, Plan};

use super::Exchange;
use super::event::{Action, Again, Ask, Note};
use super::phase::BodyMode;
use super::record::{Outcome, Saved};
use super::steps::{Deciding, Flow, Step};
use crate::base::json::Tree;
use crate::cache::canon;
use crate::cache::items::{self, Found, Remember};
use crate::cache::{Controls, Partition, Reason, Rule, Status, gate};
use crate::llm::{Dialect, Format, Reply, Usage};
use crate::target::Target;
use crate::wire::embed::items::Inputs;
use crate::wire::passage::Document;
use crate::wire::{self, Endpoint, Fields};

/// The most inputs of a call that is looked at: OpenAI takes no more (API reference "Embeddings", 2026).
const MOST: usize = 2048;

/// Documents larger than this are sent to the proxy in pieces.
const WHOLE: usize = 64 << 10;

// === impl Exchange ===

impl Exchange {
    /// What to look for of a call for embeddings.
    pub(super) fn items_question(
        &mut self,
        rule: &Arc<Rule>,
        (partition, is_shadow): (Partition, bool),
        controls: &Controls,
        deciding: &Deciding,
        target: &Target,
    ) -> Result<Ask, Reason> {
        let (call, body) = (&deciding.fields.call, &deciding.body);
        if call.dialect != Dialect::OpenAi || deciding.fields.is_form || rule.exact.is_none() {
            return Err(Reason::Operation);
        }
        let inputs = Inputs::read(body).ok_or(Reason::Unreadable)?;
        if inputs.each.len() > MOST {
            return Err(Reason::TooLarge);
        }
        let effective = super::recall::effective(deciding, target).ok_or(Reason::Unreadable)?;
        // A rule that changes what is embedded is none to take it apart under.
        let left = Inputs::read(&effective).ok_or(Reason::Unreadable)?;
        if left.whole.slice(&effective) != inputs.whole.slice(body) {
            return Err(Reason::Unreadable);
        }
        let rest = left.only(&effective, &[]);
        let rest = Tree::read(&rest).map_err(|_| Reason::Unreadable)?;
        if !gate::is_pure(call, &rest, Format::Chat) {
            return Err(Reason::Stateful);
        }
        if self.leaves_with_own_key(target) {
            return Err(Reason::OwnKey);
        }
        let beside = Self::beside(deciding, target);
        let each = canon::of_inputs(beside.around(), rest.root(), inputs.each.iter().map(|span| span.slice(body)));
        let each = each.ok_or(Reason::Unreadable)?;
        let plan = Plan {
            guess: plan::guess(rest.root()),
            keeps: !controls.no_store,
            copies: !controls.no_store,
            is_shadow,
            ..Plan::new(rule, partition, each, &inputs)
        };
        let counted = format!("{} inputs, {} of them different", plan.which.len(), plan.digests.len());
        self.story.decide(Step::Recall.as_str(), "looked_up", "inputs", counted);
        let ask = items::Ask {
            rule: rule.clone(),
            partition: plan.partition.clone(),
            digests: plan.digests.clone(),
            reads: !controls.refresh,
            keeps: !controls.no_store,
            max_age: controls.max_age,
            room: self.profile.bodies.max_response_hold,
            is_shadow,
        };
        self.items = Some(Box::new(plan));
        Ok(Ask::RecallItems(Box::new(ask)))
    }

    /// What was found of them.
    pub(super) fn items_found(&mut self, found: Found, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        let Found { each: found, lead, followed } = found;
        self.lead = lead;
        let Some(mut plan) = self.items.take() else { return Flow::Go };
        let step = Step::Recall.as_str();
        let has_any = found.iter().any(Option::is_some);
        if plan.is_shadow {
            if has_any {
                self.story.decide(step, "would_hit", "shadow", "");
                self.note(Note::Shadow { step, reason: "hit" }, out);
            }
            self.items = Some(plan);
            return Flow::Go;
        }
        let age = plan.take(found);
        let missing = plan.missing();
        let fits = plan.size() <= self.profile.bodies.max_response_hold;
        if let Some(answered) = plan.answer(age).filter(|_| fits) {
            let how = if followed { Status::Follow } else { Status::Hit };
            self.story.decide(step, how.as_str(), "inputs", format!("{} of {}", plan.which.len(), plan.which.len()));
            return Flow::Vectors(Box::new(Answered { followed, ..answered }));
        }
        let can = fits && self.setup.mode.holds_responses() && missing.len() < plan.which.len() && !missing.is_empty();
        match can.then(|| split(&plan, &missing, deciding)).flatten() {
            Some((body, fields)) => {
                let counted = format!("{} of {} are asked for", missing.len(), plan.which.len());
                self.story.decide(step, "split", "inputs", counted);
                self.story.call = Some(fields.call.clone());
                let whole =
                    (std::mem::replace(&mut deciding.body, body), std::mem::replace(&mut deciding.fields, fields));
                (plan.original, plan.asked, plan.copies) = (Some(whole), Some(missing), false);
            }
            None => plan.known.fill(None),
        }
        self.items = Some(plan);
        Flow::Go
    }

    /// Answers with vectors that were kept.
    pub(super) fn answer_items(&mut self, answered: Answered, out: &mut Vec<Action>) {
        let Answered { body, saved, model, age, followed } = answered;
        let saved = self.items_saved(Saved { usage: saved, cost: None }, &model);
        // What somebody else has just got is not old.
        let (status, age) = if followed { (Status::Follow, None) } else { (Status::Hit, Some(age)) };
        self.tell_cached(status, Some(saved), age);
        let streamed = body.len() > WHOLE && self.setup.mode == BodyMode::FullDuplex;
        self.answer(body, false, streamed, Outcome::Replayed, out);
    }

    fn items_saved(&self, saved: Saved, model: &str) -> Saved {
        let reply = Reply { model: model.into(), ..Reply::default() };
        Saved { cost: self.cost_of(&saved.usage, &reply), ..saved }
    }

    /// The call starts anew elsewhere, as its client wrote it.
    pub(super) fn leave_items(&mut self, deciding: &mut Deciding) {
        let Some((body, fields)) = self.items.take().and_then(|plan| plan.original) else { return };
        self.story.call = Some(fields.call.clone());
        (deciding.body, deciding.fields) = (body, fields);
    }

    /// The body as its client wrote it, for who keeps it until another attempt needs it.
    pub(super) fn take_original(&mut self) -> Option<Bytes> {
        let (body, _) = self.items.as_mut()?.original.as_mut()?;
        Some(std::mem::take(body))
    }

    /// No attempt follows that would need the body as its client wrote it.
    pub(super) fn forget_original(&mut self) {
        self.take_original();
    }

    /// Another attempt, at the backend in this place.
    pub(super) fn try_items_again(
        &mut self,
        (place, next): (usize, Option<&Target>),
        kept: &mut Deciding,
        has_original: bool,
        out: &mut Vec<Action>,
    ) -> Again {
        let leaves = has_original && self.write_items_for(next, kept);
        let again = self.try_again(place, kept, has_original);
        if leaves {
            self.leave_items_unless_same(&again, kept, out);
        }
        again
    }

    /// Makes of the call as its client wrote it what another attempt sends: to the same backend what is not known, to
    /// another one all of it, for it makes other vectors. True for that.
    fn write_items_for(&mut self, next: Option<&Target>, kept: &mut Deciding) -> bool {
        let Some(plan) = &mut self.items else { return false };
        let is_same = |first: &Target| {
            next.is_some_and(|next| *next.backend.name == *first.backend.name && next.model == first.model)
        };
        let is_same = kept.target.as_ref().is_some_and(is_same);
        let Some((_, whole)) = &mut plan.original else { return !is_same };
        if !is_same {
            std::mem::swap(&mut kept.fields, whole);
            return true;
        }
        if let Some((body, _)) = plan.asked.as_ref().and_then(|asked| split(plan, asked, kept)) {
            kept.body = body;
        }
        false
    }

    /// Nothing of what another backend answers is put together with what is known, or kept. Where nothing is sent to
    /// it, what stands in the proxy is still what the first one was asked for.
    fn leave_items_unless_same(&mut self, again: &Again, kept: &mut Deciding, out: &mut Vec<Action>) {
        let Some(mut plan) = self.items.take() else { return };
        if let Again::Anew { .. } = again {
            self.story.call = Some(kept.fields.call.clone());
            if plan.keeps {
                self.keep_no_items(Reason::OtherBackend, out);
            }
            return;
        }
        if let Some((_, whole)) = &mut plan.original {
            std::mem::swap(&mut kept.fields, whole);
        }
        self.items = Some(plan);
    }

    /// The answer is put together here: it is held until all of it is there.
    pub(super) fn merges(&self) -> bool {
        self.items.as_ref().is_some_and(|plan| plan.asked.is_some())
    }

    /// True where an answer of this status is written anew.
    pub(super) fn writes_anew(&self, status: u16) -> bool {
        self.crosses() || (self.merges() && (200..300).contains(&status))
    }

    /// An answer in its client's words, with what was known before it.
    pub(super) fn with_known(&mut self, document: Document) -> Result<Document, &'static str> {
        let Some(mut plan) = self.items.take() else { return Ok(document) };
        let body = Bytes::from(document.body);
        let met = plan.meet(&body);
        let model = plan.fresh.as_ref().ok().and_then(|fresh| Some(fresh.first()?.1.model.clone()));
        let is_split = plan.asked.is_some();
        if met.is_err() {
            plan.fresh = Err(Reason::Lossy);
        }
        plan.copies = false;
        // What was put together is as large as its parts.
        plan.known = Vec::new();
        self.items = Some(plan);
        match met {
            Ok(Some((merged, saved))) => {
                let saved = self.items_saved(saved, model.as_deref().unwrap_or_default());
                self.tell_cached(Status::Miss, Some(saved), None);
                Ok(Document { body: merged, ..document_of(document.usage) })
            }
            Err(why) if is_split => Err(why),
            Ok(None) | Err(_) => Ok(Document { body: body.into(), ..document_of(document.usage) }),
        }
    }

    /// Keeps a copy of an answer that passes.
    pub(super) fn copy_items(&mut self, bytes: &Bytes) {
        let (status, streams, written) = (self.story.status, self.response.is_stream(), self.response.crossed.on);
        let Some(plan) = self.items.as_mut().filter(|plan| plan.copies && status == 200 && !streams && !written) else {
            return;
        };
        let document = &mut self.response.document;
        if document.len() + bytes.len() > self.profile.bodies.max_capture {
            *document = Vec::new();
            (plan.copies, plan.fresh) = (false, Err(Reason::TooLarge));
            return;
        }
        document.extend_from_slice(bytes);
    }

    /// There is no room for a copy.
    pub(super) fn drop_items_copy(&mut self) {
        if let Some(plan) = self.items.as_mut().filter(|plan| plan.copies) {
            (plan.copies, plan.fresh) = (false, Err(Reason::TooLarge));
        }
    }

    /// Keeps the vectors of a complete and successful answer, and of no other one.
    pub(super) fn remember_items(&mut self, completed: bool, out: &mut Vec<Action>) {
        let Some(mut plan) = self.items.take() else { return };
        let document = std::mem::take(&mut self.response.document);
        if completed && plan.copies && plan.meet(&document.into()).is_err() {
            plan.fresh = Err(Reason::Lossy);
        }
        let kept = match plan.fresh {
            _ if !completed || self.story.status != 200 => Err(Reason::Incomplete),
            _ if !plan.keeps => Err(Reason::NoStore),
            fresh => fresh,
        };
        let room = self.profile.bodies.max_capture as u64;
        let Plan { rule, partition, .. } = *plan;
        match kept {
            Ok(items) => {
                let lead = self.lead.take();
                self.note(Note::RememberItems(Box::new(Remember { rule, partition, room, items, lead })), out);
            }
            Err(reason) => self.keep_no_items(reason, out),
        }
    }

    /// Who waits for them would ask one after the other for the same in vain.
    fn keep_no_items(&mut self, reason: Reason, out: &mut Vec<Action>) {
        match self.lead {
            Some(ticket) => self.part(ticket, reason, out),
            None => self.note(Note::Unkept(reason), out),
        }
    }
}

fn document_of(usage: Option<Usage>) -> Document {
    Document { body: Vec::new(), usage }
}

/// The call for those inputs alone that nobody knows, and how it is read.
fn split(plan: &Plan, missing: &[usize], deciding: &Deciding) -> Option<(Bytes, Fields)> {
    let body = &deciding.body;
    let kept: Vec<usize> = missing.iter().filter_map(|which| Some(plan.first.get(*which)?.0)).collect();
    let left = Bytes::from(Inputs::read(body)?.only(body, &kept));
    let call = &deciding.fields.call;
    let (dialect, operation, named) = (call.dialect, call.operation, deciding.named);
    let endpoint = Endpoint { dialect, operation, held: true, multipart: false, named };
    let fields = wire::read(endpoint, &deciding.head.path, &left).ok()?;
    Some((left, fields))
}
