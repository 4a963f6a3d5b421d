//! A chat completion's request, read.

use crate::base::json::tree::Value;
use crate::llm::{Chat, Code, Dropped, Refusal};

pub(super) fn read<'a>(_: Value<'_, 'a>, _: &mut Dropped) -> Result<Chat<'a>, Refusal> {
    Err(Refusal::new(Code::UnsupportedValue, "Requests in this format are not read yet."))
}
