//! The step Target: which backend and model a call goes to, what was passed over on the way, and what
//! the backend's answer then says of its health.

use std::cell::LazyCell;
use std::time::Duration;

use super::event::{Action, Failed, Note, RequestHead, ResponseHead};
use super::local_reply::{LOCAL_REPLY_HEADER, is_local_reply};
use super::steps::{Deciding, Flow};
use super::{Exchange, access};
use crate::catalog::region;
use crate::credential::Credential;
use crate::llm::{Code, Dialect, Fault, Operation, Refusal};
use crate::meter::{self, Models};
use crate::policy::{Unpriced, explain};
use crate::target::health::{Observation, Outcome};
use crate::target::{Asked, Backend, Choosing, Chosen, Sticky, Target};

/// Where a caller names its session by default.
const SESSION_HEADER: &str = "x-session-id";

/// Choices that were passed over and are told of: what a record holds is bounded. An explanation tells of as
/// many choices of a rule, and they are told of in the same order.
const TOLD: usize = explain::RULES;

/// Envoy's words for a connection that could not be made, in a local reply of the rendered
/// configuration: upstream connection failure, no healthy upstream, no cluster.
const UNREACHABLE: &[&str] = &["UF", "UH", "NC"];

/// Its words for a connection that broke, or took too long, after the request was sent on it: connection
/// termination, a reset from the provider or from the proxy, a protocol error, a timeout, retries used up.
const BROKEN: &[&str] = &["UC", "UR", "LR", "UPE", "UT", "URX"];

// === impl Exchange ===

impl Exchange {
    /// Chooses the target, unless a limit has.
    pub(super) fn choose_target(&mut self, deciding: &mut Deciding) -> Flow {
        if deciding.fields.call.model.is_empty() {
            let refusal = Refusal::new(Code::UnsupportedValue, "The model is an empty text; name one.");
            return Flow::Refuse(refusal.param("model"));
        }
        let (target, how) = match deciding.target.take() {
            Some(target) => {
                self.attempts.plan(Vec::new());
                (target, "name")
            }
            None => match self.resolve(deciding) {
                Ok(chosen) => chosen,
                Err(refusal) => return Flow::Refuse(refusal),
            },
        };
        if !names_a_model(&target) {
            let message = format!("There is no model {:?}.", target.model);
            return Flow::Refuse(Refusal::new(Code::ModelNotFound, message).param("model"));
        }
        if let Err(refusal) = self.must_speak(&target, deciding) {
            return Flow::Refuse(refusal);
        }
        if self.lacks_price(target.index, &target.backend, &target.model) {
            return Flow::Refuse(access::unpriced(&target.model));
        }
        self.story.decide("target", "chosen", how, format!("{}/{}", target.backend.name, target.model));
        self.story.target = Some(target.clone());
        deciding.target = Some(target);
        Flow::Go
    }

    /// What crosses goes to every provider that has it; other calls only to one that has them under the same
    /// path.
    pub(super) fn must_speak(&self, target: &Target, deciding: &Deciding) -> Result<(), Refusal> {
        let call = &deciding.fields.call;
        let is_same = same_paths(target.backend.dialect) == same_paths(call.dialect);
        if is_same || is_counted(call.operation) || Self::passage(deciding, target).is_some() {
            return Ok(());
        }
        let message = format!(
            "Backend {:?} speaks {}, whose API has no {} as this call asks for it in {}.",
            target.backend.name,
            target.backend.dialect,
            call.operation.as_str(),
            call.dialect
        );
        Err(Refusal::new(Code::UnsupportedValue, message).param("model"))
    }

    fn resolve(&mut self, deciding: &Deciding) -> Result<(Target, &'static str), Refusal> {
        let chosen = self.resolved(deciding)?;
        for passed in chosen.passed_over.iter().take(TOLD) {
            let detail = format!("{}/{}", passed.backend, passed.model);
            self.story.decide("target", "passed_over", passed.reason, detail);
        }
        let mut next = chosen.next;
        next.retain(|target| names_a_model(target) && self.must_speak(target, deciding).is_ok());
        let apart = next.extract_if(.., |target| !self.meets_the_same(&chosen.target, target));
        for target in apart.collect::<Vec<_>>().into_iter().take(TOLD) {
            let detail = format!("{}/{}", target.backend.name, target.model);
            self.story.decide("target", "passed_over", "other_limits", detail);
        }
        self.attempts.plan(next);
        Ok((chosen.target, chosen.why.as_str()))
    }

    fn resolved(&self, deciding: &Deciding) -> Result<Chosen, Refusal> {
        let call = &deciding.fields.call;
        let header = |name: &str| deciding.head.headers.get(name);
        let (policy, caller) = (&self.setup.policy, &self.story.caller);
        let named = access::Named::new(policy, caller);
        let asked = Asked {
            namespace: &caller.namespace,
            model: &call.model,
            operation: call.operation,
            header: &header,
            caller: &|index| named.are(index),
        };
        let speaking = LazyCell::new(|| policy.access_of(caller));
        let how = Choosing {
            draw: self.setup.draw,
            dialect: call.dialect,
            crosses: &|backend, model| {
                is_counted(call.operation) || backend.passage(model, call.dialect, call.operation).is_some()
            },
            sticky: self.sticky(&deciding.head),
            health: &self.setup.health,
            now: self.now.mono,
            door: &|place| self.door(&speaking, place, &call.model),
            overfull: &|rule, place| self.overfull(rule, place, deciding),
        };
        policy.targets.resolve(&call.model, &asked, &how)
    }

    /// What this call may be kept by. Where the configuration does not say what a session is, it is what
    /// the caller names in [`SESSION_HEADER`].
    fn sticky<'a>(&'a self, head: &'a RequestHead) -> Sticky<'a> {
        let caller = &self.story.caller;
        let session = match self.setup.policy.identity.said(&caller.namespace).session.is_empty() {
            true => head.headers.get(SESSION_HEADER),
            false => caller.session.as_deref(),
        };
        Sticky { session, consumer: caller.recorded_consumer().map(|name| &**name), namespace: Some(&caller.namespace) }
    }

    /// Whether the price of a model at a backend has to be known for this caller, and is not.
    pub(super) fn lacks_price(&self, index: usize, backend: &Backend, model: &str) -> bool {
        if self.profile.unpriced != Unpriced::Deny {
            return false;
        }
        let policy = &self.setup.policy;
        // What root wants to know the price of has none because a namespace says so.
        let believed = backend.namespace.is_none() || policy.profile.unpriced != Unpriced::Deny;
        let overlay = policy.overlays.get(index).and_then(Option::as_deref).filter(|_| believed);
        let models = Models { requested: model, served: None, region: region::of(&backend.authority) };
        !meter::is_priced(&policy.catalog, overlay, &backend.provider, models)
    }

    /// Tells the world what this answer says of the backend, if it says anything new.
    pub(super) fn observe(&mut self, head: &ResponseHead, end: bool, out: &mut Vec<Action>) {
        let Some(target) = self.story.target.as_ref().filter(|_| self.story.sent_at.is_some()) else { return };
        let outcome = match is_local_reply(head) {
            true => of_proxy(head),
            // Gemini says in the body how long it wants to be left alone.
            false if head.status == 429 && !end && self.crosses() && retry_after(head).is_none() => {
                return self.response.carried.waits = true;
            }
            false => self.of_provider(head.status, retry_after(head), target.index),
        };
        self.tell_health(outcome, out);
    }

    /// As [`Exchange::observe`], of an attempt whose answer stays with the proxy. One without an answer may have been
    /// the proxy's own doing, so that one alone says nothing; unless nothing of it has left.
    pub(super) fn observe_attempt(&mut self, answered: Option<&Failed>, never_left: bool, out: &mut Vec<Action>) {
        let Some(index) = self.story.target.as_ref().map(|target| target.index) else { return };
        let outcome = match answered {
            Some(failed) => self.of_provider(failed.status, failed.after, index),
            None if never_left => Some(Outcome::Unreachable),
            None => Some(Outcome::Failed),
        };
        self.tell_health(outcome, out);
    }

    /// As [`Exchange::observe`], of an answer whose body says more than its head.
    pub(super) fn observe_fault(&mut self, fault: &Fault, out: &mut Vec<Action>) {
        self.observe_after(fault.retry_after, out);
    }

    /// As [`Exchange::observe_fault`], of an answer whose body never came to its end. Once for each answer.
    pub(super) fn observe_after(&mut self, after: Option<Duration>, out: &mut Vec<Action>) {
        let waits = std::mem::take(&mut self.response.carried.waits);
        let status = self.response.upstream_status().filter(|_| waits);
        let Some((status, target)) = status.zip(self.story.target.as_ref()) else { return };
        let outcome = self.of_provider(status, after, target.index);
        self.tell_health(outcome, out);
    }

    fn tell_health(&mut self, outcome: Option<Outcome>, out: &mut Vec<Action>) {
        let Some(target) = &self.story.target else { return };
        let is_news = |outcome: &Outcome| {
            *outcome != Outcome::Success || self.setup.health.awaits_success(&target.backend.name, self.now.mono)
        };
        let Some(outcome) = outcome.filter(is_news) else { return };
        let observation = Observation {
            backend: target.backend.name.clone(),
            credential: self.credential_row(target.index).unwrap_or_default(),
            model: target.model.clone(),
            outcome,
            cooldown: target.retry.as_ref().and_then(|retry| retry.cooldown),
            at: self.now.mono,
        };
        self.note(Note::Observe(observation), out);
    }

    /// What the provider's own answer says. Where the caller's own key leaves, a key that is refused or
    /// exhausted is the caller's matter, and says nothing to others.
    fn of_provider(&self, status: u16, after: Option<Duration>, backend: usize) -> Option<Outcome> {
        let is_callers = self.held(backend).is_some_and(|held| *held.credential == Credential::Caller);
        match status {
            401 | 403 | 429 if is_callers => None,
            429 => Some(Outcome::RateLimited(after)),
            401 => Some(Outcome::Denied),
            403 => Some(Outcome::Forbidden),
            500.. => Some(Outcome::Failed),
            _ => Some(Outcome::Success),
        }
    }
}

/// In a path a model of dots would be another place.
fn names_a_model(target: &Target) -> bool {
    !target.model.bytes().all(|byte| byte == b'.')
}

/// A count goes where its chat would go: who counts nothing there is counted for here.
fn is_counted(operation: Operation) -> bool {
    operation == Operation::CountTokens
}

/// The dialect under whose paths one serves what is no chat.
fn same_paths(dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::Responses | Dialect::Azure => Dialect::OpenAi,
        other => other,
    }
}

/// What the proxy's own answer says. Of a connection that broke it says little: each provider closes
/// some just when they are used again.
fn of_proxy(head: &ResponseHead) -> Option<Outcome> {
    if head.status < 500 {
        return None;
    }
    let unreachable = match head.headers.get(LOCAL_REPLY_HEADER) {
        Some(flags) => flags.split(',').any(|flag| UNREACHABLE.contains(&flag)),
        // An Envoy whose configuration was not rendered here does not say why.
        None => head.status == 503,
    };
    Some(if unreachable { Outcome::Unreachable } else { Outcome::Failed })
}

/// Whether the proxy's own answer says that the provider may have worked on the request.
pub(super) fn may_have_run(head: &ResponseHead) -> bool {
    let flags = head.headers.get(LOCAL_REPLY_HEADER).unwrap_or_default();
    flags.split(',').any(|flag| BROKEN.contains(&flag)) && !flags.split(',').any(|flag| UNREACHABLE.contains(&flag))
}

/// When the provider says it may be asked again. A date is not read: no provider is known to send one.
pub fn retry_after(head: &ResponseHead) -> Option<Duration> {
    let whole = |name: &str, unit: fn(u64) -> Duration| {
        let (number, fraction) =
            head.headers.get(name).map(|text| text.trim().split_once('.').unwrap_or((text.trim(), "")))?;
        let number: u64 = number.parse().ok()?;
        Some(unit(number.saturating_add(u64::from(!fraction.is_empty()))))
    };
    whole("retry-after-ms", Duration::from_millis).or_else(|| whole("retry-after", Duration::from_secs))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&str, &str)]) -> ResponseHead {
        ResponseHead { status, headers: fields.iter().copied().collect() }
    }

    #[test]
    fn milliseconds_are_more_exact_than_seconds_and_a_part_of_one_is_one() {
        for (fields, expected) in [
            (&[("retry-after", "2"), ("retry-after-ms", "1500")][..], Some(1500)),
            (&[("retry-after", "2")], Some(2000)),
            (&[("retry-after", " 0.5 ")], Some(1000)),
            (&[("retry-after-ms", "12.5")], Some(13)),
            (&[("retry-after", "18446744073709551615")], Some(u64::MAX.saturating_mul(1000))),
            (&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], None),
            (&[("retry-after", "-1")], None),
            (&[("retry-after", "")], None),
            (&[], None),
        ] {
            let found = retry_after(&head(429, fields));
            assert_eq!(found.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)), expected, "{fields:?}");
        }
    }

    #[test]
    fn the_proxys_flags_tell_a_connection_that_was_never_made_from_one_that_broke() {
        let marked = |status, flags| of_proxy(&head(status, &[(LOCAL_REPLY_HEADER, flags)]));
        assert_eq!(marked(503, "UF,URX"), Some(Outcome::Unreachable));
        assert_eq!(marked(503, "UH"), Some(Outcome::Unreachable));
        assert_eq!(marked(503, "UC"), Some(Outcome::Failed));
        assert_eq!(marked(504, "UT"), Some(Outcome::Failed));
        assert_eq!(marked(429, "RL"), None);
        let plain = head(503, &[("content-type", "text/plain")]);
        assert_eq!(of_proxy(&plain), Some(Outcome::Unreachable));
    }
}
