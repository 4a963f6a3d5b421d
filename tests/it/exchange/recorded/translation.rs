//! Round trips between wire formats, as data: `tests/golden/translation/NAME.json` has what a client says, what the
//! provider is sent and answers, and what the client is told. Bodies compare as JSON; `"<any>"` stands for what is
//! made up on the way.

use std::path::{Path, PathBuf};

use weir::catalog::Catalog;
use weir::config::{self, Options, SecretError, Secrets, Source};
use weir::policy::Policy;

use case::Case;

mod case;
mod foreign;
mod frames;

/// A policy of one backend, whose spec is given as YAML, and of a route where the model changes.
pub fn policy_of(backend: &str, model: Option<&str>) -> Result<Policy, String> {
    let head = "apiVersion: weir.dev/v1alpha1\nkind: LLMBackend\nmetadata: {name: it}\nspec: ";
    let mut text = format!("{head}{{{backend}}}\n");
    if let Some(model) = model {
        text +=
            "---\napiVersion: weir.dev/v1alpha1\nkind: LLMRoute\nmetadata: {name: it}\nspec:\n  rules:\n  - name: it\n";
        text += &format!(
            "    matches: [{{model: {{type: Glob, value: '*'}}}}]\n    backends: [{{name: it, model: '{model}'}}]\n"
        );
    }
    let source = Source { files: vec![("weir.yaml".to_owned(), text)], ..Source::default() };
    let catalog = Catalog::builtin();
    let checked = config::check(&source, &Options::default(), &catalog, &Nothing, catalog.clone());
    let compiled = checked.compiled.ok_or_else(|| format!("{:?}", checked.errors))?;
    Ok(Policy { may_sign: true, ..compiled.policy })
}

/// No case needs a secret but the one that stands in its backend.
struct Nothing;

impl Secrets for Nothing {
    fn env(&self, _: &str) -> Option<String> {
        None
    }

    fn file(&self, _: &Path) -> Result<String, SecretError> {
        Err(SecretError::NotFound)
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/translation");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("the cases").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn every_round_trip_is_as_written() {
    let mut wrong = Vec::new();
    let files = files();
    for path in &files {
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let case = Case::read(&name, &std::fs::read_to_string(path).expect("a case"));
        wrong.extend(case::run(&case).into_iter().map(|what| format!("{name}: {what}")));
    }
    // Cases that another implementation recorded: each agrees, or differs for a reason that is written down.
    if let Some(path) = std::env::var_os("WEIR_VECTORS") {
        let told = foreign::told(&std::fs::read_to_string(&path).expect("the file of the cases"));
        println!("{}", told.table);
        wrong.extend(told.wrong);
    }
    assert!(files.len() >= 24, "{} cases", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
