//! `cargo xtask sim`: the simulator, which is a program of flowforge-testkit. With `--quota` the fair
//! scheduler alone, which is an example of its crate.

use std::process::{Command, ExitCode};

use anyhow::Context;

use crate::workspace::{PROGRAMS, cargo, succeed, target};

/// Builds it in release form (seeds are many) and runs it.
pub(crate) fn run(arguments: &[String]) -> anyhow::Result<ExitCode> {
    let mut build = cargo();
    // With the programs: what it shares with them is then built once for both.
    build.args(["build", "--quiet", "--release"]).args(PROGRAMS);
    let (program, arguments) = match arguments.split_first() {
        Some((first, rest)) if first == "--quota" => {
            build.args(["-p", "flowforge-scheduler", "--example", "quota_sim"]);
            ("examples/quota_sim", rest)
        }
        _ => {
            build.args(["-p", "flowforge-testkit", "--bin", "flowforge-sim"]);
            ("flowforge-sim", arguments)
        }
    };
    succeed(&mut build)?;
    let mut simulator = Command::new(target()?.join("release").join(program));
    let status = simulator.args(arguments).status().context("start the simulator")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
