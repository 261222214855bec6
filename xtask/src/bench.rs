//! `cargo xtask bench`: what FlowForge takes, beside the raw limit measured in the same run.
//!
//! Figures are medians of several rounds in which ours and the limit take turns, so that a machine
//! that becomes slower slows both. A ratio of 1 is the limit itself.

mod cluster;
mod engine;
pub(crate) mod graphs;
mod idle;
mod postgres;
mod process;
mod quota;

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;

use crate::workspace::{build_release, target};

/// One figure.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    suite: &'static str,
    case: String,
    metric: String,
    unit: String,
    ours: f64,
    /// The same by a program that does nothing else; none where there is no such thing.
    limit: Option<f64>,
    /// How close to the limit: 1 is the limit itself.
    ratio: Option<f64>,
}

impl Row {
    /// A figure without a limit.
    pub(crate) fn plain(
        suite: &'static str,
        case: &str,
        (metric, unit): (&str, &str),
        ours: f64,
    ) -> Self {
        let (case, metric, unit) = (case.to_owned(), metric.to_owned(), unit.to_owned());
        Self { suite, case, metric, unit, ours, limit: None, ratio: None }
    }

    /// A rate, the higher the better, beside the limit.
    pub(crate) fn rate(
        suite: &'static str,
        case: &str,
        tasks: usize,
        times: (Duration, Duration),
    ) -> Self {
        let count = f64::from(u32::try_from(tasks).unwrap_or(u32::MAX));
        let (ours, limit) = (count / times.0.as_secs_f64(), count / times.1.as_secs_f64());
        Self {
            limit: Some(limit),
            ratio: Some(ours / limit),
            ..Self::plain(suite, case, ("throughput", "tasks/s"), ours)
        }
    }
}

/// A part of a suite: what it found is shown when it ends.
type Part = fn(&Path, &Path) -> anyhow::Result<Vec<Row>>;

/// All suites, in the order in which they run.
const SUITES: [&str; 6] = ["process", "engine", "idle", "postgres", "quota", CLUSTER];
/// Runs only if it is named: it makes a node of this machine.
const CLUSTER: &str = "cluster";

/// The parts of a suite that has several, by name.
fn parts(suite: &str) -> &'static [(&'static str, Part)] {
    match suite {
        "process" => &[("", process::run)],
        "engine" => &[("", engine::run)],
        "postgres" => &postgres::PARTS,
        "quota" => &[("", quota::run)],
        CLUSTER => &cluster::PARTS,
        _ => &[("", idle::run)],
    }
}

/// Runs the suites that are named, or all but one; `postgres:latency` is one part of one.
pub(crate) fn run(suites: &[String], json: Option<&Path>) -> anyhow::Result<ExitCode> {
    let names = |suite: &str| {
        let parts = parts(suite).iter().filter(|(part, _)| !part.is_empty());
        let parts: Vec<String> = parts.map(|(part, _)| format!("{suite}:{part}")).collect();
        std::iter::once(suite.to_owned()).chain(parts).collect::<Vec<_>>()
    };
    let all: Vec<String> = SUITES.into_iter().flat_map(names).collect();
    if let Some(unknown) = suites.iter().find(|name| !all.contains(name)) {
        bail!("no suite {unknown}; there are: {}", all.join(", "));
    }
    let wanted = |suite: &str, part: &str| {
        let named = |name: &String| *name == suite || *name == format!("{suite}:{part}");
        if suites.is_empty() { suite != CLUSTER } else { suites.iter().any(named) }
    };
    // The scheduler alone needs no servers.
    let release = match suites {
        [one] if one == "quota" => target()?.join("release"),
        _ => build_release()?,
    };
    let scratch = release.with_file_name("bench");
    let mut rows = Vec::new();
    println!(
        "{:<8} {:<26} {:<26} {:>12} {:>12} {:>6}  unit",
        "suite", "case", "metric", "ours", "limit", "ratio"
    );
    for suite in SUITES {
        let parts: Vec<_> = parts(suite).iter().filter(|(part, _)| wanted(suite, part)).collect();
        if !parts.is_empty() && scratch.exists() {
            fs::remove_dir_all(&scratch).context("remove the last run's data")?;
        }
        for (_, part) in parts {
            let found = part(&release, &scratch).with_context(|| format!("run suite {suite}"))?;
            found.iter().for_each(print);
            rows.extend(found);
        }
    }
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&rows).context("write the rows")?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print(row: &Row) {
    let cell = |value: Option<f64>, digits: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.digits$}"))
    };
    println!(
        "{:<8} {:<26} {:<26} {:>12.2} {:>12} {:>6}  {}",
        row.suite,
        row.case,
        row.metric,
        row.ours,
        cell(row.limit, 2),
        cell(row.ratio, 2),
        row.unit
    );
}

/// The middle one.
pub(crate) fn median<T: Copy + PartialOrd>(values: &[T]) -> Option<T> {
    percentile(values, 50)
}

/// The value that `percent` of a hundred do not exceed.
pub(crate) fn percentile<T: Copy + PartialOrd>(values: &[T], percent: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last * percent).div_ceil(100).min(last)).copied()
}

#[cfg(test)]
mod tests {
    use super::{median, percentile};

    #[test]
    fn percentiles_are_values_that_were_measured() {
        assert_eq!(median(&[3, 1, 2]), Some(2));
        assert_eq!(percentile(&[5, 1, 9, 7], 99), Some(9));
        assert_eq!(median::<u8>(&[]), None);
    }
}
