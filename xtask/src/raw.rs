//! The raw limit: a program that spawns the same processes under the same dependency counters
//! and does nothing else. It keeps no state, captures no output and cannot be interrupted.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

struct State {
    /// Written and made durable at each end, as a server must that forgets nothing.
    journal: Option<File>,
    ready: Vec<usize>,
    missing: Vec<usize>,
    left: usize,
    failed: Option<anyhow::Error>,
}

/// Runs `program` once per task, at most `workers` at a time, each after its `parents`, and
/// returns how long that took. The graph must have no cycle.
pub(crate) fn run(
    parents: &[Vec<usize>],
    program: &Path,
    workers: usize,
) -> anyhow::Result<Duration> {
    run_with(parents, program, workers, None)
}

/// The same by one worker that makes each end durable before it goes on.
pub(crate) fn run_synced(
    parents: &[Vec<usize>],
    program: &Path,
    scratch: &Path,
) -> anyhow::Result<Duration> {
    fs::create_dir_all(scratch).context("create a directory")?;
    let mut journal = File::create(scratch.join("journal")).context("create a journal")?;
    // Written in place: a file that grows costs the disk more than one that does not.
    let room = vec![0; RECORD * parents.len()];
    journal.write_all(&room).context("write the journal")?;
    journal.sync_all().context("sync the journal")?;
    journal.rewind().context("rewind the journal")?;
    run_with(parents, program, 1, Some(journal))
}

fn run_with(
    parents: &[Vec<usize>],
    program: &Path,
    workers: usize,
    journal: Option<File>,
) -> anyhow::Result<Duration> {
    let mut children = vec![Vec::new(); parents.len()];
    for (task, before) in parents.iter().enumerate() {
        for parent in before {
            children.get_mut(*parent).context("name a parent that is not there")?.push(task);
        }
    }
    let missing: Vec<usize> = parents.iter().map(Vec::len).collect();
    let ready: Vec<usize> = (0..parents.len()).filter(|task| missing[*task] == 0).collect();
    ensure!(!ready.is_empty(), "no task can begin");
    let state = Mutex::new(State { journal, ready, missing, left: parents.len(), failed: None });
    let changed = Condvar::new();
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| work(&state, &changed, &children, program));
        }
    });
    let took = begun.elapsed();
    let state = state.into_inner().unwrap_or_else(PoisonError::into_inner);
    match state.failed {
        Some(error) => Err(error),
        None => Ok(took),
    }
}

fn work(state: &Mutex<State>, changed: &Condvar, children: &[Vec<usize>], program: &Path) {
    let mut held = state.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        if held.left == 0 || held.failed.is_some() {
            changed.notify_all();
            return;
        }
        let Some(task) = held.ready.pop() else {
            held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        drop(held);
        let outcome = spawn(program);
        held = state.lock().unwrap_or_else(PoisonError::into_inner);
        held.left = held.left.saturating_sub(1);
        let outcome = outcome.and_then(|()| held.journal.as_mut().map_or(Ok(()), record));
        held.failed = outcome.err().or_else(|| held.failed.take());
        for child in &children[task] {
            held.missing[*child] = held.missing[*child].saturating_sub(1);
            if held.missing[*child] == 0 {
                held.ready.push(*child);
                changed.notify_one();
            }
        }
    }
}

/// What a task's end takes in a log, in bytes, about.
const RECORD: usize = 64;

fn record(journal: &mut File) -> anyhow::Result<()> {
    journal.write_all(&[7; RECORD]).context("write the journal")?;
    journal.sync_data().context("sync the journal")
}

fn spawn(program: &Path) -> anyhow::Result<()> {
    let status = Command::new(program)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .with_context(|| format!("start {}", program.display()))?;
    ensure!(status.success(), "{}: {status}", program.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::run;
    use crate::workspace::which;

    #[test]
    fn a_graph_runs_to_its_end_and_a_failure_ends_it() {
        let graph = [vec![], vec![0], vec![0], vec![1, 2]];
        assert!(run(&graph, &which("true").unwrap(), 2).is_ok());
        assert!(run(&graph, &which("false").unwrap(), 2).is_err());
        assert!(run(&graph, Path::new("/nowhere"), 2).is_err());
        assert!(run(&[vec![0]], &which("true").unwrap(), 2).is_err());
    }
}
