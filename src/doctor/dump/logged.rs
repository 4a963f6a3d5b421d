//! The request headers that something writes down: access logs, traces, taps. Pure.

use std::collections::BTreeSet;

use super::node::Node;

/// Names in lower case. `*` stands for all of them.
pub type Headers = BTreeSet<String>;

/// Operators of Envoy's format strings that take names of request headers.
const OPERATORS: &[&str] = &["%REQ(", "%REQUEST_HEADER(", "%REQ_WITHOUT_QUERY("];
const CEL: &str = "request.headers";

/// Adds what the loggers of a list write down.
pub fn access_logs(list: Node, found: &mut Headers) {
    for log in list.items() {
        let (_, config) = log.get("typed_config").typed();
        texts(config, found);
        for name in config.get("additional_request_headers_to_log").texts() {
            found.insert(name.to_ascii_lowercase());
        }
    }
}

/// Adds what a `tracing` writes into its spans.
pub fn tracing(tracing: Node, found: &mut Headers) {
    texts(tracing, found);
    for tag in tracing.get("custom_tags").items() {
        if let Some(name) = tag.path(&["request_header", "name"]).text() {
            found.insert(name.to_ascii_lowercase());
        }
    }
}

fn texts(node: Node, found: &mut Headers) {
    node.all_texts(&mut |text| {
        for operator in OPERATORS {
            for (_, rest) in after(text, operator) {
                let names = rest.split(')').next().unwrap_or_default();
                found.extend(names.split('?').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase));
            }
        }
        for (before, rest) in after(text, CEL) {
            // Only where it is printed, as in `%CEL(request.headers)%`; a filter's condition writes nothing.
            if before.contains("%CEL(") {
                found.insert(cel(rest));
            }
        }
    });
}

/// Each place behind `what`, with the text before it.
fn after<'a>(text: &'a str, what: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.match_indices(what).map(move |(at, _)| text.split_at(at)).filter_map(move |(before, rest)| {
        let rest = rest.strip_prefix(what)?;
        Some((before, rest))
    })
}

/// The header that `['authorization']`, `.authorization` or nothing behind `request.headers` means.
fn cel(rest: &str) -> String {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
    let name = match (rest.strip_prefix('['), rest.strip_prefix('.')) {
        (Some(quoted), _) => quoted.trim_start_matches(['\'', '"']),
        (_, Some(dotted)) => dotted,
        _ => return "*".to_owned(),
    };
    let name: String = name.chars().take_while(|letter| is_name(*letter)).collect();
    if name.is_empty() { "*".to_owned() } else { name.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_way_to_name_a_header_is_found() {
        let logs = json!([
            {"typed_config": {"log_format": {"text_format_source": {"inline_string": "%REQ(X-A?AUTHORIZATION):9% %RESP(B)%"}}}},
            {"typed_config": {"log_format": {"json_format": {"k": {"deep": ["%REQUEST_HEADER(api-key)%"]}}}}},
            {"typed_config": {"additional_request_headers_to_log": ["X-Api-Key"]}},
            {"typed_config": {"log_format": {"json_format": {"c": "%CEL(request.headers['x-goog-api-key'])%"}}},
             "filter": {"expression": "request.headers['x-not-written'] == 'a'"}},
        ]);
        let mut found = Headers::new();
        access_logs(Node::new(&logs), &mut found);
        let wanted = ["api-key", "authorization", "x-a", "x-api-key", "x-goog-api-key"];
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
        let trace = json!({"custom_tags": [{"tag": "t", "request_header": {"name": "Cookie"}}, {"literal": {"value": "%CEL(request.headers)%"}}]});
        let mut found = Headers::new();
        tracing(Node::new(&trace), &mut found);
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["*", "cookie"]);
    }
}
