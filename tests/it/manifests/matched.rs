//! Resources that refer to one another: selectors and labels, ports and their names, who may connect where.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::pods::{container, containers};
use super::resolved::{of_kind, resolved, the};

const GATEWAYS: [&str; 3] = ["gateway", "gateway-istio", "example-gateway"];

/// True where these labels are all among those.
fn selects(selector: &Value, labels: &Value) -> bool {
    let wanted = selector.as_object().expect("a selector");
    assert!(!wanted.is_empty(), "a selector that selects everything");
    wanted.iter().all(|(name, value)| labels[name] == *value)
}

/// Names of all ports of a pod.
fn ports(spec: &Value) -> Vec<(&str, u64)> {
    let of = |container: &'_ Value| container["ports"].as_array().cloned().unwrap_or_default();
    let pairs = containers(spec).into_iter().flat_map(|container| {
        let count = of(container).len();
        (0..count).map(move |at| &container["ports"][at])
    });
    pairs
        .map(|port| (port["name"].as_str().expect("a name"), port["containerPort"].as_u64().expect("a number")))
        .collect()
}

#[test]
fn what_selects_the_gateway_selects_its_pods() {
    for name in GATEWAYS {
        let documents = resolved(name);
        let deployment = the(&documents, "Deployment");
        let (template, meta) = (&deployment["spec"]["template"], &deployment["metadata"]);
        let labels = &template["metadata"]["labels"];
        let mut selectors = vec![
            &deployment["spec"]["selector"]["matchLabels"],
            &the(&documents, "Service")["spec"]["selector"],
            &the(&documents, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
            &the(&documents, "PodMonitor")["spec"]["selector"]["matchLabels"],
        ];
        let spread = template["spec"]["topologySpreadConstraints"].as_array().expect("a list");
        selectors.extend(spread.iter().map(|spread| &spread["labelSelector"]["matchLabels"]));
        let policies = of_kind(&documents, "NetworkPolicy");
        selectors.extend(policies.iter().map(|policy| &policy["spec"]["podSelector"]["matchLabels"]));
        assert!(selectors.iter().all(|selector| selects(selector, labels)), "{name}: {selectors:?} {labels}");
        let scaled = &the(&documents, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"];
        let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"]});
        assert_eq!(*scaled, expected, "{name}");
        let ports = ports(&template["spec"]);
        let has = |port: &Value| ports.iter().any(|(name, _)| port == name);
        let service = the(&documents, "Service")["spec"]["ports"].as_array().expect("ports");
        assert!(service.iter().all(|port| has(&port["targetPort"])), "{name}: {service:?} {ports:?}");
        assert!(has(&the(&documents, "PodMonitor")["spec"]["podMetricsEndpoints"][0]["port"]), "{name}");
        for rule in policies.iter().flat_map(|policy| policy["spec"]["ingress"].as_array().into_iter().flatten()) {
            assert!(has(&rule["ports"][0]["port"]), "{name}: {rule}");
        }
        assert!(documents.iter().all(|document| document["metadata"]["namespace"] == "weir-system"), "{name}");
    }
}

#[test]
fn the_gateways_account_has_no_role_and_its_pods_no_token() {
    for name in GATEWAYS {
        let documents = resolved(name);
        assert_eq!(the(&documents, "ServiceAccount")["automountServiceAccountToken"], false, "{name}");
        let spec = &the(&documents, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(spec["serviceAccountName"], the(&documents, "ServiceAccount")["metadata"]["name"], "{name}");
        let kinds: BTreeSet<&str> = documents.iter().filter_map(|document| document["kind"].as_str()).collect();
        assert!(!kinds.iter().any(|kind| kind.contains("Role")), "{name}: {kinds:?}");
    }
}

/// The ports of this protocol that a rule without a range of addresses opens.
fn open(policy: &Value, protocol: &str) -> BTreeSet<u64> {
    let rules = policy["spec"]["egress"].as_array().expect("rules").iter().filter(|rule| rule["to"].is_null());
    let ports =
        rules.flat_map(|rule| rule["ports"].as_array().expect("ports")).filter(|port| port["protocol"] == protocol);
    ports
        .flat_map(|port| {
            let first = port["port"].as_u64().expect("a number");
            first..=port["endPort"].as_u64().unwrap_or(first)
        })
        .collect()
}

#[test]
fn only_443_is_closed_to_the_outside_and_only_for_others() {
    let documents = resolved("close-443");
    let policy = the(&documents, "NetworkPolicy");
    assert_eq!(policy["spec"]["podSelector"], json!({}), "every pod of the namespace");
    assert_eq!(policy["spec"]["policyTypes"], json!(["Egress"]));
    let all_but_one: BTreeSet<u64> = (1..=65535).filter(|port| *port != 443).collect();
    for protocol in ["TCP", "UDP"] {
        assert!(open(policy, protocol) == all_but_one, "{protocol}");
    }
    // What has an address is inside of the cluster, where every port is open.
    let inside: Vec<&Value> =
        policy["spec"]["egress"].as_array().expect("rules").iter().filter(|rule| !rule["to"].is_null()).collect();
    assert_eq!(inside, [&json!({"to": [{"namespaceSelector": {}}]})]);
    // The gateway reaches 443 outside, and nothing there on another port.
    let documents = resolved("gateway");
    let rules = the(&documents, "NetworkPolicy")["spec"]["egress"].as_array().expect("rules");
    let outside: Vec<&Value> = rules.iter().filter(|rule| rule["to"].to_string().contains("ipBlock")).collect();
    assert_eq!(outside.len(), 1);
    assert_eq!(outside[0]["ports"], json!([{"port": 443, "protocol": "TCP"}]));
    assert!(outside[0]["to"].to_string().contains("169.254.0.0/16"), "no metadata service of a cloud");
    assert!(rules.iter().all(|rule| !rule["to"].is_null()), "nothing is open without an address");
}

#[test]
fn a_gateway_ends_after_its_streams() {
    for name in GATEWAYS {
        let documents = resolved(name);
        let spec = &the(&documents, "Deployment")["spec"]["template"]["spec"];
        let proxy = spec["containers"][0]["name"].as_str().expect("a name");
        let wait = &container(spec, proxy)["lifecycle"]["preStop"]["sleep"]["seconds"];
        let (wait, grace) = (wait.as_u64().expect("a number"), &spec["terminationGracePeriodSeconds"]);
        // drainTimeout of its documents is 2m.
        assert!(grace.as_u64().expect("a number") >= wait + 120, "{name}");
        let strategy = &the(&documents, "Deployment")["spec"]["strategy"]["rollingUpdate"];
        assert_eq!(strategy["maxUnavailable"], 0, "{name}");
    }
}

/// What the sidecars of the example say of the gateway is what the gateway is.
#[test]
fn the_two_tiers_name_the_same_gateway() {
    let (near, far) = (resolved("example-sidecar"), resolved("example-gateway"));
    let service = &the(&far, "Service")["metadata"];
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let (name, namespace) = (text(&service["name"]), text(&service["namespace"]));
    let host = format!("{name}.{namespace}.svc.cluster.local");
    let rule = &the(&near, "DestinationRule")["spec"];
    assert_eq!(rule["host"], host.as_str());
    let account = text(&the(&far, "ServiceAccount")["metadata"]["name"]);
    let expected = json!([format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")]);
    assert_eq!(rule["trafficPolicy"]["tls"], json!({"mode": "ISTIO_MUTUAL", "subjectAltNames": expected}));
    let endpoint = format!("http://{host}/v1");
    let documents = text(&the(&near, "ConfigMap")["data"]["weir.yaml"]);
    assert!(documents.contains(&format!("endpoint: {endpoint}\n")), "{documents}");
    let variables = &the(&near, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"];
    assert_eq!(variables[0], json!({"name": "OPENAI_BASE_URL", "value": endpoint}));
    // Without a port it is port 80, which a proxy takes for HTTP by the name.
    let ports = the(&far, "Service")["spec"]["ports"].as_array().expect("ports");
    assert!(ports.iter().any(|port| port["port"] == 80 && port["name"] == "http"), "{ports:?}");
}
