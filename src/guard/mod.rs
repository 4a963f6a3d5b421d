//! Say no to what a request carries. Asks a judge outside; decides nothing by itself yet.

use bytes::Bytes;

use crate::llm::{Code, Refusal};

/// One rule: its name, and that a judge outside decides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub name: String,
}

/// The question to the judge: the request body and the rules that want it judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    pub rules: Vec<String>,
    pub body: Bytes,
}

/// The judge's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Deny { rule: String },
}

/// What to ask for this body, if any rule wants it judged.
pub fn ask(rules: &[Rule], body: &Bytes) -> Option<Ask> {
    (!rules.is_empty()).then(|| Ask { rules: rules.iter().map(|rule| rule.name.clone()).collect(), body: body.clone() })
}

/// The verdict as a decision.
///
/// # Errors
/// 400 `content_policy_violation`, which names the rule and never the text.
pub fn apply(verdict: Verdict) -> Result<(), Refusal> {
    match verdict {
        Verdict::Pass => Ok(()),
        Verdict::Deny { rule } => Err(Refusal::new(
            Code::ContentPolicyViolation,
            format!("The request is refused by the guard rule {rule:?}."),
        )),
    }
}
