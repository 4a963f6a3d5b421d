//! How much the model shall think: `thinking` and `output_config.effort`.
//!
//! Models up to 4.5 are given a budget, which must be at least 1,024 tokens and less than `max_tokens`; later
//! ones think adaptively, by an effort. Where thinking and another field exclude each other, the other field
//! stays, because answers differ in form without it; `reasoning_effort` is then named as left out.

use super::block_read::wrong;
use super::model::{Model, Off};
use super::turn_write::Turns;
use crate::base::json::ObjectWriter;
use crate::base::json::tree::Value;
use crate::llm::chat::{Effort, Reasoning, Tell, ToolChoice};
use crate::llm::{Chat, Dropped, Refusal};

/// The least budget that the API takes.
const LEAST: u64 = 1_024;

/// What is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    form: Form,
    pub(super) effort: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Nothing is said.
    #[default]
    Unsaid,
    Disabled,
    BetweenTools,
    Adaptive {
        display: Option<&'static str>,
    },
    Budget(u64),
}

/// Reads `thinking`.
///
/// # Errors
/// 400 for a type that is not known.
pub(super) fn read<'a>(value: Value<'_, 'a>, chat: &mut Chat<'a>, dropped: &mut Dropped) -> Result<(), Refusal> {
    let reasoning = chat.reasoning.get_or_insert_default();
    match value.get("type").and_then(Value::text).as_deref() {
        Some("enabled") => {
            reasoning.enabled = Some(true);
            reasoning.budget = value.get("budget_tokens").and_then(Value::whole);
        }
        Some("adaptive") => (reasoning.enabled, reasoning.dynamic) = (Some(true), true),
        // Between tools is the least that a model has which cannot be told not to think.
        Some("disabled" | "between_tools") => reasoning.enabled = Some(false),
        _ => return Err(wrong("thinking.type", "must be enabled, adaptive, between_tools or disabled")),
    }
    reasoning.tell = match value.get("display").and_then(Value::text).as_deref() {
        Some("omitted") => Some(Tell::Nothing),
        Some(_) => Some(Tell::Auto),
        None => None,
    };
    for (key, value) in value.members() {
        if !matches!(&*key, "type" | "budget_tokens" | "display") && !value.is_empty() {
            dropped.inside("thinking.", &key);
        }
    }
    Ok(())
}

/// Reads `output_config.effort`.
///
/// # Errors
/// 400 for a word that is not known.
pub(super) fn read_effort(value: Value<'_, '_>, chat: &mut Chat<'_>) -> Result<(), Refusal> {
    let effort = value.text().as_deref().and_then(Effort::read);
    let effort = effort.ok_or_else(|| wrong("output_config.effort", "must be low, medium, high, xhigh or max"))?;
    chat.reasoning.get_or_insert_default().effort = Some(effort);
    Ok(())
}

// === impl Plan ===

impl Plan {
    /// What to write for this chat, whose answer has at most `max_tokens`.
    pub(super) fn of(chat: &Chat<'_>, turns: &Turns<'_>, model: Model, max_tokens: u64, dropped: &mut Dropped) -> Self {
        let Some(reasoning) = &chat.reasoning else { return Plan::default() };
        if reasoning.is_off() {
            return Plan::off(model, dropped);
        }
        let plan = if model.is_adaptive() {
            let effort = reasoning.effort().map(|effort| model.effort(effort));
            Plan { form: Form::Adaptive { display: display(reasoning) }, effort }
        } else {
            Plan { form: Plan::budget(reasoning, max_tokens), effort: None }
        };
        let is_wanted = reasoning.enabled == Some(true) || reasoning.effort().is_some() || reasoning.dynamic;
        let is_refused = match plan.form {
            Form::Unsaid => true,
            _ => model.can_be_forced() && is_forced(chat),
        };
        // A budget also wants each thought back that led to a call; adaptive thinking does not.
        if is_refused || !model.thinks() || (matches!(plan.form, Form::Budget(_)) && turns.begin_without_thought()) {
            if is_wanted && plan.effort.is_none() {
                dropped.field("reasoning_effort");
            }
            return Plan { form: Form::Unsaid, ..plan };
        }
        plan
    }

    fn off(model: Model, dropped: &mut Dropped) -> Self {
        let form = match model.off() {
            Off::Needless => Form::Unsaid,
            Off::Disabled => Form::Disabled,
            Off::BetweenTools => Form::BetweenTools,
            Off::Impossible => {
                dropped.field("reasoning_effort");
                return Plan { form: Form::Unsaid, effort: Some("low") };
            }
        };
        Plan { form, effort: None }
    }

    /// A quarter of the answer is left for what is not thought.
    fn budget(reasoning: &Reasoning, max_tokens: u64) -> Form {
        let is_wanted = reasoning.enabled == Some(true) || reasoning.dynamic;
        let wanted = reasoning.budget().or_else(|| is_wanted.then(|| Effort::Medium.budget()));
        let most = if max_tokens > LEAST { (max_tokens - max_tokens / 4).max(LEAST) } else { 0 };
        match wanted {
            Some(wanted) if most >= LEAST && wanted < max_tokens => Form::Budget(wanted.max(LEAST)),
            Some(_) if most >= LEAST => Form::Budget(most),
            _ => Form::Unsaid,
        }
    }

    /// The model is asked to think.
    pub(super) fn is_on(self) -> bool {
        matches!(self.form, Form::Adaptive { .. } | Form::Budget(_))
    }

    /// Writes `thinking`.
    pub(super) fn write(self, o: &mut ObjectWriter<'_>) {
        match self.form {
            Form::Unsaid => {}
            Form::Disabled => o.object("thinking", |o| o.text("type", "disabled")),
            Form::BetweenTools => o.object("thinking", |o| o.text("type", "between_tools")),
            Form::Adaptive { display } => o.object("thinking", |o| {
                o.text("type", "adaptive");
                o.text_if("display", display);
            }),
            Form::Budget(tokens) => o.object("thinking", |o| {
                o.text("type", "enabled");
                o.number("budget_tokens", tokens);
            }),
        }
    }
}

fn display(reasoning: &Reasoning) -> Option<&'static str> {
    reasoning.tell.map(|tell| match tell {
        Tell::Nothing => "omitted",
        Tell::Auto | Tell::Concise | Tell::Detailed => "summarized",
    })
}

/// A tool must be called, which excludes thinking.
fn is_forced(chat: &Chat<'_>) -> bool {
    !chat.tools.is_empty()
        && matches!(
            chat.tool_choice,
            Some(ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Among { required: true, .. })
        )
}
