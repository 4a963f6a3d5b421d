//! `weir schema`: the JSON Schema and the CRDs of the configuration, on stdout or as files. The same
//! build gives the same bytes.

use std::io;
use std::path::{Path, PathBuf};

use super::{print, tell};
use crate::config::schema::{self, File, SchemaError};

/// `weir schema` on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to write; without it the JSON Schema on stdout, and both into a directory.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write files here, `schema.json` and `crds/KIND.yaml`, instead of stdout.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Who reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// An editor: JSON Schema, draft 2020-12, of one document.
    JsonSchema,
    /// The API server of Kubernetes.
    Crd,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("cannot write {path}: {source}", path = path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Writes the schemas.
///
/// # Errors
/// A file that cannot be written.
pub fn run(args: &Args) -> Result<(), Error> {
    let mut files = Vec::new();
    if args.format == Some(Format::JsonSchema) || args.format.is_none() {
        files.push(schema::json_schema()?);
    }
    if args.format == Some(Format::Crd) || (args.format.is_none() && args.out.is_some()) {
        files.extend(schema::crds()?);
    }
    match &args.out {
        Some(directory) => files.iter().try_for_each(|file| write(directory, file)),
        None => {
            let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
            print(&texts.join("---\n")).map_err(|source| write_error(Path::new("stdout"), source))
        }
    }
}

fn write(directory: &Path, file: &File) -> Result<(), Error> {
    let path = directory.join(&file.name);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|source| write_error(parent, source))?;
    }
    std::fs::write(&path, &file.text).map_err(|source| write_error(&path, source))?;
    tell(&format!("wrote {}", path.display()));
    Ok(())
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write { path: path.to_owned(), source }
}
