//! `ffctl`, the command line client of FlowForge.
//!
//! Talks to a server over its REST API; knows no store and no engine. Start at [`dispatch`]. Each
//! command is a file of its own; [`follow`] and [`watch`] are how all of them wait.

mod actions;
mod args;
mod artifact;
mod bundle;
mod client;
mod cron;
mod endpoint;
mod exit;
mod fleet;
mod follow;
mod get;
mod import;
mod lint;
mod list;
mod locks;
mod logs;
mod memo;
mod organization;
mod output;
mod paint;
mod report;
mod resolve;
mod run;
mod screen;
mod server;
mod several;
mod simulate;
mod source;
mod sse;
mod submit;
mod template;
#[cfg(test)]
mod tests;
mod tree;
mod usage;
mod version;
mod watch;
mod why;
mod yaml;

use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{CommandFactory as _, Parser as _};

use args::kept::Artifact;
use args::{Args, Command};
use endpoint::{Environment, Place};
use exit::{Exit, Failure};
use flowforge_model::quota::Level;
use output::{Context, Sink};

fn main() -> ExitCode {
    let args = Args::parse();
    let environment = Environment::read(|name| std::env::var_os(name));
    let colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = !args.global.no_color && !colourless;
    let mut context = Context {
        place: Place::choose(&args.global, &environment),
        global: args.global,
        out: Sink::stdout(colour),
        err: Sink::stderr(colour),
    };
    ExitCode::from(execute(&mut context, &args.command).code())
}

/// Carries out a command and says what went wrong.
fn execute(context: &mut Context, command: &Command) -> Exit {
    let result = dispatch(context, command);
    let flushed = context.out.flush().map_err(Failure::from);
    match result.and_then(|exit| flushed.map(|()| exit)) {
        Ok(exit) => {
            // Remarks nobody can read change nothing.
            let _flushed = context.err.flush();
            exit
        }
        Err(failure) => {
            let _told = context.explain(&failure);
            failure.exit()
        }
    }
}

fn dispatch(context: &mut Context, command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(context, args),
        Command::Submit(args) => submit::run(context, args),
        Command::List(args) => list::run(context, args),
        Command::Get(args) => get::run(context, args),
        Command::Watch(args) => watch::run(context, args),
        Command::Why(args) => why::run(context, args),
        Command::Usage(args) => usage::run(context, args),
        Command::Simulate(args) => simulate::run(context, args),
        Command::Logs(args) => logs::run(context, args),
        Command::Cancel(args) => actions::ask(context, "cancel", args),
        Command::Pause(args) => actions::ask(context, "pause", args),
        Command::Stop(args) => actions::ask(context, "stop", args),
        Command::Terminate(args) => actions::ask(context, "terminate", args),
        Command::Resume(args) => actions::resume(context, args),
        Command::Retry(args) => actions::retry(context, args),
        Command::Resubmit(args) => actions::resubmit(context, args),
        Command::Lint(args) => lint::run(context, args),
        Command::Cron(command) => cron::run(context, command),
        Command::Import(command) => import::run(context, command),
        Command::Template(command) => template::run(context, command),
        Command::Locks(args) => locks::run(context, args),
        Command::Memo(command) => memo::run(context, command),
        Command::Tenant(command) => organization::run(context, Level::Tenant, command),
        Command::Department(command) => organization::run(context, Level::Department, command),
        Command::Group(command) => organization::run(context, Level::Group, command),
        Command::Project(command) => organization::run(context, Level::Project, command),
        Command::Quota(command) => organization::quota(context, command),
        Command::Org { tenant } => organization::tree(context, tenant.as_deref()),
        Command::Servers => fleet::servers(context),
        Command::DeadLetter(command) => fleet::dead_letters(context, command),
        Command::Artifact(Artifact::Get(args)) => artifact::get(context, args),
        Command::Version => version::run(context),
        Command::Completion { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "ffctl", &mut script);
            context.out.write(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Ok)
        }
    }
}

/// Milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
