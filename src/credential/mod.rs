//! With whose key a call leaves. A key is put on a request only when the request goes to the host
//! that the key belongs to, and only by a process that may sign.

pub mod sigv4;

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
    "x-amz-security-token",
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

/// What signing needs to know of the request that is about to leave. To which host it leaves is looked at when
/// its head is written ([`goes_home`]).
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    pub backend: &'a str,
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
/// 503 `credential_unavailable` when there is none, or when this listener may not sign. Where it was looked for
/// is its detail.
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
    Ok(signature)
}

/// Whether a head that carries a key says the key's own `host` and no other: `hosts` is every value in it that a
/// proxy or a server takes for the host. Envoy lets `host` override `:authority`.
///
/// # Errors
/// 503 `credential_unavailable`: whatever put it there, the key does not leave with it.
pub fn goes_home<'a>(backend: &str, host: &str, mut hosts: impl Iterator<Item = &'a str>) -> Result<(), Refusal> {
    match hosts.find(|said| !said.eq_ignore_ascii_case(host)) {
        None => Ok(()),
        Some(other) => unavailable(
            format!("The key of backend {backend:?} is not sent to another host."),
            format!("It belongs to {host:?}, and the request would say {other:?}; no header may set `host`."),
        ),
    }
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
        Leaving { backend: "openai", may_sign: true }
    }

    #[test]
    fn a_key_goes_to_its_own_host_only() {
        assert!(matches!(sign(&key(), leaving()), Ok(Signing::Set(_))));
        let goes = |hosts: &[&str]| goes_home("openai", "api.openai.com", hosts.iter().copied());
        assert_eq!(goes(&["api.openai.com", "API.openai.com"]), Ok(()));
        for hosts in [&["evil.example"][..], &["api.openai.com:8443"], &["api.openai.com", "evil.example"], &[""]] {
            assert_eq!(goes(hosts).unwrap_err().code, Code::CredentialUnavailable, "{hosts:?}");
        }
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
