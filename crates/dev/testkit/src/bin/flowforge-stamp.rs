//! A task body that says when it began and when it ended: nanoseconds since the epoch.

#![expect(clippy::print_stdout, reason = "a program speaks on its streams")]

use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_nanos());
    let begun = now();
    println!("{begun} {}", now());
}
