//! `tests/bad-config`: each file or directory of bad documents, against what is said of it, and
//! `tests/golden/config`: the language as a whole. `UPDATE_GOLDEN=1` writes what is said anew.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::fake::Catalogue;
use super::*;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// What `weir check` says of a file or a directory, with the names below `root`.
fn said(path: &Path, root: &Path, catalog: &Catalog) -> (String, Checked) {
    let mut source = file::read(path).unwrap();
    for (name, _) in &mut source.files {
        *name = Path::new(name.as_str()).strip_prefix(root).unwrap().display().to_string();
    }
    let fakes = Fakes::default();
    let checked = check(&source, &fakes.options, catalog, &fakes, catalog.clone());
    let notes = checked.notes.iter().map(|note| format!("note: {note}\n"));
    (checked.errors.iter().map(|error| format!("{error}\n")).chain(notes).collect(), checked)
}

/// None where it is as written, else what is wrong.
pub(super) fn compare(beside: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(beside, found).unwrap();
        return None;
    }
    let expected = std::fs::read_to_string(beside).unwrap_or_default();
    (expected != found).then(|| format!("=== {}\n--- expected\n{expected}--- found\n{found}\n", beside.display()))
}

#[test]
fn every_bad_file_is_told_everything_that_is_wrong_with_it() {
    let root = folder("bad-config");
    let catalog = Catalog::builtin();
    let mut wrong = String::new();
    let mut seen = 0;
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.extension().is_some_and(|extension| extension == "errors") {
            let lost = !path.with_extension("yaml").exists() && !path.with_extension("").exists();
            assert!(!lost, "{} is of no document", path.display());
            continue;
        }
        seen += 1;
        let (found, checked) = said(&path, &root, &catalog);
        assert!(!checked.errors.is_empty() && checked.compiled.is_none(), "{} is not bad", path.display());
        assert!(!found.contains("CANARY"), "{}: {found}", path.display());
        wrong.extend(compare(&path.with_extension("errors"), &found));
    }
    assert!(wrong.is_empty(), "{wrong}UPDATE_GOLDEN=1 writes them anew");
    assert!(seen >= 60, "{seen}");
}

/// Every field of the language stands in `full.yaml`: it is right, and what cannot be done yet is noted.
#[test]
fn the_language_as_a_whole_is_right() {
    let root = folder("golden/config");
    let catalog = Catalog::builtin();
    for name in ["full", "smallest"] {
        let (found, checked) = said(&root.join(name).with_extension("yaml"), &root, &catalog);
        assert_eq!(lines(&checked.errors), "");
        assert!(checked.compiled.is_some());
        let wrong = compare(&root.join(name).with_extension("notes"), &found);
        assert!(wrong.is_none(), "{}", wrong.unwrap());
    }
}

const FULL: &str = include_str!("../../../tests/golden/config/full.yaml");

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// With a line lost, doubled or cut, whoever checks and whoever runs are told the same; whoever
    /// checks is given something that compiles exactly where nothing is an error.
    #[test]
    fn checking_and_running_agree_on_a_damaged_language(at in 0..300usize, cut in 0..80usize, how in 0..3u8) {
        let lines: Vec<&str> = FULL.lines().collect();
        let at = at % lines.len();
        let half: String = lines[at].chars().take(cut).collect();
        let mut damaged = lines.clone();
        match how {
            0 => drop(damaged.remove(at)),
            1 => damaged.insert(at, lines[at]),
            _ => damaged[at] = &half,
        }
        let source = Source { files: vec![("weir.yaml".to_owned(), damaged.join("\n"))], ..Source::default() };
        let fakes = Fakes::default();
        let checked = check(&source, &fakes.options, &fake::Catalogue, &fakes, Catalog::default());
        let told = load(&source, &fakes.options, &fake::Catalogue, &fakes, Catalog::default()).unwrap_err();
        prop_assert_eq!(told.len(), checked.errors.len() + checked.notes.len());
        prop_assert_eq!(checked.compiled.is_some(), checked.errors.is_empty());
        let both = |error: &ConfigError| checked.errors.contains(error) != checked.notes.contains(error);
        prop_assert!(told.iter().all(both));
    }
}

/// Each hint is a look at every name there is: they are counted, and so the work is.
#[test]
fn of_many_dangling_references_all_are_reported_and_the_first_few_get_a_hint() {
    let document = |kind: &str, name: &str, spec: &str| {
        format!("---\napiVersion: weir.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{{spec}}}\n")
    };
    let mut text = String::new();
    for number in 0..40 {
        text += &document("LLMBackend", &format!("backend-{number}"), "provider: mock, endpoint: 'http://127.0.0.1:1'");
        let rules = format!("rules: [{{name: r, backends: [{{name: bakend-{number}}}]}}]");
        text += &document("LLMRoute", &format!("route-{number}"), &rules);
        let spec = format!("from: [{{consumers: [nobody-{number}]}}], models: {{deny: ['*']}}");
        text += &document("LLMAccessPolicy", &format!("policy-{number}"), &spec);
        let spec = format!("targetRefs: [{{kind: LLMRoute, name: rout-{number}}}], models: {{deny: ['*']}}");
        text += &document("LLMAccessPolicy", &format!("pointing-{number}"), &spec);
    }
    let source = Source { files: vec![("weir.yaml".into(), text)], ..Source::default() };
    let fakes = Fakes::default();
    let errors = check(&source, &fakes.options, &Catalogue, &fakes, Catalog::default()).errors;
    assert_eq!(errors.len(), 120, "{}", lines(&errors));
    let hints = errors.iter().filter(|error| error.message.contains("did you mean")).count();
    assert!((1..=20).contains(&hints), "{hints} hints");
    assert!(errors[0].message.contains("did you mean \"backend-0\""), "{}", errors[0]);
}
