//! What a rule changes in the calls it matches, made as in-place edits: every byte that no change
//! names leaves as it came, white space, order, number spelling, unknown and repeated fields included.
//!
//! | operation | parameters | bound on output | prompt |
//! |---|---|---|---|
//! | chat (OpenAI) | yes | `max_completion_tokens`, `max_tokens` | `messages` |
//! | chat (Anthropic) | yes | `max_tokens` | `system`, `messages` |
//! | chat (Gemini) | yes | `generationConfig.maxOutputTokens` | `systemInstruction`, `contents` |
//! | chat (Bedrock Converse) | yes | `inferenceConfig.maxTokens` | `system`, `messages` |
//! | responses | yes | `max_output_tokens` | `instructions`, `input` |
//! | completions | yes | `max_tokens` | `prompt` |
//! | count_tokens | | | as chat: what is counted is what would leave |
//! | every other that is held | yes | | |
//!
//! Parameters are top-level members of the client's own body, whatever its format and that of the provider: a
//! rule that sets `temperature` says so to OpenAI's formats and to Anthropic's; Gemini and Converse have it inside
//! of `generationConfig` and `inferenceConfig`, and know no such member. Where a rule sets one of these two
//! whole, its bound on output holds in them as well.
//!
//! A field that a change names must stand once, in its own spelling: `Temperature` is `temperature`
//! to a server written in Go, and would get past a rule. Each attempt starts from what the client
//! sent, so nothing is changed twice.

mod bound;
mod converse;
mod gemini;
mod parameters;
mod prompt;
pub(super) mod quirk;
mod turns;

#[cfg(test)]
mod tests;

use super::edit::Edits;
use super::fields::Fields;
use super::keys;
use crate::base::json::{Member, Span};
use crate::llm::{Dialect, Operation, Quirk, Refusal};

pub use parameters::{Action, Parameter};
pub use prompt::{Message, Prompt, Role};

/// What a rule changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Top-level members of the body, no name twice; none of those that this module or Weir decides.
    pub parameters: Vec<Parameter>,
    /// The most output tokens that a call may ask for; at least 1.
    pub max_output: Option<u64>,
    pub prompt: Prompt,
}

/// What was changed in one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub parameters: bool,
    pub cap: bool,
    pub prompt: bool,
    /// There is a prompt to insert, and the operation has no place for one.
    pub no_messages: bool,
}

/// A body that was read, and for whom it is written anew.
#[derive(Clone, Copy)]
pub(super) struct Subject<'s> {
    pub body: &'s [u8],
    /// Of the whole document.
    pub members: &'s [Member<'s>],
    pub fields: &'s Fields,
    pub quirks: &'s [Quirk],
}

/// One object of a body.
#[derive(Clone, Copy)]
struct Scope<'s> {
    body: &'s [u8],
    object: Span,
    members: &'s [Member<'s>],
    dialect: Dialect,
}

// === impl Changes ===

impl Changes {
    /// True when nothing would ever be changed.
    pub fn is_empty(&self) -> bool {
        self.parameters.is_empty() && self.max_output.is_none() && self.prompt.is_empty()
    }

    /// True when a field that is read into a [`crate::llm::Call`], or adds to its prompt, may become another one.
    pub fn touch_the_call(&self) -> bool {
        self.parameters.iter().any(|parameter| {
            matches!(
                parameter.name.as_str(),
                "service_tier"
                    | "n"
                    | "best_of"
                    | "prompt"
                    | "tools"
                    | "functions"
                    | "toolConfig"
                    | "response_format"
                    | "speed"
                    | "inference_geo"
                    | "size"
                    | "quality"
                    | "input"
                    | "serviceTier"
                    | "generationConfig"
                    | "generation_config"
            )
        })
    }

    /// True when a call may be told to think that was not, or not to be told that it shall not.
    pub fn touch_thinking(&self) -> bool {
        const SAID: &[&str] = &[
            "reasoning",
            "reasoning_effort",
            "thinking",
            "output_config",
            "generationConfig",
            "generation_config",
            "additionalModelRequestFields",
        ];
        self.parameters.iter().any(|parameter| SAID.contains(&parameter.name.as_str()))
    }

    /// Collects the edits of one call.
    ///
    /// # Errors
    /// 400 for a body in which a change cannot be made: a field of it stands twice, or in another case,
    /// or has a type that cannot be compared or extended. It would get past the rule otherwise.
    pub(super) fn edit<'c>(&'c self, subject: Subject<'_>, edits: &mut Edits<'c>) -> Result<Done, Refusal> {
        let mut done = Done::default();
        if subject.fields.call.operation != Operation::CountTokens {
            done.parameters = parameters::edit(&self.parameters, self.max_output, subject, edits)?;
            if let Some(most) = self.max_output {
                done.cap = bound::cap(most, &self.parameters, subject, edits)?;
            }
        }
        if !self.prompt.is_empty() {
            done.prompt = self.prompt.edit(subject, edits)?;
            done.no_messages = !done.prompt;
        }
        Ok(done)
    }
}

// === impl Done ===

impl Done {
    /// The kinds of what was changed, for records; none when nothing was.
    pub fn kinds(self) -> Option<&'static str> {
        Some(match (self.parameters, self.cap, self.prompt) {
            (false, false, false) => return None,
            (true, false, false) => "parameters",
            (false, true, false) => "cap",
            (false, false, true) => "prompt",
            (true, true, false) => "parameters_cap",
            (true, false, true) => "parameters_prompt",
            (false, true, true) => "cap_prompt",
            (true, true, true) => "parameters_cap_prompt",
        })
    }
}

// === impl Subject ===

impl<'s> Subject<'s> {
    /// The outermost object.
    fn scope(&self) -> Scope<'s> {
        Scope { body: self.body, object: self.whole(), members: self.members, dialect: self.dialect() }
    }

    /// The object that all changes are made in. Everybody who edits its members must name it so.
    pub fn whole(&self) -> Span {
        whole(self.body)
    }

    pub fn dialect(&self) -> Dialect {
        self.fields.call.dialect
    }

    fn bytes(&self, member: &Member<'_>) -> &[u8] {
        member.value.slice(self.body)
    }
}

// === impl Scope ===

impl<'s> Scope<'s> {
    /// The member under that key, which a rule acts on.
    fn find(&self, key: &str) -> Result<Option<&'s Member<'s>>, Refusal> {
        Ok(keys::named(self.dialect, self.members, key)?.and_then(|index| self.members.get(index)))
    }
}

/// The outermost object of a body, as [`Edits`] knows it: from its brace, because one without members is filled
/// from there.
pub(super) fn whole(body: &[u8]) -> Span {
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    Span { start, end: body.len() }
}
