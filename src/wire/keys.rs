//! A member of an object, found as the servers of its format read keys.
//!
//! Two readers of one body must not disagree on what it says, so a key that is acted on stands once: in
//! whatever case, because a server written in Go reads `Model` as `model`, and in Gemini's format in
//! whatever spelling, because Google's parser of proto3 JSON takes `maxOutputTokens` and
//! `max_output_tokens` for the same field ("ProtoJSON Format": lowerCamelCase or the original name).

use super::fields::refuse;
use crate::base::json::{JsonError, Member};
use crate::llm::{Code, Dialect, Refusal};

/// How a key that was found is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Likeness {
    Same,
    /// Some server takes it for the other one.
    Twin,
    Other,
}

/// The index of the member with that key.
///
/// # Errors
/// 400 `duplicate_field` where it stands twice, a second time in another case included.
pub(super) fn only(dialect: Dialect, members: &[Member<'_>], key: &str) -> Result<Option<usize>, Refusal> {
    Ok(look(dialect, members, key)?.0)
}

/// As [`only`], for a rule that acts on the member: one in another case alone, which a provider may read all
/// the same, is an error as well.
///
/// # Errors
/// 400 `duplicate_field` or `unsupported_value`.
pub(super) fn named(dialect: Dialect, members: &[Member<'_>], key: &str) -> Result<Option<usize>, Refusal> {
    match look(dialect, members, key)? {
        (None, true) => {
            let message = format!("Write the field {key:?} exactly so: a rule here acts on it.");
            Err(Refusal::new(Code::UnsupportedValue, message).param(key.to_owned()))
        }
        (found, _) => Ok(found),
    }
}

/// Whether every server of this format reads `found` as `key`.
pub(super) fn is_same(dialect: Dialect, found: &str, key: &str) -> bool {
    likeness(dialect, found, key) == Likeness::Same
}

/// Whether some server of this format reads `found` as `key`.
pub(super) fn is_alike(dialect: Dialect, found: &str, key: &str) -> bool {
    likeness(dialect, found, key) != Likeness::Other
}

/// The member, and whether one stands beside it or in its place that may be taken for it.
fn look(dialect: Dialect, members: &[Member<'_>], key: &str) -> Result<(Option<usize>, bool), Refusal> {
    let (mut found, mut twin) = (None, false);
    for (index, member) in members.iter().enumerate() {
        match likeness(dialect, &member.key, key) {
            Likeness::Same if found.is_none() => found = Some(index),
            Likeness::Same | Likeness::Twin => twin = true,
            Likeness::Other => {}
        }
    }
    match found {
        Some(_) if twin => Err(refuse(JsonError::DuplicateKey { key: key.to_owned() })),
        found => Ok((found, twin)),
    }
}

fn likeness(dialect: Dialect, found: &str, key: &str) -> Likeness {
    let is_proto = dialect == Dialect::Gemini;
    if found == key || is_proto && camel(found).eq(camel(key)) {
        return Likeness::Same;
    }
    let is_twin = match found.is_ascii() && !is_proto {
        true => found.eq_ignore_ascii_case(key),
        false => folded(found, is_proto).eq(folded(key, is_proto)),
    };
    if is_twin { Likeness::Twin } else { Likeness::Other }
}

/// The letters of a key in the first of its two spellings.
fn camel(key: &str) -> impl Iterator<Item = char> {
    let mut raise = false;
    key.chars().filter_map(move |c| match c {
        '_' => {
            raise = true;
            None
        }
        c if std::mem::take(&mut raise) => Some(c.to_ascii_uppercase()),
        c => Some(c),
    })
}

/// The letters of a key for a server that ignores case. Go's does, and it takes the long s and the sign of the
/// Kelvin for letters, too.
fn folded(key: &str, is_proto: bool) -> impl Iterator<Item = char> {
    let plain = |c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    key.chars().filter(move |c| !(is_proto && *c == '_')).map(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::json::object;

    fn found(dialect: Dialect, body: &str, key: &str) -> Result<Option<usize>, Code> {
        named(dialect, &object(body.as_bytes()).unwrap(), key).map_err(|refusal| refusal.code)
    }

    #[test]
    fn two_spellings_are_one_key_to_google_alone() {
        let both = [r#"{"x":1,"max_output":2}"#, r#"{"x":1,"maxOutput":2}"#];
        for (body, key) in both.iter().flat_map(|body| [(body, "max_output"), (body, "maxOutput")]) {
            assert_eq!(found(Dialect::Gemini, body, key), Ok(Some(1)), "{body} {key}");
        }
        assert_eq!(found(Dialect::OpenAi, both[0], "maxOutput"), Ok(None));
        let twice = r#"{"maxOutput":1,"max_output":2}"#;
        assert_eq!(found(Dialect::Gemini, twice, "maxOutput"), Err(Code::DuplicateField));
        assert_eq!(found(Dialect::Bedrock, twice, "maxOutput"), Ok(Some(0)));
        for odd in ["MaxOutput", "maxoutput", "MAX_OUTPUT", "max__output", "_max_output"] {
            let body = format!("{{{odd:?}:1}}");
            let is_same = matches!(odd, "max__output");
            let expected = if is_same { Ok(Some(0)) } else { Err(Code::UnsupportedValue) };
            assert_eq!(found(Dialect::Gemini, &body, "maxOutput"), expected, "{odd}");
            let beside = format!("{{\"maxOutput\":1,{odd:?}:1}}");
            assert_eq!(found(Dialect::Gemini, &beside, "maxOutput"), Err(Code::DuplicateField), "{odd}");
        }
    }
}
