//! `cargo xtask ci`: everything a change must pass, with the time of each step.

use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::workspace::{cargo, describe};

/// Runs every step, also after a failed one, and ends well if all did.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let mut results = Vec::new();
    for mut step in steps() {
        let line = describe(&step);
        println!("\n== {line}");
        let begun = Instant::now();
        let status = step.status().with_context(|| format!("start {line}"))?;
        results.push((line, status.success(), begun.elapsed()));
    }
    Ok(report(&results))
}

/// The last step is the test command of the README, as it stands there.
fn steps() -> Vec<Command> {
    [
        &["fetch", "--locked"][..],
        &["fmt", "--all", "--check"],
        &["xtask", "check-arch"],
        &["xtask", "tidy"],
        &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"],
        &["xtask", "test"],
    ]
    .into_iter()
    .map(|arguments| {
        let mut command = cargo();
        command.args(arguments);
        command
    })
    .collect()
}

fn report(results: &[(String, bool, Duration)]) -> ExitCode {
    println!();
    for (line, good, took) in results {
        let word = if *good { "ok" } else { "FAILED" };
        println!("{word:<7} {:>7.1} s  {line}", took.as_secs_f64());
    }
    if results.iter().all(|(_, good, _)| *good) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
