//! With whose key a call leaves. A key is put on a request only when the request goes to the host
//! that the key belongs to, and only by a process that may sign.

use std::borrow::Cow;
use std::sync::Arc;

use crate::base::secret::Secret;
use crate::llm::{Code, Refusal};

/// The request headers in which clients send credentials, or say whose account a credential is used
/// for: a caller must not choose what the backend's key is billed to. They are removed from every
/// request, unless the backend's credential is the caller's own.
pub const CALLER_HEADERS: &[&str] = &[
    "authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "proxy-authorization",
    "openai-organization",
    "openai-project",
    "x-goog-user-project",
    "cookie",
];

/// The credential of one backend, as of this snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Key(Signature),
    /// The caller's own credential passes.
    Caller,
    /// The backend wants none.
    Anonymous,
    /// It is fetched, and none is valid now: ask for it.
    Fetched,
    /// It is configured and cannot be had; the text says where it was looked for, never what was found.
    Missing(Arc<str>),
}

/// A header that authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Lower case.
    pub header: Arc<str>,
    /// What stands before the secret, such as `Bearer `.
    pub prefix: &'static str,
    pub secret: Secret,
}

/// What signing needs to know of the request that is about to leave.
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    pub backend: &'a str,
    /// The backend's own host and port.
    pub host: &'a str,
    /// The `:authority` that the request will carry.
    pub authority: &'a str,
    /// Whether the listener this request came through may sign at all.
    pub may_sign: bool,
}

/// What signing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    Set(Signature),
    /// Leave the caller's credential where it is.
    KeepCaller,
    Nothing,
    /// Ask for a token first.
    Ask,
}

/// Decides what a request leaves with.
///
/// # Errors
/// 503 `credential_unavailable` when there is none, when this listener may not sign, or when the
/// request is about to leave for another host than the key's. Where it was looked for is its detail.
pub fn sign(credential: &Credential, leaving: Leaving<'_>) -> Result<Signing, Refusal> {
    let signature = match credential {
        Credential::Key(signature) => signature.clone(),
        Credential::Caller => return Ok(Signing::KeepCaller),
        Credential::Anonymous => return Ok(Signing::Nothing),
        Credential::Fetched => return Ok(Signing::Ask),
        Credential::Missing(whence) => {
            return unavailable(
                format!("Backend {:?} has no usable credential.", leaving.backend),
                format!("Reason: {whence}."),
            );
        }
    };
    seal(signature, leaving).map(Signing::Set)
}

/// Puts a signature on a request, if that is allowed.
///
/// # Errors
/// As [`sign`].
pub fn seal(signature: Signature, leaving: Leaving<'_>) -> Result<Signature, Refusal> {
    if !leaving.may_sign {
        return unavailable(
            format!("Backend {:?} needs a key, and this listener does not sign.", leaving.backend),
            "Others could read the key from it; use a Unix socket in a private directory.",
        );
    }
    if !leaving.authority.eq_ignore_ascii_case(leaving.host) {
        return unavailable(
            format!("The key of backend {:?} is not sent to another host.", leaving.backend),
            format!("It belongs to {:?}.", leaving.host),
        );
    }
    Ok(signature)
}

fn unavailable<T>(message: String, detail: impl Into<Cow<'static, str>>) -> Result<T, Refusal> {
    Err(Refusal::new(Code::CredentialUnavailable, message).detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Credential {
        Credential::Key(Signature { header: "authorization".into(), prefix: "Bearer ", secret: Secret::new("k") })
    }

    fn leaving<'a>() -> Leaving<'a> {
        Leaving { backend: "openai", host: "api.openai.com", authority: "api.openai.com", may_sign: true }
    }

    #[test]
    fn a_key_goes_to_its_own_host_only() {
        assert!(matches!(sign(&key(), leaving()), Ok(Signing::Set(_))));
        let other = Leaving { authority: "evil.example", ..leaving() };
        assert_eq!(sign(&key(), other).unwrap_err().code, Code::CredentialUnavailable);
        let port = Leaving { authority: "api.openai.com:8443", ..leaving() };
        assert_eq!(sign(&key(), port).unwrap_err().code, Code::CredentialUnavailable);
    }

    #[test]
    fn a_listener_that_may_not_sign_refuses_rather_than_sends_unsigned() {
        let plain = Leaving { may_sign: false, ..leaving() };
        assert_eq!(sign(&key(), plain).unwrap_err().code, Code::CredentialUnavailable);
        assert_eq!(sign(&Credential::Anonymous, plain), Ok(Signing::Nothing));
        assert_eq!(sign(&Credential::Caller, plain), Ok(Signing::KeepCaller));
    }

    #[test]
    fn no_caller_says_who_pays_for_the_backends_key() {
        for name in ["authorization", "x-api-key", "openai-organization", "openai-project"] {
            assert!(CALLER_HEADERS.contains(&name), "{name}");
        }
        // They are compared with names as a proxy sends them.
        assert!(CALLER_HEADERS.iter().all(|name| http::HeaderName::from_lowercase(name.as_bytes()).is_ok()));
    }

    #[test]
    fn a_missing_key_says_where_it_was_looked_for() {
        let refusal = sign(&Credential::Missing("environment variable X is empty".into()), leaving()).unwrap_err();
        let detail = refusal.detail.as_deref().unwrap_or_default();
        assert!(detail.contains("environment variable X is empty"), "{detail}");
        assert!(!refusal.message.contains('X'), "{}", refusal.message);
    }
}
