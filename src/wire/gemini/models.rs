//! What a model's name tells: how it is told to think, and what it refuses. Google's references state all
//! of it by model ("Gemini thinking", "Thought signatures", "Structured outputs", 2026-10).

use crate::llm::chat::Effort;

/// How a model is told to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// It does not: `thinkingConfig` is an error.
    Never,
    /// By `thinkingBudget`, in tokens from `least` to `most`; 0 where it `stops`.
    Budget { least: u64, most: u64, stops: bool },
    /// By `thinkingLevel`, one of these; a budget beside it is an error.
    Level(&'static [Effort]),
}

const ALL: &[Effort] = &[Effort::Minimal, Effort::Low, Effort::Medium, Effort::High];
const NO_MINIMAL: &[Effort] = &[Effort::Low, Effort::Medium, Effort::High];

/// By the beginning of the name; the first row that fits counts.
const MODELS: &[(&str, Thinking)] = &[
    ("gemini-1", Thinking::Never),
    ("gemini-2.0", Thinking::Never),
    ("gemini-2.5-flash-image", Thinking::Never),
    ("gemini-2.5-pro", Thinking::Budget { least: 128, most: 32_768, stops: false }),
    ("gemini-2.5-flash-lite", Thinking::Budget { least: 512, most: 24_576, stops: true }),
    ("gemini-2.", Thinking::Budget { least: 1, most: 24_576, stops: true }),
    ("gemini-3-pro", Thinking::Level(&[Effort::Low, Effort::High])),
    ("gemini-3-flash", Thinking::Level(ALL)),
    ("gemini-3.1-flash-image", Thinking::Level(&[Effort::Minimal, Effort::High])),
    ("gemini-3.1-flash-lite-image", Thinking::Level(&[Effort::Minimal, Effort::High])),
    ("gemini-3.1-flash-lite", Thinking::Level(ALL)),
    ("gemini-3.5-flash", Thinking::Level(ALL)),
    ("gemini-3", Thinking::Level(NO_MINIMAL)),
    ("gemma", Thinking::Never),
    ("learnlm", Thinking::Never),
];

/// A name that says no version. Every generation since 2.5 takes a budget.
const UNKNOWN: Thinking = Thinking::Budget { least: 128, most: 24_576, stops: true };

/// How `model` is told to think.
pub(super) fn thinking(model: &str) -> Thinking {
    let name = bare(model);
    let known = MODELS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|&(_, thinking)| thinking);
    let newer = generation(model).is_some_and(|number| number > 3).then_some(Thinking::Level(NO_MINIMAL));
    known.or(newer).unwrap_or(UNKNOWN)
}

/// Whether `model` may think, where it is told not to or is not.
pub(in crate::wire) fn thinks(model: &str, is_off: bool) -> bool {
    match thinking(model) {
        Thinking::Never => false,
        Thinking::Budget { stops, .. } => !(stops && is_off),
        Thinking::Level(_) => true,
    }
}

/// From Gemini 3 on a function call in the history without its signature is an error. Google's aliases for
/// the newest are of it.
pub(super) fn wants_signatures(model: &str) -> bool {
    let name = bare(model);
    generation(model).map_or(name.starts_with("gemini-") && name.ends_with("-latest"), |number| number >= 3)
}

/// Before Gemini 3 a JSON answer and functions in one request are an error.
pub(super) fn takes_json_beside_tools(model: &str) -> bool {
    generation(model).is_none_or(|number| number >= 3)
}

/// From Gemini 3 on a function's answer may hold images and documents.
pub(super) fn takes_media_in_results(model: &str) -> bool {
    generation(model).is_some_and(|number| number >= 3)
}

/// The number behind `gemini-`.
fn generation(model: &str) -> Option<u32> {
    let rest = bare(model).strip_prefix("gemini-")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest.get(..end)?.parse().ok()
}

/// The name without the path that it may stand in: `publishers/google/models/gemini-3-pro`.
fn bare(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_what_its_model_takes() {
        for (model, thinking_of, signatures, json) in [
            ("gemini-1.5-pro", Thinking::Never, false, false),
            ("gemini-2.5-pro", Thinking::Budget { least: 128, most: 32_768, stops: false }, false, false),
            ("models/gemini-2.5-flash", Thinking::Budget { least: 1, most: 24_576, stops: true }, false, false),
            ("gemini-3-pro-preview", Thinking::Level(&[Effort::Low, Effort::High]), true, true),
            ("publishers/google/models/gemini-3.8-flash", Thinking::Level(NO_MINIMAL), true, true),
            ("gemini-4-argon", Thinking::Level(NO_MINIMAL), true, true),
            ("gemini-flash-latest", UNKNOWN, true, true),
            ("tuned", UNKNOWN, false, true),
        ] {
            assert_eq!(thinking(model), thinking_of, "{model}");
            assert_eq!(wants_signatures(model), signatures, "{model}");
            assert_eq!(takes_json_beside_tools(model), json, "{model}");
        }
    }
}
