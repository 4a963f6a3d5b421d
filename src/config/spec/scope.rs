//! What every policy says of itself: whether it is carried out, what it is about, and whose calls it
//! is about. Only the form is checked here; whether a target exists is for `validate`.

use std::collections::{BTreeMap, HashSet};

use super::super::form;
use super::super::read::{Fields, Object, Reader};
use super::super::value::{self, ValueError};
use super::{GROUP, Located, or, unique};
use crate::policy::Mode;

/// Where a policy applies: where all of this does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub mode: Mode,
    /// Any of these; empty for everything that the document may speak for.
    pub targets: Vec<Located<TargetRef>>,
    /// Any of these; empty for every caller.
    pub from: Vec<Callers>,
}

/// A document that a policy is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TargetRef {
    pub kind: TargetKind,
    pub name: String,
    /// A rule of a route; none for all of them.
    pub section: Option<String>,
}

/// What a policy can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TargetKind {
    Route,
    Backend,
}

/// Callers of whom all that is said here is true. Names may hold stars.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    pub namespaces: Vec<String>,
    /// Labels of the namespace.
    pub namespace_selector: Option<BTreeMap<String, String>>,
    /// `NAMESPACE/NAME`, or a name in any namespace.
    pub service_accounts: Vec<String>,
    pub principals: Vec<String>,
    pub consumers: Vec<String>,
    pub teams: Vec<String>,
    pub groups: Vec<String>,
}

const TARGET: Fields = Fields { known: &["group", "kind", "name", "sectionName"], later: &[] };
const CALLERS: Fields = Fields {
    known: &["namespaces", "namespaceSelector", "serviceAccounts", "principals", "consumers", "teams", "groups"],
    later: &[],
};
const SELECTOR: Fields = Fields { known: &["matchLabels"], later: &[] };
const MODES: &[(&str, Option<Mode>)] = &[("Enforce", Some(Mode::Enforce)), ("Shadow", Some(Mode::Shadow))];
const TARGETS: &[(&str, Option<TargetKind>)] =
    &[("LLMRoute", Some(TargetKind::Route)), ("LLMBackend", Some(TargetKind::Backend))];

// === impl Scope ===

impl Scope {
    /// Reads `mode`, `targetRefs` and `from` of a policy.
    pub(super) fn read(policy: &Object<'_>) -> Scope {
        let mut seen = HashSet::new();
        Scope {
            mode: mode(policy),
            targets: policy
                .get("targetRefs")
                .and_then(|list| list.list(|item| target(&item, &mut seen)))
                .unwrap_or_default(),
            from: policy.get("from").and_then(|list| callers(&list)).unwrap_or_default(),
        }
    }
}

/// The field `mode`.
pub(super) fn mode(object: &Object<'_>) -> Mode {
    or(object, "mode", Mode::default(), |word| word.word(MODES))
}

fn target(reader: &Reader<'_>, seen: &mut HashSet<TargetRef>) -> Option<Located<TargetRef>> {
    let object = reader.object(&TARGET)?;
    if let Some(group) = object.get("group")
        && let Some(text) = group.text()
        && text != GROUP
    {
        group.error(format_args!("unknown group; a policy is about documents of {GROUP}"));
    }
    let kind = object.need("kind").and_then(|kind| kind.word(TARGETS));
    let name = object.need("name").and_then(|name| name.parsed(value::subdomain));
    let section = object.get("sectionName").and_then(|section| {
        if kind == Some(TargetKind::Backend) {
            section.error("only an LLMRoute has sections: its rules, by name");
        }
        section.parsed(value::label)
    });
    let found = TargetRef { kind: kind?, name: name?, section };
    if !seen.insert(found.clone()) {
        reader.error("duplicate target");
    }
    Some(Located { value: found, path: reader.path().to_owned() })
}

/// A list of callers, at least one.
pub(super) fn callers(reader: &Reader<'_>) -> Option<Vec<Callers>> {
    reader.list(|item| {
        let object = item.object(&CALLERS)?;
        if object.is_empty() {
            item.error("says of nobody who it is; leave out the whole list to mean every caller");
        }
        let names = |field, parse: fn(&str) -> Result<String, ValueError>| {
            object.get(field).and_then(|list| texts(&list, parse)).unwrap_or_default()
        };
        Some(Callers {
            namespaces: names("namespaces", name_pattern),
            namespace_selector: object.get("namespaceSelector").and_then(|selector| labels(&selector)),
            service_accounts: names("serviceAccounts", account_pattern),
            principals: names("principals", form::spiffe_id),
            consumers: names("consumers", name_pattern),
            teams: names("teams", any_text),
            groups: names("groups", any_text),
        })
    })
}

/// A list of texts that do not repeat, at least one.
pub(super) fn texts(reader: &Reader<'_>, parse: fn(&str) -> Result<String, ValueError>) -> Option<Vec<String>> {
    let mut seen = HashSet::new();
    reader.list(|item| {
        unique(&item, &mut seen, "entry");
        item.parsed(parse)
    })
}

/// `{matchLabels: {KEY: VALUE}}`, to the labels. No label at all matches everything.
pub(super) fn labels(reader: &Reader<'_>) -> Option<BTreeMap<String, String>> {
    let object = reader.object(&SELECTOR)?;
    let entries = object.need("matchLabels")?.entries()?;
    let pair = |(key, label): (&str, Reader<'_>)| {
        if let Err(error) = form::label_key(key) {
            label.error(error);
        }
        Some((key.to_owned(), label.parsed(form::label_value)?))
    };
    Some(entries.into_iter().filter_map(pair).collect())
}

/// The field as text of any form.
pub(super) fn any_text(text: &str) -> Result<String, ValueError> {
    Ok(text.to_owned())
}

/// The name of a document, or a pattern over such names.
fn name_pattern(text: &str) -> Result<String, ValueError> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'*');
    if text.len() <= 253 && text.bytes().all(plain) { Ok(text.to_owned()) } else { Err(ValueError::NamePattern) }
}

fn account_pattern(text: &str) -> Result<String, ValueError> {
    let fits = match text.split_once('/') {
        Some((namespace, name)) => [namespace, name].iter().all(|part| !part.is_empty() && name_pattern(part).is_ok()),
        None => name_pattern(text).is_ok(),
    };
    if fits { Ok(text.to_owned()) } else { Err(ValueError::AccountPattern) }
}
