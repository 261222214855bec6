//! Starting a cluster: what does not run yet, in order, each waited for.

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::kubectl::Kubectl;
use super::parts::{self, NAMES, Nodes, Part, SIMULATOR};
use super::place::Place;
use super::process::Process;
use super::{UpArguments, config, down, images, node, packages, simulated, status};

/// On an idle machine all of it takes a few seconds; on a busy one nobody may be refused for it.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a part that starts is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// What the others cannot do without.
const FIRST: usize = 4;

/// What was started, and how long it took.
struct Row {
    name: &'static str,
    pid: u32,
    /// None if it ran already.
    took: Option<Duration>,
}

pub(super) fn run(place: &Place, wanted: &UpArguments) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    node::check()?;
    if let Some(program) = &wanted.ff_run {
        images::check_program(program)?;
    }
    packages::need(packages::NODE)?;
    let lock = place.lock()?;
    let before = running(place);
    let simulated = wanted.nodes > 0 || before.contains(&SIMULATOR);
    let nodes = if simulated { Nodes::AndSimulated } else { Nodes::Real };
    let parts = parts::parts(place, nodes)?;
    if before.is_empty() {
        // A machine that went down without us left files that name what no longer is.
        down::clear(place)?;
        parts::check_ports(&parts)?;
    }
    place.create()?;
    config::write(place)?;
    node::prepare(place)?;
    let kubectl = Kubectl::new(place.kubeconfig())?;
    let mut rows = Vec::new();
    let (first, rest) = parts.split_at(FIRST);
    rows.extend(start(place, &kubectl, first)?);
    images::all(place, wanted.python, wanted.ff_run.as_deref())?;
    rows.extend(start(place, &kubectl, rest)?);
    kubectl.wait(&["node", config::NODE], "create", PATIENCE)?;
    kubectl.wait(&["node", config::NODE], "condition=Ready", PATIENCE)?;
    // Without it no pod is let in.
    kubectl.wait(&["serviceaccount", "default"], "create", PATIENCE)?;
    if wanted.nodes > 0 {
        simulated::add(&kubectl, wanted.nodes, PATIENCE)?;
    }
    drop(lock);
    report(place, &rows, begun.elapsed());
    Ok(ExitCode::SUCCESS)
}

/// The parts that run.
pub(super) fn running(place: &Place) -> Vec<&'static str> {
    let runs = |name: &&str| Process::running(&place.pid(name)).is_some();
    NAMES.into_iter().filter(runs).collect()
}

/// Starts those that do not run, all at once, and waits for each.
fn start(place: &Place, kubectl: &Kubectl, parts: &[Part]) -> anyhow::Result<Vec<Row>> {
    let mut started = Vec::new();
    for part in parts {
        let pid = place.pid(part.name);
        let begun = Instant::now();
        let (process, new) = match Process::running(&pid) {
            Some(process) => (process, false),
            None => (Process::start(&part.command(), &place.log(part.name), &pid)?, true),
        };
        started.push((part, process, new, begun));
    }
    let mut rows = Vec::new();
    for (part, process, new, begun) in started {
        wait(place, kubectl, part, process)?;
        let took = new.then(|| begun.elapsed());
        rows.push(Row { name: part.name, pid: process.pid(), took });
    }
    Ok(rows)
}

fn wait(place: &Place, kubectl: &Kubectl, part: &Part, process: Process) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (name, log) = (part.name, place.log(part.name));
    loop {
        if name == parts::API_SERVER && place.join(config::CERTIFICATE).is_file() {
            config::write_kubeconfig(place)?;
        }
        let Err(why) = part.ready(kubectl) else { return Ok(()) };
        if !process.alive() {
            bail!("{name} ended at once; {}", status::end_of(&log));
        }
        if begun.elapsed() > PATIENCE {
            let patience = PATIENCE.as_secs();
            bail!("{name} is not ready after {patience} s: {why}; {}", status::end_of(&log));
        }
        thread::sleep(GLANCE);
    }
}

fn report(place: &Place, rows: &[Row], all: Duration) {
    println!("{:<24} {:>8} {:>8}", "part", "pid", "seconds");
    for Row { name, pid, took } in rows {
        let took = took.map_or("ran".to_owned(), |took| format!("{:.1}", took.as_secs_f64()));
        println!("{name:<24} {pid:>8} {took:>8}");
    }
    println!("{:<24} {:>8} {:>8.1}", "all, node ready", "", all.as_secs_f64());
    println!("\nexport KUBECONFIG={}", place.kubeconfig().display());
}
