//! The command line.

pub(crate) mod cron;
pub(crate) mod fleet;
pub(crate) mod kept;
pub(crate) mod organization;
pub(crate) mod simulate;
pub(crate) mod usage;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_wire::{TemplateRef, Time};

/// Submits workflows to FlowForge, and shows and steers them.
#[derive(Debug, Parser)]
#[command(name = "ffctl", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done; 1 the run did not succeed; 2 wrong usage or an invalid \
workflow file; 3 not found; 4 not let in; 5 conflict; 7 rate or quota; 8 server or network; \
124 --timeout passed; 130 interrupted.\n\nEnvironment: FFCTL_SERVER, FFCTL_TOKEN, NO_COLOR."
)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Default, Group)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Data directory of the server: its endpoint.json says where the server is (default:
    /// .flowforge, or where `flowforge dev` keeps its data, if a server runs there)
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "server")]
    pub(crate) data_dir: Option<PathBuf>,
    /// URL of the server (default: <http://127.0.0.1:8080>)
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// Bearer token
    #[arg(long, global = true)]
    pub(crate) token: Option<String>,
    /// Send the token over plain http to other machines too
    #[arg(long, global = true)]
    pub(crate) insecure: bool,
    /// Form of the output
    #[arg(short, long, global = true, value_name = "FORM", default_value = "table")]
    pub(crate) output: Form,
    /// Tables without their first line
    #[arg(long, global = true)]
    pub(crate) no_headers: bool,
    /// No colours
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

/// Forms of output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people
    #[default]
    Table,
    /// For people with wide screens
    Wide,
    /// For programs
    Json,
    /// For programs
    Yaml,
    /// Ids only
    Name,
}

impl Form {
    /// For people.
    pub(crate) fn human(self) -> bool {
        matches!(self, Self::Table | Self::Wide)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a workflow file from beginning to end, with a server of its own that needs nothing; of a
    /// schedule or a template, its workflow once
    Run(Run),
    /// Submit a workflow file
    Submit(Submit),
    /// List workflows, newest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a workflow and its tasks
    Get(Get),
    /// Watch a workflow until it ends
    Watch(Watch),
    /// Say why a workflow or a task of it waits: what blocks it, who holds that, what would help
    Why(Why),
    /// Show what the installation uses, or a tenant, department, group or project and those below it
    Usage(usage::Usage),
    /// Say what would start now, and why the rest would wait, if tasks were submitted, limits set or
    /// executors added; changes nothing
    Simulate(simulate::Simulate),
    /// Print what tasks wrote
    Logs(Logs),
    /// End workflows now, as CANCELLED, without exit handlers
    Cancel(Targets),
    /// Start no more tasks; those that run go on
    Pause(Targets),
    /// Undo a pause, and let suspensions go on
    Resume(Resume),
    /// Stop what runs, then run the exit handlers; the workflow ends FAILED
    Stop(Targets),
    /// End workflows now, as FAILED, without exit handlers
    Terminate(Targets),
    /// Run again what did not succeed, in the same workflow
    Retry(Retry),
    /// Submit a workflow's document again, as a new workflow
    Resubmit(Resubmit),
    /// Check workflow files, without a server
    Lint(Lint),
    /// Create, show, hold and delete schedules
    #[command(subcommand)]
    Cron(cron::Cron),
    /// Say what becomes of manifests of another system, construct by construct; ends with 1 if
    /// something in them is not supported, with 2 if a file cannot be read
    #[command(subcommand)]
    Import(Import),
    /// Store workflow templates and config maps, and show and compare their versions
    #[command(subcommand)]
    Template(kept::Template),
    /// Show who holds which lock and who waits for it
    Locks(kept::Locks),
    /// Show what caches remember, and make them forget
    #[command(subcommand)]
    Memo(kept::Memo),
    /// Create, show, move and delete tenants
    #[command(subcommand)]
    Tenant(organization::Entities),
    /// Create, show, move and delete departments
    #[command(subcommand)]
    Department(organization::Entities),
    /// Create, show, move and delete groups
    #[command(subcommand)]
    Group(organization::Entities),
    /// Create, show, move and delete projects
    #[command(subcommand)]
    Project(organization::Entities),
    /// Show and set what tenants, departments, groups and projects may use
    #[command(subcommand)]
    Quota(organization::Quotas),
    /// Show tenants, departments, groups and projects as a tree, with their limits
    Org {
        /// Only this tenant, by id or name
        tenant: Option<String>,
    },
    /// Show which servers live
    Servers,
    /// Show work that no executor could do, and drive it again
    #[command(subcommand)]
    DeadLetter(fleet::DeadLetters),
    /// Download artifacts
    #[command(subcommand)]
    Artifact(kept::Artifact),
    /// Print a completion script
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Print the versions of client and server
    Version,
}

/// A workflow: its id, the beginning of its id, @latest, @failed (the latest that failed), or a
/// name (the latest of that name).
#[derive(Clone, Debug, Group)]
pub(crate) struct Target {
    /// Id, beginning of an id, @latest, @failed, or a name (the latest of that name)
    #[arg(value_name = "WORKFLOW")]
    pub(crate) workflow: String,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Why {
    /// A workflow: an id, the beginning of an id, @latest, @failed, or a name; or the id of a task
    #[arg(value_name = "WORKFLOW|TASK")]
    pub(crate) target: String,
    /// A task of that workflow, by its dotted name
    pub(crate) task: Option<String>,
}

#[derive(Clone, Debug, Group)]
pub(crate) struct Targets {
    /// Ids, beginnings of ids, @latest, @failed, or names (the latest of that name)
    #[arg(value_name = "WORKFLOW", required = true)]
    pub(crate) workflows: Vec<String>,
}

/// What a submission adds to its document.
#[derive(Clone, Debug, Default, Group)]
pub(crate) struct Extra {
    /// Value of a parameter, over that of the document
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) parameters: Vec<(String, String)>,
    /// Name of the workflow
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// A label
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// Higher goes first
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
}

/// Whether and how to wait for the end. The exit code is the workflow's result then.
#[derive(Clone, Copy, Debug, Default, Group)]
pub(crate) struct Waiting {
    /// Wait for the end
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait for the end and show the tasks meanwhile
    #[arg(long)]
    pub(crate) watch: bool,
    /// Wait for the end and print what tasks write meanwhile
    #[arg(long)]
    pub(crate) logs: bool,
    /// Wait for no longer than this (`90`, `1m30s`); the workflow goes on
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) timeout: Option<Duration>,
}

impl Waiting {
    pub(crate) fn wanted(&self) -> bool {
        self.wait || self.watch || self.logs || self.timeout.is_some()
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Import {
    /// Manifests of Argo Workflows
    Argo {
        /// Manifests; `-` is standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Group)]
pub(crate) struct Run {
    /// Files of one workflow, and of templates and config maps it refers to; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) extra: Extra,
    /// Print what tasks write
    #[arg(long)]
    pub(crate) logs: bool,
    /// Cancel it after this long
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) timeout: Option<Duration>,
    /// Keep the server's data directory
    #[arg(long)]
    pub(crate) keep: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Submit {
    /// Files of workflows, and of templates and config maps they refer to; `-` is standard input.
    /// Several workflows are submitted one after the other, none if one of them is invalid
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    pub(crate) files: Vec<PathBuf>,
    /// Submit what is stored: workflowtemplate/NAME, clusterworkflowtemplate/NAME, cronwf/NAME
    #[arg(long, value_name = "KIND/NAME", value_parser = kept::from)]
    pub(crate) from: Option<TemplateRef>,
    /// Which version of the stored template (default: the latest)
    #[arg(long, value_name = "N", requires = "from", conflicts_with = "files")]
    pub(crate) from_version: Option<u32>,
    /// Another template of the stored one to begin with
    #[arg(long, value_name = "TEMPLATE", requires = "from", conflicts_with = "files")]
    pub(crate) entrypoint: Option<String>,
    #[command(flatten)]
    pub(crate) extra: Extra,
    /// Project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Submitting again with the same key does nothing and shows the first workflow
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Group)]
pub(crate) struct List {
    /// Only with one of these statuses
    #[arg(long, value_delimiter = ',', value_parser = status)]
    pub(crate) status: Vec<String>,
    /// Only with this label
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// Only names that begin so
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Only of this project, by id or name
    #[arg(long)]
    pub(crate) project: Option<String>,
    /// Most rows
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// All rows
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Get {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Wait for the end first; the exit code is the workflow's result
    #[arg(long)]
    pub(crate) wait: bool,
    /// Wait for no longer than this
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Group)]
pub(crate) struct Watch {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Watch for no longer than this
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Group)]
pub(crate) struct Logs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Go on until the workflow ends
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only of this task, by its dotted name
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Only of this attempt
    #[arg(long, value_name = "N")]
    pub(crate) attempt: Option<u32>,
    /// Only lines that hold this text
    #[arg(long, value_name = "TEXT")]
    pub(crate) grep: Option<String>,
    /// Only stdout, stderr or system
    #[arg(long, value_parser = ["stdout", "stderr", "system"])]
    pub(crate) stream: Option<String>,
    /// Only since then: a time (RFC 3339), or a span before now (`10m`)
    #[arg(long, value_name = "TIME", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// Only the last lines
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<usize>,
    /// With the time of each line
    #[arg(long)]
    pub(crate) timestamps: bool,
    /// Without the name of the task
    #[arg(long)]
    pub(crate) no_prefix: bool,
}

/// Where a log or a history begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Then.
    At(Time),
    /// So long ago.
    Ago(Millis),
}

impl Since {
    /// As an instant.
    pub(crate) fn time(self) -> Time {
        match self {
            Self::At(time) => time,
            Self::Ago(span) => {
                let ago = i64::try_from(span.0).unwrap_or(i64::MAX);
                Time(Timestamp(crate::now().saturating_sub(ago)))
            }
        }
    }
}

#[derive(Debug, Group)]
pub(crate) struct Resume {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only this suspension, by its dotted name
    #[arg(long)]
    pub(crate) task: Option<String>,
    /// Value of an output that the suspension is to be given
    #[arg(long = "output-value", value_name = "NAME=VALUE", value_parser = pair, requires = "task")]
    pub(crate) outputs: Vec<(String, String)>,
}

#[derive(Debug, Group)]
pub(crate) struct Retry {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Group)]
pub(crate) struct Resubmit {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) extra: Extra,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Group)]
pub(crate) struct Lint {
    /// Workflow files; `-` is standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Value of a parameter, over that of the document
    #[arg(short, long = "parameter", value_name = "NAME=VALUE", value_parser = pair)]
    pub(crate) parameters: Vec<(String, String)>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

fn span(text: &str) -> Result<Duration, String> {
    Millis::parse(text)
        .map(Duration::from)
        .map_err(|_| "write it as `90`, `1m30s` or `500ms`".to_owned())
}

fn status(text: &str) -> Result<String, String> {
    let upper = text.to_ascii_uppercase();
    WorkflowStatus::parse(&upper).map_or_else(
        || Err(format!("one of {}", WorkflowStatus::ALL.map(WorkflowStatus::as_str).join(", "))),
        |status| Ok(status.as_str().to_owned()),
    )
}

fn since(text: &str) -> Result<Since, String> {
    Millis::parse(text)
        .ok()
        .map(Since::Ago)
        .or_else(|| Time::parse(text).map(Since::At))
        .ok_or_else(|| "write it as `10m` or as an RFC 3339 time".to_owned())
}

/// An instant in RFC 3339.
fn instant(text: &str) -> Result<Time, String> {
    Time::parse(text).ok_or_else(|| "write it like 2026-01-31T12:00:00Z".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Args::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_not_understood_is_wrong_usage() {
        for line in [
            "ffctl",
            "ffctl fly",
            "ffctl submit",
            "ffctl submit f -p novalue",
            "ffctl submit f -p =v",
            "ffctl submit f --timeout 5x",
            "ffctl submit f --priority high",
            "ffctl submit f --from wftmpl/a",
            "ffctl submit --from configmap/a",
            "ffctl submit f --entrypoint a",
            "ffctl list --status DONE",
            "ffctl list --limit 0",
            "ffctl list --all --limit 5",
            "ffctl list -o xml",
            "ffctl list --server http://a --data-dir b",
            "ffctl cancel",
            "ffctl resume @latest --output-value a=b",
            "ffctl logs x --since yesterday",
            "ffctl usage --step 5m",
            "ffctl template",
            "ffctl template get pod/x",
            "ffctl template list --kind pod",
            "ffctl template diff x --from -1",
            "ffctl memo forget c",
            "ffctl memo forget c k --all",
            "ffctl artifact get w t",
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn options_are_read() {
        let args =
            parse("ffctl submit - -p a=b=c -p d= --timeout 1m30s --priority -5 -o json").unwrap();
        let Command::Submit(submit) = args.command else {
            panic!("not submit");
        };
        let pairs = [("a", "b=c"), ("d", "")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(submit.extra.parameters, pairs);
        assert_eq!(submit.extra.priority, Some(-5));
        assert_eq!(submit.waiting.timeout, Some(Duration::from_secs(90)));
        assert!(submit.waiting.wanted());
        assert_eq!(args.global.output, Form::Json);
        let args = parse("ffctl -o name ls --status running,FAILED").unwrap();
        let Command::List(list) = args.command else {
            panic!("not list");
        };
        assert_eq!(list.status, ["RUNNING", "FAILED"]);
    }
}
