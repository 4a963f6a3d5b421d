//! Where the configuration of a process comes from, the first time and every time after it.

use std::path::{Path, PathBuf};

use super::AppError;
use super::prices::Prices;
use crate::config::file::{self, ProcessSecrets};
use crate::config::kept::Kept;
use crate::config::{self, Bootstrap, Compiled, ConfigError, Options, Source};
use crate::policy::Policy;

/// A place with documents, what the command line adds to them, and the secrets that they name. Its
/// methods read files, so they are not for a thread that runs tasks.
pub struct Documents {
    /// None where the command line names none; `-` for standard input, which is read once.
    path: Option<PathBuf>,
    options: Options,
    /// Documents that the command adds, with names for errors.
    more: Vec<(String, String)>,
    pub secrets: Kept<ProcessSecrets>,
    prices: Prices,
}

/// What a process starts with.
pub struct First {
    pub source: Source,
    /// Its policy is unconfigured when there are errors.
    pub compiled: Compiled,
    /// Why there is no configuration yet.
    pub errors: Vec<ConfigError>,
}

// === impl Documents ===

impl Documents {
    pub fn new(path: Option<PathBuf>, options: Options, more: Vec<(String, String)>) -> Self {
        Documents { path, options, more, secrets: Kept::new(ProcessSecrets), prices: Prices::new(None) }
    }

    /// With the prices of a file instead of the built-in ones.
    #[must_use]
    pub fn with_prices(self, path: Option<PathBuf>) -> Self {
        Documents { prices: Prices::new(path), ..self }
    }

    /// Whether there is anything that may have changed when the process is told to read again.
    pub fn are_files(&self) -> bool {
        self.path().is_some() || self.prices.are_own()
    }

    /// The file or directory that may change while the process runs.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Reads the documents, and the price file where there is one.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn read(&self) -> Result<Source, Vec<ConfigError>> {
        self.prices.refresh()?;
        let mut source = self.path.as_deref().map_or_else(|| Ok(Source::default()), file::read)?;
        source.files.extend(self.more.iter().cloned());
        Ok(source)
    }

    /// Checks and compiles documents, with the keys that are in their files now.
    ///
    /// # Errors
    /// Every error of the documents.
    pub fn load(&self, source: &Source) -> Result<Compiled, Vec<ConfigError>> {
        let catalog = self.prices.catalog();
        self.secrets.begin();
        let compiled = config::load(source, &self.options, &catalog, &self.secrets, catalog.clone())?;
        self.secrets.settle();
        Ok(compiled)
    }

    /// Reads and loads for a start that goes on without a valid configuration, as long as it is known
    /// where to listen.
    ///
    /// # Errors
    /// When the documents cannot be read, or their WeirBootstrap is among what is wrong.
    pub fn first(&self) -> Result<First, AppError> {
        let source = self.read().map_err(AppError::Bootstrap)?;
        match self.load(&source) {
            Ok(compiled) => Ok(First { source, compiled, errors: Vec::new() }),
            Err(errors) => {
                let bootstrap = config::bootstrap(&source, &self.options).map_err(AppError::Bootstrap)?;
                let compiled = unconfigured(bootstrap);
                Ok(First { source, compiled, errors })
            }
        }
    }
}

fn unconfigured(bootstrap: Bootstrap) -> Compiled {
    let policy = Policy::unconfigured(bootstrap.role);
    Compiled { policy, bootstrap, discovered: Vec::new(), warnings: Vec::new() }
}
