//! `flowforge doctor`: every invariant of a database, as a table; or what the network of a cluster does.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use flowforge_store::doctor::Finding;
use flowforge_store::{PostgresStore, SqliteStore};
use tokio::runtime::Builder;

use crate::{database, fleet};

/// Flags of `flowforge doctor`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The data directory of the server; without one the PostgreSQL that is configured is examined.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Read this configuration file instead of looking for one.
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    config: Option<PathBuf>,
    /// Ask the Kubernetes cluster instead whether it keeps the pods of projects apart, with two namespaces that are
    /// deleted again.
    #[arg(long, conflicts_with = "data_dir")]
    network: bool,
}

/// Exit code 0 if everything is as it should be, 1 if not.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    if options.network {
        return tell(&[network(options)?]);
    }
    let findings = match &options.data_dir {
        Some(folder) => SqliteStore::doctor(&folder.join("flowforge.db")),
        None => return postgres(options).and_then(|findings| tell(&findings)),
    };
    tell(&findings.context("cannot examine the database")?)
}

fn postgres(options: &Options) -> anyhow::Result<Vec<Finding>> {
    let Some(config) = database::configured(options.config.as_deref(), None)? else {
        bail!("say what to examine: --data-dir, or database.url (FLOWFORGE_DATABASE_URL)");
    };
    let place = config.place();
    let runtime = Builder::new_current_thread().build().context("cannot start")?;
    let store = PostgresStore::connect(config)?;
    runtime.block_on(store.doctor()).with_context(|| format!("cannot examine the database {place}"))
}

/// Policies are taken by every cluster, and heeded by those whose network does.
fn network(options: &Options) -> anyhow::Result<Finding> {
    let settings = database::settings(options.config.as_deref(), Vec::new())?;
    let runtime = Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let apart = runtime.block_on(fleet::keeps_projects_apart(&settings))?;
    let detail =
        "a pod of one project reached one of another: NetworkPolicy objects are not enforced here";
    Ok(Finding {
        id: "network",
        title: "pods of projects are kept apart",
        ok: apart,
        detail: if apart { Vec::new() } else { vec![detail.to_owned()] },
    })
}

fn tell(findings: &[Finding]) -> anyhow::Result<ExitCode> {
    crate::say(&table(findings))?;
    Ok(if findings.iter().all(|finding| finding.ok) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn table(findings: &[Finding]) -> String {
    let width = |column: fn(&Finding) -> &'static str| {
        let widths = findings.iter().map(|finding| column(finding).len());
        widths.max().unwrap_or(0)
    };
    let (names, titles) = (width(|f| f.id), width(|f| f.title));
    let mut table = String::new();
    for finding in findings {
        let result = if finding.ok { "ok" } else { "VIOLATED" };
        // Writing to a string does not fail.
        let (name, title) = (finding.id, finding.title);
        writeln!(table, "{name:names$}  {title:titles$}  {result}").ok();
        for line in &finding.detail {
            writeln!(table, "{:names$}    {line}", "").ok();
        }
    }
    let summary = match findings.iter().filter(|finding| !finding.ok).count() {
        0 => "everything is as it should be".to_owned(),
        n => format!("{n} of {} invariants are violated", findings.len()),
    };
    writeln!(table, "{summary}").ok();
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_shown_under_its_invariant() {
        let finding = |id, detail: &[&str]| Finding {
            id,
            title: "no task is lost",
            ok: detail.is_empty(),
            detail: detail.iter().map(|line| (*line).to_owned()).collect(),
        };
        assert_eq!(
            table(&[finding("INV-10", &[]), finding("INV-2", &["task 7", "task 9"])]),
            "INV-10  no task is lost  ok\n\
             INV-2   no task is lost  VIOLATED\n\
             \x20         task 7\n\
             \x20         task 9\n\
             1 of 2 invariants are violated\n"
        );
    }
}
