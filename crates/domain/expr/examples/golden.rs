//! `golden --when TSV` and `golden --expr TSV`: tries every row of a table and closes with what
//! passed. `cargo xtask conformance` calls it.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program speaks on its streams")]

#[path = "../tests/golden/table.rs"]
mod table;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (kind, path) = match arguments.as_slice() {
        [kind, path] if kind == "--when" || kind == "--expr" => (kind, path),
        _ => {
            eprintln!("usage: golden --when TSV | --expr TSV");
            return ExitCode::FAILURE;
        }
    };
    let rows = match std::fs::read_to_string(path) {
        Ok(rows) => rows,
        Err(error) => {
            eprintln!("read {path}: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tally = if kind == "--when" { table::conditions(&rows) } else { table::expressions(&rows) };
    for row in &tally.failed {
        println!("FAILED {row}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed.len());
    let good = tally.failed.is_empty() && tally.passed > 0;
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
