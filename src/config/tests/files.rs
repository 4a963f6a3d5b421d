//! Files and directories, as configuration and as keys.

use super::*;
use crate::base::secret::Secret;

#[test]
fn a_file_a_directory_and_what_is_neither() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    for (name, text) in [("b.yaml", "b"), ("a.yml", "a"), ("c.txt", "c"), (".hidden.yaml", "h")] {
        std::fs::write(at(name), text).unwrap();
    }
    std::fs::create_dir(at("d.yaml")).unwrap();
    let read = |path: &std::path::Path| {
        file::read(path).map(|source| source.files.into_iter().map(|file| file.1).collect::<Vec<_>>())
    };
    assert_eq!(read(directory.path()).unwrap(), ["a", "b"]);
    assert_eq!(read(&at("c.txt")).unwrap(), ["c"]);
    let error = &read(&at("none.yaml")).unwrap_err()[0];
    assert!(error.to_string().starts_with(&format!("{}: cannot be read: ", at("none.yaml").display())), "{error}");
    std::fs::write(at("bad.yaml"), b"\xff").unwrap();
    assert_eq!(read(directory.path()).unwrap_err().len(), 1);

    let secrets = file::ProcessSecrets;
    assert_eq!(secrets.file(&at("a.yml")).as_deref().map(Secret::new), Ok(Secret::new("a")));
    assert_eq!(secrets.file(&at("none")), Err(SecretError::NotFound));
    assert_eq!(secrets.file(&at("bad.yaml")), Err(SecretError::NotText));
    std::fs::write(at("large"), "x".repeat((64 << 10) + 1)).unwrap();
    assert_eq!(secrets.file(&at("large")), Err(SecretError::TooLarge));
}
