//! `flowforge doctor`: every invariant of a data directory, as a table.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use flowforge_store::SqliteStore;
use flowforge_store::doctor::Finding;

/// Flags of `flowforge doctor`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The data directory of the server.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
}

/// Exit code 0 if everything is as it should be, 1 if not.
pub(crate) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let path = options.data_dir.join("flowforge.db");
    let findings = SqliteStore::doctor(&path).context("cannot examine the database")?;
    crate::say(&table(&findings))?;
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
