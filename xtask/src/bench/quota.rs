//! Who is next, in memory: an example of the scheduler prints the rows.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::Row;
use crate::workspace::cargo;

/// Each in a process of its own, for the sake of its memory.
const CASES: [&str; 9] =
    ["fair", "small", "churn", "million", "why", "why_small", "gangs", "kueue", "week"];

pub(super) fn run(release: &Path, _scratch: &Path) -> anyhow::Result<Vec<Row>> {
    let mut build = cargo();
    build.args(["build", "--quiet", "--release", "-p", "flowforge-scheduler"]);
    if !build.args(["--example", "quota_speed"]).status().context("build it")?.success() {
        bail!("the example quota_speed does not build");
    }
    let mut rows = Vec::new();
    for case in CASES {
        let mut program = Command::new(release.join("examples/quota_speed"));
        let output = program.arg(case).output().context("run quota_speed")?;
        if !output.status.success() {
            bail!("quota_speed {case} failed");
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let [_, metric, unit, value] = line.split('\t').collect::<Vec<_>>()[..] else {
                bail!("quota_speed printed {line}");
            };
            let value = value.parse().with_context(|| format!("read {line}"))?;
            rows.push(Row::plain("quota", case, (metric, unit), value));
        }
    }
    Ok(rows)
}
