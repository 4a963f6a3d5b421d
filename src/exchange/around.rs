//! What a call leaves with beside its body that changes its answer, for who looks for that answer in memory.

use super::Exchange;
use super::keys::is_key;
use super::steps::Deciding;
use crate::cache::canon::Around;
use crate::target::Target;

/// Headers of a client's that change its answer and leave. `openai-organization`, `openai-project` and
/// `x-goog-user-project` do as well and never leave with a credential of Weir's
/// ([`CALLER_HEADERS`](crate::credential::CALLER_HEADERS)); with a caller's own nothing is looked for.
const TOLD: &[&str] = &[
    // What is not in the API yet: Anthropic "Beta headers", OpenAI API reference "Assistants" (2026).
    "anthropic-beta",
    "openai-beta",
    // Anthropic "Versioning": what events and fields an answer has.
    VERSION,
    // Azure AI Model Inference "Extensibility": whether unknown parameters are passed on, dropped or refused.
    "extra-parameters",
    // Azure Machine Learning "Online endpoints": the deployment that answers.
    "azureml-model-deployment",
    // Amazon Bedrock API reference "InvokeModel": the guardrail that answer and prompt go through.
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
];

const VERSION: &str = "anthropic-version";

/// In which form an answer is written, and no more (Google API system parameters, "alt" and "prettyPrint").
const FORM: &[&str] = &["alt", "$alt", "%24alt", "prettyPrint", "$prettyPrint", "%24prettyPrint"];

/// What is said beside a body. It is looked at as [`Around`].
pub(super) struct Beside<'a> {
    target: &'a Target,
    headers: Vec<(&'a str, &'a str)>,
    query: String,
}

// === impl Exchange ===

impl Exchange {
    /// What this call says to `target` beside its body: what the backend's document sets, what its API must have, and
    /// what of the client's own leaves.
    pub(super) fn beside<'a>(deciding: &'a Deciding, target: &'a Target) -> Beside<'a> {
        let backend = &target.backend;
        let crossing = Self::passage(deciding, target).filter(|passage| passage.crosses());
        let mut headers: Vec<(&str, &str)> = backend.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        for (name, value) in crossing.map_or(&[][..], |passage| passage.headers()) {
            if !has(&headers, name) {
                headers.push((name, value));
            }
        }
        let leaves = |name: &str| {
            let is_removed = backend.removed_headers.iter().any(|removed| **removed == *name);
            let is_rewritten = crossing.is_some() && name == VERSION;
            !(is_removed || is_rewritten || has(&headers, name))
        };
        let told: Vec<&str> = TOLD.iter().copied().filter(|name| leaves(name)).collect();
        for name in told {
            headers.extend(deciding.head.headers.all(name).map(|value| (name, value)));
        }
        // In the order of their names: one header's values stay in theirs.
        headers.sort_by_key(|(name, _)| *name);
        let path = Self::path_to(deciding, target);
        Beside { target, headers, query: telling(path.as_deref().unwrap_or(&deciding.head.path)) }
    }
}

fn has(headers: &[(&str, &str)], name: &str) -> bool {
    headers.iter().any(|(known, _)| *known == name)
}

/// What of a path's query changes the answer: neither who asks nor in which form.
fn telling(path: &str) -> String {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    let is_form = |pair: &str| FORM.contains(&pair.split('=').next().unwrap_or_default());
    let told: Vec<&str> = query.split('&').filter(|pair| !pair.is_empty() && !is_key(pair) && !is_form(pair)).collect();
    told.join("&")
}

// === impl Beside ===

impl Beside<'_> {
    /// As what a digest is made with.
    pub fn around(&self) -> Around<'_> {
        let backend = &self.target.backend;
        Around {
            backend: &backend.name,
            authority: &backend.authority,
            prefix: &backend.prefix,
            model: &self.target.model,
            headers: &self.headers,
            query: &self.query,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_tells_neither_who_asks_nor_in_which_form() {
        for (path, told) in [
            ("/v1/messages", ""),
            ("/v1/messages?", ""),
            ("/v1/messages?beta=true", "beta=true"),
            ("/v1beta/models/m:generateContent?key=AIza&alt=sse&%24alt=json&$.key=x&prettyPrint=false", ""),
            ("/openai/deployments/d/chat/completions?api-version=1&access_token=t&a=b", "api-version=1&a=b"),
        ] {
            assert_eq!(telling(path), told, "{path}");
        }
    }
}
