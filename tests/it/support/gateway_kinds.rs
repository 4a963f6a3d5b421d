//! Foreign kinds, field by field: a resource with a field, a word or a number that its CRD does not take is
//! found. The table is `gateway_kinds.txt`; what the API server checks by expressions is not in it.

use std::collections::BTreeMap;

use serde_json::Value;

const TABLE: &str = include_str!("gateway_kinds.txt");

/// What one field may be.
struct Row {
    required: bool,
    /// A type or words.
    form: &'static str,
    one_of: Vec<&'static str>,
    /// The first minor version that has it.
    from: u32,
}

/// The fields of a kind, by path.
type Fields = BTreeMap<&'static str, Row>;

/// Everything that is wrong with resources for this minor version of Envoy Gateway.
pub fn complaints(resources: &[Value], minor: u32) -> Vec<String> {
    let mut found = Vec::new();
    for resource in resources {
        let text = |path: &str| resource.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (kind, version) = (text("/kind"), text("/apiVersion"));
        let what = format!("{kind} {}", text("/metadata/name"));
        if !is_dns(text("/metadata/name")) || !is_dns(text("/metadata/namespace")) {
            found.push(format!("{what}: no name or namespace that the API server takes"));
        }
        let Some(fields) = fields(kind, version, minor) else {
            found.push(format!("{what}: Envoy Gateway 1.{minor} has no {kind} in {version}"));
            continue;
        };
        let mut own = resource.clone();
        if let Some(own) = own.as_object_mut() {
            own.retain(|name, _| !["apiVersion", "kind", "metadata"].contains(&name.as_str()));
        }
        let said = |complaint: String| format!("{what}: {complaint}");
        found.extend(look(&fields, "", &own, minor).into_iter().map(said));
    }
    found
}

/// The table of a kind, if this version has it.
fn fields(kind: &str, version: &str, minor: u32) -> Option<Fields> {
    let block = TABLE.split("\n\n").find(|block| block.lines().any(|line| line.starts_with(&format!("{kind} "))))?;
    let has = |line: &str| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [_, version_of] => version_of == version,
        [_, version_of, "from", first] => version_of == version && minor >= minor_of(first),
        [_, version_of, "until", last] => version_of == version && minor <= minor_of(last),
        _ => false,
    };
    let (heads, rows): (Vec<&str>, Vec<&str>) =
        block.lines().filter(|line| !line.starts_with('#')).partition(|line| line.starts_with(&format!("{kind} ")));
    heads.into_iter().any(has).then(|| rows.into_iter().map(row).collect())
}

fn row(line: &'static str) -> (&'static str, Row) {
    let mut words = line.split_whitespace();
    let (path, form) = (words.next().unwrap_or_default(), words.next().unwrap_or_else(|| panic!("no type: {line}")));
    let mut row = Row { required: path.ends_with('!'), form, one_of: Vec::new(), from: 0 };
    while let Some(word) = words.next() {
        match word {
            "one" => row.one_of = words.nth(1).unwrap_or_default().split(',').collect(),
            "from" => row.from = minor_of(words.next().unwrap_or_default()),
            other => panic!("{other:?} is not of the table's language: {line}"),
        }
    }
    (path.trim_end_matches('!'), row)
}

fn minor_of(version: &str) -> u32 {
    version.strip_prefix("1.").and_then(|minor| minor.parse().ok()).unwrap_or_else(|| panic!("{version} is no version"))
}

/// Looks at a value whose own form is known to be right, and at all that is in it.
fn look(fields: &Fields, path: &str, value: &Value, minor: u32) -> Vec<String> {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let mut found = Vec::new();
    match value {
        Value::Object(entries) => {
            for (name, value) in entries {
                found.extend(one(fields, &below(name), value, minor));
            }
            let prefix = below("");
            for (of, row) in fields.iter().filter(|(_, row)| row.required) {
                let name = of.strip_prefix(&prefix).filter(|name| !name.contains(['.', '[']));
                if let Some(name) = name.filter(|name| !entries.contains_key(*name)) {
                    found.push(format!("{path}: {name} is required ({})", row.form));
                }
            }
        }
        Value::Array(items) => {
            let path = format!("{path}[]");
            items.iter().for_each(|item| found.extend(one(fields, &path, item, minor)));
        }
        _ => {}
    }
    found
}

fn one(fields: &Fields, path: &str, value: &Value, minor: u32) -> Vec<String> {
    let Some(row) = fields.get(path) else { return vec![format!("{path}: unknown field")] };
    if minor < row.from {
        return vec![format!("{path}: not before 1.{}", row.from)];
    }
    if !is_form(row.form, value) {
        return vec![format!("{path}: {value} is not {}", row.form)];
    }
    let of = |name: &&&str| value.get(**name).is_some();
    if !row.one_of.is_empty() && row.one_of.iter().filter(of).count() != 1 {
        return vec![format!("{path}: not exactly one of {:?}", row.one_of)];
    }
    if ["any", "map"].contains(&row.form) { Vec::new() } else { look(fields, path, value, minor) }
}

fn is_form(form: &str, value: &Value) -> bool {
    let (name, bounds) = form.split_once('(').unwrap_or((form, ""));
    let bounds = bounds.trim_end_matches(')');
    let bounds = || {
        let (least, most) = bounds.split_once("..").unwrap_or(("0", bounds));
        let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("{form}"));
        number(least)..=number(most)
    };
    let text = |is: fn(&str) -> bool| value.as_str().is_some_and(is);
    match name {
        "any" => true,
        "object" => value.is_object(),
        "bool" => value.is_boolean(),
        "map" => value.as_object().is_some_and(|entries| entries.values().all(Value::is_string)),
        "list" => value.as_array().is_some_and(|items| bounds().contains(&(items.len() as u64))),
        "whole" => value.as_u64().is_some_and(|number| bounds().contains(&number)),
        "text" => value.as_str().is_some_and(|text| bounds().contains(&(text.len() as u64))),
        "dns" => text(is_dns),
        "label" => text(|text| is_dns(text) && text.len() <= 63 && !text.contains('.')),
        "path" => text(|text| text.starts_with('/')),
        "duration" => text(is_duration),
        "quantity" => text(|text| {
            let number = text.trim_end_matches("Ki").trim_end_matches("Mi").trim_end_matches("Gi");
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        }),
        // Envoy Gateway's own pattern.
        "attribute" => text(|text| {
            let known = ["connection.", "source.", "destination.", "request.", "response.", "upstream.", "xds.route_"];
            let rest = known.iter().find_map(|prefix| text.strip_prefix(prefix));
            rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        }),
        _ => value.as_str().is_some_and(|text| form.split('|').any(|word| word == text)),
    }
}

/// Up to four numbers, each with a unit (Gateway API).
fn is_duration(text: &str) -> bool {
    let mut rest = text;
    let mut pieces = 0;
    while !rest.is_empty() && pieces < 4 {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let unit = ["ms", "h", "m", "s"].into_iter().find(|unit| rest[digits..].starts_with(unit));
        let (1..=5, Some(unit)) = (digits, unit) else { return false };
        rest = &rest[digits + unit.len()..];
        pieces += 1;
    }
    rest.is_empty() && pieces > 0
}

fn is_dns(text: &str) -> bool {
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let label = |label: &str| {
        is_edge(label.bytes().next())
            && is_edge(label.bytes().last())
            && label.bytes().all(|byte| is_edge(Some(byte)) || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_crd_does_not_take_is_found() {
        let right = json!({
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "Backend",
            "metadata": {"name": "b", "namespace": "n"},
            "spec": {"endpoints": [{"fqdn": {"hostname": "a.b", "port": 1}}]},
        });
        assert_eq!(complaints(std::slice::from_ref(&right), 9), Vec::<String>::new());
        for (at, value, said) in [
            ("/spec/endpoint", json!([]), "spec.endpoint: unknown field"),
            ("/spec/type", json!("Endpoint"), "is not Endpoints|DynamicResolver"),
            ("/spec/endpoints/0/fqdn/port", json!(70000), "is not whole(0..65535)"),
            ("/spec/endpoints/0/fqdn", json!({"port": 1}), "hostname is required"),
            ("/spec/endpoints/0/ip", json!({"address": "1.1.1.1", "port": 1}), "not exactly one of"),
            ("/spec/endpoints/0/fqdn/hostname", json!("A.b"), "is not dns"),
            ("/apiVersion", json!("gateway.envoyproxy.io/v1"), "has no Backend in"),
            ("/metadata/name", json!("a/b"), "no name"),
        ] {
            let mut wrong = right.clone();
            let (parent, name) = at.rsplit_once('/').expect("a pointer");
            wrong.pointer_mut(parent).expect("a place")[name] = value;
            let found = complaints(&[wrong], 9);
            assert!(found.iter().any(|found| found.contains(said)), "{at}: {found:?}");
        }
        let policy = |version: &str| {
            json!({"apiVersion": version, "kind": "BackendTLSPolicy", "metadata": {"name": "b", "namespace": "n"}, "spec": {
                "targetRefs": [{"group": "gateway.envoyproxy.io", "kind": "Backend", "name": "b"}],
                "validation": {"hostname": "a.b", "wellKnownCACertificates": "System"},
            }})
        };
        for (version, minor, known) in
            [("v1", 6, true), ("v1", 5, false), ("v1alpha3", 5, true), ("v1alpha3", 6, false)]
        {
            let found = complaints(&[policy(&format!("gateway.networking.k8s.io/{version}"))], minor);
            assert_eq!(found.is_empty(), known, "{version} {minor}: {found:?}");
        }
        let durations = ["0s", "1ms", "1h30m", "", "5", "1d", "1.5s"].map(is_duration);
        assert_eq!(durations, [true, true, true, false, false, false, false]);
    }
}
