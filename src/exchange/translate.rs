//! The request of a call whose client and provider speak differently, written anew; and where any chat goes.

use bytes::Bytes;

use super::Exchange;
use super::steps::Deciding;
use crate::base::json::Tree;
use crate::llm::{Code, Dropped, Format, Refusal};
use crate::target::Target;
use crate::wire::codec::{Envelope, Outgoing};
use crate::wire::{self, Named, Outbound, PathCall, Rewrite, Writing, openai};

/// What a provider that must be told a bound on output is told where nobody states one: as much as every
/// model that is served today can say.
const DEFAULT_MAX_OUTPUT: u64 = 8192;

/// What leaves, and what could not be said.
pub(super) struct Written {
    pub body: Bytes,
    pub done: wire::rewrite::Done,
    pub dropped: Dropped,
}

// === impl Exchange ===

impl Exchange {
    /// The client's format and the one in which the call leaves, if it is a chat.
    pub(super) fn formats(deciding: &Deciding, target: &Target) -> Option<(Format, Outbound)> {
        let call = &deciding.fields.call;
        let client = Format::of_client(call.dialect, call.operation)?;
        Some((client, target.backend.outbound(&target.model, client)))
    }

    /// The path that leaves, where it is not the client's own.
    pub(super) fn path_to(deciding: &Deciding, target: &Target) -> Option<String> {
        let (client, outbound) = Self::formats(deciding, target)?;
        let is_own = outbound == Outbound { format: client, envelope: Envelope::Plain };
        if is_own && deciding.named == Named::Body {
            return None;
        }
        let array = outbound.format == client && matches!(deciding.named, Named::Path { array: true, .. });
        let call = PathCall { model: &target.model, stream: deciding.fields.call.stream, array, api_version: "" };
        Some(target.backend.path_of(outbound, &call))
    }

    /// The body that leaves for `target`.
    pub(super) fn write_body(&self, deciding: &Deciding, target: &Target) -> Result<Written, Refusal> {
        let Deciding { body, fields, .. } = deciding;
        let ask_usage = self.asks_usage(deciding, target);
        let changes = target.changes.as_deref();
        let quirks = &target.backend.quirks[..];
        let formats = Self::formats(deciding, target);
        let is_foreign = |(client, outbound): &(Format, Outbound)| {
            // What Weir marked as another provider's seal is none to this one: the history is said anew without.
            *client != outbound.format || wire::has_foreign_seal(body)
        };
        let Some((_, outbound)) = formats.filter(is_foreign) else {
            let want = Rewrite { model: &target.model, ask_usage, quirks, changes };
            let (body, done) = openai::rewrite(body, fields, want)?;
            let betas = deciding.head.headers.get("anthropic-beta");
            let body = match formats {
                Some((_, outbound)) => wire::envelop(outbound, body, betas)?,
                None => body,
            };
            return Ok(Written { body, done, dropped: Dropped::default() });
        };
        // A rule speaks of the call as its client made it.
        let want = Rewrite { model: &fields.call.model, ask_usage: false, quirks: &[], changes };
        let (body, done) = openai::rewrite(body, fields, want)?;
        let mut dropped = Dropped::default();
        let to = Outgoing {
            model: &target.model,
            envelope: outbound.envelope,
            quirks,
            ask_usage: fields.call.stream && target.backend.asks_stream_usage,
            default_max_output: DEFAULT_MAX_OUTPUT,
        };
        let body = translate(&body, deciding, outbound.format, &to, &mut dropped)?;
        if target.refuses_loss && !dropped.is_empty() {
            let message = format!(
                "Backend {:?} speaks {}, which cannot say these fields: {dropped}. A rule refuses the loss.",
                target.backend.name, outbound.format
            );
            let first = dropped.names().first().map(ToString::to_string).unwrap_or_default();
            return Err(Refusal::new(Code::UnsupportedValue, message).param(first));
        }
        Ok(Written { body, done, dropped })
    }

    /// For whom the answer to this request is written.
    pub(super) fn writing(&self, deciding: &Deciding) -> Writing {
        let call = &deciding.fields.call;
        Writing {
            id: self.story.id.to_string(),
            model: call.model.to_string(),
            created: self.now.unix_nanos / 1_000_000_000,
            usage: call.stream_usage,
            array: matches!(deciding.named, Named::Path { array: true, .. }),
            resumed: false,
        }
    }
}

/// One format's request as another one's.
fn translate(
    body: &[u8],
    deciding: &Deciding,
    format: Format,
    to: &Outgoing<'_>,
    dropped: &mut Dropped,
) -> Result<Bytes, Refusal> {
    let call = &deciding.fields.call;
    let tree = Tree::read(body).map_err(wire::fields::refuse)?;
    let mut chat = wire::codec_of(call.dialect, call.operation).read_chat(&tree, dropped)?;
    chat.model = to.model.into();
    chat.stream = call.stream;
    chat.stream_usage = call.stream_usage;
    let mut out = Vec::with_capacity(body.len() + 512);
    wire::codec(format).write_chat(&chat, to, &mut out, dropped)?;
    Ok(Bytes::from(out))
}
