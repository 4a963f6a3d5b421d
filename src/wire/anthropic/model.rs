//! What a Claude model takes, told from its name: the models of one API differ in which of its fields are
//! an error. Sources, all read 2026-11: Anthropic's pages "Thinking", "Adaptive thinking", "Effort",
//! "Structured outputs", "Mid-conversation system messages" and the migration guides of 4.6, 4.7, 5 and 5.5.
//!
//! | since | what changes |
//! |---|---|
//! | 3.7 | thinks, by a budget of tokens |
//! | 4.1 | takes `temperature` or `top_p`, not both; 4.5 at the latest takes a schema for its answer |
//! | 4.6 | thinks adaptively, by an effort; refuses to go on with an assistant's last message |
//! | 4.7 | refuses budgets, and sampling parameters that are not the default |
//! | 4.8 | takes a system message among the others (but for Sonnet 5) |
//! | 5.1 Fable and Mythos, 5.5 | refuses to be forced to call a tool |
//!
//! Another vendor's model that is spoken to in this format is taken for one of 4.0.

use crate::llm::chat::Effort;

/// A model, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Model {
    family: Family,
    /// 100 times the major version, and the minor one.
    version: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// No Claude.
    Other,
    Opus,
    Sonnet,
    Haiku,
    /// Fable and Mythos: they always think.
    Thinker,
}

/// How a model is told not to think.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Off {
    /// It does not think in any case.
    Needless,
    Disabled,
    /// The least that Sonnet 5.5 has.
    BetweenTools,
    Impossible,
}

/// A Claude without a version in its name is taken for the newest.
const NEWEST: u16 = 505;

// === impl Model ===

impl Model {
    /// Reads names of every platform: `claude-opus-4-5-20251101`, `us.anthropic.claude-sonnet-4-5-v1:0`,
    /// `claude-3-7-sonnet@20250219`, `anthropic/claude-opus-4.6`.
    pub(super) fn named(name: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let Some((_, rest)) = name.split_once("claude") else {
            return Model { family: Family::Other, version: 400 };
        };
        let mut family = Family::Opus;
        let (mut major, mut minor) = (None, None);
        let mut was_major = false;
        for word in rest.split(['-', '.', '@', ':', '/', '_']).filter(|word| !word.is_empty()) {
            let number = word.parse::<u16>().ok().filter(|_| word.len() <= 2);
            match (number, major) {
                (Some(number), None) => major = Some(number),
                (Some(number), Some(_)) if was_major => minor = Some(number),
                _ => {}
            }
            was_major = number.is_some() && major.is_some() && minor.is_none();
            match word {
                "sonnet" => family = Family::Sonnet,
                "haiku" => family = Family::Haiku,
                "fable" | "mythos" => family = Family::Thinker,
                // The first Mythos came without a number, before 4.8.
                "preview" if family == Family::Thinker => major = Some(4).inspect(|_| minor = Some(7)),
                _ => {}
            }
        }
        let version = major.map_or(NEWEST, |major| major.saturating_mul(100).saturating_add(minor.unwrap_or(0)));
        Model { family, version }
    }

    /// The bound on an answer where its request states none: what the model can say at most ("Models overview"),
    /// but no more than 32,000 tokens. Older models hold input and bound together against their context ("Context
    /// windows"), of which 32,000 leave five sixths to the input; and an answer that runs for half an hour shall
    /// be one that somebody asked for. None for another vendor's model.
    pub(super) fn max_output(self) -> Option<u64> {
        const MOST: u64 = 32_000;
        let most = match (self.family, self.version) {
            (Family::Other, _) => return None,
            (_, ..305) => 4_096,
            (_, 305..307) => 8_192,
            (_, 307..) => MOST,
        };
        Some(most)
    }

    /// It can think.
    pub(super) fn thinks(self) -> bool {
        self.version >= 307
    }

    /// It thinks as much as it sees fit, and takes no budget, or an old-fashioned one.
    pub(super) fn is_adaptive(self) -> bool {
        self.version >= 406
    }

    pub(super) fn off(self) -> Off {
        match self.family {
            _ if !self.thinks() => Off::Needless,
            Family::Thinker => Off::Impossible,
            Family::Opus if self.version >= 505 => Off::Impossible,
            Family::Sonnet if self.version >= 505 => Off::BetweenTools,
            _ => Off::Disabled,
        }
    }

    /// Temperature, `top_p` and `top_k` are no error.
    pub(super) fn is_sampled(self) -> bool {
        self.version <= 406
    }

    /// Temperature and `top_p` together are an error.
    pub(super) fn has_one_sampler(self) -> bool {
        self.version >= 401
    }

    /// It goes on with what the last message makes the assistant say.
    pub(super) fn goes_on(self) -> bool {
        self.version <= 405
    }

    /// It can be forced to call a tool.
    pub(super) fn can_be_forced(self) -> bool {
        self.version < 501 || (self.version < 505 && self.family != Family::Thinker)
    }

    /// It takes schemas for its answer and for a tool's input.
    pub(super) fn keeps_to_schemas(self) -> bool {
        self.version >= 405 || self.family == Family::Other || (self.version, self.family) == (401, Family::Opus)
    }

    /// It takes a system message among the others.
    pub(super) fn takes_late_system(self) -> bool {
        self.version >= 408 && (self.version, self.family) != (500, Family::Sonnet)
    }

    /// The word for an effort: `xhigh` came with 4.7, where 4.6 has `max` above `high`.
    pub(super) fn effort(self, effort: Effort) -> &'static str {
        match effort {
            Effort::Minimal | Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh if self.version >= 407 => "xhigh",
            Effort::XHigh | Effort::Max => "max",
        }
    }
}

/// Whether the model of this name may think, where it is told to or not.
pub(in crate::wire) fn thinks(model: &str, is_asked: bool) -> bool {
    match Model::named(model).off() {
        Off::Needless => false,
        Off::Disabled => is_asked,
        Off::BetweenTools | Off::Impossible => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_platform_are_read() {
        for (name, family, version) in [
            ("claude-opus-4-5-20251101", Family::Opus, 405),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Family::Sonnet, 405),
            ("anthropic.claude-opus-4-6-v1", Family::Opus, 406),
            ("claude-3-7-sonnet@20250219", Family::Sonnet, 307),
            ("anthropic/Claude-Opus-4.7", Family::Opus, 407),
            ("claude-sonnet-4-20250514", Family::Sonnet, 400),
            ("anthropic.claude-sonnet-4-20250514-v1:0", Family::Sonnet, 400),
            ("claude-3-haiku-20240307", Family::Haiku, 300),
            ("claude-haiku-5-5", Family::Haiku, 505),
            ("claude-opus-5", Family::Opus, 500),
            ("claude-mythos-preview", Family::Thinker, 407),
            ("claude-fable-5-1", Family::Thinker, 501),
            ("claude-latest", Family::Opus, NEWEST),
            ("kimi-k2", Family::Other, 400),
        ] {
            assert_eq!(Model::named(name), Model { family, version }, "{name}");
        }
    }

    #[test]
    fn an_answer_without_a_bound_has_the_models_own() {
        for (name, most) in [
            ("claude-3-haiku-20240307", Some(4_096)),
            ("claude-3-5-haiku-latest", Some(8_192)),
            ("claude-3-7-sonnet@20250219", Some(32_000)),
            ("claude-opus-4-1", Some(32_000)),
            ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", Some(32_000)),
            ("claude-latest", Some(32_000)),
            ("kimi-k2", None),
        ] {
            assert_eq!(Model::named(name).max_output(), most, "{name}");
        }
    }

    #[test]
    fn what_a_model_refuses_follows_its_version() {
        let of = |name| {
            let model = Model::named(name);
            (model.is_adaptive(), model.is_sampled(), model.goes_on(), model.can_be_forced(), model.off())
        };
        assert_eq!(of("claude-sonnet-4-5"), (false, true, true, true, Off::Disabled));
        assert_eq!(of("claude-sonnet-4-6"), (true, true, false, true, Off::Disabled));
        assert_eq!(of("claude-opus-4-8"), (true, false, false, true, Off::Disabled));
        assert_eq!(of("claude-opus-5"), (true, false, false, true, Off::Disabled));
        assert_eq!(of("claude-opus-5-5"), (true, false, false, false, Off::Impossible));
        assert_eq!(of("claude-sonnet-5-5"), (true, false, false, false, Off::BetweenTools));
        assert_eq!(of("claude-haiku-5-5"), (true, false, false, false, Off::Disabled));
        assert_eq!(of("claude-fable-5"), (true, false, false, true, Off::Impossible));
        assert_eq!(of("claude-3-5-haiku-latest"), (false, true, true, true, Off::Needless));
    }
}
