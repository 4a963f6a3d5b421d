//! Which Envoy each Istio has, and so what may be asked of it. Pure.

use std::fmt;

use serde_json::{Map, Value};

use crate::render::envoy::BodyMode;
use crate::render::since::{ANOTHER_CLUSTER, BODY_LIMIT, FIELDS, FULL_DUPLEX};

/// A release of Istio, control plane and proxy alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    /// Of `1.N`.
    istio: u16,
    /// Of `1.N`: the release branch of Envoy that the proxy is built from.
    envoy: u16,
}

/// Of no version of the table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("--istio-version: {0:?} is not known here; the ones known are {known}", known = known())]
pub struct UnknownVersion(String);

/// From Istio's page of supported releases, and its archived ones. One that is not here may name its routes and
/// its listeners otherwise.
const VERSIONS: &[Version] = &[
    Version { istio: 24, envoy: 32 },
    Version { istio: 25, envoy: 33 },
    Version { istio: 26, envoy: 34 },
    Version { istio: 27, envoy: 35 },
    Version { istio: 28, envoy: 36 },
    Version { istio: 29, envoy: 37 },
    Version { istio: 30, envoy: 38 },
    Version { istio: 31, envoy: 39 },
];

/// The first Istio that finds a virtual host by its domain. In others it has the name `HOST:PORT`.
const DOMAIN_NAMES: u16 = 26;

// === impl Version ===

impl Version {
    /// By `1.30` or `1.30.2`: a patch release changes nothing here.
    ///
    /// # Errors
    /// Names the versions that there are.
    pub fn parse(text: &str) -> Result<Version, UnknownVersion> {
        let mut parts = text.split('.');
        let minor = (parts.next() == Some("1")).then(|| parts.next()?.parse::<u16>().ok()).flatten();
        let rest_is_a_patch = parts.next().is_none_or(|patch| patch.parse::<u16>().is_ok()) && parts.next().is_none();
        let found = VERSIONS.iter().find(|version| rest_is_a_patch && Some(version.istio) == minor);
        found.copied().ok_or_else(|| UnknownVersion(text.to_owned()))
    }

    /// All that are known, the oldest first.
    pub fn all() -> impl Iterator<Item = Version> {
        VERSIONS.iter().copied()
    }

    /// The version of Envoy, as Weir is told it.
    pub fn envoy(self) -> String {
        format!("1.{}", self.envoy)
    }

    /// How bodies come to Weir: where Weir cannot speak at any time, Envoy holds the request for it.
    pub fn body_mode(self) -> BodyMode {
        if self.envoy >= FULL_DUPLEX { BodyMode::FullDuplex } else { BodyMode::BufferedStreamed }
    }

    /// A long body is held for another attempt where its route says so.
    pub fn retries_long_bodies(self) -> bool {
        BODY_LIMIT.is_in(self.envoy) || self.body_mode() != BodyMode::FullDuplex
    }

    /// One call can be tried at several backends.
    pub fn fails_over(self) -> bool {
        self.envoy >= ANOTHER_CLUSTER
    }

    pub(super) fn matches_domains(self) -> bool {
        self.istio >= DOMAIN_NAMES
    }

    /// The patch without what this Envoy does not have: a control plane without a field drops it in silence.
    pub(super) fn only_known(self, mut value: Value) -> Value {
        for unknown in FIELDS.iter().filter(|field| !field.is_in(self.envoy)) {
            let Some((parent, field)) = unknown.pointer.rsplit_once('/') else { continue };
            if let Some(parent) = value.pointer_mut(parent).and_then(Value::as_object_mut) {
                Map::shift_remove(parent, field);
            }
        }
        value
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.istio)
    }
}

fn known() -> String {
    VERSIONS.iter().map(Version::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_version_is_known_by_its_minor_and_another_names_those_that_are() {
        assert_eq!(Version::parse("1.30").unwrap().envoy(), "1.38");
        assert_eq!(Version::parse("1.24.6").unwrap().body_mode(), BodyMode::BufferedStreamed);
        for text in ["1.23", "1.99", "2.30", "1", "", "1.30.x", "1.30.1.2", "v1.30"] {
            let said = Version::parse(text).unwrap_err().to_string();
            assert!(
                said.contains(&format!("{text:?}")) && said.contains("1.24, 1.25,") && said.ends_with("1.31"),
                "{said}"
            );
        }
        for version in Version::all() {
            assert_eq!(Version::parse(&version.to_string()).unwrap(), version);
        }
    }

    #[test]
    fn the_last_of_them_alone_can_try_one_call_at_several_backends() {
        let able: Vec<String> =
            Version::all().filter(|version| version.fails_over()).map(|version| version.to_string()).collect();
        assert_eq!(able, ["1.31"]);
    }

    #[test]
    fn what_an_older_envoy_does_not_have_is_left_out() {
        let filter = json!({"status_on_error": {"code": 503}, "allow_content_length_header": true, "kept": 1});
        let by = |text: &str| Version::parse(text).unwrap().only_known(filter.clone());
        assert_eq!(by("1.27"), json!({"kept": 1}));
        assert_eq!(by("1.29"), json!({"status_on_error": {"code": 503}, "kept": 1}));
        assert_eq!(by("1.30"), filter);
    }
}
