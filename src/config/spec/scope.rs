//! What every policy says of itself: whether it is carried out, what it is about, and whose calls it
//! is about. Only the form is checked here; whether a target exists is for `validate`.

use std::collections::{BTreeMap, HashSet};

use super::super::form;
use super::super::read::{Object, Reader};
use super::super::shape::{Fields, Most, Only, Rule, Shape, may, need, set};
use super::super::text;
use super::super::value::{self, ValueError};
use super::{GROUP, GROUPS, Located, or, unique};
use crate::base::glob::Glob;
use crate::policy::Mode;
use crate::policy::select::{Caller, From};

/// Where a policy applies: where all of this does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub mode: Mode,
    /// Any of these; empty for everything that the document may speak for.
    pub targets: Vec<Located<TargetRef>>,
    pub from: Callers,
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

/// Whose calls; empty for every caller's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    pub from: From,
    /// The consumers that are called by their whole names, with the places where they are.
    pub consumers: Vec<Located<String>>,
}

pub(super) const MODE: &str =
    "Enforce carries the policy out; Shadow decides, counts and explains, and changes nothing.";
pub(super) const FROM: &str = "Whose calls it is about: any entry, and all that an entry says. Absent means every caller that the document may speak for.";
pub(super) const TARGET_REFS: &str =
    "What it is about: any of these. Absent means everything that the document may speak for.";

pub(in super::super) const TARGET: Fields = Fields {
    rows: &[
        may("group", Shape::Word(&GROUPS), "The group of the kind."),
        need("kind", Shape::Word(&TARGETS), "What the document is."),
        need("name", Shape::Text(&text::SUBDOMAIN), "The name of the document."),
        may("sectionName", Shape::Text(&text::LABEL), "A rule of the route; absent means all of them."),
    ],
    rules: &[Rule::Only {
        key: "kind",
        fields: &[Only {
            field: "sectionName",
            words: &["LLMRoute"],
            why: "only an LLMRoute has sections: its rules, by name",
        }],
    }],
};
pub(in super::super) const CALLERS: Fields = Fields {
    rows: &[
        may("namespaces", set(&Shape::Text(&text::NAME_GLOB), 64), "Namespaces of workloads, or patterns over them."),
        may("namespaceSelector", Shape::Object(&SELECTOR), "Labels of the workload's namespace."),
        may(
            "serviceAccounts",
            set(&Shape::Text(&text::ACCOUNT_GLOB), 64),
            "NAMESPACE/NAME, or NAME for any namespace; '*' is a wildcard.",
        ),
        may("principals", set(&Shape::Text(&text::SPIFFE), 64), "SPIFFE ids, or patterns over them."),
        may("consumers", set(&Shape::Text(&text::NAME_GLOB), 64), "LLMConsumers by name, or patterns over names."),
        may("teams", set(&Shape::Text(&text::GLOB), 64), "Teams, or patterns over them."),
        may("groups", set(&Shape::Text(&text::GLOB), 64), "Groups of the caller's token, or patterns over them."),
    ],
    rules: &[Rule::Says],
};
pub(super) const SELECTOR: Fields = Fields::of(&[need(
    "matchLabels",
    Shape::Map { key: &text::LABEL_KEY, value: &Shape::Text(&text::LABEL_VALUE), most: Most::Stored(16) },
    "Labels and their values, all of them; none matches everything.",
)]);
pub(super) const MODES: &[(&str, Option<Mode>)] = &[("Enforce", Some(Mode::Enforce)), ("Shadow", Some(Mode::Shadow))];
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
pub(super) fn callers(reader: &Reader<'_>) -> Option<Callers> {
    let mut consumers = Vec::new();
    let from = reader.list(|item| caller(&item, &mut consumers))?;
    Some(Callers { from: From(from), consumers })
}

fn caller(reader: &Reader<'_>, consumers: &mut Vec<Located<String>>) -> Option<Caller> {
    let object = reader.object(&CALLERS)?;
    if object.is_empty() {
        reader.error("says of nobody who it is; leave out the whole list to mean every caller");
    }
    // Files say nothing of the labels of namespaces.
    object.later("namespaceSelector").as_ref().and_then(labels);
    let globs = |field, parse: fn(&str) -> Result<Glob, ValueError>| {
        object.get(field).and_then(|list| distinct(&list, |item| item.parsed(parse))).unwrap_or_default()
    };
    let mut consumer = |item: &Reader<'_>| {
        let glob = item.parsed(form::name_glob)?;
        if glob.is_exact() {
            consumers.push(Located { value: glob.as_str().to_owned(), path: item.path().to_owned() });
        }
        Some(glob)
    };
    Some(Caller {
        namespaces: globs("namespaces", form::name_glob),
        service_accounts: object
            .get("serviceAccounts")
            .and_then(|list| distinct(&list, |item| item.parsed(form::account_glob)))
            .unwrap_or_default(),
        principals: globs("principals", form::spiffe_glob),
        consumers: object.get("consumers").and_then(|list| distinct(&list, &mut consumer)).unwrap_or_default(),
        teams: globs("teams", value::glob),
        groups: globs("groups", value::glob),
    })
}

/// Items that do not repeat, at least one.
fn distinct<T>(reader: &Reader<'_>, mut read: impl FnMut(&Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
    let mut seen = HashSet::new();
    reader.list(|item| {
        unique(&item, &mut seen, "entry");
        read(&item)
    })
}

/// A list of texts that do not repeat, at least one.
pub(super) fn texts(reader: &Reader<'_>, parse: fn(&str) -> Result<String, ValueError>) -> Option<Vec<String>> {
    distinct(reader, |item| item.parsed(parse))
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
