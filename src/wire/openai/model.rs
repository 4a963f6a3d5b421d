//! What an OpenAI model takes, told from its name: the models of one API differ in which of its fields are an
//! error, and in which API they are served at all.
//!
//! Sources, read 2026-11: OpenAI's guides "Reasoning models" and "Using the latest model", the type
//! `ReasoningEffort` of its Python SDK 3.54, and what its API was seen to answer:
//!
//! | what | seen in |
//! |---|---|
//! | functions and an effort other than `none` are refused in Chat Completions from GPT-5.4 on, also where no effort is said | openai/openai-openapi issue 541, BerriAI/litellm pull request 34569 |
//! | `minimal` is GPT-5's alone, `none` is not of GPT-5 and not of GPT-6 Astra, `max` is of GPT-5.6 and later and of Responses alone | Azure SDK "ReasoningEffort", BerriAI/litellm-docs pull request 1173, mnfst/modelparams.dev pull request 236 |
//! | `temperature`, `top_p` and `logprobs` are taken by GPT-5.1 to 5.4 that do not think; of later ones the reports disagree | OpenAI guide "Using GPT-5.2", BerriAI/litellm pull request 34599 |
//! | `stop` is refused by o3, o4 and GPT-5 | API reference "Chat", huggingface/smolagents pull request 1868 |
//! | pro, Codex and deep-research models are not in Chat Completions | OpenAI's pages of the models, LiteLLM's table (`mode`) |
//!
//! A model with another name is taken to do what the API says.

use crate::llm::chat::{Effort, Reasoning};
use crate::llm::{Chat, Dropped};

/// A model, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) struct Model {
    family: Family,
    /// 100 times the major version, and the minor one.
    version: u16,
    cut: Cut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// None of OpenAI's, or one that is not known.
    Other,
    /// It does not think: GPT-3.5, 4, 4.1, 4o, and those of ChatGPT before 5.1.
    Plain,
    /// o1, o3, o4.
    O,
    /// GPT-5 and later.
    Gpt,
}

/// Which of one version's models it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Usual,
    Pro,
    Codex,
    CodexMini,
    CodexMax,
    /// As it answers in ChatGPT.
    Chat,
    Research,
    /// GPT-6's largest, which always thinks.
    Astra,
    /// o1-mini and o1-preview.
    Early,
}

/// By which API a model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::wire) enum Api {
    /// Chat Completions, of whoever speaks it.
    Chat,
    /// Chat Completions where nothing else is spoken, and by OpenAI's own servers: Azure by deployment.
    Deployment,
    Responses,
}

/// The efforts that a model knows, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Efforts {
    none: bool,
    least: Effort,
    most: Effort,
}

// === impl Model ===

impl Model {
    /// Reads names such as `gpt-5.4-mini-2026-03-17`, `o3`, `openai/gpt-6-sol`, `ft:o4-mini:me`.
    pub(in crate::wire) fn named(name: &str) -> Self {
        let name = name.rsplit_once('/').map_or(name, |(_, name)| name);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        // Behind a colon stands whose model it is, and what they call it.
        let name = name.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let mut words = name.split('-');
        let first = words.next().unwrap_or_default();
        let (cut, searches) = (Cut::of(&name), name.split('-').any(|word| word == "search"));
        if let Some(number) = first.strip_prefix('o').and_then(|number| number.parse::<u16>().ok()) {
            return Model { family: Family::O, version: number.saturating_mul(100), cut };
        }
        let plain = Model { family: Family::Plain, version: 0, cut };
        let other = Model { family: Family::Other, ..plain };
        match (first, words.next()) {
            // The second is Azure's spelling of 3.5.
            ("chatgpt", _) | ("gpt", Some("35")) => plain,
            ("gpt", Some(word)) => match version(word) {
                Some(version) if version > 500 || (version == 500 && cut != Cut::Chat && !searches) => {
                    Model { family: Family::Gpt, version, cut }
                }
                Some(_) => plain,
                // 4o and its kin; what is beside numbers (gpt-oss, gpt-audio) takes what the API says.
                None if word.starts_with('4') => plain,
                None => other,
            },
            _ => other,
        }
    }

    /// It thinks.
    pub(in crate::wire) fn reasons(self) -> bool {
        matches!(self.family, Family::O | Family::Gpt)
    }

    /// It is known what it is.
    pub(in crate::wire) fn is_known(self) -> bool {
        self.family != Family::Other
    }

    /// It may think where it is told to, told not to, or neither.
    pub(in crate::wire) fn thinks(self, is_asked: bool, is_off: bool) -> bool {
        let stops = || self.efforts(Api::Responses).is_some_and(|efforts| efforts.none);
        self.reasons() && (is_asked || if is_off { !stops() } else { !self.rests() })
    }

    /// It is not known that it cannot think.
    pub(in crate::wire) fn may_reason(self) -> bool {
        self.family != Family::Plain && self.cut != Cut::Early
    }

    /// It is served by the Responses API alone.
    pub(in crate::wire) fn only_in_responses(self) -> bool {
        let codex = matches!(self.cut, Cut::Codex | Cut::CodexMini | Cut::CodexMax);
        self.reasons() && (codex || matches!(self.cut, Cut::Pro | Cut::Research))
    }

    /// It may think between one call of a tool and the next only in the Responses API: in Chat Completions
    /// its thoughts are lost there, and from GPT-5.4 on it refuses.
    pub(in crate::wire) fn reasons_in_responses(self) -> bool {
        self.reasons() && self.cut != Cut::Early
    }

    /// Chat Completions refuses functions, unless it is told not to think.
    fn refuses_to_think_with_tools(self) -> bool {
        self.family == Family::Gpt && self.version >= 504
    }

    /// It does not think unless it is told to.
    fn rests(self) -> bool {
        self.family == Family::Gpt && (501..=504).contains(&self.version) && self.cut == Cut::Usual
    }

    /// The efforts that it knows; none where the field is an error.
    fn efforts(self, api: Api) -> Option<Efforts> {
        use Effort::{High, Low, Max, Medium, Minimal, XHigh};
        let of = |none, least, most| Some(Efforts { none, least, most });
        match (self.family, self.cut, self.version) {
            (Family::Other, ..) => of(true, Minimal, Max),
            (Family::Plain, ..) | (Family::O, Cut::Early, _) => None,
            (_, Cut::Research | Cut::Chat, _) => of(false, Medium, Medium),
            (Family::O, ..) => of(false, Low, High),
            (_, Cut::Pro, 500) => of(false, High, High),
            (_, Cut::Pro, _) => of(false, Medium, XHigh),
            (_, Cut::CodexMini, _) => of(false, Medium, High),
            (_, Cut::Codex, 500 | 501) => of(false, Low, High),
            (_, Cut::Codex | Cut::CodexMax, _) => of(false, Low, XHigh),
            (_, _, 500) => of(false, Minimal, High),
            (_, _, 501) => of(true, Low, High),
            (_, cut, version) => {
                of(cut != Cut::Astra, Low, if api == Api::Responses && version >= 506 { Max } else { XHigh })
            }
        }
    }

    /// The word for how much it shall think. What it cannot be told is named.
    pub(in crate::wire) fn effort(self, chat: &Chat<'_>, api: Api, dropped: &mut Dropped) -> Option<&'static str> {
        let wanted = chat.reasoning.as_ref();
        let is_off = wanted.is_some_and(Reasoning::is_off);
        if api == Api::Deployment && !chat.tools.is_empty() && self.refuses_to_think_with_tools() {
            if !is_off && wanted.is_some_and(|wanted| wanted.effort().is_some()) {
                dropped.field("reasoning_effort");
            }
            return self.efforts(api).filter(|efforts| efforts.none).map(|_| "none");
        }
        let wanted = wanted?;
        let effort = wanted.effort();
        if !is_off && effort.is_none() {
            // How much is the model's own affair; that it cannot at all is not.
            if !self.may_reason() && (wanted.enabled == Some(true) || wanted.dynamic) {
                dropped.field("reasoning_effort");
            }
            return None;
        }
        let Some(efforts) = self.efforts(api) else {
            if !is_off {
                dropped.field("reasoning_effort");
            }
            return None;
        };
        match (is_off, effort) {
            (true, _) if efforts.none => Some("none"),
            (true, _) => {
                dropped.field("reasoning_effort");
                Some(efforts.least.as_str())
            }
            (false, effort) => effort.map(|effort| effort.clamp(efforts.least, efforts.most).as_str()),
        }
    }

    /// It takes `temperature`, `top_p` and `logprobs`, where it is told `effort`.
    pub(in crate::wire) fn is_sampled(self, effort: Option<&str>) -> bool {
        !self.reasons() || (self.rests() && matches!(effort, None | Some("none")))
    }

    /// It takes penalties and biases.
    pub(in crate::wire) fn is_steered(self) -> bool {
        !self.reasons()
    }

    pub(in crate::wire) fn stops(self) -> bool {
        !self.reasons() || (self.family == Family::O && self.version < 300)
    }

    /// It can be told not to call several functions at once.
    pub(in crate::wire) fn counts_calls(self) -> bool {
        self.family != Family::O
    }

    /// It takes this word for how much is said.
    pub(in crate::wire) fn says(self, verbosity: &str) -> bool {
        verbosity == "medium" || matches!(self.family, Family::Other | Family::Gpt)
    }
}

/// `5`, `5.4`, `4.1`, `3.5`.
fn version(word: &str) -> Option<u16> {
    let (major, minor) = word.split_once('.').unwrap_or((word, "0"));
    Some(major.parse::<u16>().ok()?.saturating_mul(100).saturating_add(minor.parse().ok()?))
}

// === impl Cut ===

impl Cut {
    /// By the whole words of a name: a deployment's may go on with words of its operator's.
    fn of(name: &str) -> Self {
        let mut words = name.split('-');
        let first = words.next();
        let mut words = words.peekable();
        while let Some(word) = words.next() {
            return match (word, words.peek()) {
                ("codex", Some(&"max")) => Cut::CodexMax,
                ("codex", Some(&"mini")) => Cut::CodexMini,
                ("codex", _) => Cut::Codex,
                ("deep", Some(&"research")) => Cut::Research,
                ("chat", _) => Cut::Chat,
                ("pro", _) => Cut::Pro,
                ("astra", _) => Cut::Astra,
                ("mini" | "preview", _) if first == Some("o1") => Cut::Early,
                _ => continue,
            };
        }
        Cut::Usual
    }
}

#[cfg(test)]
mod tests;
