//! The reader and the schemas on thousands of documents, each the whole language with one thing changed:
//! neither schema refuses what the reader takes, and what they let pass that the reader refuses is listed
//! in `tests/golden/schema/beyond.txt`. `UPDATE_GOLDEN=1` writes it anew.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::super::shape::{Default, Keyed};
use super::server::{Admission, schemas};
use super::*;

/// A way down into a document: the index of an entry or of an item.
type Way = Vec<usize>;

/// What stands in the place of any value.
const TEXTS: &[&str] = &[
    "",
    "x",
    "UPPER",
    "a b",
    "-",
    "a-",
    "0",
    "1",
    "00",
    "0s",
    "10s",
    "1h",
    "2h",
    "800h",
    "99999h",
    "1d",
    "-1",
    "1.5",
    "0.0",
    "2.5",
    "1000001",
    "64Mi",
    "65Mi",
    "1k",
    "0k",
    "1e3",
    "101%",
    "100%",
    "99%",
    "1%",
    "0%",
    "*",
    "a*",
    "search/*",
    "a/b/c",
    "http://x",
    "https://u:p@x",
    "http://x/?a",
    "http://x:0",
    "http://1.2.3",
    "ftp://x",
    "/p",
    "/p?q",
    "p",
    "unix:/x",
    "unix:x",
    "tcp:x:1",
    "tcp:x",
    "x:1",
    "x:99999",
    "gpt-*",
    "Host",
    "content-LENGTH",
    "X-Weir-A",
    "x-envoy-a",
    "Authorization",
    "cookie",
    "model",
    "MESSAGES",
    "max_tokens",
    "stream",
    ".",
    "..",
    ".a",
    "a=b",
    "a,b",
    "spiffe://a/b",
    "spiffe://a",
    "spiffe://",
    "1.40",
    "1",
    "Europe/Berlin",
    "UTC",
    "europe",
    "(a",
    "a*",
    "2027-02-30T00:00:00Z",
    "2027-01-01T00:00:00Z",
    "2027-01-01T00:00:00+01:00",
    "\u{7f}",
    "ä",
    "0777",
    "777",
    "1777",
    "redis://x",
    "redis://u:p@x",
    "redis://x/a",
    "weir.dev",
    "Enabled",
    "Allow",
    "Global",
];

/// The node at the end of a way.
fn at<'a>(node: &'a mut Node, way: &[usize]) -> &'a mut Node {
    way.iter().fold(node, |node, step| match node {
        Node::Map(entries) => &mut entries[*step].1,
        Node::List(items) => &mut items[*step],
        _ => unreachable!("no way leads into a scalar"),
    })
}

/// Every way into a node, with the shape of what is there; what no row describes is left out.
fn ways(node: &Node, shape: Shape, way: &mut Way, found: &mut Vec<(Way, Shape)>) {
    found.push((way.clone(), shape));
    let mut below = |step: usize, node: &Node, shape: Shape| {
        way.push(step);
        ways(node, shape, way, found);
        way.pop();
    };
    match (node, shape) {
        (Node::Map(entries), Shape::Object(fields) | Shape::WordOr(_, fields)) => {
            for (step, (name, value)) in entries.iter().enumerate() {
                let Node::Text(name) = name else { continue };
                // What the reader does not look into, nobody can compare.
                if let Some(row) = fields.row(name) {
                    below(step, value, row.shape);
                }
            }
        }
        (Node::Map(entries), Shape::Map { value: shape, .. }) => {
            entries.iter().enumerate().for_each(|(step, (_, value))| below(step, value, *shape));
        }
        (Node::List(items), Shape::List { item, .. }) => {
            items.iter().enumerate().for_each(|(step, value)| below(step, value, *item));
        }
        _ => {}
    }
}

/// The way to the `spec` of a document.
fn spec(document: &Node) -> Option<(usize, Kind)> {
    let kind = kinds().find(|kind| Some(kind.as_str()) == kind_of(document))?;
    let Node::Map(entries) = document else { return None };
    let is_spec = |(key, _): &(Node, Node)| matches!(key, Node::Text(key) if key == "spec");
    Some((entries.iter().position(is_spec)?, kind))
}

/// A value of each field, as it stands somewhere in these documents.
fn samples(documents: &[(String, Node)]) -> BTreeMap<String, Vec<Node>> {
    fn see(node: &Node, found: &mut BTreeMap<String, Vec<Node>>) {
        match node {
            Node::Map(entries) => {
                for (key, value) in entries {
                    if let Node::Text(key) = key {
                        let known = found.entry(key.clone()).or_default();
                        if !known.contains(value) && known.len() < 12 {
                            known.push(value.clone());
                        }
                    }
                    see(value, found);
                }
            }
            Node::List(items) => items.iter().for_each(|item| see(item, found)),
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    documents.iter().for_each(|(_, node)| see(node, &mut found));
    found
}

/// Every document that is this one with one thing changed.
fn changed(document: &Node, samples: &BTreeMap<String, Vec<Node>>, file_only: bool, mut see: impl FnMut(&Node)) {
    let (step, kind) = spec(document).unwrap();
    let mut all = Vec::new();
    let mut root = document.clone();
    ways(at(&mut root, &[step]), Shape::Object(kind.fields()), &mut vec![step], &mut all);
    let mut tried: HashMap<(&[&str], &str), usize> = HashMap::new();
    let mut most = 2;
    for (way, shape) in all {
        let mut with = |value: Node| {
            let mut copy = document.clone();
            *at(&mut copy, &way) = value;
            see(&copy);
        };
        let old = at(&mut root, &way).clone();
        [Node::Null, Node::Bool(true), Node::Float(0.5), Node::List(vec![]), Node::Map(vec![])]
            .into_iter()
            .for_each(&mut with);
        [-1, 0, 1, 11, 101, 2_000_000_000].into_iter().for_each(|number| with(Node::Int(number)));
        // One place is as good as another for a form of texts, two for what stands beside it.
        let times = match shape {
            Shape::Text(form) => tried.entry((form.patterns, form.example)).or_default(),
            Shape::Whole { .. } => tried.entry((&[], "whole")).or_default(),
            Shape::Amount => tried.entry((&[], "amount")).or_default(),
            _ => &mut most,
        };
        *times += 1;
        if *times <= 2 {
            TEXTS.iter().for_each(|text| with(Node::Text((*text).to_owned())));
            [64, 130, 254, 257].into_iter().for_each(|length| with(Node::Text("a".repeat(length))));
        }
        if let Shape::Word(words) | Shape::WordOr(words, _) = shape {
            words.words().into_iter().chain(["unheard-of"]).for_each(|word| with(Node::Text(word.to_owned())));
        }
        others(&old, shape, samples, file_only, &mut with);
    }
}

/// A list or a mapping with an item less, one twice, or one more.
fn others(
    old: &Node,
    shape: Shape,
    samples: &BTreeMap<String, Vec<Node>>,
    file_only: bool,
    with: &mut impl FnMut(Node),
) {
    match (old, shape) {
        (Node::List(items), _) => {
            with(Node::List(items.iter().chain(items.first()).cloned().collect()));
            (0..items.len()).for_each(|out| {
                with(Node::List(
                    items.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, item)| item.clone()).collect(),
                ));
            });
        }
        (Node::Map(entries), Shape::Object(fields) | Shape::WordOr(_, fields)) => {
            (0..entries.len()).for_each(|out| {
                with(Node::Map(
                    entries.iter().enumerate().filter(|(at, _)| *at != out).map(|(_, entry)| entry.clone()).collect(),
                ));
            });
            let absent = |row: &&Field| !entries.iter().any(|(key, _)| *key == Node::Text(row.name.to_owned()));
            for row in fields.rows.iter().filter(absent).filter(|row| file_only || !row.file_only) {
                for sample in samples.get(row.name).into_iter().flatten() {
                    let entry = (Node::Text(row.name.to_owned()), sample.clone());
                    with(Node::Map(entries.iter().cloned().chain([entry]).collect()));
                }
            }
            let unknown = (Node::Text("unheardOf".to_owned()), Node::Int(1));
            with(Node::Map(entries.iter().cloned().chain([unknown]).collect()));
        }
        _ => {}
    }
}

/// A path without numbers and a message without what it repeats: a line of the list.
fn line(who: &str, kind: &str, (path, message): &(String, String)) -> String {
    let path: String = path.chars().filter(|c| !c.is_ascii_digit()).collect();
    let message: Vec<&str> = message.split('"').step_by(2).collect();
    format!("{who} {kind} {path}: {}", message.join("\"…\""))
}

const BEYOND: &str = "tests/golden/schema/beyond.txt";

#[test]
fn the_schemas_refuse_nothing_that_is_right_and_little_that_is_wrong_escapes_them() {
    let full = documents(&["tests/golden/config/full.yaml"]);
    let samples = samples(&full);
    let schemas = schemas();
    let (mut beyond, mut unjust, mut seen, mut right) = (BTreeSet::new(), BTreeSet::new(), 0, 0);
    for (_, document) in &full {
        let kind = kind_of(document).unwrap();
        let json_schema = jsonschema::draft202012::new(&schema_of(kind)).unwrap();
        let admission = schemas.get(kind).map(Admission::of);
        changed(document, &samples, true, |changed| {
            let (errors, _) = read(changed);
            let value = json(changed).unwrap();
            seen += 1;
            right += usize::from(errors.is_empty());
            match (errors.first(), json_schema.iter_errors(&value).next()) {
                (None, Some(error)) => drop(unjust.insert(format!("{kind} {}: {error}", error.instance_path()))),
                (Some(error), None) => drop(beyond.insert(line("file", kind, error))),
                _ => {}
            }
        });
        let Some(admission) = admission else { continue };
        changed(&without_written_secrets(document), &samples, false, |changed| {
            let (errors, _) = read(changed);
            let value = json(changed).unwrap();
            match (errors.first(), admission.refuses(&value).as_slice()) {
                // To the server no spec is none, and it must be there.
                (None, [_, ..]) if value["spec"].is_null() => {}
                (None, [error, ..]) => drop(unjust.insert(format!("CRD {kind} {error}"))),
                // The server drops them, and its client says so.
                (Some((_, message)), [])
                    if message.starts_with("unknown field") || message.starts_with("has no fields") => {}
                (Some(error), []) => drop(beyond.insert(line("resource", kind, error))),
                _ => {}
            }
        });
    }
    assert!(unjust.is_empty(), "right to the reader, and refused:\n{unjust:#?}");
    assert!(seen > 5_000 && right > 500, "{right} of {seen}");
    let found: String = beyond.into_iter().map(|line| line + "\n").collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(BEYOND);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == found, "{BEYOND} is no longer what escapes the schemas (UPDATE_GOLDEN=1 writes it anew):\n{found}");
}

/// The same document as a resource has it: secrets in files.
fn without_written_secrets(node: &Node) -> Node {
    match node {
        Node::Map(entries) => match entries.as_slice() {
            [(Node::Text(key), Node::Text(_))] if key == "env" || key == "value" => {
                Node::Map(vec![(Node::Text("file".to_owned()), Node::Text("/run/key".to_owned()))])
            }
            entries => {
                Node::Map(entries.iter().map(|(key, value)| (key.clone(), without_written_secrets(value))).collect())
            }
        },
        Node::List(items) => Node::List(items.iter().map(without_written_secrets).collect()),
        node => node.clone(),
    }
}

/// What a row calls its default is what the reader makes of its absence.
#[test]
fn a_default_that_is_written_changes_nothing() {
    let mut seen = BTreeSet::new();
    for (_, document) in documents(&["tests/golden/config/full.yaml"]) {
        let (step, kind) = spec(&document).unwrap();
        let mut all = Vec::new();
        let mut root = document.clone();
        ways(at(&mut root, &[step]), Shape::Object(kind.fields()), &mut vec![step], &mut all);
        for (way, shape) in all {
            let (Node::Map(entries), Shape::Object(fields)) = (at(&mut root, &way).clone(), shape) else { continue };
            for row in fields.rows {
                let Some(default) = row.default else { continue };
                let value = match default {
                    Default::Text(text) => Node::Text(text.to_owned()),
                    Default::Whole(number) => Node::Int(number.into()),
                };
                let key = Node::Text(row.name.to_owned());
                let without: Vec<_> = entries.iter().filter(|(name, _)| *name != key).cloned().collect();
                let with = without.iter().cloned().chain([(key, value)]).collect();
                let mut documents = [without, with].map(|entries| {
                    let mut copy = document.clone();
                    *at(&mut copy, &way) = Node::Map(entries);
                    read(&copy)
                });
                let [without, with] = &mut documents;
                assert_eq!(without, with, "{}: {}", kind.as_str(), row.name);
                seen.insert((kind.as_str(), row.doc, row.name));
            }
        }
    }
    let rows = every_row();
    let all = rows.iter().filter(|(_, row)| row.default.is_some());
    let all: BTreeSet<_> = all.map(|(path, row)| (path.split('.').next().unwrap(), row.doc, row.name)).collect();
    assert_eq!(seen, all);
}

/// A list with a key is one whose items have it as a text that is required.
#[test]
fn keys_of_lists_are_required_texts() {
    let mut seen = 0;
    for (path, row) in every_row() {
        if let Shape::List { item: Shape::Object(fields), keyed: Keyed::By(key), .. } = row.shape {
            let key = fields.row(key).unwrap_or_else(|| panic!("{path}: {key}"));
            assert!(key.required && matches!(key.shape, Shape::Text(_)), "{path}");
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}
