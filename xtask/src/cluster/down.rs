//! Ending a cluster: its parts, then whatever its pods left.

use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::ensure;

use super::parts::NAMES;
use super::place::Place;
use super::process::Process;
use super::{images, leftovers, node, up};
use crate::workspace::output;

/// Longer than any part needs to end.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn run(place: &Place) -> anyhow::Result<ExitCode> {
    node::check()?;
    let lock = place.lock()?;
    // From the last to the first, so that nobody starts again what another has ended.
    for name in NAMES.into_iter().rev() {
        let Some(process) = Process::running(&place.pid(name)) else { continue };
        if name == "containerd" {
            end_pods(place);
        }
        let killed = process.end(PATIENCE)?;
        println!("{name} {}", if killed { "did not end and was killed" } else { "ended" });
    }
    let left = up::running(place);
    ensure!(left.is_empty(), "still running: {}", left.join(", "));
    clear(place)?;
    drop(lock);
    println!("nothing is left; logs are in {}", place.join("logs").display());
    Ok(ExitCode::SUCCESS)
}

/// Removes what a cluster left that does not run any more.
pub(super) fn clear(place: &Place) -> anyhow::Result<()> {
    if place.join("settings").is_file() {
        leftovers::remove(place)?;
        node::restore(place)?;
    }
    place.clear()
}

/// Ends containers while containerd runs: their shims then clean up after themselves. What this
/// does not reach is killed later.
fn end_pods(place: &Place) {
    let ctr = |arguments: &[&str]| output(images::ctr(place).args(arguments));
    let tasks = ctr(&["tasks", "list", "--quiet"]).unwrap_or_default();
    let tasks: Vec<&str> = tasks.lines().collect();
    if !tasks.is_empty() {
        let mut delete: Command = images::ctr(place);
        drop(output(delete.args(["tasks", "delete", "--force"]).args(tasks)));
    }
}
