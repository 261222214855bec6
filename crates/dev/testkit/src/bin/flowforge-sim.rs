//! Runs the simulator: `cargo xtask sim --seeds N | --seed N | --plants`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its streams")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use clap::Parser;
use flowforge_store::Flaw;
use flowforge_testkit::plants::Plant;
use flowforge_testkit::sim::{self, Summary, Violation};

/// Seeds that once failed: run first, for ever.
const KEPT: &str = include_str!("../../seeds.txt");
/// A planted bug must be found within this many seeds.
const PATIENCE: u64 = 1000;

/// Deterministic simulation of the whole server.
#[derive(Debug, Parser)]
struct Arguments {
    /// Run this many seeds, after the ones that once failed
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// Begin at this seed
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run only this seed, and tell what happened
    #[arg(long, conflicts_with_all = ["seeds", "plants"])]
    seed: Option<u64>,
    /// Plant bugs and see that each is found
    #[arg(long)]
    plants: bool,
    /// Many servers that share a database instead of one that does everything
    #[arg(long)]
    fleet: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.plants {
        return if arguments.fleet { flaws() } else { plants() };
    }
    let run: Run = if arguments.fleet {
        |seed| sim::fleet::run(seed, None)
    } else {
        |seed| sim::run(seed, None)
    };
    match arguments.seed {
        Some(seed) => outcome(run(seed)),
        None => campaign(run, arguments.from, arguments.seeds),
    }
}

/// Lives through the world of a seed.
type Run = fn(u64) -> Result<Summary, Box<Violation>>;

fn outcome(result: Result<Summary, Box<Violation>>) -> ExitCode {
    match result {
        Ok(summary) => {
            println!("clean: {summary:?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            eprintln!("{violation}");
            ExitCode::FAILURE
        }
    }
}

/// All seeds on all cores; the first violation ends it.
fn campaign(run: Run, from: u64, count: u64) -> ExitCode {
    let kept: Vec<u64> = KEPT.lines().filter_map(|line| line.parse().ok()).collect();
    let seeds: Vec<u64> = kept.iter().copied().chain(from..from.saturating_add(count)).collect();
    let next = AtomicU64::new(0);
    let found: Mutex<(Summary, Option<Box<Violation>>)> = Mutex::default();
    let began = Instant::now();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                let mut total = Summary::default();
                loop {
                    let place = usize::try_from(next.fetch_add(1, Ordering::Relaxed));
                    let Some(seed) = place.ok().and_then(|place| seeds.get(place)) else {
                        break;
                    };
                    match run(*seed) {
                        Ok(summary) => total.add(&summary),
                        Err(violation) => {
                            next.store(u64::MAX / 2, Ordering::Relaxed);
                            lock(&found).1 = Some(violation);
                            break;
                        }
                    }
                }
                lock(&found).0.add(&total);
            });
        }
    });
    let (total, violation) = std::mem::take(&mut *lock(&found));
    if let Some(violation) = violation {
        return outcome(Err(violation));
    }
    let seconds = began.elapsed().as_secs_f64();
    println!("{} seeds clean in {seconds:.1} s", seeds.len());
    println!("{total:#?}");
    if let Some(what) = total.never() {
        eprintln!("no seed reached {what}: the campaign proves too little");
        return ExitCode::FAILURE;
    }
    println!("{} passed, 0 failed", seeds.len());
    ExitCode::SUCCESS
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Flaws of a store that only a fleet can notice.
fn flaws() -> ExitCode {
    let mut found = 0;
    for flaw in Flaw::ALL {
        let name = format!("{flaw:?}");
        match (1..=PATIENCE).find_map(|seed| sim::fleet::run(seed, Some(flaw)).err()) {
            Some(violation) => {
                found += 1;
                println!("found  {name:<26} seed {:>4}: {}", violation.seed, violation.broken);
            }
            None => println!("MISSED {name:<26} in {PATIENCE} seeds"),
        }
    }
    println!("found {found} of {}", Flaw::ALL.len());
    if found == Flaw::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn plants() -> ExitCode {
    let mut found = 0;
    for plant in Plant::ALL {
        let violation = (1..=PATIENCE).find_map(|seed| sim::run(seed, Some(plant)).err());
        match violation {
            Some(violation) => {
                found += 1;
                println!(
                    "found  {:<26} seed {:>4}: {}",
                    plant.name(),
                    violation.seed,
                    violation.broken
                );
            }
            None => println!("MISSED {:<26} in {PATIENCE} seeds", plant.name()),
        }
    }
    println!("found {found} of {}", Plant::ALL.len());
    if found == Plant::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
