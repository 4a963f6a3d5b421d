//! [io] Envoy configuration on disk: each file is replaced by rename, clusters before the routes
//! that name them, so that a running Envoy never reads half a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::envoy::{BOOTSTRAP_FILE, CLUSTERS_FILE, Plan, ROUTES_FILE, bootstrap, clusters, routes};

/// Where systems keep the CA bundle; the first one also stands for "nowhere".
const CA_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Writes everything for a first start and returns the path for `--config-path`.
///
/// # Errors
/// When a file cannot be written or renamed.
pub fn write(plan: &Plan) -> io::Result<PathBuf> {
    update(plan)?;
    replace(plan.files, BOOTSTRAP_FILE, &bootstrap(plan))
}

/// Replaces clusters, then routes, under a running Envoy.
///
/// # Errors
/// When a file cannot be written or renamed; then the clusters may be new and the routes old.
pub fn update(plan: &Plan) -> io::Result<()> {
    replace(plan.files, CLUSTERS_FILE, &clusters(plan))?;
    replace(plan.files, ROUTES_FILE, &routes(plan))?;
    Ok(())
}

/// Replaces routes, then clusters, under a running Envoy: for a plan that only removes.
///
/// # Errors
/// As [`update`].
pub fn reduce(plan: &Plan) -> io::Result<()> {
    replace(plan.files, ROUTES_FILE, &routes(plan))?;
    replace(plan.files, CLUSTERS_FILE, &clusters(plan))?;
    Ok(())
}

/// The system's CA bundle, for [`Plan::system_ca`]. Where there is none it names a file that does
/// not exist: Envoy then refuses an https cluster, instead of not checking its certificate.
pub fn system_ca() -> PathBuf {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = CA_BUNDLES.iter().map(PathBuf::from);
    named.into_iter().chain(known).find(|path| path.is_file()).unwrap_or_else(|| PathBuf::from(CA_BUNDLES[0]))
}

fn replace(directory: &Path, name: &str, content: &Value) -> io::Result<PathBuf> {
    let path = directory.join(name);
    let fresh = directory.join(format!(".{name}.{}", std::process::id()));
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(content)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::render::envoy::{BodyMode, ExtProc};
    use crate::target::Upstream;

    fn written(directory: &Path, upstreams: &[Upstream], make: impl FnOnce(&Plan) -> io::Result<()>) {
        let any = ([127, 0, 0, 1], 0).into();
        let plan = Plan {
            listen: any,
            admin: any,
            extproc: ExtProc::Tcp(any),
            files: directory,
            access_log: None,
            system_ca: Path::new("/ca.pem"),
            body_mode: BodyMode::FullDuplex,
            max_request: 1024,
            max_wait: Duration::from_secs(240),
            upstreams,
            chains: &[],
            follows: false,
            node_id: "test",
            envoy_version: "1.40.0",
        };
        make(&plan).unwrap();
    }

    fn read(directory: &Path, name: &str) -> Value {
        serde_json::from_slice(&std::fs::read(directory.join(name)).unwrap()).unwrap()
    }

    #[test]
    fn files_are_replaced_whole_and_nothing_else_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        written(path, &[], |plan| {
            let config = write(plan)?;
            assert_eq!(config, path.join(BOOTSTRAP_FILE));
            Ok(())
        });
        let watched = read(path, BOOTSTRAP_FILE);
        let clusters_path = &watched["dynamic_resources"]["cds_config"]["path_config_source"]["path"];
        assert_eq!(Path::new(clusters_path.as_str().unwrap()), path.join(CLUSTERS_FILE));
        let before = read(path, CLUSTERS_FILE);
        let local = Upstream {
            name: "local".into(),
            https: false,
            host: "127.0.0.1".into(),
            port: 8000,
            ca: None,
            server_name: None,
        };
        written(path, &[local], update);
        assert_ne!(read(path, CLUSTERS_FILE)["version_info"], before["version_info"]);
        assert_eq!(read(path, CLUSTERS_FILE)["resources"][0]["name"], "local");
        let mut names: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [CLUSTERS_FILE, BOOTSTRAP_FILE, ROUTES_FILE]);
    }

    #[test]
    fn a_ca_bundle_is_always_named() {
        assert!(system_ca().is_absolute());
    }
}
