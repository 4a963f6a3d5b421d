//! `weir prices`: what a model costs, what calls cost, and how the table of prices is made and checked.

mod check;
mod cost;
mod import;
mod show;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::{PRICES, answer, fail, tell};
use crate::app::prices::read;
use crate::catalog::Catalog;

/// `weir prices` on the command line.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    show: Option<show::Show>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a price file of the community price map.
    Import(import::Args),
    /// What another price file changes. The exit code is 0 if nothing, 1 if anything, 2 after an error.
    Check(check::Args),
    /// What calls cost, a JSON object a line from standard input to standard output.
    Cost(cost::Args),
}

/// Runs the command.
pub fn run(args: &Args) -> ExitCode {
    match (&args.command, &args.show) {
        (Some(Command::Import(args)), _) => match import::import(args) {
            Ok(import::Imported { text, notes }) => {
                notes.iter().for_each(|note| tell(note));
                text.map_or(ExitCode::SUCCESS, |text| answer(&text))
            }
            Err(error) => fail(&error.to_string()),
        },
        (Some(Command::Check(args)), _) => match check::check(args) {
            Ok(checked) if checked.is_same => answer(&checked.text),
            Ok(checked) => {
                answer(&checked.text);
                ExitCode::FAILURE
            }
            Err(error) => {
                tell(&error.to_string());
                ExitCode::from(2)
            }
        },
        (Some(Command::Cost(args)), _) => costs(args),
        (None, Some(args)) => match catalog(args.prices.as_deref()).map(|catalog| show::prices(args, &catalog)) {
            Ok(Ok(text)) => answer(&text),
            Ok(Err(error)) => fail(&error.to_string()),
            Err(errors) => fail(&errors),
        },
        (None, None) => fail("say `--model NAME` or a command; `weir prices --help` lists them"),
    }
}

fn costs(args: &cost::Args) -> ExitCode {
    let catalog = match catalog(args.prices.as_deref()) {
        Ok(catalog) => catalog,
        Err(errors) => return fail(&errors),
    };
    let output = io::BufWriter::with_capacity(1 << 16, io::stdout().lock());
    match cost::run(&catalog, io::BufReader::with_capacity(1 << 16, io::stdin().lock()), output) {
        Ok(counts) => {
            if counts.errors > 0 {
                tell(&format!("{} of {} lines have an error", counts.errors, counts.lines));
            }
            ExitCode::SUCCESS
        }
        // Whoever reads has enough, as `head`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(&format!("cannot go on: {error}")),
    }
}

/// The built-in catalogue, or one with the prices of the file that the command line or the environment names; else
/// every error of the file.
fn catalog(prices: Option<&Path>) -> Result<Catalog, String> {
    // By hand: to clap a variable would be an option beside the command.
    let named = std::env::var_os(PRICES).filter(|name| prices.is_none() && !name.is_empty()).map(PathBuf::from);
    read(prices.or(named.as_deref()))
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}
