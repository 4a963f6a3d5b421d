//! The prices of a process: the built-in ones, or those of a file, which may change while it runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::catalog::Catalog;
use crate::config::ConfigError;

/// Larger files are no price files; the built-in one has 1.5 MB.
const LARGEST: u64 = 64 << 20;

/// As many errors of one file are said; a file of another kind would have one in each row.
const SAID: usize = 100;

/// Where prices are read, and what was read there last.
pub struct Prices {
    path: Option<PathBuf>,
    last: Mutex<Option<Last>>,
}

/// So that a file that has not changed is not parsed again.
struct Last {
    digest: [u8; 32],
    read: Result<Catalog, Vec<ConfigError>>,
}

// === impl Prices ===

impl Prices {
    /// The prices of this file; without one the built-in ones.
    pub fn new(path: Option<PathBuf>) -> Self {
        Prices { path, last: Mutex::new(None) }
    }

    /// The file that may change, where there is one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Reads the prices as they are now. The same bytes give the same catalogue, not another like it.
    ///
    /// # Errors
    /// Every error of the file, up to a hundred.
    pub fn read(&self) -> Result<Catalog, Vec<ConfigError>> {
        let Some(path) = &self.path else { return Ok(Catalog::builtin()) };
        let text = text(path)?;
        let digest = Sha256::digest(text.as_bytes()).into();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.digest == digest) {
            return last.read.clone();
        }
        let read = parse(path, text);
        *last = Some(Last { digest, read: read.clone() });
        read
    }
}

/// The built-in catalogue with the prices of a file; without one as it is.
///
/// # Errors
/// Every error of the file, up to a hundred.
pub fn read(path: Option<&Path>) -> Result<Catalog, Vec<ConfigError>> {
    match path {
        Some(path) => parse(path, text(path)?),
        None => Ok(Catalog::builtin()),
    }
}

/// What a file holds. What its size is said to be is not asked: it may grow, or be a pipe.
fn text(path: &Path) -> Result<String, Vec<ConfigError>> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text));
    let read = read.and_then(|read| match read as u64 > LARGEST {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 64 MiB, and no price file is")),
        false => Ok(text),
    });
    read.map_err(|problem| vec![about(path, format!("cannot read the prices: {problem}"))])
}

fn parse(path: &Path, text: String) -> Result<Catalog, Vec<ConfigError>> {
    Catalog::builtin().with_prices(text).map_err(|errors| {
        let mut said: Vec<_> = errors.iter().take(SAID).map(|error| about(path, error.to_string())).collect();
        if errors.len() > SAID {
            said.push(about(path, format!("and {} more errors", errors.len() - SAID)));
        }
        said
    })
}

fn about(path: &Path, message: String) -> ConfigError {
    ConfigError { file: path.display().to_string(), document: 0, path: String::new(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"format": "weir.prices/v1", "version": "mine", "source": "", "models": [
        {"provider": "openai", "model": "m", "rates": [{"unit": "input", "rate": "1e-06"}]}]}"#;

    #[test]
    fn a_bad_file_is_refused_whole_with_every_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prices.json");
        let prices = Prices::new(Some(path.clone()));
        assert!(prices.read().unwrap_err()[0].to_string().contains("cannot read the prices"));
        std::fs::write(&path, GOOD).unwrap();
        let read = prices.read().unwrap();
        assert!(&**read.version() == "mine" && read.price("openai", "m").is_some());
        assert!(read.price("openai", "gpt-4o").is_none(), "the file's prices alone");
        assert!(prices.read().unwrap().is_same(&read), "the same bytes are the same prices");

        std::fs::write(&path, GOOD.replace("1e-06", "-1").replace("\"m\"", "\"\"")).unwrap();
        let errors: Vec<String> = prices.read().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with(&format!("{}: models[0] openai/: ", path.display())), "{errors:?}");
        assert_eq!(prices.read().unwrap_err().len(), 2, "and again");
        assert!(Prices::new(None).read().unwrap().is_same(&Catalog::builtin()));
    }

    #[test]
    fn a_file_without_end_is_refused_and_a_wrong_one_does_not_fill_the_log() {
        let errors = read(Some(Path::new("/dev/zero"))).unwrap_err();
        assert!(errors[0].to_string().contains("64 MiB"), "{errors:?}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prices.json");
        let rows = vec!["{}"; 1_000].join(",");
        std::fs::write(
            &path,
            format!(r#"{{"format": "weir.prices/v1", "version": "", "source": "", "models": [{rows}]}}"#),
        )
        .unwrap();
        let errors = read(Some(&path)).unwrap_err();
        assert_eq!(errors.len(), SAID + 1);
        assert!(errors[SAID].to_string().ends_with("and 900 more errors"), "{}", errors[SAID]);
    }
}
