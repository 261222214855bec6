//! `cargo xtask sim`: the simulator, which is a program of flowforge-testkit.

use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::cargo;

/// Builds it in release form (seeds are many) and runs it.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut command = cargo();
    command.args([
        "run",
        "--quiet",
        "--release",
        "-p",
        "flowforge-testkit",
        "--bin",
        "flowforge-sim",
        "--",
    ]);
    let status = command.args(arguments).status().context("start the simulator")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
