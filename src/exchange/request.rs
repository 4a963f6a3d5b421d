//! The request's side: what passes, what is held, what is refused while it still arrives.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Exchange;
use super::carried::SHOULD_RETRY;
use super::event::{Action, Edits, Local, RequestHead};
use super::explain::EXPLAIN_HEADER;
use super::follow::Following;
use super::keys::{headers_and_key, remove_credentials};
use super::phase::Phase;
use super::record::Outcome;
use super::rope::Rope;
use super::steps::Deciding;
use crate::base::now::Instant;
use crate::base::words::Words;
use crate::identity::{self, Role};
use crate::llm::{Code, FaultKind, Operation, Refusal};
use crate::policy::Unpriced;
use crate::target::{Pass, Target};
use crate::wire::{self, Endpoint, Fields, multipart};

/// How long, and how many bytes, a refused request is listened to before it is answered: clients
/// that only write would otherwise see a reset instead of the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 << 20;

/// Where the request's side stands.
pub(super) enum State {
    None,
    Holding(Hold),
    /// Complete; the steps run, or wait.
    Deciding(Box<Deciding>),
    /// Refused, and still arriving.
    Lingering(Linger),
    /// Waiting for what another exchange's answer brings.
    Following(Box<Following>),
    /// Sent on, passed, answered or given up. What was decided is kept where another attempt may need it; the host
    /// keeps its body meanwhile.
    Released(Option<Box<Deciding>>),
}

/// A request that is being held.
pub(super) struct Hold {
    pub head: RequestHead,
    pub endpoint: Endpoint,
    body: Rope,
}

/// A refusal that waits for its request to end.
pub(super) struct Linger {
    refusal: Refusal,
    outcome: Outcome,
    discarded: usize,
    until: Instant,
}

// === impl State ===

impl State {
    /// Bytes held.
    pub fn buffered(&self) -> usize {
        match self {
            State::Holding(hold) => hold.body.len(),
            State::Deciding(deciding) => deciding.body.len(),
            State::Following(following) => following.buffered(),
            _ => 0,
        }
    }
}

// === impl Exchange ===

impl Exchange {
    pub(super) fn on_request(&mut self, head: RequestHead, end: bool, out: &mut Vec<Action>) {
        if self.phase != Phase::Fresh {
            return;
        }
        self.phase = if end { Phase::Complete } else { Phase::Arriving };
        let endpoint = wire::detect(&head.method, &head.path);
        self.begin(&head, endpoint, end);
        if let Some(stop) = self.early_stop.take() {
            return self.on_stop(stop, out);
        }
        if !self.setup.policy.is_configured {
            self.story.decide("target", "refused", Code::NoConfiguration.as_str(), "");
            return self.refuse(no_configuration(), out);
        }
        if let Err(refusal) = self.identify(&head) {
            return self.refuse(refusal, out);
        }
        self.hear_question(&head);
        if endpoint.operation == Operation::Models && !is_upgrade(&head) {
            return self.answer_models(&head, out);
        }
        let is_form = endpoint.multipart && multipart::is_form(head.headers.get("content-type"));
        if !endpoint.held || !(is_form || is_json(&head)) || is_upgrade(&head) {
            return self.pass(&head, out);
        }
        if let Some(refusal) = self.refused_by_head(&head) {
            return self.refuse(refusal, out);
        }
        let hold = Hold { head, endpoint, body: Rope::default() };
        match end {
            true => self.decide_body(hold, out),
            false => self.request = State::Holding(hold),
        }
    }

    fn begin(&mut self, head: &RequestHead, endpoint: Endpoint, end: bool) {
        let story = &mut self.story;
        story.started = self.now.mono;
        story.started_unix = self.now.unix_nanos;
        story.dialect = endpoint.dialect;
        story.operation = endpoint.operation;
        story.method = method(&head.method);
        story.path = head.path.split('?').next().unwrap_or_default().to_owned().into();
        if end {
            story.complete_at = Some(self.now.mono);
        }
    }

    /// The first step. It needs the head alone, so that a body is not held for nothing.
    fn identify(&mut self, head: &RequestHead) -> Result<(), Refusal> {
        let policy = self.policy();
        let now = self.now.unix_nanos / 1_000_000_000;
        match identity::identify(&policy.identity, policy.role, &head.facts, || headers_and_key(head), now) {
            Ok(caller) => {
                self.profile = policy.profile_of(&caller.namespace);
                self.story.caller = caller;
                Ok(())
            }
            Err(denied) => {
                self.story.decide("identify", "refused", denied.reason, denied.detail);
                Err(*denied.refusal)
            }
        }
    }

    fn refused_by_head(&self, head: &RequestHead) -> Option<Refusal> {
        let max = self.profile.bodies.max_request as u64;
        if head.headers.content_length().is_some_and(|length| length > max) {
            return Some(too_large(max));
        }
        let encoded = head.headers.get("content-encoding").is_some_and(|value| value.trim() != "identity");
        encoded.then(|| {
            Refusal::new(Code::UnsupportedValue, "Request bodies must not be compressed.").param("content-encoding")
        })
    }

    pub(super) fn on_request_body(&mut self, bytes: Bytes, end: bool, out: &mut Vec<Action>) {
        if self.phase == Phase::Fresh || self.phase == Phase::Complete {
            return;
        }
        self.story.request_bytes += bytes.len() as u64;
        if end && self.phase == Phase::Arriving {
            self.phase = Phase::Complete;
            self.story.complete_at = Some(self.now.mono);
            self.story.timings.receive = Some(self.story.age(self.now.mono));
        }
        match &mut self.request {
            State::Holding(hold) => {
                let max = self.profile.bodies.max_request;
                if hold.body.len() + bytes.len() > max {
                    return self.refuse(too_large(max as u64), out);
                }
                hold.body.push(bytes);
                if end && let State::Holding(hold) = std::mem::replace(&mut self.request, State::None) {
                    self.decide_body(hold, out);
                }
            }
            State::Lingering(linger) => {
                linger.discarded += bytes.len();
                if end || linger.discarded > LINGER_BYTES {
                    self.end_linger(out);
                }
            }
            _ => {}
        }
    }

    /// The request is complete: read it and start the steps.
    fn decide_body(&mut self, hold: Hold, out: &mut Vec<Action>) {
        let Hold { head, endpoint, body } = hold;
        let body = body.into_whole();
        let read = match read_form(&head, endpoint, &body) {
            Some(read) => read,
            None => wire::read(endpoint, &head.path, &body),
        };
        match read {
            Ok(fields) => {
                if self.setup.policy.identity.said(&self.story.caller.namespace).asks_body()
                    && let Some(user) = wire::user(endpoint.dialect, &body)
                {
                    self.story.caller = identity::with_end_user(&self.story.caller, &user);
                }
                self.story.call = Some(fields.call.clone());
                self.request = State::Deciding(Box::new(Deciding::new(head, body, fields, endpoint.named)));
                self.advance(out);
            }
            Err(refusal) => {
                self.story.decide("read", "refused", refusal.code.as_str(), "");
                self.refuse(refusal, out);
            }
        }
    }

    /// Not an LLM call, or one that cannot be held: it goes on as it comes.
    fn pass(&mut self, head: &RequestHead, out: &mut Vec<Action>) {
        let policy = self.policy();
        let pass = match policy.targets.pass(&self.story.caller.namespace, &head.path, &head.authority) {
            Ok(pass) => pass,
            Err(refusal) => {
                self.story.decide("target", "refused", refusal.code.as_str(), "");
                return self.refuse(refusal, out);
            }
        };
        self.story.passed_to = Some(Target {
            index: pass.index,
            backend: pass.backend.clone(),
            model: Arc::from(""),
            rule: pass.route.clone(),
            retry: None,
            changes: None,
            refuses_loss: false,
        });
        let hidden = is_upgrade(head) || !wire::asks_no_model(&head.method, &head.path);
        self.story.hides_model = hidden;
        let closed = self.check_pass(&pass, hidden, out).and_then(|()| self.may_pass_unpriced(&pass, hidden));
        if let Err(refusal) = closed {
            let detail = refusal.detail.as_deref().unwrap_or_default().to_owned();
            self.story.decide("access", "refused", refusal.code.as_str(), detail);
            return self.refuse(refusal, out);
        }
        let edits = match self.pass_edits(head, &pass) {
            Ok(edits) => edits,
            Err(refusal) => {
                let detail = refusal.detail.as_deref().unwrap_or(&pass.backend.name).to_owned();
                self.story.decide("sign", "refused", refusal.code.as_str(), detail);
                return self.refuse(refusal, out);
            }
        };
        let signed = if pass.signed { "signed" } else { "unsigned" };
        self.story.decide("target", "passed", signed, &pass.backend.name);
        self.story.left = true;
        self.story.sent_at = Some(self.now.mono);
        self.request = State::Released(None);
        self.push(Action::Pass(edits), out);
        self.setup.mode = self.setup.mode.passing();
    }

    /// Where prices must be known, so must be what is asked for with a key of Weir's.
    fn may_pass_unpriced(&self, pass: &Pass, hidden: bool) -> Result<(), Refusal> {
        let denies = match self.profile.unpriced {
            Unpriced::Deny => true,
            Unpriced::DenyUnderBudget => self.is_under_budget(pass),
            Unpriced::Allow => false,
        };
        if !(hidden && pass.signed && denies) {
            return Ok(());
        }
        let message = "Unpriced calls are refused here, and what this request asks for cannot be read; send it to a \
                       known path as application/json.";
        Err(Refusal::new(Code::ModelNotAllowed, message))
    }

    fn pass_edits(&mut self, head: &RequestHead, pass: &Pass) -> Result<Edits, Refusal> {
        let mut edits = self.leaving_edits(head, &pass.backend);
        if pass.signed {
            let credential = self.own_credential(pass.index, &pass.backend)?.credential.clone();
            self.sign_into(&mut edits, head, &credential, &pass.backend, self.phase == Phase::Complete)?;
        } else {
            remove_credentials(&mut edits, head);
        }
        edits.meta = self.opening_meta(&pass.backend.name, None);
        edits.meta.extend(self.story.credential.as_ref().map(|name| ("credential", name.into())));
        Ok(edits)
    }

    /// Refuses the request: now if it has ended, after lingering if it still arrives.
    pub(super) fn refuse(&mut self, refusal: Refusal, out: &mut Vec<Action>) {
        match self.phase {
            Phase::Arriving if !matches!(self.request, State::Lingering(_)) => {
                let until = self.now.mono.plus(LINGER);
                let linger = Linger { refusal, outcome: Outcome::Refused, discarded: 0, until };
                self.request = State::Lingering(linger);
                self.push(Action::Wake(until), out);
            }
            Phase::Complete => self.refuse_now(refusal, Outcome::Refused, out),
            _ => {}
        }
    }

    fn end_linger(&mut self, out: &mut Vec<Action>) {
        if let State::Lingering(linger) = std::mem::replace(&mut self.request, State::Released(None)) {
            self.refuse_now(linger.refusal, linger.outcome, out);
        }
    }

    /// Answers with a refusal in the client's dialect, and writes the record.
    pub(super) fn refuse_now(&mut self, refusal: Refusal, outcome: Outcome, out: &mut Vec<Action>) {
        // A sidecar's caller shares its pod, and is often the one who can mend it; a gateway's is a stranger.
        let refusal = if self.setup.policy.role == Role::Sidecar { refusal.disclosed() } else { refusal };
        let codec = self.writer_codec();
        let body = Bytes::from(codec.refusal(&refusal));
        let mut local = Local { status: refusal.code.status(), body, ..Local::default() };
        local.headers.push(("content-type".into(), "application/json".into()));
        let kind = FaultKind::of_status(local.status);
        local.headers.extend(codec.error_header(kind).map(|(name, word)| (name.into(), word.into())));
        local.headers.extend(codec.id_header().map(|name| (name.into(), (&self.story.id).into())));
        if let Some(after) = refusal.retry_after {
            local.headers.push(("retry-after".into(), after.as_millis().div_ceil(1000).to_string().into()));
            local.headers.push(("retry-after-ms".into(), after.as_millis().to_string().into()));
        }
        if refusal.code.is_final() {
            local.headers.push((SHOULD_RETRY.into(), "false".into()));
        }
        if self.profile.response_headers.request_id {
            local.headers.push(("x-weir-request-id".into(), (&self.story.id).into()));
        }
        self.tell_standing(|name, value| local.headers.push((name.into(), value.into())));
        local.headers.extend(self.reason().map(|reason| (EXPLAIN_HEADER.into(), reason.into())));
        self.story.status = local.status;
        self.story.refusal = Some(refusal.code.as_str());
        // A refusal in the place of an answer that had begun: what was used is still billed.
        let bill = self.bill();
        local.meta = self.closing_meta(&bill, outcome);
        local.meta.push(("refusal", refusal.code.as_str().into()));
        self.request = State::Released(None);
        self.story.left = true;
        self.story.decided(self.now.mono);
        self.push(Action::Respond(local), out);
        self.response.release();
        self.tell_bill(outcome, &bill, out);
    }

    pub(super) fn on_tick(&mut self, out: &mut Vec<Action>) {
        match &self.request {
            State::Lingering(linger) if self.now.mono >= linger.until => self.end_linger(out),
            State::Lingering(linger) => {
                let until = linger.until;
                self.push(Action::Wake(until), out);
            }
            State::Following(_) => self.on_follow_tick(out),
            State::Deciding(deciding) => match deciding.limits.waits {
                Some(until) if self.now.mono >= until => {
                    if let State::Deciding(deciding) = &mut self.request {
                        deciding.limits.waits = None;
                    }
                    self.advance(out);
                }
                Some(until) => {
                    self.push(Action::Wake(until), out);
                }
                None => {}
            },
            _ => {}
        }
    }
}

/// A method as it is carried on; the common ones cost nothing.
fn method(name: &str) -> Words {
    const COMMON: &[&str] = &["POST", "GET", "DELETE", "HEAD", "OPTIONS", "PUT", "PATCH"];
    COMMON.iter().find(|common| **common == name).map_or_else(|| name.to_owned().into(), |common| Words::Fixed(common))
}

fn too_large(max: u64) -> Refusal {
    Refusal::new(Code::RequestTooLarge, format!("The request body is larger than the {max} bytes allowed here."))
}

/// A form that names its model; none where the body is said to be JSON, or nothing is said.
fn read_form(head: &RequestHead, endpoint: Endpoint, body: &Bytes) -> Option<Result<Fields, Refusal>> {
    let mut kinds = head.headers.all("content-type").filter(|_| endpoint.multipart);
    let kind = kinds.next().filter(|kind| multipart::is_form(Some(kind)))?;
    // A server that reads the other one would find other parts.
    let one = if kinds.next().is_some() { Err(multipart::two_types()) } else { Ok(kind) };
    Some(one.and_then(|kind| multipart::read(kind, endpoint, body)))
}

fn no_configuration() -> Refusal {
    Refusal::new(Code::NoConfiguration, "There is no valid configuration yet; ask again when there is one.")
        .detail("The errors stand in Weir's log and on the page /config of its admin socket.")
        .retry_after(Duration::from_secs(1))
}

/// JSON, or nothing said.
fn is_json(head: &RequestHead) -> bool {
    let Some(value) = head.headers.get("content-type") else { return true };
    let kind = value.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.to_ascii_lowercase().ends_with("+json")
}

fn is_upgrade(head: &RequestHead) -> bool {
    head.method.eq_ignore_ascii_case("CONNECT") || head.headers.get("upgrade").is_some()
}
