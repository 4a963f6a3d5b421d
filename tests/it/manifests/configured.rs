//! The documents in the ConfigMaps: each is valid, fits the pod that it is mounted into, and Envoy's own
//! configuration beside it is what `weir render` makes of it.

use std::path::Path;

use serde_json::Value;
use weir::app;
use weir::config::{Bootstrap, Checked, Listen, Options, SocketAccess, Source};

use super::pods::{container, pods};
use super::resolved::{all, of_kind, root};
use crate::support::process;

/// What the pages say: idle, and for each stream.
const IDLE: f64 = 18.5 * MIB;
const STREAM: f64 = 19.7 * 1024.0;
const MIB: f64 = 1024.0 * 1024.0;

/// As the pages of `mesh/` tell it to be called.
pub const RENDER: &[&str] = &[
    "--ca-file",
    "/etc/ssl/certs/ca-certificates.crt",
    "--server-certificate",
    "/run/secrets/tls/tls.crt",
    "--server-key",
    "/run/secrets/tls/tls.key",
    "--callers-ca",
    "/run/secrets/tls/ca.crt",
];

fn check(name: &str, text: &str) -> Checked {
    let source = Source { files: vec![(name.to_owned(), text.to_owned())], ..Source::default() };
    app::check(&source, &Options { secrets_dir: Some("/nowhere".into()), ..Options::default() }, None)
}

/// Names and texts of all documents in ConfigMaps.
fn configured() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, documents) in all() {
        for map in of_kind(&documents, "ConfigMap") {
            let text = map["data"]["weir.yaml"].as_str().expect("documents of Weir").to_owned();
            found.push((name.to_owned(), text));
        }
    }
    found
}

fn bootstrap(name: &str, text: &str) -> Bootstrap {
    check(name, text).compiled.unwrap_or_else(|| panic!("{name}")).bootstrap
}

#[test]
fn every_configuration_is_valid_and_can_be_run() {
    let configured = configured();
    assert_eq!(configured.len(), 6, "{configured:?}");
    for (name, text) in &configured {
        let checked = check(name, text);
        assert!(
            checked.errors.is_empty() && checked.notes.is_empty(),
            "{name}: {:?} {:?}",
            checked.errors,
            checked.notes
        );
        assert!(checked.compiled.is_some(), "{name}");
    }
    assert!(!check("broken", &configured[0].1.replace("role: ", "roll: ")).errors.is_empty());
}

/// The mount under which a path is.
fn mounted_at<'a>(weir: &'a Value, path: &Path) -> &'a str {
    let mounts = weir["volumeMounts"].as_array().expect("mounts");
    let found = mounts.iter().find(|mount| path.starts_with(mount["mountPath"].as_str().expect("a path")));
    found.unwrap_or_else(|| panic!("nothing is mounted at {}", path.display()))["name"].as_str().expect("a name")
}

#[test]
fn sockets_ports_and_memory_of_a_configuration_fit_its_pod() {
    for (name, text) in configured() {
        let bootstrap = bootstrap(&name, &text);
        let begin = format!("{name}: ");
        let pods = pods();
        let pod = pods.iter().find(|pod| pod.name.starts_with(&begin)).unwrap_or_else(|| panic!("{name}"));
        let weir = container(&pod.spec, "weir");
        let Listen::Unix(socket) = &bootstrap.listen.ext_proc else { panic!("{name}: {bootstrap:?}") };
        assert_eq!(mounted_at(weir, socket), "weir-sock", "{name}");
        // Whoever opens the proxy's container finds no admin socket there.
        assert_eq!(mounted_at(weir, &bootstrap.listen.admin_socket), "weir-state", "{name}");
        assert!(bootstrap.ledger.is_none_or(|path| mounted_at(weir, &path) == "weir-state"), "{name}");
        assert_eq!(weir["ports"][0]["containerPort"], u64::from(bootstrap.listen.metrics.port), "{name}");
        let mount = &weir["volumeMounts"][0]["mountPath"];
        let is_direct = socket.parent() == mount.as_str().map(Path::new);
        let expected = match pod.spec.to_string().contains("istio-proxy") {
            // Of another uid.
            true => (0o666, SocketAccess::Mount, true),
            // Envoy Gateway names one path for all; the base has a directory of its own.
            false if name == "envoy-gateway" => (0o600, SocketAccess::Mount, true),
            false => (0o600, SocketAccess::Directory, false),
        };
        assert_eq!((bootstrap.listen.socket_mode, bootstrap.listen.socket_access, is_direct), expected, "{name}");
        let overload = bootstrap.overload;
        let most = IDLE + STREAM * overload.max_exchanges as f64 + overload.max_buffered as f64;
        let limit = weir["resources"]["limits"]["memory"].as_str().expect("a limit");
        let limit = match limit.strip_suffix("Gi") {
            Some(gib) => gib.parse::<f64>().expect("a number") * 1024.0 * MIB,
            None => limit.strip_suffix("Mi").expect("MiB").parse::<f64>().expect("a number") * MIB,
        };
        assert!(most < limit, "{name}: {most} of {limit}");
    }
}

#[test]
fn envoys_configuration_is_made_of_the_documents_beside_it() {
    for directory in ["mesh/kustomize/gateway", "examples/egress-gateway/gateway"] {
        let at = root().join(directory);
        let documents = at.join("weir.yaml");
        let arguments = [&["render", "--mesh", "envoy", documents.to_str().expect("text")], RENDER].concat();
        let output = process::weir(&arguments).output().expect("it starts");
        let made = String::from_utf8(output.stdout).expect("text");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let path = at.join("envoy.yaml");
        if std::env::var_os("WEIR_BLESS").is_some() {
            std::fs::write(&path, &made).expect("it can be written");
        }
        let kept = std::fs::read_to_string(&path).expect("Envoy's configuration");
        assert!(made == kept, "{directory}: envoy.yaml is not what is rendered (WEIR_BLESS=1 writes it anew)");
    }
}
