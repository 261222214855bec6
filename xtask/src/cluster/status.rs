//! What runs, what does not, and why.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use super::kubectl::Kubectl;
use super::parts::{self, Nodes, SIMULATOR};
use super::place::Place;
use super::process::Process;
use crate::usage;

/// So many lines of a log tell why.
const LINES: usize = 8;

/// Fails unless all of it is ready.
pub(super) fn run(place: &Place) -> anyhow::Result<ExitCode> {
    let running = super::up::running(place);
    if running.is_empty() {
        println!(
            "no cluster runs in {}; `cargo xtask cluster up` starts one",
            place.root().display()
        );
        return Ok(ExitCode::FAILURE);
    }
    let nodes = if running.contains(&SIMULATOR) { Nodes::AndSimulated } else { Nodes::Real };
    let kubectl = Kubectl::new(place.kubeconfig())?;
    let mut good = true;
    println!("{:<24} {:>8} {:>8}  ready", "part", "pid", "MiB");
    for part in parts::parts(place, nodes)? {
        let name = part.name;
        let Some(process) = Process::running(&place.pid(name)) else {
            good = false;
            println!("{name:<24} {:>8} {:>8}  no: {}", "", "", end_of(&place.log(name)));
            continue;
        };
        let pid = process.pid();
        let memory = usage::memory_mib(pid).unwrap_or_default();
        let ready = match part.ready(&kubectl) {
            Ok(()) => "yes".to_owned(),
            Err(why) => {
                good = false;
                format!("no: {why}; its log is {}", place.log(name).display())
            }
        };
        println!("{name:<24} {pid:>8} {memory:>8.0}  {ready}");
    }
    println!();
    let nodes = kubectl.pass(&["get", "nodes", "--request-timeout=5s"])?;
    println!("\nexport KUBECONFIG={}", place.kubeconfig().display());
    Ok(if good { nodes } else { ExitCode::FAILURE })
}

/// Where a log is and how it ends.
pub(super) fn end_of(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.get(lines.len().saturating_sub(LINES)..).unwrap_or_default();
    format!("its log {} ends with:\n{}", log.display(), last.join("\n"))
}
