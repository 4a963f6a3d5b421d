//! A chat completion's request, written.

use crate::llm::{Chat, Dropped};
use crate::wire::codec::Outgoing;

pub(super) fn write(_: &Chat<'_>, _: &Outgoing<'_>, _: &mut Vec<u8>, _: &mut Dropped) {}
