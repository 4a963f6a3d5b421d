//! What `weir render --mesh istio` writes: known fields alone, accepted by Envoy for every version, the same each time,
//! in an order that is safe; and what it refuses.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::failover;
use super::rig::{BACKENDS, Place, documents, render, rendering};
use crate::e2e::egress::envoy;
use crate::support::istio::{Proxy, kinds, of_kind, resources};

const VERSIONS: &[&str] = &["1.24", "1.25", "1.26", "1.27", "1.28", "1.29", "1.30", "1.31"];

async fn validate(config: &Path) {
    let mut command = Command::new(envoy().await);
    command.args(["--mode", "validate", "--log-level", "error", "--config-path"]).arg(config);
    let output = command.output().expect("Envoy starts");
    assert!(output.status.success(), "{}: {}", config.display(), String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn every_version_is_made_of_known_fields_and_envoy_takes_it() {
    let (place, several) = (Place::new(), Place::new());
    let forms = [
        ("Sidecar", Proxy::Sidecar, ("weir.dev/inject", "true")),
        ("Gateway", Proxy::Gateway, ("weir.dev/gateway", "egress")),
    ];
    for (role, proxy, label) in forms {
        let file = documents(place.directory.path(), role, BACKENDS);
        let several = documents(several.directory.path(), role, &failover::all());
        let each = VERSIONS.iter().map(|version| (version, &file)).chain([(&"1.30", &several), (&"1.31", &several)]);
        for (version, file) in each {
            let text = render(&["--istio-version", version, file.to_str().expect("text")]);
            let all = resources(&text);
            for resource in &all {
                let found = kinds::findings(resource);
                assert!(found.is_empty(), "{version}: {found:?} in {resource:#}");
            }
            assert!(all.len() >= 9, "{text}");
            let config = place.directory.file("validated.json");
            let patched = place.config(&all, proxy, &place.nowhere(), label);
            std::fs::write(&config, patched.to_string()).expect("a file of our own");
            validate(&config).await;
        }
    }
}

#[test]
fn files_are_what_stdout_says_in_an_order_that_opens_routes_last() {
    let place = Place::new();
    for (role, first, last) in
        [("Sidecar", "10-", "50-virtual-services.yaml"), ("Gateway", "10-", "60-to-the-gateway.yaml")]
    {
        let file = documents(place.directory.path(), role, BACKENDS);
        let out = place.directory.file(role);
        let arguments = ["--istio-version", "1.30", file.to_str().expect("text")];
        assert_eq!(render(&[&arguments[..], &["--out", out.to_str().expect("text")]].concat()), "");
        let mut names: Vec<String> = std::fs::read_dir(&out)
            .expect("a directory")
            .map(|entry| entry.expect("a file").file_name().into_string().expect("text"))
            .collect();
        names.sort();
        assert_eq!(names.remove(0), "00-README.md");
        assert!(names[0].starts_with(first) && names.last().is_some_and(|name| name == last), "{names:?}");
        let read = |name: &str| std::fs::read_to_string(out.join(name)).expect("it is written");
        let readme = read("00-README.md");
        let told: Vec<&str> = readme.lines().filter_map(|line| line.trim().strip_prefix("kubectl apply -f ")).collect();
        assert_eq!(told, names, "the order that is told is that of the names");
        let mut written: Vec<Value> = Vec::new();
        for name in &names {
            let text = read(name);
            assert!(text.starts_with("# "), "{name}: {text}");
            written.extend(resources(&text));
        }
        let text = render(&arguments);
        assert_eq!((&written, &text), (&resources(&text), &render(&arguments)), "{role}: twice the same");
        // What strips a forged backend is there before a route listens to one.
        let at = |kind: &str| written.iter().position(|resource| resource["kind"] == kind).expect("it is there");
        assert!(at("ServiceEntry") < at("EnvoyFilter") && at("EnvoyFilter") < at("VirtualService"));
    }
}

#[test]
fn nothing_but_the_labelled_pods_is_patched_and_no_cluster_of_a_provider() {
    let place = Place::new();
    let file = documents(place.directory.path(), "Sidecar", BACKENDS);
    let options = ["--istio-version", "1.30", "--selector", "llm=on", "--host", "ai.internal", "--namespace", "shop"];
    let all = resources(&render(&[&options[..], &[file.to_str().expect("text")]].concat()));
    assert!(all.iter().all(|resource| resource["metadata"]["namespace"] == "shop"));
    let unpatched = crate::support::istio::base(&all, Proxy::Sidecar, &place.nowhere());
    let other = place.config(&all, Proxy::Sidecar, &place.nowhere(), ("weir.dev/inject", "true"));
    assert_eq!(other, unpatched);
    let patched = place.config(&all, Proxy::Sidecar, &place.nowhere(), ("llm", "on"));
    let clusters = |config: &Value| config["static_resources"]["clusters"].as_array().expect("clusters").clone();
    let (before, after) = (clusters(&unpatched), clusters(&patched));
    assert_eq!((&before[..], after.len()), (&after[..before.len()], before.len() + 1));
    assert_eq!(of_kind(&all, "VirtualService")[0]["spec"]["hosts"][0], "ai.internal");
    // Of the listener that other calls come by as well, this much is changed.
    let manager = |config: &Value| {
        let listener = &config["static_resources"]["listeners"][0];
        listener["filter_chains"][0]["filters"][0]["typed_config"].as_object().expect("a manager").clone()
    };
    let (before, after) = (manager(&unpatched), manager(&patched));
    let changed: Vec<&String> =
        after.iter().filter(|(name, value)| before.get(*name) != Some(value)).map(|(name, _)| name).collect();
    let known =
        ["http_filters", "route_config", "early_header_mutation_extensions", "local_reply_config", "access_log"];
    assert_eq!(
        (changed, before["stream_idle_timeout"].as_str()),
        (known.map(str::to_owned).iter().collect(), Some("0s"))
    );
}

#[test]
fn what_cannot_be_attached_is_refused_with_what_to_do() {
    let place = Place::new();
    let at = place.directory.path();
    let service = "\napiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: vllm}\nspec: {endpoint: \
        'SCHEME://vllm.ml.svc.cluster.local:8000/v1', dialect: OpenAI, credentials: [{type: None}]}\n";
    let refused = |text: &str, options: &[&str], said: &str| {
        let file = documents(at, "Sidecar", text);
        let output = rendering(&[options, &[file.to_str().expect("text")]].concat()).output().expect("it starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && err.contains(said), "{options:?}: {err}");
    };
    let known = ["--istio-version", "1.30"];
    refused(BACKENDS, &["--istio-version", "1.19"], "1.24, 1.25, 1.26, 1.27, 1.28, 1.29, 1.30, 1.31");
    refused(BACKENDS, &[], "--istio-version");
    refused(BACKENDS, &[&known[..], &["--form", "egress-gateway"]].concat(), "role: Gateway");
    refused(BACKENDS, &[&known[..], &["--patch"]].concat(), "--patch is an option of --mesh envoy");
    refused(BACKENDS, &[&known[..], &["--host", "api.openai.com"]].concat(), "applications need a host of their own");
    refused(BACKENDS, &[&known[..], &["--selector", "llm"]].concat(), "KEY=VALUE");
    refused(&service.replace("SCHEME", "http"), &known, "targetPort: 8000");
    refused(&service.replace("SCHEME", "https"), &known, "say http");
    let mount = std::fs::read_to_string(documents(at, "Sidecar", BACKENDS)).expect("a file");
    std::fs::write(at.join("weir.yaml"), mount.replace("socketAccess: Mount, ", "")).expect("a file");
    let file = at.join("weir.yaml");
    let output = rendering(&["--istio-version", "1.30", file.to_str().expect("text")]).output().expect("it starts");
    assert!(String::from_utf8_lossy(&output.stderr).contains("socketAccess: Mount"));
    let other = ["render", "--mesh", "envoy", "--host", "x", file.to_str().expect("text")];
    let output = crate::support::process::weir(&other).output().expect("it starts");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("--host is an option of --mesh istio"), "{err}");
}
