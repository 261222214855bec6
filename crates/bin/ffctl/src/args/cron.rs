//! `cron`: schedules.

use std::path::PathBuf;

use clap::{Args as Group, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Cron {
    /// Create or replace schedules: cron workflows of Argo, or documents with `schedule` and `workflow`
    #[command(visible_alias = "create")]
    Apply(Apply),
    /// List schedules, oldest first
    #[command(visible_alias = "ls")]
    List(List),
    /// Show a schedule with its next and its last runs
    Get(One),
    /// Delete schedules; their runs stay and go on
    Delete(Several),
    /// Start nothing until resumed; what is due meanwhile is not made up for
    Suspend(Several),
    /// Go on with the next time that is due
    Resume(Several),
    /// Show when a schedule file would run, without a server
    Next(Next),
}

#[derive(Debug, Group)]
pub(crate) struct Apply {
    /// Files of schedules; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Project, by id or name
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct List {
    /// Only this project, by id or name
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct One {
    /// Name or id
    #[arg(value_name = "SCHEDULE")]
    pub(crate) schedule: String,
    /// Project of a name, by id or name
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
    /// Print its document instead
    #[arg(long)]
    pub(crate) document: bool,
}

#[derive(Debug, Group)]
pub(crate) struct Several {
    /// Names or ids
    #[arg(value_name = "SCHEDULE", required = true)]
    pub(crate) schedules: Vec<String>,
    /// Project of names, by id or name
    #[arg(long, value_name = "PROJECT")]
    pub(crate) project: Option<String>,
}

#[derive(Debug, Group)]
pub(crate) struct Next {
    /// A file of a schedule; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// How many times
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) count: u32,
    /// After this instant (RFC 3339) instead of now
    #[arg(long, value_name = "TIME", value_parser = super::instant)]
    pub(crate) after: Option<flowforge_wire::Time>,
}
