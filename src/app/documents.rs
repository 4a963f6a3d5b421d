//! Where the configuration of a process comes from, the first time and every time after it.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::AppError;
use super::prices::Prices;
use crate::catalog::Catalog;
use crate::config::file::{self, ProcessSecrets};
use crate::config::kept::Kept;
use crate::config::{self, Bootstrap, Compiled, ConfigError, Options, Source};
use crate::policy::Policy;

/// A place with documents, what the command line adds to them, and the secrets that they name. Its
/// methods read files, so they are not for a thread that runs tasks.
pub struct Documents {
    /// None where the command line names none; `-` for standard input.
    path: Option<PathBuf>,
    /// What standard input held: it can be read once.
    stdin: OnceLock<Source>,
    options: Options,
    /// Documents that the command adds, with names for errors.
    more: Vec<(String, String)>,
    pub secrets: Kept<ProcessSecrets>,
    prices: Prices,
}

/// What was read at one time: the documents, and the prices that they are compiled with.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub source: Source,
    pub catalog: Catalog,
}

/// What a process starts with.
pub struct First {
    pub read: Result<Snapshot, Vec<ConfigError>>,
    /// Its policy is unconfigured when there are errors.
    pub compiled: Compiled,
    /// Why there is no configuration yet.
    pub errors: Vec<ConfigError>,
}

// === impl Documents ===

impl Documents {
    pub fn new(path: Option<PathBuf>, options: Options, more: Vec<(String, String)>) -> Self {
        let (stdin, secrets) = (OnceLock::new(), Kept::new(ProcessSecrets));
        Documents { path, stdin, options, more, secrets, prices: Prices::new(None) }
    }

    /// With the prices of a file instead of the built-in ones.
    #[must_use]
    pub fn with_prices(self, path: Option<PathBuf>) -> Self {
        Documents { prices: Prices::new(path), ..self }
    }

    /// The same places, read with other options.
    #[must_use]
    pub fn with_options(self, options: Options) -> Self {
        Documents { options, secrets: Kept::new(ProcessSecrets), ..self }
    }

    /// Whether there is anything that may have changed when the process is told to read again.
    pub fn are_files(&self) -> bool {
        self.path().is_some() || self.prices.path().is_some()
    }

    /// The file with prices that may change while the process runs.
    pub fn price_file(&self) -> Option<&Path> {
        self.prices.path()
    }

    /// The file or directory that may change while the process runs.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref().filter(|path| *path != Path::new("-"))
    }

    /// Reads the documents, and the price file where there is one.
    ///
    /// # Errors
    /// What cannot be read, and every error of the price file.
    pub fn read(&self) -> Result<Snapshot, Vec<ConfigError>> {
        both(self.source(), self.prices.read())
    }

    fn source(&self) -> Result<Source, Vec<ConfigError>> {
        let mut source = match self.path.as_deref() {
            None => Source::default(),
            Some(path) if self.path().is_some() => file::read(path)?,
            Some(stdin) => match self.stdin.get() {
                Some(source) => source.clone(),
                None => {
                    let source = file::read(stdin)?;
                    self.stdin.get_or_init(|| source).clone()
                }
            },
        };
        source.files.extend(self.more.iter().cloned());
        Ok(source)
    }

    /// Checks and compiles documents, with the keys that are in their files now.
    ///
    /// # Errors
    /// Every error of the documents.
    pub fn load(&self, read: &Snapshot) -> Result<Compiled, Vec<ConfigError>> {
        let Snapshot { source, catalog } = read;
        self.secrets.begin();
        let compiled = config::load(source, &self.options, catalog, &self.secrets, catalog.clone())?;
        self.secrets.settle();
        Ok(compiled)
    }

    /// Reads and loads for a start that goes on without a valid configuration, as long as it is known
    /// where to listen.
    ///
    /// # Errors
    /// When the documents cannot be read, or their WeirBootstrap is among what is wrong.
    pub fn first(&self) -> Result<First, AppError> {
        let source = self.source().map_err(AppError::Bootstrap)?;
        let read = both(Ok(source.clone()), self.prices.read());
        let errors = match read.as_ref().map_err(Clone::clone).and_then(|read| self.load(read)) {
            Ok(compiled) => return Ok(First { read, compiled, errors: Vec::new() }),
            Err(errors) => errors,
        };
        let bootstrap = config::bootstrap(&source, &self.options).map_err(AppError::Bootstrap)?;
        let store = bootstrap.redis.as_ref().map(|redis| config::Store::load(redis, &self.options, &self.secrets).0);
        Ok(First { read, compiled: unconfigured(bootstrap, store), errors })
    }
}

/// The two together, or every error of both.
fn both(
    source: Result<Source, Vec<ConfigError>>,
    catalog: Result<Catalog, Vec<ConfigError>>,
) -> Result<Snapshot, Vec<ConfigError>> {
    match (source, catalog) {
        (Ok(source), Ok(catalog)) => Ok(Snapshot { source, catalog }),
        (source, catalog) => Err(source.err().into_iter().chain(catalog.err()).flatten().collect()),
    }
}

// === impl Snapshot ===

impl PartialEq for Snapshot {
    fn eq(&self, other: &Snapshot) -> bool {
        self.source == other.source && self.catalog.is_same(&other.catalog)
    }
}

fn unconfigured(bootstrap: Bootstrap, store: Option<config::Store>) -> Compiled {
    let policy = Policy::unconfigured(bootstrap.role);
    Compiled { policy, bootstrap, store, discovered: Vec::new(), warnings: Vec::new() }
}
