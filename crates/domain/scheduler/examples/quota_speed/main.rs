//! What deciding costs: decisions a second, how long one takes, what a call costs in processor time.
//!
//! ```text
//! cargo run --release -p flowforge-scheduler --example quota_speed -- churn
//! ```
//!
//! A number after the name of the suite is how many rounds, or explanations, are measured.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it looks at a clock and prints"
)]

mod churn;
mod fair;
mod installation;
mod meter;
mod trace;
mod why;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut said = std::env::args().skip(1);
    let suite = said.next().unwrap_or_default();
    let rounds = said.next().and_then(|rounds| rounds.parse().ok());
    let rounds = |usual: usize| rounds.unwrap_or(usual);
    match suite.as_str() {
        "churn" => churn::run("churn", 10_000, 100_000, rounds(400_000)),
        "million" => churn::run("million", 10_000, 1_000_000, rounds(200_000)),
        "small" => churn::run("small", 100, 10_000, rounds(400_000)),
        "why" => why::run("why", 10_000, 100_000, rounds(10_000)),
        "why_small" => why::run("why_small", 100, 20_000, rounds(10_000)),
        "fair" => fair::run(),
        "gangs" => trace::gangs(),
        "kueue" => trace::kueue(),
        "week" => trace::week(),
        _ => {
            println!(
                "name one of: churn, million, small, why, why_small, fair, gangs, kueue, week"
            );
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
