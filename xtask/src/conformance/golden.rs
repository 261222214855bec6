//! `cargo xtask conformance --when TSV` and `--expr TSV`: the languages inside documents.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::cargo;

/// Tries the rows of a table with an example program of flowforge-expr.
pub(crate) fn run(kind: &str, table: &Path) -> anyhow::Result<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--quiet", "-p", "flowforge-expr", "--example", "golden", "--"]);
    let status = command.arg(kind).arg(table).status().context("start the runner of tables")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
