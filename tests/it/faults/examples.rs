//! What `weir check` says of every example, those of the README included: all are valid, and the table, which shrinks as things get
//! built, says what of them cannot be done today.

use std::path::{Path, PathBuf};

use super::commands::run;

/// Examples that say more than can be done today, by their folder, and the exact notes, each after
/// `note: …weir.yaml:`.
const NOTED: &[(&str, &[&str])] = &[];

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
    assert!(found.len() >= 19, "{found:?}");
    for (folder, _) in NOTED {
        assert!(found.contains(&root.join(folder).join("weir.yaml")), "{folder} is in the table and nowhere else");
    }
    for path in found {
        let folder = path.parent().and_then(|folder| folder.strip_prefix(&root).ok()).expect("below the root");
        let missing = NOTED.iter().find(|(name, _)| Path::new(name) == folder).map_or(&[][..], |(_, lines)| lines);
        let text = path.to_str().expect("text");
        let (code, out, err) = run(&["check", text]);
        assert_eq!(out, "", "{text}");
        let begin = format!("note: {text}:");
        let said: Vec<&str> = err.lines().filter_map(|line| line.strip_prefix(&begin)).collect();
        assert_eq!((code, said.as_slice()), (Some(0), missing), "{text}: {err}");
    }
}

#[test]
fn what_the_readme_configures_is_valid() {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).expect("a README");
    let blocks = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let directory = tempfile::tempdir().expect("a directory");
    let mut checked = 0;
    for (block, _) in blocks {
        let path = directory.path().join("weir.yaml");
        std::fs::write(&path, block).expect("written");
        let (code, _, err) = run(&["check", path.to_str().expect("text")]);
        assert!(code == Some(0) && !err.contains("note:"), "{block}\n{err}");
        checked += 1;
    }
    assert!(checked >= 2, "{checked}");
}
