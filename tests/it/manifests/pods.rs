//! What is in the pods: who mounts the socket and the keys, in which order containers start, what they may do, and
//! how they are asked how they are.

use serde_json::{Value, json};

use super::resolved::{all, of_kind, resolved, root, the};
use crate::support::kustomize;

/// A pod as it runs, and where it is from.
pub struct Pod {
    pub name: String,
    /// `initContainers`, `containers`, `volumes`, `securityContext`.
    pub spec: Value,
}

/// Containers of both kinds, in the order in which they start.
pub fn containers(spec: &Value) -> Vec<&Value> {
    let of = |field: &str| spec[field].as_array().map_or(&[][..], Vec::as_slice);
    of("initContainers").iter().chain(of("containers")).collect()
}

pub fn container<'a>(spec: &'a Value, name: &str) -> &'a Value {
    let found = containers(spec).into_iter().find(|container| container["name"] == name);
    found.unwrap_or_else(|| panic!("no container {name} in {spec:#}"))
}

/// Names of the containers that mount this volume.
pub fn mounted_by<'a>(spec: &'a Value, volume: &str) -> Vec<&'a str> {
    let mounts = |container: &&Value| {
        let mounts = container["volumeMounts"].as_array();
        mounts.is_some_and(|mounts| mounts.iter().any(|mount| mount["name"] == volume))
    };
    let mut names: Vec<&str> =
        containers(spec).into_iter().filter(mounts).filter_map(|container| container["name"].as_str()).collect();
    names.sort_unstable();
    names
}

/// What Istio's injector makes of a pod: it merges its templates, adds the volumes and mounts that annotations
/// name, and moves its own proxy to the front of the native sidecars.
fn injected(template: &Value) -> Value {
    let mut spec = template["spec"].clone();
    let annotations = &template["metadata"]["annotations"];
    let said = |name: &str| -> Vec<(String, Value)> {
        let text = annotations[name].as_str().unwrap_or("{}");
        let said: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}: {text}"));
        said.as_object().unwrap_or_else(|| panic!("{name}: {text}")).clone().into_iter().collect()
    };
    if annotations["inject.istio.io/templates"]
        .as_str()
        .is_some_and(|names| names.split(',').any(|name| name == "weir"))
    {
        let ours = template_of_values();
        for field in ["initContainers", "volumes"] {
            let mut items = ours["spec"][field].as_array().expect("a list").clone();
            items.extend(spec[field].as_array().cloned().unwrap_or_default());
            spec[field] = json!(items);
        }
    }
    let named = |(name, mut value): (String, Value)| {
        value["name"] = json!(name);
        value
    };
    let mounts: Vec<Value> = said("sidecar.istio.io/userVolumeMount").into_iter().map(named).collect();
    for volume in said("sidecar.istio.io/userVolume").into_iter().map(named) {
        let volumes = spec["volumes"].as_array_mut().expect("volumes");
        match volumes.iter().find(|old| old["name"] == volume["name"]) {
            Some(old) => assert_eq!(*old, volume, "the pod and the annotation say the same of a volume"),
            None => volumes.push(volume),
        }
    }
    let proxy = json!({"name": "istio-proxy", "restartPolicy": "Always", "volumeMounts": mounts});
    spec["initContainers"].as_array_mut().expect("init containers").insert(0, proxy);
    spec
}

/// The template of the values for Istio's chart.
fn template_of_values() -> Value {
    let path = root().join("mesh/kustomize/istio-injection-template/values.yaml");
    let values = kustomize::documents(&std::fs::read_to_string(path).expect("values")).remove(0);
    let template = values["sidecarInjectorWebhook"]["templates"]["weir"].as_str().expect("a template").to_owned();
    assert!(!template.contains("{{"), "it is what it says, whatever the pod: {template}");
    kustomize::documents(&template).remove(0)
}

/// Every pod that Weir is in, and those of the same kustomizations that it is not in.
pub fn pods() -> Vec<Pod> {
    let mut pods = Vec::new();
    for (name, documents) in all() {
        for document in &documents {
            let template = &document["spec"]["template"];
            let of = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let said = format!("{name}: {} {}", of(&document["kind"]), of(&document["metadata"]["name"]));
            if template["metadata"]["annotations"]["sidecar.istio.io/userVolumeMount"].is_string() {
                pods.push(Pod { name: said, spec: injected(template) });
            } else if template["spec"].is_object() {
                pods.push(Pod { name: said, spec: template["spec"].clone() });
            }
        }
        for proxy in of_kind(&documents, "EnvoyProxy") {
            let deployment = &proxy["spec"]["provider"]["kubernetes"]["envoyDeployment"];
            let mut envoy = deployment["container"].clone();
            envoy["name"] = json!("envoy");
            let init = &deployment["initContainers"];
            let volumes = &deployment["pod"]["volumes"];
            let spec = json!({"initContainers": init, "containers": [envoy], "volumes": volumes});
            pods.push(Pod { name: format!("{name}: EnvoyProxy"), spec });
        }
    }
    pods
}

fn has_weir(pod: &Pod) -> bool {
    containers(&pod.spec).iter().any(|container| container["name"] == "weir")
}

#[test]
fn the_socket_is_mounted_into_the_proxy_and_weir_alone() {
    let pods = pods();
    let with: Vec<&Pod> = pods.iter().filter(|pod| has_weir(pod)).collect();
    assert_eq!(with.len(), 6, "{:?}", pods.iter().map(|pod| &pod.name).collect::<Vec<_>>());
    for Pod { name, spec, .. } in with {
        let mounted = mounted_by(spec, "weir-sock");
        assert!(mounted == ["envoy", "weir"] || mounted == ["istio-proxy", "weir"], "{name}: {mounted:?}");
        let volumes: Vec<&Value> = spec["volumes"]
            .as_array()
            .expect("volumes")
            .iter()
            .filter(|volume| volume["name"] == "weir-sock")
            .collect();
        assert_eq!(volumes, [&json!({"name": "weir-sock", "emptyDir": {"medium": "Memory"}})], "{name}");
    }
    let without: Vec<&Pod> = pods.iter().filter(|pod| !has_weir(pod)).collect();
    assert_eq!(without.len(), 1, "the one that does not ask for Weir");
    assert_eq!(without[0].spec["volumes"], Value::Null);
}

#[test]
fn keys_are_mounted_into_weir_alone_and_no_variable_holds_one() {
    for Pod { name, spec, .. } in &pods() {
        for volume in spec["volumes"].as_array().into_iter().flatten() {
            let volume_name = volume["name"].as_str().expect("a name");
            let holds_keys = volume["projected"]["sources"].to_string().contains("\"secret\"");
            // What Envoy shows to callers is Envoy's own.
            let expected: Option<&[&str]> = match (holds_keys, volume["secret"]["secretName"].as_str()) {
                (true, None) => Some(&["weir"]),
                (false, Some("weir-gateway-tls")) => Some(&["envoy"]),
                (false, None) => None,
                (_, Some(other)) => panic!("{name}: whose is Secret {other}?"),
            };
            if let Some(expected) = expected {
                assert_eq!(mounted_by(spec, volume_name), expected, "{name}: {volume_name}");
            }
        }
        for container in containers(spec) {
            assert!(!container["env"].to_string().contains("secretKeyRef"), "{name}: {container}");
            assert_eq!(container["envFrom"], Value::Null, "{name}");
        }
    }
    let sidecar = resolved("example-sidecar");
    assert!(!the(&sidecar, "Deployment").to_string().contains("ecretName"), "a sidecar before a gateway has no key");
    assert!(!the(&sidecar, "Deployment").to_string().contains("weir-secrets"));
}

/// What holds for a container: its own word, else the pod's.
fn security<'a>(spec: &'a Value, container: &'a Value, field: &str) -> &'a Value {
    let own = &container["securityContext"][field];
    if own.is_null() { &spec["securityContext"][field] } else { own }
}

#[test]
fn no_container_of_ours_is_root_or_can_become_more_than_it_is() {
    let mut seen = 0;
    for Pod { name, spec, .. } in pods().iter().filter(|pod| has_weir(pod)) {
        // Of Istio's and Envoy Gateway's own proxies these say themselves what they may do.
        let ours = |container: &&Value| container["securityContext"].is_object();
        for container in containers(spec).into_iter().filter(ours) {
            seen += 1;
            let uid = match container["name"].as_str() {
                Some("istio-proxy") => 1337,
                Some("web") => 1000,
                _ => 65532,
            };
            let what = format!("{name}: {}", container["name"]);
            assert_eq!(security(spec, container, "runAsNonRoot"), true, "{what}");
            assert_eq!(security(spec, container, "runAsUser"), uid, "{what}");
            assert_eq!(security(spec, container, "readOnlyRootFilesystem"), true, "{what}");
            assert_eq!(security(spec, container, "allowPrivilegeEscalation"), false, "{what}");
            assert_eq!(*security(spec, container, "capabilities"), json!({"drop": ["ALL"]}), "{what}");
            assert_eq!(*security(spec, container, "seccompProfile"), json!({"type": "RuntimeDefault"}), "{what}");
        }
        assert!(container(spec, "weir")["securityContext"].is_object(), "{name}");
    }
    assert_eq!(seen, 10);
}

#[test]
fn weir_is_a_native_sidecar_that_starts_before_what_calls_it() {
    for Pod { name, spec, .. } in pods().iter().filter(|pod| has_weir(pod)) {
        let weir = container(spec, "weir");
        assert_eq!(weir["restartPolicy"], "Always", "{name}");
        assert_eq!(weir["startupProbe"]["httpGet"]["port"], "weir-metrics", "{name}");
        assert_eq!(weir["livenessProbe"], Value::Null, "{name}: what live streams depend on is not killed for a probe");
        let order: Vec<&str> = spec["initContainers"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|init| init["name"].as_str())
            .collect();
        let expected: &[&str] = match name.as_str() {
            "example-sidecar: Deployment web" => &["istio-proxy", "weir", "migrate"],
            "injected: StatefulSet one" => &["istio-proxy", "weir"],
            _ => &["weir"],
        };
        assert_eq!(order, expected, "{name}");
        // In a sidecar nothing takes the application out of its service; a gateway is the service.
        let is_sidecar = order.len() > 1;
        assert_eq!(weir["readinessProbe"].is_null(), is_sidecar, "{name}");
        assert_eq!(weir["startupProbe"]["httpGet"]["path"], if is_sidecar { "/readyz" } else { "/healthz" }, "{name}");
    }
}

#[test]
fn the_template_for_istios_injector_is_the_container_of_the_component() {
    let path = root().join("mesh/kustomize/sidecar/pod.yaml");
    let patch = kustomize::documents(&std::fs::read_to_string(path).expect("a patch")).remove(0);
    assert_eq!(template_of_values()["spec"], patch["spec"]["template"]["spec"]);
    let (pod, other) = (resolved("injected"), resolved("example-sidecar"));
    let of = |documents: &[Value], kind: &str| the(documents, kind)["spec"]["template"]["metadata"].clone();
    let (asking, component) = (of(&pod, "StatefulSet"), of(&other, "Deployment"));
    for name in [
        "sidecar.istio.io/userVolume",
        "sidecar.istio.io/userVolumeMount",
        "traffic.sidecar.istio.io/excludeInboundPorts",
    ] {
        assert_eq!(asking["annotations"][name], component["annotations"][name], "{name}");
    }
    assert_eq!(asking["annotations"]["inject.istio.io/templates"], "sidecar,weir");
    assert_eq!(asking["annotations"]["kept"], "yes");
    assert_eq!([&asking["labels"]["weir.dev/inject"], &component["labels"]["weir.dev/inject"]], ["true", "true"]);
}
