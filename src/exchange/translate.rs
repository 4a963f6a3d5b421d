//! The request of a call whose client and provider speak differently, written anew; and where any call goes.

use bytes::Bytes;

use super::Exchange;
use super::forward::BETAS;
use super::steps::Deciding;
use crate::llm::{Call, Code, Dropped, Format, Refusal};
use crate::target::Target;
use crate::wire::codec::{Envelope, Outgoing};
use crate::wire::passage::Asked;
use crate::wire::rewrite::{Changes, Done};
use crate::wire::{self, Custom, Endpoint, Named, Passage, PathCall, Rewrite, Writing, openai};

/// What a provider that must be told a bound on output is told where nobody states one and the model's own is not
/// known: as much as every model that is served today can say.
const DEFAULT_MAX_OUTPUT: u64 = 8192;

/// What leaves, and what could not be said.
pub(super) struct Written {
    pub body: Bytes,
    pub done: Done,
    /// The call as a rule left it, in the client's own format, where it may be another one.
    pub call: Option<Call>,
    pub dropped: Dropped,
    /// What the answer must know of it.
    pub asked: Asked,
}

// === impl Exchange ===

impl Exchange {
    /// How the call goes to `target`, if that is known.
    pub(super) fn passage(deciding: &Deciding, target: &Target) -> Option<Passage> {
        let call = &deciding.fields.call;
        target.backend.passage(&target.model, call.dialect, call.operation)
    }

    /// The path that leaves, where it is not the client's own.
    pub(super) fn path_to(deciding: &Deciding, target: &Target) -> Option<String> {
        let passage = Self::passage(deciding, target)?;
        if passage.keeps_path() && deciding.named == Named::Body {
            return None;
        }
        let array = !passage.crosses() && matches!(deciding.named, Named::Path { array: true, .. });
        let call = PathCall { model: &target.model, stream: deciding.fields.call.stream, array, api_version: "" };
        Some(target.backend.path_of(passage, &call))
    }

    /// The body that leaves for `target`.
    pub(super) fn write_body(&self, deciding: &Deciding, target: &Target) -> Result<Written, Refusal> {
        let Deciding { body, fields, .. } = deciding;
        let ask_usage = self.asks_usage(deciding, target);
        let changes = target.changes.as_deref();
        let quirks = &target.backend.quirks[..];
        let passage = Self::passage(deciding, target);
        let is_anew = |passage: &Passage| {
            // What Weir marked as another provider's seal is none to this one: the history is said anew without.
            passage.crosses() || (passage.chat().is_some() && wire::has_foreign_seal(body))
        };
        let mut dropped = Dropped::default();
        let Some(crossing) = passage.filter(is_anew) else {
            let want = Rewrite { model: &target.model, ask_usage, quirks, changes };
            let (body, done) = openai::rewrite(body, fields, want)?;
            let call = reread(deciding, changes, done, &body);
            let body = match passage {
                Some(passage) => wrap(passage, body, deciding, target, &mut dropped)?,
                None => body,
            };
            refuse_loss(target, &dropped, passage.map_or(Format::Chat, Passage::faults))?;
            return Ok(Written { body, done, call, dropped, asked: Asked::default() });
        };
        // A rule speaks of the call as its client made it.
        let want = Rewrite { model: &fields.call.model, ask_usage: false, quirks: &[], changes };
        let (body, done) = openai::rewrite(body, fields, want)?;
        let call = reread(deciding, changes, done, &body);
        let to = Outgoing {
            model: &target.model,
            envelope: crossing.chat().map_or(Envelope::Plain, |(_, outbound)| outbound.envelope),
            quirks,
            ask_usage: fields.call.stream && target.backend.asks_stream_usage,
            default_max_output: DEFAULT_MAX_OUTPUT,
        };
        let mut out = Vec::with_capacity(body.len() + 512);
        let asked = crossing.write(&fields.call, &body, &to, &mut out, &mut dropped)?;
        let mut body = Bytes::from(out);
        if !crossing.crosses() {
            body = wrap(crossing, body, deciding, target, &mut dropped)?;
        }
        refuse_loss(target, &dropped, crossing.faults())?;
        Ok(Written { body, done, call, dropped, asked })
    }

    /// For whom the answer to this request is written, where it is.
    pub(super) fn writing(&self, deciding: &Deciding, is_written: bool) -> Writing {
        let call = &deciding.fields.call;
        Writing {
            id: self.story.id.to_string(),
            model: call.model.to_string(),
            created: self.now.unix_nanos / 1_000_000_000,
            usage: call.stream_usage,
            array: matches!(deciding.named, Named::Path { array: true, .. }),
            resumed: false,
            custom: if is_written { Custom::of(call.dialect, &deciding.body) } else { Custom::default() },
        }
    }
}

/// Puts a body that does not cross into what its provider wraps it in, and names what that provider does not know.
fn wrap(
    passage: Passage,
    body: Bytes,
    deciding: &Deciding,
    target: &Target,
    dropped: &mut Dropped,
) -> Result<Bytes, Refusal> {
    let betas = deciding.head.headers.get(BETAS);
    if let Some((betas, outbound)) = betas.zip(passage.outbound().filter(|to| to.envelope == Envelope::Vertex)) {
        // The header is written where the others are.
        let _ = wire::betas(outbound, betas, dropped);
    }
    passage.wrap(body, &target.model, betas, dropped)
}

/// 400 where a rule wants nothing lost, and something is.
fn refuse_loss(target: &Target, dropped: &Dropped, speaks: Format) -> Result<(), Refusal> {
    if !target.refuses_loss || dropped.is_empty() {
        return Ok(());
    }
    let message = format!(
        "Backend {:?} speaks {speaks}, which cannot say these fields: {dropped}. A rule refuses the loss.",
        target.backend.name,
    );
    let first = dropped.names().first().map(ToString::to_string).unwrap_or_default();
    Err(Refusal::new(Code::UnsupportedValue, message).param(first))
}

/// The call that a rule's parameters will make of the client's, where they may make another one; none as well where
/// they cannot, which is said when it leaves.
pub(super) fn read_changed(deciding: &Deciding, target: &Target) -> Option<Call> {
    let changes = target.changes.as_deref().filter(|changes| changes.touch_the_call())?;
    let fields = &deciding.fields;
    let want = Rewrite { model: &fields.call.model, ask_usage: false, quirks: &[], changes: Some(changes) };
    let (body, done) = openai::rewrite(&deciding.body, fields, want).ok()?;
    reread(deciding, Some(changes), done, &body)
}

/// The call that a rule's parameters made of the client's, where they may have made another one.
fn reread(deciding: &Deciding, changes: Option<&Changes>, done: Done, body: &[u8]) -> Option<Call> {
    changes.filter(|changes| done.parameters && changes.touch_the_call())?;
    let Call { dialect, operation, .. } = deciding.fields.call;
    let endpoint = Endpoint { dialect, operation, held: true, multipart: false, named: deciding.named };
    wire::read(endpoint, &deciding.head.path, body).ok().map(|fields| fields.call)
}
