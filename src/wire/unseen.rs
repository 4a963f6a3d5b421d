//! Which models think where nobody sees it. What they think is billed as output, and nothing in their streams tells
//! how much it is until they end.
//!
//! | model | what is told of its thoughts | source, read 2026-11 |
//! |---|---|---|
//! | OpenAI's | nothing, or summaries | guide "Reasoning models" |
//! | Claude from 3.7 on | summaries, or nothing: "you are billed for the full thinking tokens" | page "Extended thinking" |
//! | Gemini from 2.5 on | summaries, or nothing | page "Thinking" |
//! | Grok 4 | nothing | xAI's guide "Reasoning" |
//!
//! Others (DeepSeek, Qwen, Kimi, GLM, `gpt-oss`) say all that they think, so it is seen.

use super::codec_of;
use super::openai::model::Model;
use super::rewrite::Changes;
use super::{anthropic, gemini};
use crate::base::json::Tree;
use crate::llm::chat::Reasoning;
use crate::llm::{Call, Dropped};

/// Whether `model` may think unseen when it is asked this, and a rule makes these changes. Where the request cannot be read, or the model is not
/// known, it goes by the worse of what there can be.
pub fn thinks_unseen(model: &str, call: &Call, body: &[u8], changes: Option<&Changes>) -> bool {
    let read = |tree: &Tree<'_>| {
        codec_of(call.dialect, call.operation).read_chat(tree, &mut Dropped::default()).ok().map(|chat| chat.reasoning)
    };
    let is_said = !changes.is_some_and(Changes::touch_thinking);
    let asked = Tree::read(body).ok().filter(|_| is_said).and_then(|tree| read(&tree));
    thinks(model, asked.unwrap_or(Some(Reasoning { enabled: Some(true), ..Reasoning::default() })))
}

fn thinks(model: &str, asked: Option<Reasoning>) -> bool {
    let is_off = asked.as_ref().is_some_and(Reasoning::is_off);
    let is_asked = !is_off && asked.as_ref().is_some_and(Reasoning::is_asked);
    let name = model.to_ascii_lowercase();
    let has = |word: &str| name.rsplit(['/', '.']).any(|part| part.starts_with(word));
    match () {
        () if name.contains("claude") => anthropic::thinks(model, is_asked),
        () if has("gemini") || has("gemma") => gemini::thinks(model, is_off),
        () if has("grok-4") => !is_off,
        () if Model::named(model).is_known() => Model::named(model).thinks(is_asked, is_off),
        () => is_asked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_thinks_unseen_follows_from_the_name_and_what_is_asked() {
        let on = Some(Reasoning { enabled: Some(true), ..Reasoning::default() });
        let off = Some(Reasoning { enabled: Some(false), ..Reasoning::default() });
        // Where nothing is said, where it shall think, and where it shall not.
        for (model, expected) in [
            ("gpt-4o", [false, false, false]),
            ("gpt-4.1-mini", [false, false, false]),
            ("o3", [true, true, true]),
            ("openai/o4-mini", [true, true, true]),
            ("gpt-5", [true, true, true]),
            ("gpt-5.2", [false, true, false]),
            ("gpt-5.6", [true, true, false]),
            ("gpt-6-astra", [true, true, true]),
            ("claude-3-5-haiku-latest", [false, false, false]),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", [false, true, false]),
            ("claude-opus-5-5", [true, true, true]),
            ("gemini-2.0-flash", [false, false, false]),
            ("google/gemini-2.5-flash", [true, true, false]),
            ("gemini-2.5-pro", [true, true, true]),
            ("gemini-3-pro-preview", [true, true, true]),
            ("gemma-3-27b-it", [false, false, false]),
            ("x-ai/grok-4-fast", [true, true, false]),
            ("grok-3-mini", [false, true, false]),
            ("deepseek-reasoner", [false, true, false]),
            ("gpt-oss-120b", [false, true, false]),
        ] {
            assert_eq!([None, on, off].map(|asked| thinks(model, asked)), expected, "{model}");
        }
    }
}
