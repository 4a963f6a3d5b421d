//! TLS as Envoy is told of it: towards providers, towards Weir, and towards callers. Pure.

use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::envoy::Plan;
use crate::target::Upstream;

/// How Envoy shows itself to a Weir that listens with mutual TLS, and whom it takes for Weir. The paths are
/// those of Envoy's machine.
#[derive(Clone, Copy, Debug)]
pub struct ToWeir<'a> {
    /// PEM: a certificate whose one URI name is among the listener's `peers`.
    pub certificate: &'a Path,
    pub key: &'a Path,
    /// PEM: the CA of Weir's own certificate.
    pub ca: &'a Path,
    /// The URI name that Weir's own certificate has.
    pub name: &'a str,
}

/// How Envoy shows itself to its callers, and whose certificates it wants of them: each caller must have one, and
/// Weir is told the URI name in it. The paths are those of Envoy's machine.
#[derive(Clone, Copy, Debug)]
pub struct FromCallers<'a> {
    /// PEM: Envoy's own certificate, and those that lead to its CA.
    pub certificate: &'a Path,
    pub key: &'a Path,
    /// PEM: the CA of callers.
    pub ca: &'a Path,
}

/// The server's certificate must be signed by the CA and name the host; an address is a name of
/// another kind and has no SNI.
pub(super) fn to_provider(plan: &Plan, upstream: &Upstream) -> Value {
    let name: &str = upstream.server_name.as_deref().unwrap_or(&upstream.host);
    let is_ip = name.parse::<IpAddr>().is_ok();
    let ca = match upstream.ca.as_deref() {
        Some(pem) if pem.contains("-----BEGIN") => json!({"inline_string": pem}),
        Some(path) => json!({"filename": path}),
        None => json!({"filename": plan.system_ca}),
    };
    let kind = if is_ip { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "@type": TYPE_TLS,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "validation_context": {
                "trusted_ca": ca,
                "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": name}}],
            },
        },
    });
    if !is_ip {
        context["sni"] = json!(name);
    }
    json!({"name": "envoy.transport_sockets.tls", "typed_config": context})
}

/// Weir is known by one URI name: any other certificate of the CA could otherwise play Weir and read prompts.
pub(super) fn to_weir(tls: ToWeir) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TYPE_TLS,
        "common_tls_context": {
            "alpn_protocols": ["h2"],
            "tls_certificates": [{
                "certificate_chain": {"filename": tls.certificate},
                "private_key": {"filename": tls.key},
            }],
            "validation_context": {
                "trusted_ca": {"filename": tls.ca},
                "match_typed_subject_alt_names": [{"san_type": "URI", "matcher": {"exact": tls.name}}],
            },
        },
    }})
}

/// Nobody comes in without a certificate: a caller that is nobody could only be refused later.
pub(super) fn from_callers(tls: FromCallers) -> Value {
    json!({"name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": TYPE_DOWNSTREAM_TLS,
        "require_client_certificate": true,
        "common_tls_context": {
            "alpn_protocols": ["h2", "http/1.1"],
            "tls_certificates": [{
                "certificate_chain": {"filename": tls.certificate},
                "private_key": {"filename": tls.key},
            }],
            "validation_context": {"trusted_ca": {"filename": tls.ca}},
        },
    }})
}

const TYPE_DOWNSTREAM_TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const TYPE_TLS: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
