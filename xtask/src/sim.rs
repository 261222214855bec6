//! `cargo xtask sim`: the simulator, which is a program of flowforge-testkit. With `--quota` the fair
//! scheduler alone, which is an example of its crate and needs nothing else to be built.

use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::cargo;

/// Builds it in release form (seeds are many) and runs it.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut command = cargo();
    command.args(["run", "--quiet", "--release", "-p"]);
    let arguments = match arguments.split_first() {
        Some((first, rest)) if first == "--quota" => {
            command.args(["flowforge-scheduler", "--example", "quota_sim", "--"]);
            rest
        }
        _ => {
            command.args(["flowforge-testkit", "--bin", "flowforge-sim", "--"]);
            arguments
        }
    };
    let status = command.args(arguments).status().context("start the simulator")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
