//! With whose key a call leaves. A key is put on a request only when the request goes to the host
//! that the key belongs to, and only by a process that may sign.

pub mod clock;
mod fetch;
pub mod google_file;
pub mod lease;
pub mod refresh;
pub mod sigv4;
pub mod source;

use std::borrow::Cow;
use std::sync::Arc;

pub use self::fetch::http::Http;
pub use self::fetch::{FetchError, Issued, Outside, fetch};
pub use self::lease::{Grant, Lease};
use self::sigv4::Keys;
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
    /// Every request is signed anew.
    Aws(AwsKey),
    /// The caller's own credential passes.
    Caller,
    /// The backend wants none.
    Anonymous,
    /// It is fetched, and fetched again before it ends.
    Fetched(Fetched),
    /// It is configured and cannot be had; the text says where it was looked for, never what was found.
    Missing(Arc<str>),
}

/// A header that authenticates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// What the credential is called in records: where it is from, and nothing of what it is.
    pub name: Arc<str>,
    /// Lower case.
    pub header: Arc<str>,
    /// What stands before the secret, such as `Bearer `.
    pub prefix: &'static str,
    pub secret: Secret,
}

/// An access key of AWS, and where it signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKey {
    /// As of a [`Signature`].
    pub name: Arc<str>,
    pub keys: Arc<Keys>,
    pub place: AwsPlace,
}

/// Where a signature for AWS is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsPlace {
    pub region: Arc<str>,
    /// As [`sigv4::Scope::service`].
    pub service: &'static str,
}

/// A credential that is fetched, and how it is put on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    pub lease: Arc<Lease>,
    /// For what signs; none for a token, which leaves as `authorization: Bearer`.
    pub place: Option<AwsPlace>,
}

/// What signing needs to know of the request that is about to leave. To which host it leaves is looked at when
/// its head is written ([`goes_home`]).
#[derive(Clone, Copy, Debug)]
pub struct Leaving<'a> {
    pub backend: &'a str,
    /// Whether the listener this request came through may sign at all.
    pub may_sign: bool,
    /// Now, in seconds since the Unix epoch.
    pub unix_seconds: u64,
}

/// What signing came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    Set(Signature),
    /// Sign what leaves, when it has changed for the last time.
    Aws(AwsKey),
    /// Leave the caller's credential where it is.
    KeepCaller,
    Nothing,
    /// Ask for what this source gives first.
    Ask(Arc<Lease>),
}

// === impl Signing ===

impl Signing {
    /// What the credential is called that the request leaves with; none where that is none of Weir's.
    pub fn name(&self) -> Option<&Arc<str>> {
        match self {
            Signing::Set(signature) => Some(&signature.name),
            Signing::Aws(key) => Some(&key.name),
            Signing::KeepCaller | Signing::Nothing | Signing::Ask(_) => None,
        }
    }
}

// === impl Fetched ===

impl Fetched {
    /// How a call leaves with what the source gave; nothing for what does not fit the place.
    fn signing(&self, grant: Grant) -> Option<Signing> {
        let name = self.lease.name.clone();
        match (grant, &self.place) {
            (Grant::Token(secret), None) => {
                Some(Signing::Set(Signature { name, header: "authorization".into(), prefix: "Bearer ", secret }))
            }
            (Grant::Aws(keys), Some(place)) => Some(Signing::Aws(AwsKey { name, keys, place: place.clone() })),
            (Grant::Token(_), Some(_)) | (Grant::Aws(_), None) => None,
        }
    }
}

/// Decides what a request leaves with.
///
/// # Errors
/// 503 `credential_unavailable` when there is none, or when this listener may not sign. Where it was looked for
/// is its detail.
pub fn sign(credential: &Credential, leaving: Leaving<'_>) -> Result<Signing, Refusal> {
    match credential {
        Credential::Caller => Ok(Signing::KeepCaller),
        Credential::Anonymous => Ok(Signing::Nothing),
        Credential::Missing(whence) => unavailable(
            format!("Backend {:?} has no usable credential.", leaving.backend),
            format!("Reason: {whence}."),
        ),
        Credential::Key(_) | Credential::Aws(_) | Credential::Fetched(_) if !leaving.may_sign => unavailable(
            format!("Backend {:?} needs a key, and this listener does not sign.", leaving.backend),
            "Others could read the key from it; use a Unix socket in a private directory.",
        ),
        Credential::Key(signature) => Ok(Signing::Set(signature.clone())),
        Credential::Aws(key) => Ok(Signing::Aws(key.clone())),
        Credential::Fetched(fetched) => match fetched.lease.current(leaving.unix_seconds) {
            Some(grant) => granted(credential, grant, leaving),
            None => Ok(Signing::Ask(fetched.lease.clone())),
        },
    }
}

/// What a request leaves with, now that its credential's source has given this.
///
/// # Errors
/// 503 `credential_unavailable`, where it is of no use to this credential.
pub fn granted(credential: &Credential, grant: Grant, leaving: Leaving<'_>) -> Result<Signing, Refusal> {
    let Credential::Fetched(fetched) = credential else { return sign(credential, leaving) };
    match fetched.signing(grant).filter(|_| leaving.may_sign) {
        Some(signing) => Ok(signing),
        None => unavailable(
            format!("Backend {:?} has no usable credential.", leaving.backend),
            format!("Reason: {} gives none for it.", fetched.lease.name),
        ),
    }
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
    use super::lease::Held;
    use super::source::{Google, Source};
    use super::*;

    fn key() -> Credential {
        Credential::Key(Signature {
            name: "k".into(),
            header: "authorization".into(),
            prefix: "Bearer ",
            secret: Secret::new("k"),
        })
    }

    fn leaving<'a>() -> Leaving<'a> {
        Leaving { backend: "openai", may_sign: true, unix_seconds: 1_000 }
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
    fn a_fetched_token_leaves_until_it_ends() {
        let source = Source::Google(Google::Ambient);
        let lease = Arc::new(Lease::new(source.clone()));
        let fetched = Credential::Fetched(Fetched { lease: lease.clone(), place: None });
        let plain = Leaving { may_sign: false, ..leaving() };
        assert_eq!(sign(&fetched, leaving()), Ok(Signing::Ask(Arc::new(Lease::new(source)))));
        assert_eq!(sign(&fetched, plain).unwrap_err().code, Code::CredentialUnavailable);
        lease.put(Held { grant: Grant::Token(Secret::new("t")), since: 0, until: Some(1_001) });
        lease.fail(std::time::Duration::ZERO);
        let Ok(Signing::Set(signature)) = sign(&fetched, leaving()) else { panic!("no token") };
        assert_eq!(
            (&*signature.header, signature.prefix, signature.secret.expose()),
            ("authorization", "Bearer ", "t")
        );
        assert_eq!(&*signature.name, "GCP/ambient");
        let later = Leaving { unix_seconds: 1_001, ..leaving() };
        assert!(matches!(sign(&fetched, later), Ok(Signing::Ask(_))), "it has ended");
        // A token is no key that signs.
        let place = Some(AwsPlace { region: "us-east-1".into(), service: "bedrock" });
        let misfit = Credential::Fetched(Fetched { lease, place });
        assert_eq!(sign(&misfit, leaving()).unwrap_err().code, Code::CredentialUnavailable);
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
