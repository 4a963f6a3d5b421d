//! With whose key a request leaves: the key is chosen beforehand, and put on what leaves when that has
//! changed for the last time.

use std::time::Duration;

use super::Exchange;
use super::event::{Edits, RequestHead, Value};
use super::keys::{remove_credentials, remove_own_keys};
use super::steps::Deciding;
use crate::base::words::Words;
use crate::credential::sigv4::{self, Request, Scope};
use crate::credential::{self, AwsKey, Credential, Leaving, Signing};
use crate::llm::{Code, Refusal};
use crate::target::Backend;

/// Headers that say the host.
const HOST_HEADERS: [&str; 2] = ["host", ":authority"];

/// What the name of every header begins with that AWS wants to be signed.
const AWS_PREFIX: &str = "x-amz-";

// === impl Exchange ===

impl Exchange {
    /// Signs a request that passes, of whose body nothing is known; `bare` when it has none.
    pub(super) fn sign_into(
        &mut self,
        edits: &mut Edits,
        head: &RequestHead,
        credential: &Credential,
        backend: &Backend,
        bare: bool,
    ) -> Result<(), Refusal> {
        let signing = no_token_needed(credential, self.leaving(backend))?;
        self.story.credential = signing.name().cloned();
        put(edits, head, backend, &signing)?;
        if matches!(signing, Signing::Aws(_)) && !bare {
            let message = format!("Backend {:?} wants its bodies signed, and this one is not read.", backend.name);
            let detail = "Only calls that Weir reads, and requests without a body, can be signed for AWS.";
            return Err(Refusal::new(Code::CredentialUnavailable, message).detail(detail));
        }
        self.seal_edits(edits, head, &signing, b"");
        Ok(())
    }

    /// What signing has to know of this exchange.
    pub(super) fn leaving<'a>(&self, backend: &'a Backend) -> Leaving<'a> {
        Leaving { backend: &backend.name, may_sign: self.setup.policy.may_sign, unix_seconds: self.unix_seconds() }
    }

    /// Signs what leaves, where it is the request that is signed. Nothing may change behind this.
    pub(super) fn seal_edits(&self, edits: &mut Edits, head: &RequestHead, signing: &Signing, body: &[u8]) {
        if let Signing::Aws(key) = signing {
            sign_for_aws(edits, head, key, body, self.unix_seconds());
        }
    }

    /// What a call is told for which no token was had. Why, says the log: an endpoint's words are not for clients.
    pub(super) fn no_token(&self, deciding: &Deciding) -> Refusal {
        let backend = deciding.target.as_ref().map_or("", |target| &target.backend.name);
        let held = deciding.target.as_ref().and_then(|target| self.held(target.index));
        let refusal = no_token(backend);
        match held.map(|held| held.credential) {
            Some(Credential::Fetched(fetched)) => {
                refusal.detail(format!("Credential {:?} cannot be fetched; the log says why.", fetched.lease.name))
            }
            _ => refusal,
        }
    }

    fn unix_seconds(&self) -> u64 {
        self.now.unix_nanos / 1_000_000_000
    }
}

/// Signs where no question can be asked any more.
///
/// # Errors
/// 503 `credential_unavailable`.
pub(super) fn no_token_needed(credential: &Credential, leaving: Leaving<'_>) -> Result<Signing, Refusal> {
    match credential::sign(credential, leaving)? {
        Signing::Ask(lease) => {
            lease.want();
            Err(no_token(leaving.backend))
        }
        signing => Ok(signing),
    }
}

/// What is told where there is none.
pub(super) fn no_token(backend: &str) -> Refusal {
    let message = format!("Backend {backend:?} has no valid token yet; ask again.");
    Refusal::new(Code::CredentialUnavailable, message).retry_after(Duration::from_secs(1))
}

/// Writes a credential into a head, over whatever the caller sent; a signature is not made yet.
///
/// # Errors
/// 503 `credential_unavailable` when the head would take the key to another host than the backend's.
pub(super) fn put(edits: &mut Edits, head: &RequestHead, backend: &Backend, signing: &Signing) -> Result<(), Refusal> {
    if *signing == Signing::KeepCaller {
        remove_own_keys(edits, head);
        return Ok(());
    }
    remove_credentials(edits, head);
    if let Signing::Set(signature) = signing {
        let value = Value::Secret { prefix: signature.prefix, secret: signature.secret.clone() };
        edits.set.push(((&signature.header).into(), value));
    }
    if let Signing::Set(_) | Signing::Aws(_) = signing {
        // What leaves is looked at, not what was meant to: the last word of everything that writes a head.
        let set = edits.set.iter().filter(|(name, _)| HOST_HEADERS.iter().any(|host| name.eq_ignore_ascii_case(host)));
        let set = set.map(|(_, value)| match value {
            Value::Text(text) => &**text,
            Value::Secret { .. } | Value::Original(_) => "",
        });
        // A head without a host of Weir's would leave with the caller's.
        let authority = edits.authority.as_deref().unwrap_or_default();
        credential::goes_home(&backend.name, &backend.authority, set.chain([authority]))?;
    }
    Ok(())
}

/// AWS wants `host`, `content-type` and all that begins with `x-amz-` to be signed. Of the last kind nothing
/// leaves that the caller sent: it belonged to the caller's own signature.
fn sign_for_aws(edits: &mut Edits, head: &RequestHead, key: &AwsKey, body: &[u8], unix_seconds: u64) {
    for (name, _) in head.headers.iter().filter(|(name, _)| name.starts_with(AWS_PREFIX)) {
        let is_known =
            edits.remove.iter().any(|known| *known == *name) || edits.set.iter().any(|(set, _)| **set == *name);
        if !is_known {
            edits.remove.push(name.to_owned().into());
        }
    }
    let own = |name: &str| edits.set.iter().rev().find(|(set, _)| **set == *name);
    let mut headers: Vec<(&str, &str)> = Vec::new();
    for (name, value) in &edits.set {
        if let (true, Value::Text(value)) = (name.starts_with(AWS_PREFIX), value) {
            headers.push((name, value));
        }
    }
    let kept = || head.headers.get("content-type").filter(|_| !edits.remove.iter().any(|name| *name == "content-type"));
    let content_type = match own("content-type") {
        Some((_, Value::Text(value))) => Some(&**value),
        Some(_) => None,
        None => kept(),
    };
    headers.extend(content_type.map(|value| ("content-type", value)));
    let request = Request {
        method: &head.method,
        host: edits.authority.as_deref().unwrap_or(&head.authority),
        path: edits.path.as_deref().unwrap_or(&head.path),
        headers: &headers,
        body,
    };
    let scope = Scope { region: &key.place.region, service: key.place.service };
    let signed = sigv4::sign(&request, &key.keys, scope, unix_seconds);
    let secret = |secret| Value::Secret { prefix: "", secret };
    edits.set("x-amz-date", signed.date);
    edits.set.push((Words::Fixed("authorization"), secret(signed.authorization)));
    if let Some(token) = &key.keys.token {
        edits.set.push((Words::Fixed("x-amz-security-token"), secret(token.clone())));
    }
}
