//! The fields of Istio's resources that ours use, with their types: a field that is not here, or of another type, is a
//! finding. The schemas of the resources know more; a field is added here when it was looked up there.

use serde_json::Value;

/// A type of a field. `[]` in a path is each item of a list, `{}` each value of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    /// Text such as `5s`.
    Duration,
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Envoy's own configuration, which Envoy checks.
    Envoy,
}
use Type::{Duration, Envoy, Number, Text, Word};

struct Kind {
    name: &'static str,
    version: &'static str,
    fields: &'static [(&'static str, Type)],
    required: &'static [&'static str],
}

const COMMON: &[(&str, Type)] =
    &[("apiVersion", Text), ("kind", Text), ("metadata.name", Text), ("metadata.namespace", Text)];

const KINDS: &[Kind] = &[
    Kind {
        name: "ServiceEntry",
        version: "networking.istio.io/v1",
        fields: &[
            ("spec.hosts[]", Text),
            ("spec.addresses[]", Text),
            ("spec.exportTo[]", Text),
            ("spec.location", Word(&["MESH_EXTERNAL", "MESH_INTERNAL"])),
            ("spec.resolution", Word(&["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"])),
            ("spec.ports[].number", Number),
            ("spec.ports[].name", Text),
            ("spec.ports[].protocol", Word(&["HTTP", "HTTPS", "HTTP2", "TLS", "TCP"])),
            ("spec.ports[].targetPort", Number),
            ("spec.endpoints[].address", Text),
            ("spec.endpoints[].labels{}", Text),
        ],
        required: &["hosts", "ports", "resolution"],
    },
    Kind {
        name: "DestinationRule",
        version: "networking.istio.io/v1",
        fields: &[
            ("spec.host", Text),
            ("spec.exportTo[]", Text),
            ("spec.trafficPolicy.connectionPool.tcp.maxConnections", Number),
            ("spec.trafficPolicy.connectionPool.tcp.connectTimeout", Duration),
            ("spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.probes", Number),
            ("spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.time", Duration),
            ("spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.interval", Duration),
            ("spec.trafficPolicy.connectionPool.http.http1MaxPendingRequests", Number),
            ("spec.trafficPolicy.connectionPool.http.http2MaxRequests", Number),
            ("spec.trafficPolicy.connectionPool.http.maxRetries", Number),
            ("spec.trafficPolicy.outlierDetection.consecutive5xxErrors", Number),
            ("spec.trafficPolicy.outlierDetection.interval", Duration),
            ("spec.trafficPolicy.outlierDetection.baseEjectionTime", Duration),
            ("spec.trafficPolicy.outlierDetection.maxEjectionPercent", Number),
            ("spec.subsets[].name", Text),
            ("spec.subsets[].labels{}", Text),
            ("spec.subsets[].trafficPolicy.outlierDetection.consecutive5xxErrors", Number),
            ("spec.trafficPolicy.tls.mode", Word(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])),
            ("spec.trafficPolicy.tls.sni", Text),
            ("spec.trafficPolicy.tls.subjectAltNames[]", Text),
            ("spec.trafficPolicy.tls.caCertificates", Text),
        ],
        required: &["host"],
    },
    Kind {
        name: "VirtualService",
        version: "networking.istio.io/v1",
        fields: &[
            ("spec.hosts[]", Text),
            ("spec.gateways[]", Text),
            ("spec.exportTo[]", Text),
            ("spec.http[].name", Text),
            ("spec.http[].match[].headers{}.exact", Text),
            ("spec.http[].headers.request.remove[]", Text),
            ("spec.http[].timeout", Duration),
            ("spec.http[].retries.attempts", Number),
            ("spec.http[].route[].destination.host", Text),
            ("spec.http[].route[].destination.port.number", Number),
            ("spec.http[].route[].destination.subset", Text),
            ("spec.http[].route[].weight", Number),
            ("spec.http[].directResponse.status", Number),
        ],
        required: &["hosts", "http"],
    },
    Kind {
        name: "Gateway",
        version: "networking.istio.io/v1",
        fields: &[
            ("spec.selector{}", Text),
            ("spec.servers[].port.number", Number),
            ("spec.servers[].port.name", Text),
            ("spec.servers[].port.protocol", Word(&["HTTP", "HTTPS", "TLS", "TCP"])),
            ("spec.servers[].hosts[]", Text),
            ("spec.servers[].tls.mode", Word(&["SIMPLE", "MUTUAL", "ISTIO_MUTUAL", "PASSTHROUGH"])),
        ],
        required: &["selector", "servers"],
    },
    Kind {
        name: "EnvoyFilter",
        version: "networking.istio.io/v1alpha3",
        fields: &[
            ("spec.workloadSelector.labels{}", Text),
            (
                "spec.configPatches[].applyTo",
                Word(&["LISTENER", "NETWORK_FILTER", "HTTP_FILTER", "VIRTUAL_HOST", "HTTP_ROUTE", "CLUSTER"]),
            ),
            ("spec.configPatches[].match.context", Word(&["SIDECAR_OUTBOUND", "GATEWAY"])),
            ("spec.priority", Number),
            ("spec.configPatches[].match.cluster.service", Text),
            ("spec.configPatches[].match.cluster.portNumber", Number),
            ("spec.configPatches[].match.cluster.subset", Text),
            ("spec.configPatches[].match.listener.portNumber", Number),
            ("spec.configPatches[].match.listener.filterChain.filter.name", Text),
            ("spec.configPatches[].match.listener.filterChain.filter.subFilter.name", Text),
            ("spec.configPatches[].match.routeConfiguration.name", Text),
            ("spec.configPatches[].match.routeConfiguration.vhost.name", Text),
            ("spec.configPatches[].match.routeConfiguration.vhost.domainName", Text),
            ("spec.configPatches[].match.routeConfiguration.vhost.route.name", Text),
            ("spec.configPatches[].patch.operation", Word(&["ADD", "MERGE", "INSERT_BEFORE"])),
            ("spec.configPatches[].patch.value", Envoy),
        ],
        required: &["workloadSelector", "configPatches"],
    },
];

/// Everything in the resource that its kind does not have, with its place.
pub fn findings(resource: &Value) -> Vec<String> {
    let Some(kind) = KINDS.iter().find(|kind| resource["kind"] == kind.name) else {
        return vec![format!("no kind {}", resource["kind"])];
    };
    let mut found = Vec::new();
    if resource["apiVersion"] != kind.version {
        found.push(format!("apiVersion {}: {} is of {}", resource["apiVersion"], kind.name, kind.version));
    }
    for field in kind.required {
        if resource["spec"].get(field).is_none() {
            found.push(format!("spec.{field} is missing"));
        }
    }
    let name = resource["metadata"]["name"].as_str().unwrap_or_default();
    if !is_name(name) {
        found.push(format!("metadata.name {name:?} is no name"));
    }
    walk(kind, String::new(), resource, &mut found);
    found
}

/// A DNS subdomain.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let ends = [label.chars().next(), label.chars().last()];
        ends.iter().all(|end| end.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit()))
            && label.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn walk(kind: &Kind, path: String, value: &Value, found: &mut Vec<String>) {
    if let Some((_, known)) = COMMON.iter().chain(kind.fields).find(|(field, _)| *field == path) {
        if !is_of(*known, value) {
            found.push(format!("{path}: {value} is not {known:?}"));
        }
        return;
    }
    match value {
        Value::Object(fields) => {
            let is_map = kind.fields.iter().any(|(field, _)| field.starts_with(&format!("{path}{{}}")));
            for (name, value) in fields {
                let step = if is_map {
                    "{}".to_owned()
                } else if path.is_empty() {
                    name.clone()
                } else {
                    format!(".{name}")
                };
                walk(kind, format!("{path}{step}"), value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| walk(kind, format!("{path}[]"), item, found)),
        _ => found.push(format!("{path}: {} has no such field ({value})", kind.name)),
    }
}

fn is_of(known: Type, value: &Value) -> bool {
    match known {
        Text => value.as_str().is_some_and(|text| !text.is_empty()),
        Number => value.is_u64(),
        Duration => {
            value.as_str().and_then(|text| text.strip_suffix('s')).is_some_and(|text| text.parse::<u64>().is_ok())
        }
        Word(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Envoy => value.is_object(),
    }
}

#[test]
fn a_typo_is_a_finding_and_so_is_another_type() {
    let good = serde_json::json!({
        "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "a.b"},
        "spec": {"hosts": ["h"], "resolution": "DNS", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]},
    });
    assert_eq!(findings(&good), Vec::<String>::new());
    for (pointer, value) in [
        ("/spec/host", serde_json::json!(["h"])),
        ("/spec/resolution", "dns".into()),
        ("/spec/ports/0/number", "80".into()),
        ("/metadata/name", "A/b".into()),
        ("/kind", "ServiceEntries".into()),
        ("/apiVersion", "networking.istio.io/v1beta1".into()),
        ("/spec/hosts", "h".into()),
    ] {
        let mut bad = good.clone();
        let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
        bad.pointer_mut(parent).expect("a parent")[field] = value;
        assert_ne!(findings(&bad), Vec::<String>::new(), "{pointer}");
    }
}
