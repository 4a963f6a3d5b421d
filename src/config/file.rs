//! [io] Configuration and secrets as files: reads what is there now; watches nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::secret::{SecretError, Secrets};
use super::{ConfigError, Source};

/// The largest configuration file.
const MAX_FILE: u64 = 16 << 20;
/// The largest secret.
const MAX_SECRET: u64 = 64 << 10;

/// The environment and the files of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessSecrets;

/// Reads a file, all `*.yaml` and `*.yml` of a directory in the order of their names, or standard
/// input for `-`.
///
/// # Errors
/// Every file that cannot be read, is no text, or is larger than 16 MiB.
pub fn read(path: &Path) -> Result<Source, Vec<ConfigError>> {
    if path == Path::new("-") {
        return gather([("stdin".to_owned(), text(io::stdin().lock()))]);
    }
    let paths = match path.is_dir() {
        true => listing(path).map_err(|error| vec![unreadable(shown(path), &error)])?,
        false => vec![path.to_owned()],
    };
    let mut source = gather(paths.iter().map(|path| (shown(path), File::open(path).and_then(text))))?;
    if paths.is_empty() {
        let message = "no *.yaml and no *.yml file is in this directory (those in directories below it and hidden \
                       ones are not read), so nothing is configured; put the documents here or name another path";
        source.warnings.push(about(shown(path), message.to_owned()));
    }
    Ok(source)
}

fn gather(files: impl IntoIterator<Item = (String, io::Result<String>)>) -> Result<Source, Vec<ConfigError>> {
    let mut source = Source::default();
    let mut errors = Vec::new();
    for (name, text) in files {
        match text {
            Ok(text) => source.files.push((name, text)),
            Err(error) => errors.push(unreadable(name, &error)),
        }
    }
    if errors.is_empty() { Ok(source) } else { Err(errors) }
}

/// Hidden files are left out: a mounted ConfigMap keeps its links in them.
fn listing(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let is_yaml = matches!(path.extension().and_then(OsStr::to_str), Some("yaml" | "yml"));
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_yaml && !is_hidden && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn text(from: impl Read) -> io::Result<String> {
    let mut text = String::new();
    let read = from.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if u64::try_from(read).is_ok_and(|read| read <= MAX_FILE) {
        Ok(text)
    } else {
        Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"))
    }
}

fn unreadable(file: String, error: &io::Error) -> ConfigError {
    about(file, format!("cannot be read: {error}"))
}

/// Of a file or a directory as a whole.
fn about(file: String, message: String) -> ConfigError {
    ConfigError { file, document: 0, path: String::new(), message }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

// === impl ProcessSecrets ===

impl Secrets for ProcessSecrets {
    fn env(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn file(&self, path: &Path) -> Result<String, SecretError> {
        let file = File::open(path).map_err(|error| SecretError::from(&error))?;
        let mut text = String::new();
        let read = file.take(MAX_SECRET + 1).read_to_string(&mut text).map_err(|error| SecretError::from(&error))?;
        if u64::try_from(read).is_ok_and(|read| read <= MAX_SECRET) { Ok(text) } else { Err(SecretError::TooLarge) }
    }
}

impl From<&io::Error> for SecretError {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => SecretError::NotFound,
            io::ErrorKind::InvalidData => SecretError::NotText,
            _ => SecretError::Unreadable,
        }
    }
}
