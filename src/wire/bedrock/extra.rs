//! The models' own fields, `additionalModelRequestFields`, and what goes with them: how much a model thinks
//! decides what else it may be told.

use super::family::{Family, Off};
use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::chat::{Effort, Reasoning, Role, Tell, ToolChoice};
use crate::llm::part::Content;
use crate::llm::{Chat, Dropped, Format};

/// The least budget that Claude takes.
const LEAST_BUDGET: u64 = 1_024;

/// The bound on an answer where its request states none and its model is given a budget, at most. It is that of
/// Claude Opus 4 and 4.1, the least of such models (Anthropic, "Models overview"), and what a request of the
/// Messages API is given.
const MOST_OUTPUT: u64 = 32_000;

/// What is asked of one model beside the plain request, all of which it takes.
#[derive(Debug, Default)]
pub(super) struct Plan<'c> {
    pub(super) temperature: Option<&'c str>,
    pub(super) top_p: Option<&'c str>,
    top_k: Option<&'c str>,
    pub(super) max_output: Option<u64>,
    thinking: Thinking,
    /// `outputConfig.effort`
    pub(super) effort: Option<&'static str>,
    /// One call at a time.
    one_by_one: bool,
    family: Option<Family>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Thinking {
    #[default]
    Not,
    /// Claude: so many tokens.
    Budget(u64),
    /// Claude: as it likes, or not at all.
    Typed(&'static str),
    /// Nova and gpt-oss: so much.
    Effort(&'static str),
}

/// Reads the fields that have canonical words.
pub(super) fn read<'a>(fields: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) {
    const PLACE: &str = "additionalModelRequestFields.";
    for (key, value) in fields.members().filter(|(_, value)| !value.is_null()) {
        match &*key {
            "top_k" | "k" if value.number().is_some() => chat.sampling.top_k = value.number(),
            "inferenceConfig" => {
                for (key, value) in value.members() {
                    match (&*key, value.number()) {
                        ("topK", Some(number)) => chat.sampling.top_k = Some(number),
                        (other, _) => dropped.inside("additionalModelRequestFields.inferenceConfig.", other),
                    }
                }
            }
            "thinking" | "reasoning_config" | "reasoningConfig" => read_thinking(value, chat, dropped),
            "reasoning_effort" => read_effort(value, chat, "additionalModelRequestFields.reasoning_effort", dropped),
            "output_config" if value.get("effort").is_some() && value.members().count() == 1 => {
                if let Some(effort) = value.get("effort") {
                    read_effort(effort, chat, "additionalModelRequestFields.output_config", dropped);
                }
            }
            "tool_choice" => match value.get("disable_parallel_tool_use").and_then(Value::flag) {
                Some(disabled) => chat.parallel_tools = Some(!disabled),
                None => dropped.inside(PLACE, &key),
            },
            other => dropped.inside(PLACE, other),
        }
    }
}

fn read_thinking<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) {
    let reasoning = chat.reasoning.get_or_insert_default();
    for (key, value) in value.members() {
        match (&*key, value.text().as_deref()) {
            ("type", Some("enabled")) => reasoning.enabled = Some(true),
            ("type", Some("disabled" | "between_tools")) => reasoning.enabled = Some(false),
            ("type", Some("adaptive")) => (reasoning.enabled, reasoning.dynamic) = (Some(true), true),
            ("budget_tokens", _) => reasoning.budget = value.whole(),
            ("maxReasoningEffort", Some(word)) => reasoning.effort = Effort::read(word),
            ("display", Some("summarized")) => reasoning.tell = Some(Tell::Auto),
            ("display", Some("omitted")) => reasoning.tell = Some(Tell::Nothing),
            (other, _) => dropped.inside("additionalModelRequestFields.thinking.", other),
        }
    }
}

/// Reads an effort, wherever it stands.
pub(super) fn read_effort(value: Value<'_, '_>, chat: &mut Chat<'_>, name: &'static str, dropped: &mut Dropped) {
    match value.text().and_then(|word| Effort::read(&word)) {
        Some(effort) => chat.reasoning.get_or_insert_default().effort = Some(effort),
        None => dropped.field(name),
    }
}

// === impl Plan ===

impl<'c> Plan<'c> {
    /// What `chat` asks for and this family takes; the rest is named.
    pub(super) fn of(chat: &'c Chat<'_>, family: Family, room: u64, dropped: &mut Dropped) -> Self {
        let sampling = &chat.sampling;
        let mut plan = Plan {
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            top_k: sampling.top_k,
            max_output: chat.max_output,
            family: Some(family),
            ..Plan::default()
        };
        if let Some(reasoning) = &chat.reasoning {
            plan.think(chat, reasoning, room, dropped);
        }
        plan.sample(dropped);
        if chat.parallel_tools == Some(false) && !chat.tools.is_empty() {
            // A choice that is made in `toolConfig` and here again is an error.
            let is_free = matches!(chat.tool_choice, None | Some(ToolChoice::Auto));
            plan.one_by_one = family.claude() >= 405 && is_free;
            if !plan.one_by_one {
                dropped.field("parallel_tool_calls");
            }
        }
        plan
    }

    fn think(&mut self, chat: &Chat<'_>, reasoning: &Reasoning, room: u64, dropped: &mut Dropped) {
        let family = self.family.unwrap_or(Family::Unknown);
        if reasoning.is_off() {
            match family.off() {
                Off::Needless => {}
                Off::Typed(word) => self.thinking = Thinking::Typed(word),
                Off::Impossible => {
                    dropped.field("reasoning_effort");
                    self.effort = family.is_claude().then_some("low");
                }
            }
            return;
        }
        if reasoning.enabled != Some(true) && !reasoning.dynamic && reasoning.effort().is_none() {
            return;
        }
        if reasoning.tell == Some(Tell::Nothing) {
            dropped.field("reasoning.summary");
        }
        let effort = reasoning.effort().unwrap_or(Effort::Medium);
        let [low, medium, high] = ["low", "medium", "high"].map(Thinking::Effort);
        self.thinking = match family {
            Family::Claude(307.., _) => self.think_as_claude(chat, reasoning, effort, room),
            Family::Nova(2) => match effort {
                Effort::Minimal | Effort::Low => low,
                Effort::Medium => medium,
                // With all of it, no other parameter may be said.
                _ if self.temperature.is_some() || self.top_p.is_some() || self.max_output.is_some() => medium,
                Effort::High | Effort::XHigh | Effort::Max => high,
            },
            Family::OpenAi => match effort {
                Effort::Minimal | Effort::Low => low,
                Effort::Medium => medium,
                Effort::High | Effort::XHigh | Effort::Max => high,
            },
            _ => Thinking::Not,
        };
        if self.thinking == Thinking::Not && self.effort.is_none() {
            dropped.field("reasoning_effort");
        }
    }

    fn think_as_claude(&mut self, chat: &Chat<'_>, reasoning: &Reasoning, effort: Effort, room: u64) -> Thinking {
        let family = self.family.unwrap_or(Family::Unknown);
        let refused = family.can_be_forced() && is_forced(chat);
        if family.claude() >= 406 {
            self.effort = reasoning.effort().map(|effort| match effort {
                Effort::Minimal | Effort::Low => "low",
                Effort::Medium => "medium",
                Effort::High => "high",
                // More than high is for those who think.
                Effort::XHigh | Effort::Max if refused => "high",
                Effort::XHigh if family.claude() >= 407 => "xhigh",
                Effort::XHigh | Effort::Max => "max",
            });
            return if refused { Thinking::Not } else { Thinking::Typed("adaptive") };
        }
        if refused || begins_without_thought(chat) {
            return Thinking::Not;
        }
        let budget = reasoning.budget.unwrap_or(effort.budget()).max(LEAST_BUDGET);
        // The answer needs room beside the thoughts: a quarter.
        let most_of = |max: u64| (max - max / 4).max(LEAST_BUDGET);
        let Some(max) = self.max_output else {
            let wanted = budget.saturating_add(room);
            self.max_output = Some(wanted.min(MOST_OUTPUT));
            return Thinking::Budget(if wanted > MOST_OUTPUT { budget.min(most_of(MOST_OUTPUT)) } else { budget });
        };
        match () {
            () if max <= LEAST_BUDGET => Thinking::Not,
            () if budget < max => Thinking::Budget(budget),
            () => Thinking::Budget(most_of(max)),
        }
    }

    /// The model is asked to think.
    fn thinks(&self) -> bool {
        matches!(self.thinking, Thinking::Budget(_) | Thinking::Typed("adaptive"))
    }

    /// Leaves out the numbers that this model refuses.
    fn sample(&mut self, dropped: &mut Dropped) {
        let family = self.family.unwrap_or(Family::Unknown);
        let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
        let (thinks, version) = (self.thinks(), family.claude());
        if version >= 407 || (thinks && self.temperature.is_some_and(|text| number(text) != 1.0)) {
            drop_number(&mut self.temperature, "temperature", dropped);
        }
        if version >= 407 || (thinks && self.top_p.is_some_and(|text| number(text) < 0.95)) {
            drop_number(&mut self.top_p, "top_p", dropped);
        }
        if version >= 401 && self.temperature.is_some() {
            drop_number(&mut self.top_p, "top_p", dropped);
        }
        let no_top_k = matches!(family, Family::OpenAi | Family::Open | Family::Plain | Family::Unknown);
        if version >= 407 || thinks || no_top_k {
            drop_number(&mut self.top_k, "top_k", dropped);
        }
        // The scale ends at 1, where OpenAI's ends at 2.
        if self.temperature.is_some_and(|text| number(text) > 1.0) {
            drop_number(&mut self.temperature, "temperature", dropped);
            self.temperature = Some("1");
        }
    }

    pub(super) fn write(&self, o: &mut ObjectWriter<'_>) {
        if self.top_k.is_none() && self.thinking == Thinking::Not && !self.one_by_one {
            return;
        }
        o.object("additionalModelRequestFields", |o| {
            match (self.family, self.top_k) {
                (Some(Family::Nova(_)), Some(top_k)) => o.object("inferenceConfig", |o| o.raw("topK", top_k)),
                (Some(Family::Cohere), Some(top_k)) => o.raw("k", top_k),
                (_, top_k) => o.raw_if("top_k", top_k),
            }
            match (self.thinking, self.family) {
                (Thinking::Not, _) => {}
                (Thinking::Budget(tokens), _) => o.object("thinking", |o| {
                    o.text("type", "enabled");
                    o.number("budget_tokens", tokens);
                }),
                (Thinking::Typed(word), _) => o.object("thinking", |o| o.text("type", word)),
                (Thinking::Effort(word), Some(Family::OpenAi)) => o.text("reasoning_effort", word),
                (Thinking::Effort(word), _) => o.object("reasoningConfig", |o| {
                    o.text("type", "enabled");
                    o.text("maxReasoningEffort", word);
                }),
            }
            if self.one_by_one {
                o.object("tool_choice", |o| {
                    o.text("type", "auto");
                    o.flag("disable_parallel_tool_use", true);
                });
            }
        });
    }

    /// The choice of tools is made beside the request.
    pub(super) fn chooses(&self) -> bool {
        self.one_by_one
    }
}

fn drop_number(number: &mut Option<&str>, name: &'static str, dropped: &mut Dropped) {
    if number.take().is_some() {
        dropped.field(name);
    }
}

/// Claude does not think where it is told to call a tool.
fn is_forced(chat: &Chat<'_>) -> bool {
    match &chat.tool_choice {
        Some(ToolChoice::Required | ToolChoice::Named(_)) => true,
        Some(ToolChoice::Among { required, .. }) => *required,
        _ => false,
    }
}

/// Up to 4.5 it does not think either where it called a tool before without a thought that it can be shown
/// (Anthropic, "Extended thinking": "Preserving thinking blocks").
fn begins_without_thought(chat: &Chat<'_>) -> bool {
    let mut sides = chat.turns.iter().rev().filter(|turn| turn.role.is_side());
    let returns = sides.next().is_some_and(|turn| {
        turn.role == Role::User && turn.parts.iter().any(|part| matches!(part.content, Content::ToolResult(_)))
    });
    let first = sides.next().and_then(|turn| turn.parts.first());
    let shown = first.is_some_and(|part| match &part.content {
        Content::Reasoning { signature: Some(seal), .. } => seal.for_claude(Format::Converse).is_some(),
        Content::Redacted(seal) => seal.for_provider(Format::Converse).is_some(),
        _ => false,
    });
    returns && !shown
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bound on the answer and the budget of a request that states none of them.
    fn bounded(model: &str, reasoning: Reasoning, room: u64) -> (Option<u64>, Thinking) {
        let chat = Chat { reasoning: Some(reasoning), ..Chat::default() };
        let plan = Plan::of(&chat, Family::of(model), room, &mut Dropped::default());
        (plan.max_output, plan.thinking)
    }

    #[test]
    fn a_bound_that_is_made_here_is_one_that_every_model_takes() {
        let effort = |effort| Reasoning { effort: Some(effort), ..Reasoning::default() };
        let budget = |tokens| Reasoning { budget: Some(tokens), ..Reasoning::default() };
        for model in ["claude-3-7-sonnet-20250219", "claude-opus-4-1-20250805", "claude-sonnet-4-5-20250929"] {
            let model = format!("us.anthropic.{model}-v1:0");
            for (reasoning, room, most, thought) in [
                (effort(Effort::Medium), 8_192, 16_384, 8_192),
                (effort(Effort::High), 4_096, 28_672, 24_576),
                (effort(Effort::High), 8_192, 32_000, 24_000),
                (effort(Effort::Max), 8_192, 32_000, 24_000),
                (effort(Effort::Low), 100_000, 32_000, 1_024),
                (budget(u64::MAX), 8_192, 32_000, 24_000),
            ] {
                let expected = (Some(most), Thinking::Budget(thought));
                assert_eq!(bounded(&model, reasoning, room), expected, "{model} {reasoning:?} {room}");
            }
        }
    }
}
