//! The families about the configuration: how often it was loaded, when, and which one is in force.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{InForce, Loaded};

/// Loads of the configuration and of secrets. The first load of a process counts too.
#[derive(Debug)]
pub struct Loads {
    success: Counter,
    refused: Counter,
    last_success: Gauge,
    in_force: Family<InForce, Gauge>,
    secrets: Counter,
    secrets_kept: Gauge,
}

// === impl Loads ===

impl Loads {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let loads = super::family::<Loaded>(registry, "weir_config_reloads", "Loads of the configuration, by result");
        let in_force = Family::<InForce, Gauge>::default();
        registry.register("weir_config_in_force", "1 for the hash of the configuration in force", in_force.clone());
        Loads {
            success: loads.get_or_create_owned(&Loaded { result: "success" }),
            refused: loads.get_or_create_owned(&Loaded { result: "refused" }),
            last_success: super::gauge(
                registry,
                "weir_config_last_success_timestamp_seconds",
                "When a configuration was put in force last, in seconds since the Unix epoch; 0 for never",
            ),
            in_force,
            secrets: super::counter(registry, "weir_secret_reloads", "Times a key in a file was found to have changed"),
            secrets_kept: super::gauge(
                registry,
                "weir_secrets_kept",
                "Files whose key is gone or unusable, so that the one before stays in use",
            ),
        }
    }

    /// A configuration is in force since `unix_seconds`.
    pub fn succeeded(&self, hash: &str, unix_seconds: u64) {
        self.success.inc();
        self.last_success.set(i64::try_from(unix_seconds).unwrap_or(i64::MAX));
        // One series at any time.
        self.in_force.clear();
        self.in_force.get_or_create_owned(&InForce { hash: hash.into() }).set(1);
    }

    /// A configuration was refused, and the one before stays in force.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// Keys were read anew.
    pub fn secrets_changed(&self) {
        self.secrets.inc();
    }

    /// How many keys are in use that their files do not hold any more.
    pub fn secrets_kept(&self, files: usize) {
        self.secrets_kept.set(i64::try_from(files).unwrap_or(i64::MAX));
    }
}
