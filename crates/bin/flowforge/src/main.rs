//! The server. Reads the configuration, builds the parts and joins them; decides nothing.

mod archive;
mod artifacts;
mod banner;
mod claims;
mod config;
mod data_dir;
mod database;
mod dev;
mod doctor;
mod executors;
#[cfg(feature = "failpoints")]
mod failpoints;
#[cfg(not(feature = "failpoints"))]
#[path = "faultless.rs"]
mod failpoints;
mod fleet;
mod keeper;
mod migrate;
mod noop;
mod outlet;
mod restored;
mod retention;
mod schedules;
mod start;
mod stop;
mod telemetry;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use config::ConfigError;
use fleet::Roles;
use start::Options;

/// Runs workflows and remembers them.
#[derive(Debug, Parser)]
#[command(name = "flowforge", version, about, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs everything in this one process: the API, the engine, and tasks as local processes.
    Dev(Options),
    /// Runs every role in this one process, on PostgreSQL. With Redis any number of these share the work.
    All(Options),
    /// Answers the REST API.
    ApiServer(Options),
    /// Carries workflows on: any number share them.
    Controller(Options),
    /// Decides what starts, and starts what is due: one leads, the others stand by.
    Scheduler(Options),
    /// Runs tasks as local processes.
    Executor(Options),
    /// Keeps the output of all tasks: executors ship it here, API servers read it here.
    LogAggregator(Options),
    /// Writes down how pods ended whose executor does not tell. Needs tasks that run as pods.
    StatusCollector(Options),
    /// Checks every invariant of a data directory, or of PostgreSQL. Works while servers run.
    Doctor(doctor::Options),
    /// Writes workflows that have ended into files, from PostgreSQL.
    Archive(archive::Options),
    /// Changes the tables in PostgreSQL, or shows how they stand.
    Migrate(migrate::Options),
    /// Makes a restored backup of PostgreSQL safe to start servers on: fences off those of before.
    Restored(restored::Options),
    /// Prints the version.
    Version,
}

/// Wrong usage or configuration.
const USAGE: u8 = 2;

/// The argument with which the server starts itself where there is no `ff-run`: to become a task.
/// Looked for before all else, because every start of such a task waits for it.
pub(crate) const EXEC_TASK: &str = "exec-task";

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == EXEC_TASK) {
        return flowforge_process::exec_task();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help_or_error) => {
            let code = u8::try_from(help_or_error.exit_code()).unwrap_or(USAGE);
            return match help_or_error.print() {
                Ok(()) => ExitCode::from(code),
                Err(_) => ExitCode::FAILURE,
            };
        }
    };
    let done = match cli.command {
        Command::Dev(options) => dev::run(&options),
        Command::All(options) => fleet::run(Roles::ALL, &options),
        Command::ApiServer(options) => fleet::run(Roles::API_SERVER, &options),
        Command::Controller(options) => fleet::run(Roles::CONTROLLER, &options),
        Command::Scheduler(options) => fleet::run(Roles::SCHEDULER, &options),
        Command::Executor(options) => fleet::run(Roles::EXECUTOR, &options),
        Command::LogAggregator(options) => fleet::run(Roles::LOG_AGGREGATOR, &options),
        Command::StatusCollector(options) => fleet::run(Roles::STATUS_COLLECTOR, &options),
        Command::Doctor(options) => doctor::run(&options),
        Command::Archive(options) => archive::run(&options),
        Command::Migrate(options) => migrate::run(&options),
        Command::Restored(options) => restored::run(&options),
        Command::Version => say(&format!("flowforge {}\n", env!("CARGO_PKG_VERSION"))),
    };
    done.unwrap_or_else(|error| {
        let code = if error.is::<ConfigError>() { USAGE } else { 1 };
        // Without a standard error there is nobody left to tell.
        drop(writeln!(std::io::stderr(), "error: {error:#}"));
        ExitCode::from(code)
    })
}

/// Writes to standard output.
fn say(text: &str) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
