//! `logprobsResult`, as the elements of OpenAI's `logprobs.content`, and back.

use super::spelling::get;
use crate::base::json::tree::Value;
use crate::base::json::{ArrayWriter, ObjectWriter, Tree, write_object};

/// The elements, with commas between them; nothing where there are none.
pub(super) fn read(value: Value<'_, '_>) -> Option<String> {
    let mut out = Vec::new();
    let mut tops = get(value, "topCandidates").into_iter().flat_map(Value::elements);
    for chosen in get(value, "chosenCandidates")?.elements() {
        if !out.is_empty() {
            out.push(b',');
        }
        let top = tops.next().and_then(|top| get(top, "candidates"));
        write_object(&mut out, |o| {
            token(o, chosen);
            o.array("top_logprobs", |a| {
                for candidate in top.into_iter().flat_map(Value::elements) {
                    a.object(|o| token(o, candidate));
                }
            });
        });
    }
    String::from_utf8(out).ok().filter(|text| !text.is_empty())
}

/// Nobody says which bytes a token is.
fn token(o: &mut ObjectWriter<'_>, candidate: Value<'_, '_>) {
    o.text("token", &get(candidate, "token").and_then(Value::text).unwrap_or_default());
    // The least there is stands for one that is not said, as at OpenAI.
    o.raw("logprob", get(candidate, "logProbability").and_then(Value::number).unwrap_or("-9999.0"));
    o.null("bytes");
}

/// Writes the field; false where `tokens` are none.
pub(super) fn write(o: &mut ObjectWriter<'_>, tokens: &str) -> bool {
    let text = ["[", tokens, "]"].concat();
    let Ok(tree) = Tree::read(text.as_bytes()) else { return false };
    let all = || tree.root().elements();
    o.object("logprobsResult", |o| {
        o.array("chosenCandidates", |a| all().for_each(|one| chosen(a, one)));
        o.array("topCandidates", |a| {
            for one in all() {
                let tops = one.get("top_logprobs").into_iter().flat_map(Value::elements);
                a.object(|o| o.array("candidates", |a| tops.for_each(|top| chosen(a, top))));
            }
        });
    });
    true
}

fn chosen(a: &mut ArrayWriter<'_>, value: Value<'_, '_>) {
    a.object(|o| {
        o.text("token", &value.get("token").and_then(Value::text).unwrap_or_default());
        o.raw_if("logProbability", value.get("logprob").and_then(Value::number));
    });
}
