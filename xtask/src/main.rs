//! All automation: `cargo xtask COMMAND`.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line program speaks on its standard streams"
)]

mod bench;
mod chaos;
mod check_arch;
mod ci;
mod client;
mod cluster;
mod conformance;
mod demo;
mod dist;
mod examples;
mod limits;
mod raw;
mod roles;
mod server;
mod sim;
mod test;
mod tidy;
mod traces;
mod usage;
mod workspace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::chaos::fleet::{Campaign, Harm, Until};
use crate::conformance::Trial;

/// Builds, checks, tests and shows FlowForge.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the binaries, starts a server, runs the example pipeline and shows its report
    Demo {
        /// On a real Kubernetes on this machine, which is built first where that was never done
        #[arg(long)]
        cluster: bool,
    },
    /// Runs the tests, tier by tier
    Test {
        /// Only this tier
        #[arg(long, value_name = "NAME")]
        tier: Option<String>,
    },
    /// Everything a change must pass: format, architecture, tidiness, lints, tests
    Ci,
    /// Checks the arrows between crates, what may be depended on, and licences
    CheckArch,
    /// Checks file sizes, names and leftovers
    Tidy {
        /// Writes docs/reference/limits.md anew instead of comparing it
        #[arg(long)]
        bless: bool,
    },
    /// Puts release binaries into target/dist/
    Dist {
        /// Instead: the runner of pods, linked statically, into target/pod/
        #[arg(long)]
        pod: bool,
    },
    /// Measures FlowForge beside the raw limit: suites process, engine, idle, postgres,
    /// quota; and cluster, which starts a Kubernetes, only if it is named
    Bench {
        /// Only these suites, or parts of one: postgres:latency
        suites: Vec<String>,
        /// Also write the rows here, as JSON
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
    },
    /// Harms real servers at random moments under load and looks at everything afterwards
    Chaos(ChaosArguments),
    /// Deterministic simulation; see `cargo xtask sim --help`
    #[command(disable_help_flag = true)]
    Sim {
        /// `--seeds N`, `--seed N` or `--plants`; after `--quota`: `--ops N`, `--seed N` or `--plants`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Tries manifests on the real server: does each end as the table says?
    Conformance {
        /// Where the manifests are
        #[arg(required_unless_present_any = ["when", "expr"])]
        directory: Option<PathBuf>,
        /// Tab-separated columns `path`, `runnable_locally`, `expected_phase`
        #[arg(required_unless_present_any = ["when", "expr"])]
        table: Option<PathBuf>,
        /// Instead: rows of conditions, columns when and result
        #[arg(long, value_name = "TSV", conflicts_with_all = ["directory", "expr"])]
        when: Option<PathBuf>,
        /// Instead: rows of expressions, columns expression, type or error, text in Go's quotes
        #[arg(long, value_name = "TSV", conflicts_with = "directory")]
        expr: Option<PathBuf>,
        /// Only rows whose path holds this
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Seconds after which a manifest has failed
        #[arg(long, value_name = "SECONDS", default_value_t = 1500)]
        patience: u64,
        /// Leave out rows that the table's column `no_test_label` calls `duration`
        #[arg(long)]
        short: bool,
    },
    /// A real Kubernetes on this machine for tests
    Cluster(cluster::ClusterArguments),
    /// Runs every graph of a directory of traces and compares it with the raw limit
    Traces {
        /// Files `{"name", "tasks": [{"name", "parents": [...]}]}`
        directory: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ChaosArguments {
    /// How many `kill -9`
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Another seed gives other moments
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Harm roles that share PostgreSQL and Redis instead of one server that does everything
    #[arg(long)]
    fleet: bool,
    /// Instead: let one server of a small fleet die, stand still or hear of a failure at each place
    /// between two effects
    #[arg(long, value_enum, conflicts_with_all = ["fleet", "kills"], value_name = "EXTENT")]
    matrix: Option<chaos::fleet::Extent>,
    /// Only places whose name holds this
    #[arg(long, requires = "matrix", value_name = "TEXT")]
    at: Option<String>,
    /// Harm for so long, however many kills that are
    #[arg(long, requires = "fleet", conflicts_with = "kills", value_name = "MINUTES")]
    minutes: Option<u32>,
    /// Instead of faults by chance: lose the answer of each tenth call by which a server changes
    /// something, until so many are lost
    #[arg(long, requires = "fleet", conflicts_with_all = ["kills", "minutes", "only"], value_name = "COUNT")]
    lost_answers: Option<u32>,
    /// Only these kinds of faults; without kills among them, --kills counts all
    #[arg(long, requires = "fleet", value_delimiter = ',', value_name = "KINDS")]
    only: Vec<chaos::fleet::Kind>,
    /// Others take over from a server after so long
    #[arg(long, requires = "fleet", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=10), value_name = "SECONDS")]
    lease: u64,
    /// The longest pause between two faults
    #[arg(long, requires = "fleet", default_value_t = 500, value_name = "MILLISECONDS")]
    pause: u64,
    /// Also write the figures here, as JSON; `-` is standard output
    #[arg(long, requires = "fleet", value_name = "FILE")]
    json: Option<PathBuf>,
}

impl ChaosArguments {
    fn run(self) -> anyhow::Result<ExitCode> {
        if let Some(extent) = self.matrix {
            return chaos::fleet::matrix::run(extent, self.at.as_deref());
        }
        if !self.fleet {
            return chaos::run(self.kills, self.seed);
        }
        let harm = match (self.minutes, self.lost_answers) {
            (Some(minutes), _) => Harm::Storm(Until::Minutes(minutes)),
            (_, Some(answers)) => Harm::LostAnswers(answers),
            _ => Harm::Storm(Until::Kills(self.kills)),
        };
        let Self { seed, only, lease, pause, json, .. } = self;
        chaos::fleet::run(&Campaign { harm, seed, only, lease, pause, json })
    }
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Demo { cluster: false } => demo::run(),
        Command::Demo { cluster: true } => demo::on_cluster(),
        Command::Test { tier } => test::run(tier.as_deref()),
        Command::Ci => ci::run(),
        Command::CheckArch => check_arch::run(),
        Command::Tidy { bless } => tidy::run(bless),
        Command::Dist { pod: false } => dist::run(),
        Command::Dist { pod: true } => dist::pod().map(|_| ExitCode::SUCCESS),
        Command::Bench { suites, json } => bench::run(&suites, json.as_deref()),
        Command::Chaos(arguments) => arguments.run(),
        Command::Sim { arguments } => sim::run(&arguments),
        Command::Conformance { when: Some(table), .. } => {
            conformance::golden::run("--when", &table)
        }
        Command::Conformance { expr: Some(table), .. } => {
            conformance::golden::run("--expr", &table)
        }
        Command::Conformance { directory, table, only, patience, short, .. } => {
            let (directory, table) = (directory.unwrap_or_default(), table.unwrap_or_default());
            let patience = Duration::from_secs(patience);
            let exceptions = false;
            conformance::run(&Trial { directory, table, only, patience, short, exceptions })
        }
        Command::Cluster(arguments) => arguments.run(),
        Command::Traces { directory } => traces::run(&directory),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
