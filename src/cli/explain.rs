//! `weir explain`: what would become of a call, and why. The exchange itself is asked, with a world that
//! never looks: nothing is connected to, nothing is counted, and no key is held, for in the place of each
//! there is the name of where it is looked for.

mod caller;
mod drive;
mod estimate;
mod recall;
mod request;
mod show;

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use super::{PriceFile, print_bytes, read, tell};
use crate::app::{AppError, prices};
use crate::config::file::ProcessSecrets;
use crate::config::{self, Checked, Discovery, KeysAre, Options, WorkloadNames};

/// `weir explain` on the command line. The request is read from standard input.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// A file or a directory of YAML documents.
    #[arg(value_name = "CONFIG")]
    documents: PathBuf,
    /// The caller by its certificate. In role Sidecar: the workload that the process runs beside.
    #[arg(long = "as", value_name = "SPIFFE")]
    peer: Option<String>,
    /// The caller's namespace; another way to say `--as`.
    #[arg(long, value_name = "NAME", conflicts_with = "peer")]
    namespace: Option<String>,
    /// The caller's service account; without it `default`.
    #[arg(long, value_name = "NAME", conflicts_with = "peer", requires = "namespace")]
    service_account: Option<String>,
    /// The caller shows a valid key of this LLMConsumer; NAMESPACE/NAME for one outside of root.
    #[arg(long, value_name = "NAME")]
    consumer: Option<String>,
    /// The claims of a token that the proxy has checked; role Gateway alone.
    #[arg(long, value_name = "JSON")]
    jwt: Option<String>,
    /// A header beside those of the request; may be said several times.
    #[arg(long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// In the place of the request's own, or of /v1/chat/completions.
    #[arg(long = "path", value_name = "PATH", value_parser = request::path)]
    path_of_request: Option<String>,
    /// In the place of the request's own, or of POST.
    #[arg(long, value_name = "METHOD")]
    method: Option<String>,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    #[command(flatten)]
    prices: PriceFile,
    /// The namespace whose documents speak for the whole mesh.
    #[arg(long, default_value = "weir-system")]
    root_namespace: String,
    /// Where Secrets are mounted: DIR/NAME/KEY.
    #[arg(long, value_name = "DIR")]
    secrets_dir: Option<PathBuf>,
}

const HELP: &str = "The request is a JSON body, which is posted to /v1/chat/completions, or a whole request: its \
                    line, its headers, an empty line and its body. Exit codes: 0 for an answer, also where the call \
                    is refused; 1 for a configuration that is not valid; 2 for a question that makes no sense.";

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    #[error(transparent)]
    App(#[from] AppError),
    #[error("{0}")]
    Question(String),
    #[error("cannot read the request from standard input: {0}")]
    Stdin(io::Error),
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
}

/// The largest request that is read.
const MAX_REQUEST: u64 = 65 << 20;

// === impl ExplainError ===

impl ExplainError {
    /// 1 for the configuration, 2 for the question.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            ExplainError::App(_) | ExplainError::Stdout(_) => ExitCode::FAILURE,
            ExplainError::Question(_) | ExplainError::Stdin(_) => ExitCode::from(2),
        }
    }
}

/// Answers on stdout.
///
/// # Errors
/// A configuration that is not valid; a request that is none; a caller that cannot be in this role.
pub fn explain(args: &Args) -> Result<(), ExplainError> {
    let source = read(&args.documents)?;
    let mut request = request::read(&stdin()?, args)?;
    // The role stands in the documents, and what `--as` means depends on it.
    let role = match config::bootstrap(&source, &options(args, &WorkloadNames::default())) {
        Ok(bootstrap) => bootstrap.role,
        Err(errors) => return Err(AppError::Config(errors).into()),
    };
    let who = caller::Who::of(args, role)?;
    let catalog = prices::read(args.prices.path().as_deref()).map_err(AppError::Prices)?;
    let checked = config::check(&source, &options(args, &who.workload), &catalog, &ProcessSecrets, catalog.clone());
    let Checked { errors, notes, compiled } = checked;
    let Some(mut compiled) = compiled else { return Err(AppError::Config(errors).into()) };
    notes.iter().for_each(|note| tell(&format!("note: {note}")));
    let policy = &mut compiled.policy;
    policy.may_sign = caller::may_sign(&compiled.bootstrap);
    who.present(policy, &mut request)?;
    let asked = drive::ask(std::mem::replace(policy, crate::policy::Policy::unconfigured(role)), request)
        .ok_or_else(|| ExplainError::Question("the request comes to no end".to_owned()))?;
    let shown = match args.output {
        Output::Text => show::text(&asked, &notes),
        Output::Json => show::json(&asked, &notes),
    };
    print_bytes(&shown).map_err(ExplainError::Stdout)
}

fn stdin() -> Result<Vec<u8>, ExplainError> {
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MAX_REQUEST + 1).read_to_end(&mut bytes).map_err(ExplainError::Stdin)?;
    match read as u64 > MAX_REQUEST {
        true => Err(ExplainError::Question("the request is larger than 65 MiB, which no configuration takes".into())),
        false => Ok(bytes),
    }
}

fn options(args: &Args, workload: &WorkloadNames) -> Options {
    Options {
        root_namespace: args.root_namespace.clone(),
        secrets_dir: args.secrets_dir.clone(),
        discovery_default: Discovery::Disabled,
        workload: workload.clone(),
        keys: KeysAre::Described,
        ..Options::default()
    }
}
