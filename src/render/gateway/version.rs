//! Versions of Envoy Gateway: what each can be told, and how it names the resources of its proxies. Pure.

use std::fmt;
use std::str::FromStr;

use super::NAME;
use crate::render::since::{BODY_LIMIT, CONTENT_LENGTH};

/// A version that resources can be rendered for: 1.5 to 1.9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u8);

/// How Envoy Gateway names listeners and route tables; its runtime flag `XDSNameSchemeV2` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// By the Gateway: the default up to 1.9.
    Gateway,
    /// By the port.
    Port,
}

/// A version that is none of those.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no version of Envoy Gateway that resources can be rendered for; say one of 1.5 to 1.9")]
pub struct VersionError(String);

const FIRST: u8 = 5;
const LAST: u8 = 9;
/// From one minor version to the next Envoy Gateway moves to the next Envoy.
const ENVOY_AHEAD: u8 = 30;

// === impl Version ===

impl Version {
    /// The newest.
    pub const LATEST: Version = Version(LAST);

    /// The Envoy that it runs unless told otherwise.
    pub fn envoy(self) -> String {
        format!("1.{}", self.envoy_minor())
    }

    fn envoy_minor(self) -> u16 {
        u16::from(self.0 + ENVOY_AHEAD)
    }

    /// BackendTLSPolicy left the experimental channel of Gateway API with its version 1.4.
    pub(super) fn tls_policy(self) -> &'static str {
        if self.0 >= 6 { "gateway.networking.k8s.io/v1" } else { "gateway.networking.k8s.io/v1alpha3" }
    }

    /// A route says how much of a body is kept for a retry.
    pub(super) fn route_has_body_limit(self) -> bool {
        BODY_LIMIT.is_in(self.envoy_minor())
    }

    /// The processor may say the length of a body.
    pub(super) fn filter_allows_length(self) -> bool {
        CONTENT_LENGTH.is_in(self.envoy_minor())
    }

    /// Connections to a backend are asked whether they live (`http2.connectionKeepalive`).
    pub(super) fn has_keepalive(self) -> bool {
        self.0 >= 8
    }

    /// `statusOnError` of an external processor.
    pub(super) fn has_status_on_error(self) -> bool {
        self.0 >= 9
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// With or without a leading `v` and a patch version.
impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let error = || VersionError(text.to_owned());
        let mut pieces = text.trim_start_matches('v').split('.');
        let (Some("1"), Some(minor)) = (pieces.next(), pieces.next()) else { return Err(error()) };
        match minor.parse() {
            Ok(minor) if (FIRST..=LAST).contains(&minor) => Ok(Version(minor)),
            _ => Err(error()),
        }
    }
}

// === impl Names ===

impl Names {
    /// The listener of the Gateway.
    pub fn listener(self, namespace: &str, port: u16) -> String {
        match self {
            Names::Gateway => format!("{namespace}/{NAME}/http"),
            Names::Port => format!("tcp-{port}"),
        }
    }

    /// Its route table.
    pub fn routes(self, namespace: &str, port: u16) -> String {
        match self {
            Names::Gateway => format!("{namespace}/{NAME}/http"),
            Names::Port => format!("http-{port}"),
        }
    }
}

/// The filter that asks Weir.
pub fn filter(namespace: &str) -> String {
    format!("envoy.filters.http.ext_proc/{}", process_cluster(namespace))
}

/// The cluster through which it does.
pub fn process_cluster(namespace: &str) -> String {
    format!("envoyextensionpolicy/{namespace}/{NAME}/extproc/0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_that_are_known() {
        assert_eq!("1.9".parse(), Ok(Version::LATEST));
        assert_eq!("v1.5.2".parse(), Ok(Version(5)));
        assert_eq!("1.8".parse::<Version>().map(Version::envoy), Ok("1.38".to_owned()));
        for wrong in ["1.4", "1.10", "2.7", "1", "", "1.x", "latest"] {
            assert!(wrong.parse::<Version>().is_err_and(|error| error.to_string().contains("1.5 to 1.9")), "{wrong}");
        }
    }
}
