//! A call's arguments for APIs that check them.

use std::borrow::Cow;

use crate::base::json::{object, write_object};

/// The arguments as a JSON object: `{}` where nothing was said. What a model wrote and is none becomes the
/// text `_raw` of one, so that nothing of it is lost.
pub(super) fn as_object(arguments: &str) -> Cow<'_, str> {
    let arguments = arguments.trim();
    if arguments.is_empty() {
        return Cow::Borrowed("{}");
    }
    if object(arguments.as_bytes()).is_ok() {
        return Cow::Borrowed(arguments);
    }
    let mut out = Vec::with_capacity(arguments.len() + 16);
    write_object(&mut out, |o| o.text("_raw", arguments));
    String::from_utf8(out).map_or(Cow::Borrowed("{}"), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_was_written_is_an_object_afterwards() {
        for (arguments, expected) in [
            ("", "{}"),
            (" {\"a\": 1.50}\n", "{\"a\": 1.50}"),
            ("{\"a\":", r#"{"_raw":"{\"a\":"}"#),
            ("[1]", r#"{"_raw":"[1]"}"#),
            ("no \"json\"", r#"{"_raw":"no \"json\""}"#),
        ] {
            assert_eq!(as_object(arguments), expected);
        }
    }
}
