//! `mesh/schema.json` and `mesh/crds` are what `weir schema` writes. `WEIR_BLESS=1` writes them anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the command writes: its output and what it says.
fn run(args: &[&str]) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_weir")).arg("schema").args(args).output().expect("weir runs");
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr))
}

/// The schemas below a folder, by their names in it.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let paths = entries(&folder.join("crds")).into_iter().chain([folder.join("schema.json")]);
    let read = |path: PathBuf| {
        let name = path.strip_prefix(folder).expect("below the folder").display().to_string();
        Some((name, std::fs::read_to_string(&path).ok()?))
    };
    paths.filter_map(read).collect()
}

#[test]
fn the_schemas_in_the_repository_are_current() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("mesh");
    if std::env::var_os("WEIR_BLESS").is_some() {
        run(&["--out", kept.to_str().expect("text")]);
    }
    let made = tempfile::tempdir().expect("a directory");
    let (out, err) = run(&["--out", made.path().to_str().expect("text")]);
    assert_eq!((out.as_str(), err.lines().count()), ("", 9), "{err}");
    let (kept, made) = (files(&kept), files(made.path()));
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    let advice = "`weir schema --out mesh` writes it anew";
    assert_eq!(names(&kept), names(&made), "mesh/ has other files than are made; {advice}");
    for (name, text) in &made {
        let line = kept[name].lines().zip(text.lines()).position(|(kept, made)| kept != made);
        assert!(kept[name] == *text, "mesh/{name} is no longer what is made (line {line:?}, from 0); {advice}");
    }
}

#[test]
fn a_format_alone_goes_to_stdout() {
    let (json, said) = run(&[]);
    assert_eq!((json.as_str(), said.as_str()), (run(&["--format", "json-schema"]).0.as_str(), ""));
    let schema: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(schema["oneOf"].as_array().map(Vec::len), Some(9));
    let (crds, _) = run(&["--format", "crd"]);
    assert_eq!(crds.split("---\n").count(), 8);
    assert!(crds.split("---\n").all(|crd| crd.contains("\nkind: CustomResourceDefinition\n")), "{crds}");
}
