//! `headers` of an LLMBackend: what every request to it leaves with, and without.

use std::collections::HashSet;

use super::super::read::Reader;
use super::super::shape::{Fields, Keyed, Most, Rule, Shape, may, need};
use super::super::text;
use super::super::value;
use super::Located;

/// Headers of requests. Names are in lower case, and none stands twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    pub set: Vec<(Located<String>, String)>,
    pub remove: Vec<Located<String>>,
}

pub(super) const HEADERS: Fields = Fields {
    rows: &[
        may(
            "set",
            Shape::List { item: &Shape::Object(&HEADER), least: 0, most: Most::Stored(64), keyed: Keyed::By("name") },
            "Headers that every request has, over those of the caller.",
        ),
        may(
            "remove",
            Shape::List {
                item: &Shape::Text(&text::EDITED_HEADER),
                least: 0,
                most: Most::Stored(64),
                keyed: Keyed::Set,
            },
            "Headers of the caller that do not leave.",
        ),
    ],
    rules: &[Rule::Says],
};
const HEADER: Fields = Fields::of(&[
    need("name", Shape::Text(&text::EDITED_HEADER), "The name of the header, in any case."),
    need("value", Shape::Text(&text::FIELD_VALUE), "Its value. No secret: those belong into `credentials`."),
]);

/// Names that the configuration leaves alone, and why.
pub(in super::super) const RESERVED: &[(&[&str], &str)] = &[
    (&["host"], "the host is that of the `endpoint`"),
    (
        &["content-length", "transfer-encoding", "content-type", "content-encoding"],
        "it describes the body, and a wrong one smuggles a second request",
    ),
    (
        &["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade", "expect"],
        "it belongs to the connection, which is the proxy's",
    ),
    (&["accept-encoding"], "an answer in a coding that is not read here could not be billed"),
    (
        &["authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"],
        "it carries a credential; use `credentials`",
    ),
];

/// Beginnings of names that the configuration leaves alone, and why.
pub(in super::super) const RESERVED_PREFIXES: &[(&str, &str)] = &[
    (":", "pseudo headers come from the `endpoint` and the path"),
    ("x-weir-", "these names are Weir's own and reach no provider"),
    ("x-envoy-", "these names steer the proxy"),
];

pub(super) fn read_headers(reader: &Reader<'_>) -> Option<HeaderEdits> {
    let object = reader.object(&HEADERS)?;
    if object.is_empty() {
        object.at().error("says nothing: give it `set` or `remove`, or leave it out");
    }
    let mut seen = HashSet::new();
    let set = object.get("set").and_then(|list| {
        list.list_or_empty(|item| {
            let header = item.object(&HEADER)?;
            let name = header.need("name").and_then(|name| read_name(&name, &mut seen));
            // It may be a key of somebody's own gateway: no error repeats it.
            let value = header.need("value").and_then(|value| value.hushed().parsed(value::field_value));
            Some((name?, value?))
        })
    });
    let remove = object.get("remove").and_then(|list| list.list_or_empty(|name| read_name(&name, &mut seen)));
    Some(HeaderEdits { set: set.unwrap_or_default(), remove: remove.unwrap_or_default() })
}

/// Why the configuration leaves this header alone, if it does; the name is in lower case.
pub(in super::super) fn reserved(name: &str) -> Option<&'static str> {
    let by_name = RESERVED.iter().find(|(names, _)| names.contains(&name)).map(|row| row.1);
    by_name.or_else(|| RESERVED_PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|row| row.1))
}

fn read_name(reader: &Reader<'_>, seen: &mut HashSet<String>) -> Option<Located<String>> {
    let written = reader.text()?.to_ascii_lowercase();
    if let Some(why) = reserved(&written) {
        reader.error(format_args!("this header cannot be set or removed: {why}"));
        return None;
    }
    let name = reader.parsed(value::field_name)?;
    if !seen.insert(name.clone()) {
        reader.error("is named twice in these `headers`");
        return None;
    }
    Some(Located { value: name, path: reader.path().to_owned() })
}
