//! Whether a call is too long for a model's context window, told before it leaves.
//!
//! It is told by an estimate, of which a part may be wrong, and a call that is moved without need goes where its rule
//! did not want it. So a model is passed over only where the call is too long for it although all is counted that may
//! be wrong in its favour:
//!
//! * The text of the prompt counts by its bytes and by what calls of this model at this backend came to before, less
//!   an eighth: text differs so much from that of the calls before. Until one was answered a byte counts as an eighth
//!   of a token, half of what prose has.
//! * What is no text (images, sound, documents, what a provider keeps) counts nothing: only its provider knows.
//! * Of the output counts what the caller or the rule states, once however many answers are asked for, and nothing
//!   where neither states any. It does not count either where the window is that of the input alone.
//!
//! A call that is too long and is not found so is answered by its provider with an error. No prompt is counted here.

use super::Exchange;
use super::steps::Deciding;
use crate::llm::Operation;
use crate::target::{Candidate, Rule};
use crate::tokens::learned::Key;
use crate::wire::parts;

/// Of an estimate that calls of the model have taught, this part may be wrong.
const DOUBT: u64 = 8;

/// Until then, this one.
const IGNORANCE: u64 = 2;

/// Beginnings of words in names of models whose window is that of the input alone: Gemini ("input token limit" beside
/// an "output token limit"), and OpenAI's since GPT-5, whose catalogue rows are mostly the window less the output.
const INPUT_ALONE: [&str; 4] = ["gemini", "gpt-5", "gpt-6", "chat-latest"];

// === impl Exchange ===

impl Exchange {
    /// The window of a model for which the call is too long, as a rule would send it there; none where it may fit,
    /// and where the window is not known.
    pub(super) fn overfull(&self, rule: &Rule, place: Candidate<'_>, deciding: &Deciding) -> Option<u64> {
        let call = &deciding.fields.call;
        let is_read = matches!(
            call.operation,
            Operation::Chat | Operation::Completion | Operation::Responses | Operation::CountTokens
        );
        let window = self.window(place).filter(|_| is_read)?;
        let changes = rule.changes.as_deref();
        let output = match (call.max_output, changes.and_then(|changes| changes.max_output)) {
            (Some(stated), Some(ruled)) => stated.min(ruled),
            (stated, ruled) => stated.or(ruled).unwrap_or(0),
        };
        let output = if INPUT_ALONE.iter().any(|name| parts::names(place.model, name)) { 0 } else { output };
        let key = Key { backend: place.backend, model: place.model };
        let doubt = if self.setup.learned.knows_input(key) { DOUBT } else { IGNORANCE };
        let is_over = |bytes: u64| {
            let estimate = self.setup.learned.estimate_input(key, bytes);
            (estimate - estimate.div_ceil(doubt)).saturating_add(output) > window
        };
        let added = changes.map_or(0, |changes| changes.prompt.text_bytes());
        let whole = call.body_bytes.saturating_add(added);
        // Few calls are so long that it matters what of them is text.
        let is_overfull =
            is_over(whole) && is_over(whole.saturating_sub(parts::read(place.model, &deciding.body).bytes));
        is_overfull.then_some(window)
    }
}
