//! What a request leaves with: path, host, headers, body.

use std::sync::Arc;

use super::Exchange;
use super::event::{Action, Edits, Meta, RequestHead, Slot};
use super::keys::with_keys;
use super::sign::put;
use super::steps::Deciding;
use super::translate::Written;
use crate::base::words::Words;
use crate::credential::Signing;
use crate::identity::FORWARDED_HEADER;
use crate::llm::{Call, Code, Dropped, Operation, Refusal};
use crate::target::{Backend, Target};
use crate::wire::codec::Envelope;
use crate::wire::rewrite::Done;
use crate::wire::{self, Outbound, Passage};

/// The header whose value chooses the proxy's route, and so the backend. Only Weir may say it.
pub const BACKEND_HEADER: &str = "x-weir-backend";

/// Where a client of Anthropic's API names what is not in it yet.
pub(super) const BETAS: &str = "anthropic-beta";

/// Every header whose name begins so is Weir's own and never leaves with what a client wrote in it.
const OWN_PREFIX: &str = "x-weir-";

// === impl Exchange ===

impl Exchange {
    /// All steps are done: the request leaves.
    pub(super) fn forward(&mut self, deciding: Box<Deciding>, out: &mut Vec<Action>) {
        let Some(target) = deciding.target.clone() else {
            return self.refuse(Refusal::new(Code::NoBackend, "No backend was chosen for this call."), out);
        };
        self.begin_allowance(&target, &deciding);
        let (mut head, written) = match self.write_attempt(&deciding, &target, &deciding.signing) {
            Ok(written) => written,
            Err(refusal) => {
                self.story.decide("rewrite", "refused", refusal.code.as_str(), "");
                return self.refuse(refusal, out);
            }
        };
        let Written { body, done, call, dropped, asked } = written;
        self.tell_changes(&target, body.len(), call, done);
        self.tell_dropped(&dropped);
        let sent = self.now.mono;
        self.story.decided(sent);
        self.story.sent_at = Some(sent);
        self.story.left = true;
        self.story.credential = deciding.signing.name().cloned();
        self.begin_attempts(&deciding, &target, &mut head);
        // What a rule put in is billed as well.
        let counted = if done.kinds().is_some() { &body } else { &deciding.body };
        let count = self.counts_input(&target).then(|| counted.clone());
        self.expect(&deciding, &target, asked);
        let kept = self.attempts.may_follow().then(|| self.keep(deciding));
        self.forget_original();
        self.push(Action::Forward { head, body: if body.is_empty() { Vec::new() } else { vec![body] } }, out);
        if let Some(original) = kept {
            self.push(Action::Keep(original), out);
        }
        if let Some(body) = count {
            self.side_open = true;
            self.ask(Slot::Side, self.count_of(&target, body), out);
        }
    }

    /// What leaves for a target, written from the original. Neither the route nor orders for the router are in it.
    pub(super) fn write_attempt(
        &self,
        deciding: &Deciding,
        target: &Target,
        signing: &Signing,
    ) -> Result<(Edits, Written), Refusal> {
        let mut edits = self.leaving_edits(&deciding.head, &target.backend);
        put(&mut edits, &deciding.head, &target.backend, signing)?;
        let ask_usage = self.asks_usage(deciding, target);
        // What shall be edited, kept or ended must be readable, and anything must be metered.
        let crossing = Self::passage(deciding, target).filter(|passage| passage.crosses());
        if ask_usage
            || crossing.is_some()
            || deciding.lead.is_some()
            || self.items.is_some()
            || self.allowance.is_short()
        {
            edits.set("accept-encoding", "identity");
        } else if let Some(accepted) = deciding.head.headers.get("accept-encoding") {
            edits.set("accept-encoding", readable(accepted));
        }
        let written = self.write_body(deciding, target)?;
        if let Some(path) = Self::path_to(deciding, target) {
            // Nothing can say these as one step of a path: what is signed would be another path than what arrives.
            if matches!(&*target.model, "." | "..") {
                return Err(Refusal::new(Code::ModelNotFound, format!("There is no model {:?}.", target.model)));
            }
            // The caller's own credential goes to an API that looks for it where the caller put it.
            let keeps = *signing == Signing::KeepCaller && crossing.is_none();
            edits.path = Some(if keeps { with_keys(path, &deciding.head.path) } else { path }.into());
        }
        if let Some(passage) = crossing {
            change_dialect(&mut edits, &deciding.head, passage);
        } else if let Some(outbound) = Self::passage(deciding, target).and_then(Passage::outbound) {
            change_betas(&mut edits, &deciding.head, outbound);
        }
        self.seal_edits(&mut edits, &deciding.head, signing, &written.body);
        edits.meta = self.opening_meta(&target.backend.name, Some(target));
        self.reserved_meta(&mut edits.meta);
        edits.meta.extend(signing.name().map(|name| ("credential", name.into())));
        if !written.dropped.is_empty() {
            edits.meta.push(("dropped", written.dropped.to_string().into()));
        }
        Ok((edits, written))
    }

    /// Writes down what a rule changed: the kinds of it and no value. What is billed and estimated is
    /// what left.
    fn tell_changes(&mut self, target: &Target, bytes: usize, left: Option<Call>, done: Done) {
        if target.changes.is_none() {
            return;
        }
        match done.kinds() {
            Some(kinds) => self.story.decide("rewrite", "edited", kinds, ""),
            None if !done.no_messages => self.story.decide("rewrite", "untouched", "nothing_to_edit", ""),
            None => {}
        }
        if done.no_messages {
            self.story.decide("rewrite", "untouched", "no_messages", "");
        }
        let Some(call) = self.story.call.as_mut().filter(|_| done.kinds().is_some()) else { return };
        call.body_bytes = bytes as u64;
        if let Some(left) = left {
            (call.service_tier, call.choices, call.media) = (left.service_tier, left.choices, left.media);
        }
    }

    /// Writes down what the provider's API cannot say.
    pub(super) fn tell_dropped(&mut self, dropped: &Dropped) {
        if !dropped.is_empty() {
            self.story.decide("translate", "dropped", "not_sayable", dropped.to_string());
        }
    }

    /// A usage event is asked for where the client did not, so that the call can be billed exactly.
    pub(super) fn asks_usage(&self, deciding: &Deciding, target: &Target) -> bool {
        let call = &deciding.fields.call;
        let streams = matches!(call.operation, Operation::Chat | Operation::Completion);
        call.stream && streams && !call.stream_usage && target.backend.asks_stream_usage
    }

    /// What every request that leaves has in common.
    pub(super) fn leaving_edits(&self, head: &RequestHead, backend: &Backend) -> Edits {
        let mut edits = Edits { path: Some(backend.path(&head.path).into()), ..Edits::default() };
        edits.authority = Some((&backend.authority).into());
        for (name, _) in head.headers.iter() {
            if name.starts_with(OWN_PREFIX) && name != BACKEND_HEADER && !edits.remove.iter().any(|known| known == name)
            {
                edits.remove.push(name.to_owned().into());
            }
        }
        let gone = backend.removed_headers.iter().filter(|name| head.headers.contains(name));
        edits.remove.extend(gone.map(Words::from));
        // Who stands behind the proxies is nothing that a provider is told.
        if head.headers.contains(FORWARDED_HEADER) {
            edits.remove.push(Words::Fixed(FORWARDED_HEADER));
        }
        for (name, value) in &backend.headers {
            edits.set(name, value);
        }
        edits.set(BACKEND_HEADER, &backend.name);
        edits
    }

    /// What the rest of the proxy is told when the request leaves: RBAC and `ratelimit` run early,
    /// and a stream that is abandoned keeps only what was sent.
    pub(super) fn opening_meta(&self, backend: &Arc<str>, target: Option<&Target>) -> Meta {
        let story = &self.story;
        let mut meta = Meta::with_capacity(8);
        meta.push(("request_id", (&story.id).into()));
        let caller = &story.caller;
        meta.push(("principal", (&caller.name).into()));
        meta.push(("namespace", (&caller.namespace).into()));
        let facts = [
            ("consumer", caller.recorded_consumer()),
            ("team", caller.team.as_ref()),
            ("end_user", caller.end_user.as_ref()),
        ];
        for (name, fact) in facts {
            meta.extend(fact.map(|fact| (name, fact.into())));
        }
        meta.push(("operation", story.operation.as_str().into()));
        meta.push(("backend", backend.into()));
        if let Some(call) = &story.call {
            meta.push(("requested_model", (&call.model).into()));
        }
        if let Some(target) = target {
            meta.push(("model", (&target.model).into()));
            if let Some(rule) = &target.rule {
                meta.push(("route", rule.text().into()));
            }
        }
        meta
    }
}

/// Removes what says of which API a call is: no other one's provider has a use for it, and some refuse it.
/// What a call of the other API must have is set, unless the backend's document sets it.
fn change_dialect(edits: &mut Edits, head: &RequestHead, passage: Passage) {
    const DIALECT: &[&str] = &[
        "anthropic-version",
        "anthropic-beta",
        "openai-beta",
        "x-goog-api-client",
        "x-amz-date",
        "x-amz-content-sha256",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
    ];
    let is_set = |edits: &Edits, name: &str| edits.set.iter().any(|(set, _)| *set == *name);
    for name in DIALECT {
        if head.headers.contains(name) && !is_set(edits, name) {
            edits.remove.push(Words::Fixed(name));
        }
    }
    for (name, value) in passage.headers() {
        if !is_set(edits, name) {
            edits.remove.retain(|removed| removed != name);
            edits.set(*name, *value);
        }
    }
    edits.set("content-type", "application/json");
}

/// Leaves out the betas of a client's that another cloud would refuse the call for. They were named with the body.
fn change_betas(edits: &mut Edits, head: &RequestHead, to: Outbound) {
    let Some(named) = head.headers.get(BETAS).filter(|_| to.envelope == Envelope::Vertex) else { return };
    if edits.set.iter().any(|(set, _)| *set == *BETAS) {
        return;
    }
    match wire::betas(to, named, &mut Dropped::default()) {
        Some(known) if known == named => {}
        Some(known) => edits.set(BETAS, known),
        None => edits.remove.push(Words::Fixed(BETAS)),
    }
}

/// What of the codings that a client accepts is decoded here: the first of these. A provider that chose
/// another one could not be billed. `gzip` comes first, for its window is 32 KiB and that of `br` 16 MiB.
fn readable(accepted: &str) -> &'static str {
    const READABLE: [&str; 4] = ["gzip", "deflate", "br", "zstd"];
    let accepts = |wanted: &str| {
        accepted.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let is_it = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
            is_it && !parts.any(|weight| weight.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
        })
    };
    READABLE.into_iter().find(|coding| accepts(coding)).unwrap_or("identity")
}
