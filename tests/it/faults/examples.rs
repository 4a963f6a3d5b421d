//! What `weir check` says of every example. The table shrinks as things get built: a row with lines
//! says what is missing today, and a folder without a row must be valid.

use std::path::{Path, PathBuf};

use super::commands::run;

/// Examples that are not valid yet, by their folder, and the exact lines, each after `weir.yaml:`.
const REFUSED: &[(&str, &[&str])] = &[
    ("situations/canary", &["2:spec.identity: not supported yet: spec.identity"]),
    (
        "situations/end-user",
        &["1:spec.identity: not supported yet: spec.identity", "3:kind: not supported yet: LLMLimitPolicy"],
    ),
    ("situations/eu-only", &["4:kind: not supported yet: LLMAccessPolicy"]),
    (
        "situations/interns",
        &[
            "2:spec.identity: not supported yet: spec.identity",
            "3:spec.allowedNamespaces: not supported yet: spec.allowedNamespaces",
            "4:kind: not supported yet: LLMAccessPolicy",
            "5:spec.rules[0].parameters: not supported yet: spec.rules[0].parameters",
            "5:spec.rules[0].matches[0].from: not supported yet: spec.rules[0].matches[0].from",
        ],
    ),
    ("situations/key-per-workload", &["2:kind: not supported yet: LLMConsumer"]),
    (
        "situations/team-budget",
        &[
            "2:spec.allowedNamespaces: not supported yet: spec.allowedNamespaces",
            "3:kind: not supported yet: LLMConsumer",
            "4:kind: not supported yet: LLMConsumer",
            "5:kind: not supported yet: LLMLimitPolicy",
        ],
    ),
    ("situations/two-accounts", &["1:spec.credentials[0].from: not supported yet: spec.credentials[0].from"]),
];

/// Every `weir.yaml` below a folder.
fn documents(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            documents(&path, found);
        } else if path.ends_with("weir.yaml") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_is_valid_or_says_what_is_missing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut found = vec![];
    documents(&root, &mut found);
    assert!(found.len() >= 12, "{found:?}");
    for (folder, _) in REFUSED {
        assert!(found.contains(&root.join(folder).join("weir.yaml")), "{folder} is in the table and nowhere else");
    }
    for path in found {
        let folder = path.parent().and_then(|folder| folder.strip_prefix(&root).ok()).expect("below the root");
        let missing = REFUSED.iter().find(|(name, _)| Path::new(name) == folder).map_or(&[][..], |(_, lines)| lines);
        let text = path.to_str().expect("text");
        let (code, out, err) = run(&["check", text]);
        assert_eq!(out, "", "{text}");
        if missing.is_empty() {
            assert_eq!(code, Some(0), "{text}: {err}");
            continue;
        }
        let said: Vec<&str> = err.lines().filter_map(|line| line.strip_prefix(text)?.strip_prefix(':')).collect();
        assert_eq!((code, said.as_slice()), (Some(1), missing), "{text}: {err}");
    }
}
