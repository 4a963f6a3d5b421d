//! Does the connection manager leave Weir's refusals as they are? Pure.

use super::{Findings, NO_FILTER, Scene, Told};

pub fn check(scene: &Scene, findings: &mut Findings) -> Told {
    if scene.attached().next().is_none() {
        return NO_FILTER;
    }
    for at in scene.attached() {
        let Some(replies) = &at.manager.local_replies else {
            let means = "What Envoy answers by itself, as when Weir is gone, is plain text, which SDKs cannot read.";
            findings.note(
                "local-reply-missing",
                &at.place(),
                means,
                "the local_reply_config that `weir render` writes",
            );
            continue;
        };
        if replies.iter().any(|reply| reply.changes && !reply.spares_weir) {
            findings.warning(
                "local-reply-wraps",
                &at.place(),
                "Its local_reply_config takes Weir's refusals for Envoy's own and writes them anew: clients cannot read \
                 why they were refused.",
                "and_filter each mapper with metadata_filter {matcher: {filter: weir, path: [{key: outcome}], value: \
                 {null_match: {}}}, match_if_key_not_found: true}, and use no body_format for everything",
            );
        }
    }
    Told::Looked("Weir's refusals reach clients as Weir wrote them".to_owned())
}
