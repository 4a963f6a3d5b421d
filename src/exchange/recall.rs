//! The step Recall: what is looked for in memory, what it means that it was found or not, and what is told of it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Exchange;
use super::event::{Action, Answer, Ask, Edits, Local, Note};
use super::record::{Cached, Saved};
use super::steps::{Deciding, Flow, Step};
use crate::base::json::Tree;
use crate::base::money::NanoUsd;
use crate::cache::canon::{self, Around};
use crate::cache::{
    self, Controls, Digest, Hit, Partition, Reason, Recall, Remember, Rule, Similar, Status, Ticket, gate,
};
use crate::credential::Credential;
use crate::llm::{Dropped, Format, Operation, Reply, Usage};
use crate::policy::Tariff;
use crate::policy::cache::CachePolicy;
use crate::policy::select::Place;
use crate::target::Target;
use crate::wire::rewrite::Changes;
use crate::wire::{self, Rewrite, openai};

// === impl Exchange ===

impl Exchange {
    /// What to look for; none where no rule is about the call, or where it is not to be looked for.
    pub(super) fn recall_ask(&mut self, deciding: &Deciding) -> Option<Ask> {
        let policy = self.policy();
        let target = deciding.target.as_ref()?;
        let document = policy.cache_of(&self.story.caller, Place::of(target))?;
        let controls = Controls::read(|name| deciding.head.headers.all(name));
        let mut cached = Cached {
            status: Status::Miss,
            is_shadow: document.is_shadow(),
            reason: None,
            rule: document.rule.clone(),
            saved: None,
            age: None,
        };
        let asked = self.admitted(document, &controls).and_then(|partition| match deciding.fields.call.operation {
            Operation::Embeddings => {
                let whose = (partition, document.is_shadow());
                self.items_question(&document.rule, whose, &controls, deciding, target)
            }
            _ => {
                let ask = self.question(document, partition, &controls, deciding, target);
                ask.map(|ask| Ask::Recall(Box::new(ask), self.story.caller.clone()))
            }
        });
        let ask = match asked {
            Ok(ask) => {
                cached.status = if controls.refresh { Status::Refresh } else { Status::Miss };
                Some(ask)
            }
            Err(reason) => {
                (cached.status, cached.reason) = (Status::Bypass, Some(reason));
                self.story.decide(Step::Recall.as_str(), Status::Bypass.as_str(), reason.as_str(), "");
                None
            }
        };
        self.story.cached = Some(Box::new(cached));
        ask
    }

    /// Whether the provider decides by the caller's own key what it may have.
    pub(super) fn leaves_with_own_key(&self, target: &Target) -> bool {
        self.held(target.index).is_none_or(|held| matches!(held.credential, Credential::Caller))
    }

    /// Whose answers it may read.
    fn admitted(&self, document: &CachePolicy, controls: &Controls) -> Result<Partition, Reason> {
        if controls.bypass && document.lets_bypass(&self.story.caller) {
            return Err(Reason::Asked);
        }
        let caller = &self.story.caller;
        let caller = cache::Caller {
            consumer: caller.recorded_consumer(),
            team: caller.team.as_ref(),
            namespace: Some(&caller.namespace),
        };
        caller.partition(document.rule.scope).ok_or(Reason::NoScope)
    }

    fn question(
        &self,
        document: &CachePolicy,
        partition: Partition,
        controls: &Controls,
        deciding: &Deciding,
        target: &Target,
    ) -> Result<cache::Ask, Reason> {
        let (call, rule) = (&deciding.fields.call, &document.rule);
        let format = Format::of_client(call.dialect, call.operation).ok_or(Reason::Operation)?;
        let body = effective(deciding, target).ok_or(Reason::Unreadable)?;
        let tree = Tree::read(&body).map_err(|_| Reason::Unreadable)?;
        if !gate::is_pure(call, &tree, format) {
            return Err(Reason::Stateful);
        }
        if self.leaves_with_own_key(target) {
            return Err(Reason::OwnKey);
        }
        let read = Read::of(&tree, format, rule, Self::beside(deciding, target).around())?;
        // In Shadow nothing is done in the caller's name.
        let question = read.question.filter(|_| !document.is_shadow());
        let similar = question.zip(rule.semantic.as_ref()).and_then(|(question, semantic)| {
            Some(Box::new(Similar { question, threshold: controls.threshold(semantic.threshold)? }))
        });
        Ok(cache::Ask {
            rule: rule.clone(),
            partition,
            digest: read.digest,
            reads: !controls.refresh,
            keeps: !controls.no_store,
            max_age: controls.max_age,
            room: self.profile.bodies.max_capture as u64,
            is_shadow: document.is_shadow(),
            similar,
        })
    }

    /// What was found.
    pub(super) fn recalled(&mut self, recall: Recall, deciding: &mut Deciding, out: &mut Vec<Action>) -> Flow {
        let step = Step::Recall.as_str();
        match recall {
            Recall::Hit(_) | Recall::Follow(_) if self.story.cached.as_ref().is_some_and(|cached| cached.is_shadow) => {
                self.give_back(Answer::Recall(recall), out);
                self.story.decide(step, "would_hit", "shadow", "");
                self.note(Note::Shadow { step, reason: "hit" }, out);
                Flow::Go
            }
            Recall::Hit(hit) => Flow::Replay(hit),
            Recall::Follow(_) => Flow::Follow,
            Recall::Lead(ticket) => {
                deciding.lead = Some(ticket);
                self.lead = Some(ticket);
                Flow::Go
            }
            Recall::Miss => Flow::Go,
        }
    }

    /// The answer is one that was kept. Where others are not to know what somebody has asked, it has an id and a time of
    /// its own: those of the first answer would tell that there was one, and when.
    pub(super) fn tell_hit(&mut self, hit: &mut Hit) {
        if self.hides_others() {
            hit.reply.id.clear();
            hit.reply.created = 0;
        }
        let status = if hit.is_similar { Status::Semantic } else { Status::Hit };
        let usage = hit.reply.usage.unwrap_or_default();
        let cost = hit.cost.or_else(|| self.cost_of(&usage, &hit.reply));
        self.tell_cached(status, Some(Saved { usage, cost }), Some(hit.age));
    }

    /// Whether a caller is not to know that somebody has asked the same.
    pub(super) fn hides_others(&self) -> bool {
        self.story.cached.as_ref().is_some_and(|cached| !cached.rule.tells())
    }

    /// The answer is one that somebody else has got.
    pub(super) fn tell_followed(&mut self, usage: Option<Usage>) {
        let usage = usage.unwrap_or_default();
        let cost = self.cost_of(&usage, &Reply::default());
        self.tell_cached(Status::Follow, Some(Saved { usage, cost }), None);
    }

    pub(super) fn tell_cached(&mut self, status: Status, saved: Option<Saved>, age: Option<Duration>) {
        if let Some(cached) = &mut self.story.cached {
            (cached.status, cached.saved, cached.age) = (status, saved, age);
        }
    }

    /// What the usage of an answer would cost here.
    pub(super) fn cost_of(&self, usage: &Usage, reply: &Reply) -> Option<NanoUsd> {
        let target = self.story.backend()?;
        let served = Some(&*reply.model).filter(|model| !model.is_empty());
        let tariff = Tariff {
            index: target.index,
            provider: &target.backend.provider,
            requested: &target.model,
            served,
            told: reply.service_tier.as_deref(),
            asked: None,
            size: None,
            quality: None,
            at: None,
            geo: None,
            speed: None,
        };
        tariff.price(&self.setup.policy, usage).0
    }

    /// Says in an answer of a provider's that it is one.
    pub(super) fn cache_edits(&self, edits: &mut Edits) {
        if let Some(word) = self.cache_word() {
            edits.set(cache::controls::HEADER, word);
        }
    }

    /// What is said in the head of an answer from memory: what it costs, how the caller's limits stand now, that it is
    /// one, and how old.
    pub(super) fn cache_headers(&self, local: &mut Local) {
        let Some(cached) = &self.story.cached else { return };
        // Where others are not to know what somebody has asked, a cost of nothing would tell it.
        if cached.saved.is_some() && self.profile.response_headers.cost && cached.rule.tells() {
            local.headers.push(("x-weir-cost-usd".into(), NanoUsd(0).to_string().into()));
        }
        self.tell_standing(|name, value| local.headers.push((name.into(), value.into())));
        let Some(word) = self.cache_word() else { return };
        local.headers.push((cache::controls::HEADER.into(), word.into()));
        if let Some(age) = self.story.cached.as_ref().and_then(|cached| cached.age) {
            local.headers.push(("age".into(), age.as_secs().to_string().into()));
        }
    }

    fn cache_word(&self) -> Option<&'static str> {
        let cached = self.story.cached.as_ref()?;
        let tells = self.profile.response_headers.cache && cached.rule.tells() && !cached.is_shadow;
        tells.then(|| cached.status.header())
    }

    /// A complete and successful answer is kept; no other is.
    pub(super) fn remember(&mut self, completed: bool, cost: Option<NanoUsd>, out: &mut Vec<Action>) {
        self.remember_items(completed, out);
        let Some(ticket) = self.leading() else { return };
        let reason = match self.response.fold.take() {
            _ if !completed => Reason::Incomplete,
            _ if self.response.spoilt => Reason::Lossy,
            None => Reason::TooLarge,
            Some(fold) => match fold.complete() {
                Some(reply) => {
                    self.lead = None;
                    self.response.stop_leading();
                    return self.note(Note::Remember(Remember { ticket, reply: Box::new(reply), cost }), out);
                }
                None => Reason::Lossy,
            },
        };
        // Who waits for it would ask one after the other for the same in vain.
        self.part(ticket, reason, out);
    }

    /// The exchange is over. An answer that could have been kept and did not come to its end is not.
    pub(super) fn forsake(&mut self, out: &mut Vec<Action>) {
        self.items = None;
        if self.lead.is_some() {
            self.note(Note::Unkept(Reason::Incomplete), out);
            self.let_go(out);
        }
    }

    /// Leads no more; who follows goes on without this exchange.
    fn let_go(&mut self, out: &mut Vec<Action>) {
        if let Some(ticket) = self.lead.take() {
            self.response.stop_leading();
            self.note(Note::Forsake(ticket), out);
        }
    }

    /// Somebody waits for the answer that this exchange gets: it is told what was heard by now, and what comes.
    pub(super) fn begin_to_publish(&mut self, out: &mut Vec<Action>) {
        let Some(ticket) = self.lead.filter(|_| !std::mem::replace(&mut self.followed, true)) else { return };
        let Some(begun) = self.leading() else { return };
        match &self.response.fold {
            Some(fold) => {
                let said = fold.so_far();
                // An answer of which nothing came yet has not begun.
                if !fold.is_fresh() {
                    said.into_iter().for_each(|delta| self.note(Note::Publish(begun, delta), out));
                }
            }
            // What was not kept cannot be said again.
            None => self.part(ticket, Reason::TooLarge, out),
        }
    }

    /// The call goes to `next`. What another backend answers is not what was looked for: who waits for it goes on alone.
    pub(super) fn leave_flight(&mut self, next: Option<&Target>, kept: &mut Deciding, out: &mut Vec<Action>) {
        let is_same = |first: &Target| {
            next.is_some_and(|next| *next.backend.name == *first.backend.name && next.model == first.model)
        };
        // Where vectors are led for it is decided with them.
        if self.items.is_some() || kept.target.as_ref().is_some_and(is_same) {
            return;
        }
        kept.lead = None;
        if let Some(ticket) = self.lead {
            self.part(ticket, Reason::OtherBackend, out);
        }
    }

    pub(super) fn part(&mut self, ticket: Ticket, reason: Reason, out: &mut Vec<Action>) {
        self.lead = None;
        self.response.stop_leading();
        self.note(Note::Part(ticket, reason), out);
    }
}

/// A call, as the cache sees it.
struct Read {
    digest: Digest,
    question: Option<cache::Question>,
}

// === impl Read ===

impl Read {
    fn of(tree: &Tree<'_>, format: Format, rule: &Arc<Rule>, around: Around<'_>) -> Result<Read, Reason> {
        let mut dropped = Dropped::default();
        let chat = wire::codec(format).read_chat(tree, &mut dropped).map_err(|_| Reason::Unreadable)?;
        if !gate::is_cool(rule, chat.sampling.temperature) {
            return Err(Reason::Temperature);
        }
        let digest = if dropped.is_empty() { canon::of_chat(around, &chat) } else { None };
        let question = digest.filter(|_| rule.semantic.is_some()).and_then(|_| canon::question(around, &chat));
        Ok(Read { digest: digest.unwrap_or_else(|| canon::of_json(around, tree, format)), question })
    }
}

/// The body as the rules of its route make it, in the client's own words; none where they cannot.
pub(super) fn effective<'d>(deciding: &'d Deciding, target: &Target) -> Option<Cow<'d, Bytes>> {
    let Some(changes) = target.changes.as_deref() else { return Some(Cow::Borrowed(&deciding.body)) };
    let fields = &deciding.fields;
    let want: Rewrite<'_> =
        Rewrite { model: &fields.call.model, ask_usage: false, quirks: &[], changes: Some::<&Changes>(changes) };
    openai::rewrite(&deciding.body, fields, want).ok().map(|(body, _)| Cow::Owned(body))
}
