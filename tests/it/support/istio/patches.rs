//! How a control plane applies the patches of an EnvoyFilter: to proxies with its labels, to what each patch matches,
//! in order: by the priority of the EnvoyFilter, then as they stand. `MERGE` is a merge of messages: fields are set,
//! messages merged, lists continued; an entry of a map of typed options is replaced whole.

use serde_json::{Value, json};

use super::{Proxy, list, of_kind, text};

/// Maps by name, each of whose values is one typed message.
const TYPED_MAPS: &[&str] = &["typed_extension_protocol_options", "typed_per_filter_config"];

/// The configuration with every EnvoyFilter of the resources applied. Panics when a patch found nothing: it would
/// be lost on a control plane without a word.
pub fn patched(mut config: Value, resources: &[Value], proxy: Proxy, labels: &[(&str, &str)]) -> Value {
    let mut filters = of_kind(resources, "EnvoyFilter");
    filters.sort_by_key(|filter| filter["spec"]["priority"].as_i64().unwrap_or_default());
    for filter in filters {
        let wanted = filter["spec"]["workloadSelector"]["labels"].as_object().expect("labels");
        if !wanted.iter().all(|(key, value)| labels.iter().any(|(own, is)| own == key && value == is)) {
            continue;
        }
        for patch in list(&filter["spec"]["configPatches"]) {
            let context = match proxy {
                Proxy::Sidecar => "SIDECAR_OUTBOUND",
                Proxy::Gateway => "GATEWAY",
            };
            if patch["match"]["context"] == context || patch["match"]["context"] == "ANY" {
                assert!(apply(&mut config, patch) > 0, "nothing is patched by {patch:#}");
            }
        }
    }
    config
}

/// In how many places the patch was applied.
fn apply(config: &mut Value, patch: &Value) -> usize {
    let (matching, operation, value) = (&patch["match"], text(&patch["patch"]["operation"]), &patch["patch"]["value"]);
    let resources = &mut config["static_resources"];
    match (text(&patch["applyTo"]), operation) {
        ("CLUSTER", "ADD") => {
            resources["clusters"].as_array_mut().expect("clusters").push(value.clone());
            1
        }
        ("CLUSTER", "MERGE") => each(&mut resources["clusters"], |cluster| {
            is_cluster(cluster, &matching["cluster"]).then(|| merge(cluster, value))
        }),
        ("LISTENER", "MERGE") => each(&mut resources["listeners"], |listener| {
            is_listener(listener, &matching["listener"]).then(|| merge(listener, value))
        }),
        ("NETWORK_FILTER", "MERGE") => network_filters(resources, &matching["listener"], |filter| {
            merge(filter, value);
            1
        }),
        ("HTTP_FILTER", "INSERT_BEFORE") => {
            let name = &matching["listener"]["filterChain"]["filter"]["subFilter"]["name"];
            network_filters(resources, &matching["listener"], |filter| {
                let filters = filter["typed_config"]["http_filters"].as_array_mut().expect("HTTP filters");
                let Some(at) = filters.iter().position(|filter| filter["name"] == *name) else { return 0 };
                filters.insert(at, value.clone());
                1
            })
        }
        ("VIRTUAL_HOST", "MERGE") => virtual_hosts(resources, &matching["routeConfiguration"], |vhost| {
            merge(vhost, value);
            1
        }),
        ("HTTP_ROUTE", "MERGE") => {
            let name = &matching["routeConfiguration"]["vhost"]["route"]["name"];
            virtual_hosts(resources, &matching["routeConfiguration"], |vhost| {
                each(&mut vhost["routes"], |route| (route["name"] == *name).then(|| merge(route, value)))
            })
        }
        (what, how) => panic!("nobody here knows how to {how} a {what}"),
    }
}

fn each(items: &mut Value, change: impl FnMut(&mut Value) -> Option<()>) -> usize {
    items.as_array_mut().into_iter().flatten().filter_map(change).count()
}

/// `outbound|80|SUBSET|api.openai.com`, with no subset for the whole host.
fn is_cluster(cluster: &Value, wanted: &Value) -> bool {
    let parts: Vec<&str> = text(&cluster["name"]).split('|').collect();
    let [_, port, subset, service] = parts[..] else { return wanted.is_null() };
    let is = |wanted: &Value, there: &str| wanted.is_null() || wanted == there;
    is(&wanted["service"], service) && is(&wanted["subset"], subset) && is_port(&wanted["portNumber"], port)
}

/// `0.0.0.0_80`: the port is that of the call, whatever the test listens on.
fn is_listener(listener: &Value, wanted: &Value) -> bool {
    let port = text(&listener["name"]).rsplit('_').next().expect("a port");
    is_port(&wanted["portNumber"], port)
}

fn is_port(wanted: &Value, port: &str) -> bool {
    wanted.as_u64().is_none_or(|wanted| port.parse() == Ok(wanted))
}

fn network_filters(resources: &mut Value, wanted: &Value, change: impl FnMut(&mut Value) -> usize) -> usize {
    let name = &wanted["filterChain"]["filter"]["name"];
    let listeners = resources["listeners"].as_array_mut().expect("listeners");
    let listeners = listeners.iter_mut().filter(|listener| is_listener(listener, wanted));
    let chains = listeners.flat_map(|listener| listener["filter_chains"].as_array_mut().expect("chains"));
    let filters = chains.flat_map(|chain| chain["filters"].as_array_mut().expect("filters"));
    filters.filter(|filter| filter["name"] == *name).map(change).sum()
}

fn virtual_hosts(resources: &mut Value, wanted: &Value, mut change: impl FnMut(&mut Value) -> usize) -> usize {
    let everywhere = json!({"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager"}}});
    network_filters(resources, &everywhere, |filter| {
        let table = &mut filter["typed_config"]["route_config"];
        if !wanted["name"].is_null() && wanted["name"] != table["name"] {
            return 0;
        }
        let vhosts = table["virtual_hosts"].as_array_mut().expect("virtual hosts");
        vhosts.iter_mut().filter(|vhost| is_vhost(vhost, &wanted["vhost"])).map(&mut change).sum()
    })
}

fn is_vhost(vhost: &Value, wanted: &Value) -> bool {
    let by_name = wanted["name"].is_null() || wanted["name"] == vhost["name"];
    by_name && (wanted["domainName"].is_null() || list(&vhost["domains"]).contains(&wanted["domainName"]))
}

fn merge(into: &mut Value, from: &Value) {
    let (Value::Object(into), Value::Object(from)) = (&mut *into, from) else {
        match (into, from) {
            (Value::Array(into), Value::Array(from)) => into.extend(from.iter().cloned()),
            (into, from) => *into = from.clone(),
        }
        return;
    };
    for (name, value) in from {
        let here = into.entry(name.clone()).or_insert(Value::Null);
        if let (true, Value::Object(options)) = (TYPED_MAPS.contains(&name.as_str()), value) {
            if here.is_null() {
                *here = json!({});
            }
            here.as_object_mut().expect("a map").extend(options.clone());
        } else {
            merge(here, value);
        }
    }
}

#[test]
fn a_merge_continues_lists_and_replaces_typed_options() {
    let mut into = json!({"a": {"b": 1, "l": [1]}, "typed_per_filter_config": {"x": {"one": 1}, "y": {"two": 2}}});
    merge(
        &mut into,
        &json!({"a": {"c": 2, "l": [2]}, "n": {"m": [3]}, "typed_per_filter_config": {"x": {"other": 3}}}),
    );
    assert_eq!(
        into,
        json!({"a": {"b": 1, "l": [1, 2], "c": 2}, "n": {"m": [3]},
            "typed_per_filter_config": {"x": {"other": 3}, "y": {"two": 2}}})
    );
}
