//! A provider's seal as `thoughtSignature`. That field is bytes, which JSON spells in base64 and SDKs
//! decode, so the seal of another maker is wrapped once more; Gemini's own goes as it is.

use std::borrow::Cow;

use crate::base::base64;
use crate::llm::{Format, Signature};

/// What a signature stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seal<'a> {
    /// Of a thought or a call.
    Signed(Signature<'a>),
    /// A whole thought that only its maker can read.
    Redacted(Signature<'a>),
}

/// Stands in front of a wrapped thought that is redacted.
const REDACTED: &str = "redacted.";

/// What Google documents for a call that its API did not make, as when a history comes from another model
/// (Gemini API, "Thought signatures", FAQ; Vertex AI, "Thought signatures"): it is not validated.
pub(super) const UNSIGNED: &str = "skip_thought_signature_validator";

/// Reads a `thoughtSignature`.
pub(super) fn read(text: Cow<'_, str>) -> Seal<'_> {
    let wrapped = base64::decode(text.as_bytes()).and_then(|bytes| String::from_utf8(bytes).ok());
    if let Some(inner) = wrapped {
        let (rest, is_redacted) = match inner.strip_prefix(REDACTED) {
            Some(rest) => (rest.to_owned(), true),
            None => (inner, false),
        };
        let signature = Signature::read(Format::Gemini, Cow::Owned(rest));
        if signature.maker != Format::Gemini {
            return if is_redacted { Seal::Redacted(signature) } else { Seal::Signed(signature) };
        }
    }
    Seal::Signed(Signature { maker: Format::Gemini, data: text })
}

/// A seal for a client of this API.
pub(super) fn write<'s>(signature: &'s Signature<'_>) -> Cow<'s, str> {
    match signature.maker {
        Format::Gemini => Cow::Borrowed(&*signature.data),
        _ => Cow::Owned(base64::encode(signature.for_client(Format::Gemini).as_bytes())),
    }
}

/// A redacted thought for a client of this API.
pub(super) fn write_redacted(signature: &Signature<'_>) -> String {
    base64::encode([REDACTED, &*signature.for_client(Format::Gemini)].concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_seal_comes_back_as_what_it_was() {
        for maker in Format::ALL {
            let made = Signature { maker, data: "c2Vh+/8=".into() };
            assert_eq!(read(Cow::Owned(write(&made).into_owned())), Seal::Signed(made.clone()), "{maker}");
            if maker != Format::Gemini {
                assert_eq!(read(Cow::Owned(write_redacted(&made))), Seal::Redacted(made), "{maker}");
            }
        }
        let url_safe =
            write(&Signature { maker: Format::Messages, data: "??>>".into() }).replace('+', "-").replace('/', "_");
        assert!(matches!(read(Cow::Owned(url_safe)), Seal::Signed(Signature { maker: Format::Messages, .. })));
    }
}
