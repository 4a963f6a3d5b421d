//! What a provider's head says of asking again, and how much it allows, told to a client of another API.
//!
//! What every SDK reads alike goes on as it is: `retry-after`, `retry-after-ms`, `x-should-retry`. What is
//! spelt differently in each API is written anew; the provider's own spelling goes no further, for to a client
//! of another API it says nothing, or says it of somebody else.

use std::time::Duration;

use super::Exchange;
use super::choose::retry_after;
use super::event::{Edits, Local, ResponseHead};
use crate::base::words::Words;
use crate::llm::{Fault, FaultKind};

/// Headers of an error answer that say when to ask again, and whether to.
const RETRY: &[&str] = &["retry-after", "retry-after-ms", SHOULD_RETRY];

/// The SDKs of OpenAI and Anthropic obey it whatever the status is (`_should_retry` of both).
pub(super) const SHOULD_RETRY: &str = "x-should-retry";

/// What the head of an answer that is written anew says of asking again.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// How much is allowed, in the client's spelling.
    set: Vec<(&'static str, String)>,
    /// The same in the provider's.
    remove: Vec<String>,
    /// Those of [`RETRY`] that it has. They are told again: an error may take the place of the head as well.
    retry: Vec<(&'static str, String)>,
    /// What it says of its provider is told when its body is there.
    pub waits: bool,
    /// What `retry-after` says.
    retry_after: Option<Duration>,
}

// === impl Exchange ===

impl Exchange {
    /// Keeps what the head says of asking again.
    pub(super) fn carry(&mut self, head: &ResponseHead) {
        let headers = &head.headers;
        let mut carried = Carried {
            retry: RETRY.iter().filter_map(|name| Some((*name, headers.get(name)?.to_owned()))).collect(),
            waits: self.response.carried.waits,
            retry_after: retry_after(head),
            ..Carried::default()
        };
        let (from, to) = (self.reader_codec().rate_headers(), self.writer_codec().rate_headers());
        let is_same = from.zip(to).is_some_and(|(from, to)| std::ptr::eq(from, to));
        if let Some(from) = from.filter(|_| !is_same) {
            let now = self.now.unix_nanos;
            let names = headers.iter().map(|(name, _)| name).filter(|name| from.has(name));
            carried.remove = names.map(str::to_owned).collect();
            let allowed = from.read(|name| headers.get(name), now);
            if let Some(to) = to {
                to.write(&allowed, now, |name, text| carried.set.push((name, text)));
            }
        }
        self.response.carried = carried;
    }

    /// Tells in the head of an answer how much is allowed.
    pub(super) fn tell_rates(&mut self, edits: &mut Edits) {
        let Carried { set, remove, .. } = &mut self.response.carried;
        edits.remove.extend(remove.drain(..).map(Words::from));
        set.drain(..).for_each(|(name, text)| edits.set(name, text));
    }

    /// The status and the headers that an error is told with, and what it has to say itself.
    pub(super) fn tell_retry(&self, fault: &mut Fault) -> Vec<(&'static str, Words)> {
        let carried = &self.response.carried;
        let codec = self.writer_codec();
        fault.status = Some(codec.status(fault));
        // The head is as exact as the body, and nearer to who counts.
        fault.retry_after = carried.retry_after.or(fault.retry_after);
        let mut told: Vec<(&'static str, Words)> =
            carried.retry.iter().map(|(name, value)| (*name, value.clone().into())).collect();
        let says = |wanted: &str| carried.retry.iter().any(|(name, _)| *name == wanted);
        let says_when = says("retry-after") || says("retry-after-ms");
        if let Some(after) = fault.retry_after.filter(|_| !says_when) {
            told.push(("retry-after", after.as_millis().div_ceil(1000).to_string().into()));
            told.push(("retry-after-ms", after.as_millis().to_string().into()));
        }
        if fault.kind == FaultKind::Quota && !says(SHOULD_RETRY) {
            // It is answered with the status of a rate that comes back by itself.
            told.push((SHOULD_RETRY, "false".into()));
        }
        told.extend(codec.error_header(fault.kind).map(|(name, word)| (name, word.into())));
        told
    }

    /// How much is allowed, in a whole answer in the place of a provider's that is its head alone.
    pub(super) fn carry_to(&mut self, local: &mut Local) {
        let set = std::mem::take(&mut self.response.carried.set);
        local.headers.extend(set.into_iter().map(|(name, text)| (name.into(), text.into())));
    }
}
