//! The prices of a process: the built-in ones, or those of a file that is read again when the process is
//! told to.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::catalog::Catalog;
use crate::config::ConfigError;

/// Larger files are no price files; the built-in one has 1.5 MB.
const LARGEST: u64 = 256 << 20;

/// The catalogue with the prices that were good last.
pub struct Prices {
    path: Option<PathBuf>,
    good: Mutex<Catalog>,
}

// === impl Prices ===

impl Prices {
    /// The prices of this file; the built-in ones until [`Prices::refresh`] has read it, and without one.
    pub fn new(path: Option<PathBuf>) -> Self {
        Prices { path, good: Mutex::new(Catalog::builtin()) }
    }

    /// Whether there is a file that may change.
    pub fn are_own(&self) -> bool {
        self.path.is_some()
    }

    pub fn catalog(&self) -> Catalog {
        self.good.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again. One with an error changes nothing.
    ///
    /// # Errors
    /// Every error of the file.
    pub fn refresh(&self) -> Result<(), Vec<ConfigError>> {
        let Some(path) = &self.path else { return Ok(()) };
        let catalog = read(path)?;
        *self.good.lock().unwrap_or_else(PoisonError::into_inner) = catalog;
        Ok(())
    }
}

/// The built-in catalogue with the prices of a file.
///
/// # Errors
/// Every error of the file.
pub fn read(path: &Path) -> Result<Catalog, Vec<ConfigError>> {
    let error =
        |message: String| ConfigError { file: path.display().to_string(), document: 0, path: String::new(), message };
    let failed = |problem: std::io::Error| vec![error(format!("cannot read the prices: {problem}"))];
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > LARGEST {
        return Err(vec![error(format!("a price file has at most {LARGEST} bytes, and this {size}"))]);
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    let read = Catalog::builtin().with_prices(text);
    read.map_err(|errors| errors.iter().map(|problem| error(problem.to_string())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"format": "weir.prices/v1", "version": "mine", "source": "", "models": [
        {"provider": "openai", "model": "m", "rates": [{"unit": "input", "rate": "1e-06"}]}]}"#;

    #[test]
    fn a_bad_file_is_refused_whole_and_the_old_prices_stay() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prices.json");
        let prices = Prices::new(Some(path.clone()));
        assert!(prices.refresh().unwrap_err()[0].to_string().contains("cannot read the prices"));
        std::fs::write(&path, GOOD).unwrap();
        prices.refresh().unwrap();
        assert!(&**prices.catalog().version() == "mine" && prices.catalog().price("openai", "m").is_some());
        assert!(prices.catalog().price("openai", "gpt-4o").is_none(), "the file's prices alone");

        std::fs::write(&path, GOOD.replace("1e-06", "-1").replace("\"m\"", "\"\"")).unwrap();
        let errors: Vec<String> = prices.refresh().unwrap_err().iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert!(errors[0].starts_with(&format!("{}: models[0] openai/: ", path.display())), "{errors:?}");
        assert!(prices.catalog().price("openai", "m").is_some());
        assert!(Prices::new(None).refresh().is_ok());
    }
}
