//! How much of an answer a request states that it wants: the bound on its tokens, and how many are made.

use super::fields::only;
use crate::base::json::{self, Kind, Member};
use crate::llm::{Dialect, Operation, Refusal};

/// Names of the bound that a server may read although the request's format does not have them: those of the other
/// formats, and llama.cpp's own, which its server reads before any other (tools/server/README.md, `n_predict`).
const ALIASES: &[&str] = &["max_completion_tokens", "max_output_tokens", "max_tokens", PREDICT];

/// llama.cpp's name of the bound, in every format that its server reads.
pub(super) const PREDICT: &str = "n_predict";

/// The bound on output tokens that a body states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stated {
    /// The largest, where one stands under a name of the request's format. None where there is none, or a name that
    /// may be read has what is no bound: nobody knows which of them its server goes by.
    pub bound: Option<u64>,
    /// The largest of those that do not hold, where none does: most servers make as much as they like.
    pub alias: Option<u64>,
}

/// The top-level names under which every server of a format reads the bound on an operation's output (OpenAI, API
/// reference "Create chat completion", "Create completion" and "Create a model response"; Anthropic, "Messages").
pub(super) fn names(dialect: Dialect, operation: Operation) -> &'static [&'static str] {
    match (operation, dialect) {
        (Operation::Chat, Dialect::Anthropic) | (Operation::Completion, _) => &["max_tokens"],
        (Operation::Chat, _) => &["max_completion_tokens", "max_tokens"],
        (Operation::Responses, _) => &["max_output_tokens"],
        _ => &[],
    }
}

/// Reads the bound. What another name says may raise it, and never lowers it.
pub(super) fn max_output(
    dialect: Dialect,
    operation: Operation,
    body: &[u8],
    members: &[Member<'_>],
) -> Result<Stated, Refusal> {
    let read = names(dialect, operation);
    let (mut most, mut is_bound, mut holds) = (None, false, true);
    for name in ALIASES {
        let Some(member) = only(dialect, members, name)?.filter(|member| member.kind != Kind::Null) else { continue };
        // Anthropic answers 0 with no output. Servers that ask whether it is there, or not 0, take it for no bound.
        let stated = integer(body, member).filter(|bound| *bound > 0 || dialect == Dialect::Anthropic);
        let is_read = read.contains(name);
        holds &= stated.is_some() || !(is_read || *name == PREDICT);
        is_bound |= is_read;
        most = most.max(stated);
    }
    let (bound, alias) = if is_bound && holds { (most, None) } else { (None, most) };
    Ok(Stated { bound, alias })
}

/// How many answers are made, of which each may be as long as is stated: `n`, or those of which the best are
/// chosen (`best_of`), for each prompt of a completion (API reference "Create completion", `prompt`: "string,
/// array of strings, array of tokens, or array of token arrays").
pub(super) fn choices(
    dialect: Dialect,
    operation: Operation,
    body: &[u8],
    members: &[Member<'_>],
) -> Result<u64, Refusal> {
    let number = |key| Ok::<_, Refusal>(only(dialect, members, key)?.and_then(|member| integer(body, member)));
    let choices = number("n")?.unwrap_or(1).max(1);
    if operation != Operation::Completion {
        return Ok(choices);
    }
    let made = choices.max(number("best_of")?.unwrap_or(1));
    let prompt = only(dialect, members, "prompt")?.filter(|member| member.kind == Kind::Array);
    let prompts = prompt.map_or(1, |prompt| match json::elements(body, prompt.value) {
        Ok(all) if all.iter().all(|(_, kind)| *kind == Kind::Number) => 1,
        Ok(all) => all.len() as u64,
        // Too many to be listed: tokens of one prompt, or as many prompts as have room.
        Err(_) if is_list_of_numbers(prompt.value.slice(body)) => 1,
        Err(_) => (prompt.value.end - prompt.value.start) as u64 / 2,
    });
    Ok(made.saturating_mul(prompts.max(1)))
}

/// A list of numbers alone, not nested.
pub(super) fn is_list_of_numbers(list: &[u8]) -> bool {
    list.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_whitespace() || b"[],-+.eE".contains(byte))
        && list.iter().filter(|byte| **byte == b'[').count() == 1
}

/// A number of at least 0, rounded up. It may be written as a fraction or in quotes: servers that are lenient
/// read `1e5` and `"100"` as well (pydantic, "Conversion Table").
fn integer(body: &[u8], member: &Member<'_>) -> Option<u64> {
    let raw = std::str::from_utf8(member.value.slice(body)).ok()?;
    let raw = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw).trim();
    if let Ok(number) = raw.parse() {
        return Some(number);
    }
    let number = raw.parse::<f64>().ok().filter(|number| *number >= 0.0)?;
    // What is larger than this type is the largest there is.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates, and is not negative")]
    Some(number.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fields;

    fn read(dialect: Dialect, operation: Operation, body: &str) -> crate::llm::Call {
        fields::read(dialect, operation, body.as_bytes()).unwrap().call
    }

    #[test]
    fn of_several_bounds_the_largest_counts_and_of_an_odd_one_nothing_is_believed() {
        let bounds = |dialect, operation, fields: &str| {
            let call = read(dialect, operation, &format!(r#"{{"model":"m",{fields}}}"#));
            (call.max_output, call.output_alias)
        };
        let bound = |dialect, fields: &str| bounds(dialect, Operation::Chat, fields);
        for (fields, expected) in [
            (r#""max_tokens":5"#, (Some(5), None)),
            (r#""max_output_tokens":1,"max_tokens":100000"#, (Some(100_000), None)),
            (r#""max_completion_tokens":7,"max_tokens":3"#, (Some(7), None)),
            (r#""max_tokens":1,"n_predict":4000"#, (Some(4_000), None)),
            (r#""max_tokens":1,"n_predict":-1"#, (None, Some(1))),
            (r#""max_tokens":100000,"max_output_tokens":0"#, (Some(100_000), None)),
            (r#""max_tokens":100000,"max_completion_tokens":-1"#, (None, Some(100_000))),
            (r#""max_tokens":null,"max_completion_tokens":3"#, (Some(3), None)),
            (r#""max_tokens":1e5"#, (Some(100_000), None)),
            (r#""max_tokens":2.5"#, (Some(3), None)),
            (r#""max_tokens":"100""#, (Some(100), None)),
            (r#""max_tokens":1e99"#, (Some(u64::MAX), None)),
            (r#""max_tokens":-1,"max_output_tokens":1"#, (None, Some(1))),
            (r#""max_tokens":{},"max_output_tokens":1"#, (None, Some(1))),
            (r#""max_tokens":0"#, (None, None)),
            (r#""max_tokens":null"#, (None, None)),
            // Names that a server of this format passes over bound nothing.
            (r#""n_predict":1"#, (None, Some(1))),
            (r#""max_output_tokens":1"#, (None, Some(1))),
            (r#""max_output_tokens":1,"n_predict":4000"#, (None, Some(4_000))),
            (r#""max_tokens":null,"n_predict":1"#, (None, Some(1))),
        ] {
            assert_eq!(bound(Dialect::OpenAi, fields), expected, "{fields}");
        }
        for (dialect, operation, fields, expected) in [
            (Dialect::Anthropic, Operation::Chat, r#""max_completion_tokens":1"#, (None, Some(1))),
            (Dialect::OpenAi, Operation::Completion, r#""max_completion_tokens":1"#, (None, Some(1))),
            (Dialect::OpenAi, Operation::Responses, r#""max_tokens":1"#, (None, Some(1))),
            (Dialect::OpenAi, Operation::Responses, r#""max_output_tokens":1"#, (Some(1), None)),
            (Dialect::OpenAi, Operation::Responses, r#""max_output_tokens":1,"max_tokens":2"#, (Some(2), None)),
        ] {
            assert_eq!(bounds(dialect, operation, fields), expected, "{dialect} {operation:?} {fields}");
        }
        assert_eq!(bound(Dialect::Anthropic, r#""max_tokens":0"#), (Some(0), None));
    }

    #[test]
    fn a_completion_is_made_for_each_prompt_and_for_each_that_is_chosen_from() {
        let many = format!(r#""prompt":[{}]"#, vec![r#""a""#; json::MAX_LISTED + 1].join(","));
        let tokens = format!(r#""prompt":[{}]"#, vec!["1"; json::MAX_LISTED + 1].join(","));
        for (fields, expected) in [
            (r#""prompt":"a""#, 1..=1),
            (r#""prompt":["a","b"],"n":3"#, 6..=6),
            (r#""prompt":[1,2,3],"n":2"#, 2..=2),
            (r#""prompt":[[1,2],[3]]"#, 2..=2),
            (r#""prompt":[],"n":2"#, 2..=2),
            (r#""prompt":["a","b"],"n":2,"best_of":20"#, 40..=40),
            (r#""n":"4""#, 4..=4),
            (&many, 65_537..=200_000),
            (&tokens, 1..=1),
        ] {
            let body = format!(r#"{{"model":"m",{fields}}}"#);
            let choices = read(Dialect::OpenAi, Operation::Completion, &body).choices;
            assert!(expected.contains(&choices), "{choices}: {:.40}", fields);
        }
        let chat = read(Dialect::OpenAi, Operation::Chat, r#"{"model":"m","n":2,"prompt":["a","b"]}"#);
        assert_eq!(chat.choices, 2, "no prompt of a chat");
    }
}
