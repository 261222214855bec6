//! `cargo xtask test`: tiers from the cheapest to the dearest, one closing line over all.

pub(crate) mod cluster;
mod logs;
pub(crate) mod postgres;
mod programs;
mod redis;
mod s3;
mod tally;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::chaos::fleet::{Campaign, Extent, Harm, Until};
use crate::workspace::{cargo, on_ci, which};
use crate::{chaos, conformance, demo, examples, sim};

use programs::Programs;
pub(crate) use tally::Tally;

/// One tier: a kind of tests that need the same things.
struct Tier {
    name: &'static str,
    what: &'static str,
    /// Why it cannot run here, if so.
    missing: fn() -> Option<Lack>,
    run: fn() -> anyhow::Result<Tally>,
}

/// Why a tier cannot run on this machine.
#[derive(Debug)]
pub(crate) enum Lack {
    /// Whoever has the machine can see to it: on CI the run fails.
    Missing(String),
    /// The kernel, or what keeps us apart from others, refuses what is needed: nothing that is installed
    /// changes that.
    Denied(String),
}

const TIERS: &[Tier] = &[
    Tier {
        name: "pure",
        what: "story tables and properties of the domain crates",
        missing: || None,
        run: pure,
    },
    Tier {
        name: "services",
        what: "adapters, services, programs, automation",
        missing: || None,
        run: services,
    },
    Tier {
        name: "s3",
        what: "artifacts in the buckets of a real server",
        missing: || s3::missing().map(Lack::Missing),
        run: s3::run,
    },
    Tier {
        name: "redis",
        what: "the queue on real servers: one, one with a password, a cluster of six",
        missing: || redis::missing().map(Lack::Missing),
        run: redis::run,
    },
    Tier {
        name: "postgres",
        what: "the store on a PostgreSQL server of its own",
        missing: || postgres::missing().map(Lack::Missing),
        run: postgres::run,
    },
    Tier {
        name: "sim",
        what: "the real loops on a simulated world, and whether planted bugs are found",
        missing: || None,
        run: simulated,
    },
    Tier {
        name: "chaos",
        what: "kill -9 of a real server under load",
        missing: || python().map(Lack::Missing),
        run: killed,
    },
    Tier {
        name: "fleet",
        what: "faults of all kinds under load, and servers that die between two effects",
        missing: || chaos::fleet::missing().map(Lack::Missing),
        run: fleet,
    },
    Tier {
        name: "logs",
        what: "logs of roles of their own, read elsewhere, whatever is killed",
        missing: || chaos::fleet::missing().map(Lack::Missing),
        run: logs_elsewhere,
    },
    Tier {
        name: "argo",
        what: "manifests of Argo Workflows, each to the end that it must have",
        missing: || python().map(Lack::Missing),
        run: conformance::tier,
    },
    Tier {
        name: "e2e",
        what: "the demo and every example, from file to outputs",
        missing: || python().map(Lack::Missing),
        run: end_to_end,
    },
    Tier {
        name: "cluster",
        what: "pods of a real Kubernetes, and what happens to them",
        missing: cluster::missing,
        run: cluster::run,
    },
];

enum Outcome {
    Ran(Tally),
    Skipped(Lack),
    Broken(String),
}

/// Runs all tiers, or one.
pub(crate) fn run(only: Option<&str>) -> anyhow::Result<ExitCode> {
    let chosen: Vec<&Tier> =
        TIERS.iter().filter(|tier| only.is_none_or(|name| name == tier.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = TIERS.iter().map(|tier| tier.name).collect();
        bail!("no such tier; there are: {}", names.join(", "));
    }
    let mut results = Vec::new();
    for tier in chosen {
        println!("== {}: {}", tier.name, tier.what);
        let begun = Instant::now();
        let outcome = match (tier.missing)() {
            Some(lack) => Outcome::Skipped(lack),
            None => match (tier.run)() {
                Ok(tally) => Outcome::Ran(tally),
                Err(error) => Outcome::Broken(format!("{error:#}")),
            },
        };
        results.push((tier.name, outcome, begun.elapsed()));
    }
    Ok(report(&results))
}

fn report(results: &[(&str, Outcome, Duration)]) -> ExitCode {
    let mut total = Tally::default();
    let mut good = true;
    println!("\n{:<10} {:<9} {:>7} {:>7} {:>8}", "tier", "", "passed", "failed", "seconds");
    for (name, outcome, took) in results {
        let seconds = took.as_secs_f64();
        match outcome {
            Outcome::Ran(tally) => {
                let word = if tally.failed == 0 { "ok" } else { "FAILED" };
                let (passed, failed) = (tally.passed, tally.failed);
                println!("{name:<10} {word:<9} {passed:>7} {failed:>7} {seconds:>8.1}");
                total.add(tally);
            }
            Outcome::Skipped(Lack::Missing(reason)) => {
                let word = if on_ci() { "FAILED" } else { "skipped" };
                println!("{name:<10} {word:<9} {reason}");
                good &= !on_ci();
            }
            Outcome::Skipped(Lack::Denied(reason)) => {
                println!("{name:<10} {:<9} this machine does not allow it: {reason}", "skipped");
            }
            Outcome::Broken(reason) => {
                println!("{name:<10} {:<9} {reason}", "FAILED");
                total.failed = total.failed.saturating_add(1);
            }
        }
    }
    println!("{} passed, {} failed", total.passed, total.failed);
    good &= total.failed == 0 && total.passed > 0;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Crates that do nothing but decide.
const DOMAIN: &str = "crates/domain";

fn pure() -> anyhow::Result<Tally> {
    Programs::build()?.within(DOMAIN).run(&[], &[])
}

/// What examples in comments say, too, of which cargo makes programs as it runs them.
fn services() -> anyhow::Result<Tally> {
    let mut tally = Programs::build()?.outside(DOMAIN).run(&[], &[])?;
    let mut examples = cargo();
    examples.args(["test", "--workspace", "--doc", "--no-fail-fast"]);
    tally.add(&programs::run(examples)?);
    Ok(tally)
}

/// Seeds of a run before every change; a thorough look takes more: `cargo xtask sim --seeds N`.
const SEEDS: &str = "2000";
/// Kills of a run before every change; `cargo xtask chaos --kills N` for more.
const KILLS: u32 = 5;
/// The same for roles of their own, among faults of all other kinds.
const FLEET_KILLS: u32 = 12;

fn python() -> Option<String> {
    which("python3").is_none().then(|| "python3 is missing".to_owned())
}

fn simulated() -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let runs = [
        &["--seeds", SEEDS][..],
        &["--plants"],
        &["--fleet", "--seeds", SEEDS],
        &["--fleet", "--plants"],
    ];
    for arguments in runs {
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        let line = format!("cargo xtask sim {}", arguments.join(" "));
        tally.count(sim::run(&arguments).and_then(|code| named(line, code)));
    }
    Ok(tally)
}

fn killed() -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let line = format!("cargo xtask chaos --kills {KILLS}");
    let outcome = chaos::run(KILLS, 1).with_context(|| line.clone());
    tally.count(outcome.and_then(|code| named(line, code)));
    Ok(tally)
}

/// The name of a test that passed, or its failure.
fn named(line: String, code: ExitCode) -> anyhow::Result<String> {
    if code == ExitCode::SUCCESS { Ok(line) } else { bail!("{line}") }
}

fn fleet() -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let line = format!("cargo xtask chaos --fleet --kills {FLEET_KILLS}");
    let campaign = Campaign {
        harm: Harm::Storm(Until::Kills(FLEET_KILLS)),
        seed: 1,
        only: Vec::new(),
        lease: 2,
        pause: 500,
        json: None,
    };
    let outcome = chaos::fleet::run(&campaign).with_context(|| line.clone());
    tally.count(outcome.and_then(|code| named(line, code)));
    let line = "cargo xtask chaos --matrix short".to_owned();
    let outcome = chaos::fleet::matrix::run(Extent::Short, None).with_context(|| line.clone());
    tally.count(outcome.and_then(|code| named(line, code)));
    Ok(tally)
}

fn logs_elsewhere() -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    tally.count(logs::run());
    Ok(tally)
}

fn end_to_end() -> anyhow::Result<Tally> {
    let mut tally = examples::run()?;
    tally.count(demo::test());
    Ok(tally)
}
