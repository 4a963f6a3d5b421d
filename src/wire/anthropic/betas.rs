//! Which of Anthropic's betas other clouds know. Both refuse a whole request for one that they do not, and agents
//! name many of Anthropic's own. Newer names are dates behind these.
//!
//! Sources: Bedrock user guide, "Anthropic Claude Messages API", `anthropic_beta` (2026); for Vertex, which has
//! no list, LiteLLM's table of what it was seen to take (`anthropic_beta_headers_config.json`, 2026-09), without
//! `web-search-`, which Vertex was also seen to refuse (anthropics/claude-agent-sdk-typescript issue 307) and
//! which is general by now.

use std::borrow::Cow;

use crate::llm::Dropped;
use crate::wire::codec::Envelope;

const BEDROCK: &[&str] = &[
    "compact-",
    "computer-use-",
    "context-1m-",
    "context-management-",
    "dev-full-thinking-",
    "effort-",
    "fine-grained-tool-streaming-",
    "interleaved-thinking-",
    "output-128k-",
    "token-efficient-tools-",
    "tool-examples-",
    "tool-search-tool-",
];

const VERTEX: &[&str] = &[
    "compact-",
    "computer-use-",
    "context-1m-",
    "context-management-",
    "dangerous-tool-use-",
    "interleaved-thinking-",
    "per-turn-control-",
    "thinking-binding-controls-",
    "thinking-display-updates-",
    "tool-search-tool-",
];

/// What is called otherwise elsewhere, and how.
const OTHERWISE: &[(&str, &str)] = &[("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19")];

/// Those of `named` that are known there, once each; the others are named.
pub(super) fn known<'b>(
    to: Envelope,
    named: impl Iterator<Item = Cow<'b, str>>,
    dropped: &mut Dropped,
) -> Vec<Cow<'b, str>> {
    let list = match to {
        Envelope::Invoke => BEDROCK,
        Envelope::Vertex => VERTEX,
        Envelope::Plain | Envelope::Deployment => &[""],
    };
    let mut all: Vec<Cow<'_, str>> = Vec::new();
    for beta in named.filter(|beta| !beta.is_empty()) {
        let elsewhere = OTHERWISE.iter().find(|(own, _)| *own == beta && to != Envelope::Plain);
        let beta = elsewhere.map_or(beta, |(_, other)| Cow::Borrowed(*other));
        if !list.iter().any(|known| beta.starts_with(known)) {
            dropped.inside("anthropic-beta ", &beta);
        } else if !all.contains(&beta) {
            all.push(beta);
        }
    }
    all
}

/// The betas of a header.
pub(super) fn split(header: &str) -> impl Iterator<Item = Cow<'_, str>> {
    header.split(',').map(|beta| Cow::Borrowed(beta.trim()))
}

/// The header for Vertex, which reads it as Anthropic does; none where nothing is left of it.
pub(in crate::wire) fn header(to: Envelope, betas: &str, dropped: &mut Dropped) -> Option<String> {
    let known = known(to, split(betas), dropped);
    (!known.is_empty()).then(|| known.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cloud_gets_the_betas_that_it_knows() {
        // As Claude Code 2.1 names them.
        const ASKED: &str = "claude-code-20250219, interleaved-thinking-2025-05-14,context-1m-2025-08-07,effort-2025-11-24,\
            advanced-tool-use-2025-11-20,prompt-caching-scope-2026-01-05,context-1m-2025-08-07";
        const VERTEX: &str = "interleaved-thinking-2025-05-14,context-1m-2025-08-07,tool-search-tool-2025-10-19";
        assert_eq!(header(Envelope::Vertex, ASKED, &mut Dropped::default()).as_deref(), Some(VERTEX));
        let mut dropped = Dropped::default();
        let known = known(Envelope::Invoke, split(ASKED), &mut dropped);
        let bedrock = [
            "interleaved-thinking-2025-05-14",
            "context-1m-2025-08-07",
            "effort-2025-11-24",
            "tool-search-tool-2025-10-19",
        ];
        assert_eq!(known, bedrock);
        let lost = ["anthropic-beta claude-code-20250219", "anthropic-beta prompt-caching-scope-2026-01-05"];
        assert_eq!(dropped.names(), lost);
        assert_eq!(header(Envelope::Vertex, "effort-2025-11-24", &mut Dropped::default()), None);
        assert_eq!(header(Envelope::Plain, "a, b", &mut Dropped::default()).as_deref(), Some("a,b"));
    }
}
