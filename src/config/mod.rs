//! Configuration: YAML documents to one compiled [`Policy`] and one [`Bootstrap`], or to every error
//! at once. A document that says something this version cannot do is read in full and then refused,
//! never half obeyed; [`check`] tells the two apart.
//!
//! ```text
//! file       path -> Source                 the only place that reads files
//! watch      paths -> when they may have changed
//! kept       keys that vanish stay in use   around the secrets that `file` reads
//! yaml       text -> values                 documents cut apart, repeated keys kept
//! yaml11     words that other readers of YAML take for booleans
//! read       values -> fields               paths, unknown fields, what is not supported yet
//! shape      the fields, as data             `read` checks against these rows; `text` has the forms of texts
//! schema     these rows -> JSON Schema, CRDs for editors and for the API server
//! spec       fields -> documents            a file a kind
//! discovery  environment -> more backends
//! validate   documents against each other and against the catalogue
//! refs       what documents refer to
//! compile    documents -> Policy            keys are read here
//! clouds     endpoints and credentials of AWS, Google Cloud and Azure
//! routes     rules and passthroughs          into the tables of their namespaces
//! reach      for which calls a document speaks
//! profile    what holds for every call      nowhere looser in a namespace than in root
//! store      what replicas share, and its password
//! callers    who calls and who may          consumers, identity, access: checked and compiled
//! ```

pub mod discovery;
pub mod file;
pub mod kept;
pub mod provider;
pub mod schema;
pub mod secret;
pub mod spec;
pub mod store;
pub mod watch;

mod caches;
mod callers;
mod clouds;
mod compile;
mod doubts;
mod form;
mod limits;
mod models;
mod profile;
mod reach;
mod read;
mod refs;
mod routes;
mod shape;
#[cfg(test)]
mod tests;
mod text;
mod validate;
mod value;
mod yaml;
mod yaml11;

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crate::catalog::Catalog;
use crate::policy::Policy;

use read::{Found, Gravity};

pub use discovery::discovered;
pub use form::{Moment, Percent};
pub use provider::{ProviderFacts, Providers};
pub use secret::{SecretError, Secrets};
pub use spec::{Bootstrap, Discovery, Egress, Listen, ListenTls, Listeners, ModelPrice, Overload, Pricing};
pub use spec::{Encryption, SharedRedis, SocketAccess, WorkloadNames};
pub use store::Store;
pub use value::{Address, Endpoint};

/// The texts of a configuration, not yet parsed: they may hold secrets.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Source {
    /// Name, for errors, and content.
    pub files: Vec<(String, String)>,
    /// What was odd about where they were looked for.
    pub warnings: Vec<ConfigError>,
}

/// What the command line and the process add to the documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Documents of this namespace speak for the whole mesh.
    pub root_namespace: String,
    /// Where Secrets are mounted.
    pub secrets_dir: Option<PathBuf>,
    /// What discovery is when no LLMProfile says it.
    pub discovery_default: Discovery,
    /// Where the built-in provider listens; it becomes the backend `mock`.
    pub mock: Option<SocketAddr>,
    /// What the environment says of the workload; it comes before the document.
    pub workload: WorkloadNames,
    pub keys: KeysAre,
    /// What is spent of limits is kept, also where no document says so.
    pub keeps_spend: bool,
}

/// What becomes of the backends' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum KeysAre {
    /// They are read, for signing.
    #[default]
    Read,
    /// In the place of each stands where it is looked for, and whether it is there: for who explains a
    /// configuration and has no use for its keys. Such a policy must not serve.
    Described,
}

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// `may_sign` is false: whoever opens the listener decides it.
    pub policy: Policy,
    pub bootstrap: Bootstrap,
    /// What its replicas share.
    pub store: Option<Store>,
    /// The backends that no document defines and the environment does.
    pub discovered: Vec<Arc<str>>,
    /// What does not stop a start and should be known, such as a key that is not there.
    pub warnings: Vec<ConfigError>,
}

/// A configuration as somebody judges it who does not run it now.
#[derive(Clone, Debug)]
pub struct Checked {
    /// In the order of the documents.
    pub errors: Vec<ConfigError>,
    /// What this version reads and cannot do yet, in the order of the documents. [`load`] refuses each.
    pub notes: Vec<ConfigError>,
    /// What would run but for the notes; none where there is an error.
    pub compiled: Option<Compiled>,
}

/// One thing that is wrong, and where. Never repeats a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub file: String,
    /// From 1; 0 for the file as a whole.
    pub document: usize,
    /// Empty for the document as a whole.
    pub path: String,
    pub message: String,
}

/// Reads, checks and compiles a configuration for running it. No document at all is a valid one.
///
/// # Errors
/// Every error of every document, in the order of the documents, and among them everything that this
/// version cannot do; at least one.
pub fn load(
    source: &Source,
    options: &Options,
    providers: &dyn Providers,
    secrets: &dyn Secrets,
    catalog: Catalog,
) -> Result<Compiled, Vec<ConfigError>> {
    let (found, compiled) = judge(source, options, providers, secrets, catalog);
    match compiled {
        Some(compiled) if found.is_empty() => Ok(compiled),
        _ => Err(found.into_iter().map(|(_, error)| error).collect()),
    }
}

/// Reads and checks a configuration without the wish to run it: what this version cannot do yet is
/// a note and no error.
pub fn check(
    source: &Source,
    options: &Options,
    providers: &dyn Providers,
    secrets: &dyn Secrets,
    catalog: Catalog,
) -> Checked {
    let (found, compiled) = judge(source, options, providers, secrets, catalog);
    let (errors, notes): (Vec<_>, Vec<_>) = found.into_iter().partition(|(gravity, _)| *gravity == Gravity::Error);
    let bare = |list: Vec<(Gravity, ConfigError)>| list.into_iter().map(|(_, error)| error).collect();
    Checked { errors: bare(errors), notes: bare(notes), compiled }
}

/// What was found, in the order of the documents, and what it compiles to where nothing is wrong.
fn judge(
    source: &Source,
    options: &Options,
    providers: &dyn Providers,
    secrets: &dyn Secrets,
    catalog: Catalog,
) -> (Vec<(Gravity, ConfigError)>, Option<Compiled>) {
    let mut found = Vec::new();
    let documents = documents(source, &options.root_namespace, &mut found);
    let set = validate::Set::gather(&documents, options, providers, secrets);
    let mut errors = Vec::new();
    set.check(&mut errors);
    found.extend(errors.into_iter().map(|error| (Gravity::Error, error)));
    let places: HashMap<&str, usize> =
        source.files.iter().enumerate().rev().map(|(at, (name, _))| (name.as_str(), at)).collect();
    found.sort_by_key(|(_, error)| (places.get(error.file.as_str()).copied(), error.document));
    if found.iter().any(|(gravity, _)| *gravity == Gravity::Error) {
        return (found, None);
    }
    let mut compiled = compile::compile(&set, options, providers, secrets, catalog);
    compiled.warnings.splice(..0, source.warnings.iter().cloned());
    (found, Some(compiled))
}

/// The part that says where to listen, of a configuration that is not valid as a whole: what its
/// WeirBootstrap says, or the defaults where it has none.
///
/// # Errors
/// Every error of the configuration, when one of them is in the WeirBootstrap, or may hide it.
pub fn bootstrap(source: &Source, options: &Options) -> Result<Bootstrap, Vec<ConfigError>> {
    let mut found = Vec::new();
    let documents = documents(source, &options.root_namespace, &mut found);
    // What cannot be done yet counts as well: a listener is opened as it is described, or not at all.
    let errors: Vec<ConfigError> = found.into_iter().map(|(_, error)| error).collect();
    let mut found = documents.iter().filter(|document| document.kind == spec::Kind::WeirBootstrap);
    match (found.next(), found.next()) {
        (Some(spec::Document { at, spec: Some(spec::Spec::Bootstrap(bootstrap)), .. }), None)
            if !errors.iter().any(|error| error.file == *at.file && error.document == at.document) =>
        {
            Ok((**bootstrap).clone())
        }
        (None, _) if !source.files.iter().any(|(_, text)| text.contains(spec::Kind::WeirBootstrap.as_str())) => {
            Ok(Bootstrap::default())
        }
        _ => Err(errors),
    }
}

/// Documents that one thread reads: fewer are read where they are.
const DOCUMENTS_A_THREAD: usize = 512;

/// Threads that read, at most: calls are served beside.
const READERS: usize = 4;

/// One document that was not read yet, and what is left of it when it was.
type Unread<'a> = (spec::At, yaml::Chunk<'a>);
type Read = (Vec<spec::Document>, Vec<(Gravity, ConfigError)>);

/// Reads all documents, in their order; many of them on several threads.
fn documents(source: &Source, root_namespace: &str, errors: &mut Vec<(Gravity, ConfigError)>) -> Vec<spec::Document> {
    let files = source.files.iter().map(|(name, text)| (Arc::<str>::from(name.as_str()), text));
    let unread: Vec<Unread<'_>> = files
        .flat_map(|(file, text)| {
            let at = move |chunk: &yaml::Chunk<'_>| spec::At { file: file.clone(), document: chunk.index };
            yaml::chunks(text).into_iter().map(move |chunk| (at(&chunk), chunk))
        })
        .collect();
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let readers = unread.len().div_ceil(DOCUMENTS_A_THREAD).clamp(1, cores.min(READERS));
    let share = unread.len().div_ceil(readers).max(1);
    let parts: Vec<Read> = thread::scope(|scope| {
        let mut shares = unread.chunks(share);
        let first = shares.next().unwrap_or_default();
        let others: Vec<_> = shares.map(|share| scope.spawn(|| read_share(share, root_namespace))).collect();
        let mut parts = vec![read_share(first, root_namespace)];
        parts.extend(others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic))));
        parts
    });
    let mut documents = Vec::with_capacity(unread.len());
    for (read, found) in parts {
        documents.extend(read);
        errors.extend(found);
    }
    documents
}

fn read_share(share: &[Unread<'_>], root_namespace: &str) -> Read {
    let (mut documents, mut errors) = (Vec::with_capacity(share.len()), Vec::new());
    for (at, chunk) in share {
        let node = match yaml::parse(*chunk) {
            Ok(Some(node)) => node,
            Ok(None) => continue,
            Err(error) => {
                errors.push((Gravity::Error, at.error("", error.to_string())));
                continue;
            }
        };
        let found = read::Errors::default();
        documents.extend(spec::Document::read(&read::Reader::root(&node, &found), at.clone(), root_namespace));
        let placed = |found: Found| (found.gravity, at.error(&found.path, found.message));
        errors.extend(found.into_inner().into_iter().map(placed));
    }
    (documents, errors)
}

// === impl Source ===

impl Source {
    /// True when no document is in it, not even a wrong one.
    pub fn is_empty(&self) -> bool {
        self.files
            .iter()
            .all(|(_, text)| yaml::chunks(text).into_iter().all(|chunk| matches!(yaml::parse(chunk), Ok(None))))
    }

    /// 16 hexadecimal digits that say which texts these are: the same on every machine and in every
    /// version (FNV-1a of names without their directories, and texts).
    pub fn hash(&self) -> String {
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let pieces = self.files.iter().flat_map(|(path, text)| [name(path), text.clone()]);
        let bytes = pieces.flat_map(|piece| piece.into_bytes().into_iter().chain([0]));
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        format!("{hash:016x}")
    }
}

/// The names of the files, and nothing of what stands in them.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.files.iter().map(|(name, _)| name)).finish()
    }
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Options {
            root_namespace: "weir-system".to_owned(),
            secrets_dir: None,
            discovery_default: Discovery::Disabled,
            mock: None,
            workload: WorkloadNames::default(),
            keys: KeysAre::default(),
            keeps_spend: false,
        }
    }
}

// === impl At ===

impl spec::At {
    fn error(&self, path: &str, message: impl Into<String>) -> ConfigError {
        ConfigError {
            file: self.file.to_string(),
            document: self.document,
            path: path.to_owned(),
            message: message.into(),
        }
    }
}

// === impl ConfigError ===

/// `file:document:path: message`, without what it has not.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.document > 0 {
            write!(f, ":{}", self.document)?;
        }
        if !self.path.is_empty() {
            write!(f, ":{}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}
