//! The fair scheduler beside a model that looks at everything: `cargo xtask sim --quota`.
//!
//! ```text
//! cargo run --release -p flowforge-scheduler --example quota_sim -- --ops 10000000
//! cargo run --release -p flowforge-scheduler --example quota_sim -- --seed 7
//! cargo run --release -p flowforge-scheduler --example quota_sim -- --plants
//! ```
//!
//! Nights have time for `--ops 1000000000`.
#![cfg_attr(
    not(test),
    expect(
        clippy::print_stdout,
        clippy::disallowed_methods,
        reason = "a program: it runs on all cores and prints"
    )
)]
#![cfg_attr(test, expect(clippy::print_stdout, clippy::disallowed_methods, reason = "a program"))]

mod dice;
mod model;
mod run;
mod script;
mod subject;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use run::{Difference, Tally, run};
use subject::Plant;

/// Calls of one seed: enough for a hierarchy to fill and to be cut many times.
const CALLS: u64 = 5_000;
/// A planted bug must be found within this many seeds.
const PATIENCE: u64 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().ok();
    let seeds = match arguments.as_slice() {
        ["--plants"] => return plants(),
        [] => Some(1..201),
        ["--ops", calls] => number(calls).map(|calls| 1..calls.div_ceil(CALLS).saturating_add(1)),
        ["--seed", seed] => number(seed).map(|seed| seed..seed.saturating_add(1)),
        _ => None,
    };
    let Some(seeds) = seeds else {
        println!("say --ops NUMBER, --seed NUMBER or --plants");
        return ExitCode::FAILURE;
    };
    let (next, began) = (AtomicU64::new(seeds.start), Instant::now());
    let total: Mutex<(Tally, Option<Difference>)> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        return;
                    }
                    let result = run(seed, CALLS, None);
                    let mut total = total.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    match result {
                        Ok(tally) => total.0.add(&tally),
                        Err(difference) => {
                            next.store(u64::MAX / 2, Ordering::Relaxed);
                            total.1 = Some(difference);
                        }
                    }
                }
            });
        }
    });
    let (tally, difference) = total.into_inner().unwrap_or_default();
    if let Some(difference) = difference {
        println!("{difference}");
        return ExitCode::FAILURE;
    }
    println!("{} calls clean in {:.1} s", tally.calls, began.elapsed().as_secs_f64());
    println!("{tally:#?}");
    ExitCode::SUCCESS
}

fn plants() -> ExitCode {
    let mut found = 0;
    for plant in Plant::ALL {
        match (1..=PATIENCE).find_map(|seed| run(seed, CALLS, Some(plant)).err()) {
            Some(Difference { seed, call, what }) => {
                found += 1;
                println!("found  {:<26} seed {seed:>4}, call {call}: {what}", plant.name());
            }
            None => println!("MISSED {:<26} in {PATIENCE} seeds", plant.name()),
        }
    }
    println!("found {found} of {}", Plant::ALL.len());
    if found == Plant::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
