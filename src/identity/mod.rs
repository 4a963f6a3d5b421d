//! Who calls: from what the mesh says of the peer and from what this process knows of its own pod.
//! Never from a header that a client can write.

use std::sync::Arc;

use crate::llm::{Code, Refusal};

/// Where this process stands, and so which facts can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Role {
    /// In the pod of the workload that calls: the caller is the pod itself.
    #[default]
    Sidecar,
    /// Behind mTLS, for many workloads: the caller is the peer.
    Gateway,
}

/// The workload that this process runs beside, from the downward API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workload {
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
    pub name: Arc<str>,
}

/// What the host can tell about one connection. Envoy fills it from its own attributes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The URI SAN of the peer's certificate, checked by the proxy.
    pub peer_uri: Option<String>,
    /// `address:port` of the connection's other end.
    pub source: Option<String>,
}

/// How well a fact is known. A lower rank fills what is missing and never overwrites.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Rank {
    #[default]
    Anonymous,
    Workload,
    ApiKey,
    Jwt,
    Peer,
}

/// The caller, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    pub rank: Rank,
    pub namespace: Arc<str>,
    pub service_account: Arc<str>,
    pub workload: Arc<str>,
    pub spiffe: Option<Arc<str>>,
}

/// Prefix of the keys that Weir itself issues. A credential that carries it and is not known is
/// refused in every role; any other client credential is not an identity.
pub const KEY_PREFIX: &str = "sk-weir-";

/// Names the caller. `credentials` are the values of the client's credential headers.
///
/// # Errors
/// 401 `invalid_api_key` for a key with Weir's prefix that is not known here, and for a caller of whom
/// nothing is known in role Gateway.
pub fn identify<'a>(
    role: Role,
    own: &Workload,
    facts: &Facts,
    mut credentials: impl Iterator<Item = &'a str>,
) -> Result<Principal, Refusal> {
    if credentials.any(|value| bearer(value).starts_with(KEY_PREFIX)) {
        return Err(Refusal::new(
            Code::InvalidApiKey,
            "This Weir key is not known here. Check that it was not revoked and that its consumer is configured.",
        ));
    }
    Ok(match (role, &facts.peer_uri) {
        (Role::Sidecar, _) => Principal {
            rank: Rank::Workload,
            namespace: own.namespace.clone(),
            service_account: own.service_account.clone(),
            workload: own.name.clone(),
            spiffe: None,
        },
        (Role::Gateway, Some(uri)) => peer(uri),
        (Role::Gateway, None) => {
            return Err(Refusal::new(
                Code::InvalidApiKey,
                "This gateway serves callers with an identity: connect over mTLS, so that the proxy can name the peer.",
            ));
        }
    })
}

/// The credential inside an `authorization` value, or the value itself.
fn bearer(value: &str) -> &str {
    let value = value.trim_start();
    match value.split_once([' ', '\t']) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.trim_start(),
        _ => value,
    }
}

/// A peer by its SPIFFE id. Istio's form is `spiffe://DOMAIN/ns/NAMESPACE/sa/ACCOUNT`; another form
/// names the peer and no namespace.
fn peer(uri: &str) -> Principal {
    let mut parts = uri.strip_prefix("spiffe://").unwrap_or("").split('/').skip(1);
    let (namespace, account) = match (parts.next(), parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some("ns"), Some(namespace), Some("sa"), Some(account), None) => (namespace, account),
        _ => ("", ""),
    };
    Principal {
        rank: Rank::Peer,
        namespace: namespace.into(),
        service_account: account.into(),
        workload: "".into(),
        spiffe: Some(uri.into()),
    }
}

// === impl Role ===

impl Role {
    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Sidecar => "Sidecar",
            Role::Gateway => "Gateway",
        }
    }
}

// === impl Principal ===

impl Principal {
    /// One line that names the caller in records: a SPIFFE id, else `namespace/account`, else `anonymous`.
    pub fn name(&self) -> String {
        match (&self.spiffe, self.rank) {
            (Some(uri), _) => uri.to_string(),
            (None, Rank::Anonymous) => "anonymous".to_owned(),
            (None, _) => format!("{}/{}", self.namespace, self.service_account),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> Workload {
        Workload { namespace: "shop".into(), service_account: "cart".into(), name: "cart-1".into() }
    }

    fn named(role: Role, peer: Option<&str>) -> String {
        let facts = Facts { peer_uri: peer.map(str::to_owned), source: None };
        identify(role, &own(), &facts, std::iter::empty()).unwrap().name()
    }

    #[test]
    fn a_sidecar_is_its_own_workload_whatever_the_peer_says() {
        assert_eq!(named(Role::Sidecar, None), "shop/cart");
        assert_eq!(named(Role::Sidecar, Some("spiffe://d/ns/root/sa/admin")), "shop/cart");
    }

    #[test]
    fn a_gateway_believes_the_peer_certificate_and_nothing_else() {
        let nobody = identify(Role::Gateway, &own(), &Facts::default(), std::iter::empty());
        assert_eq!(nobody.unwrap_err().code, Code::InvalidApiKey);
        let facts = Facts { peer_uri: Some("spiffe://d/ns/search/sa/api".into()), source: None };
        let principal = identify(Role::Gateway, &own(), &facts, std::iter::empty()).unwrap();
        assert_eq!((&*principal.namespace, &*principal.service_account), ("search", "api"));
        let odd = Facts { peer_uri: Some("spiffe://d/ns/search/sa/api/extra".into()), source: None };
        assert_eq!(&*identify(Role::Gateway, &own(), &odd, std::iter::empty()).unwrap().namespace, "");
    }

    #[test]
    fn an_unknown_weir_key_is_refused_and_any_other_key_is_no_identity() {
        for value in ["sk-weir-abc", "Bearer sk-weir-abc", "bearer  sk-weir-abc", " Bearer\tsk-weir-abc"] {
            let refused = identify(Role::Sidecar, &own(), &Facts::default(), std::iter::once(value));
            assert_eq!(refused.unwrap_err().code, Code::InvalidApiKey, "{value}");
        }
        assert!(identify(Role::Sidecar, &own(), &Facts::default(), std::iter::once("Bearer sk-abc")).is_ok());
    }
}
