//! How many tasks a second the SQLite store takes through `commit`, and what the bare disk does.
//!
//! `cargo run --release -p flowforge-store --example commit_speed [TASKS [DIRECTORY]]`
//!
//! Every task is inserted, made runnable, admitted, started and ended, its row is updated twice and
//! three records are written: one commit carries the three steps of three batches at once, as a
//! busy controller's does.
#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]

use std::future::Future;
use std::io::Write;
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::event::{
    NodeKind, Outputs, Record, TaskShape, TaskState, TaskWrite, WorkflowState,
};
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Commit, NewWorkflow, RunChanges, Store};
use flowforge_store::SqliteStore;
use uuid::Uuid;

/// Workflows that share a commit.
const WORKFLOWS: u32 = 10;
const AT: Timestamp = Timestamp(1_700_000_000_000);

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let tasks: u32 = args.next().map_or(Ok(200_000), |arg| arg.parse())?;
    let under = args.next().unwrap_or_else(|| ".".to_owned());
    let dir =
        tempfile::tempdir_in(&under).with_context(|| format!("make a directory in {under}"))?;
    println!("{:>12} {:>10} {:>10} {:>10}  tasks/s", "tasks/commit", "p50 ms", "p99 ms", "max ms");
    for batch in [10, 100, 1000] {
        let sync = disk(dir.path())?;
        let count = if batch < 100 { tasks / 5 } else { tasks };
        let mut spans = store(&dir.path().join(format!("{batch}.db")), count, batch)?;
        let total: Duration = spans.iter().sum();
        spans.sort_unstable();
        println!(
            "{batch:>12} {:>10.2} {:>10.2} {:>10.2}  {:.0}   (fdatasync of 4 KiB: p50 {:.2} ms)",
            millis(&spans, 50),
            millis(&spans, 99),
            millis(&spans, 100),
            f64::from(count) / total.as_secs_f64(),
            sync
        );
    }
    Ok(())
}

/// A percentile of sorted spans.
fn millis(spans: &[Duration], percent: usize) -> f64 {
    let at = (spans.len() * percent / 100).min(spans.len().saturating_sub(1));
    spans.get(at).map_or(0.0, |span| span.as_secs_f64() * 1000.0)
}

/// The median of appending 4 KiB and `fdatasync`, in milliseconds.
fn disk(dir: &Path) -> Result<f64> {
    let mut file = std::fs::File::create(dir.join("disk"))?;
    let mut spans = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        spans.push(start.elapsed());
    }
    spans.sort_unstable();
    Ok(millis(&spans, 50))
}

/// The spans of all commits.
fn store(path: &Path, tasks: u32, batch: u32) -> Result<Vec<Duration>> {
    let store = SqliteStore::open(path)?;
    let mut runs: Vec<Running> = (0..WORKFLOWS).map(|_| Running::default()).collect();
    for run in &runs {
        now(store.insert(run.new_workflow()))?;
    }
    let instance = InstanceId(Uuid::now_v7());
    let epoch = now(store.take_over(instance))?;
    let share = batch / WORKFLOWS;
    let mut spans = Vec::new();
    for _ in 0..tasks / batch {
        let mut commit = Commit { epoch, instance: Some(instance), at: AT, ..Commit::default() };
        for run in &mut runs {
            run.turn(share, &mut commit);
        }
        let start = Instant::now();
        now(store.commit(commit))?;
        spans.push(start.elapsed());
    }
    Ok(spans)
}

/// A workflow that grows by some tasks each turn.
struct Running {
    id: WorkflowId,
    seq: u64,
    next: u32,
}

impl Default for Running {
    fn default() -> Self {
        Self { id: WorkflowId(Uuid::now_v7()), seq: 0, next: 0 }
    }
}

impl Running {
    fn new_workflow(&self) -> NewWorkflow {
        NewWorkflow {
            id: self.id,
            project: "default".to_owned(),
            name: "speed".to_owned(),
            description: String::new(),
            document: "templates: {}".to_owned(),
            parameters: Vec::new(),
            labels: Vec::new(),
            priority: 0,
            submitted_by: "local".to_owned(),
            resubmitted_from: None,
            at: AT,
            idempotency: None,
        }
    }

    /// New tasks are admitted, those of the last turn start, those before them end.
    fn turn(&mut self, share: u32, commit: &mut Commit) {
        let mut run =
            RunChanges { workflow: Some(self.id), seq_before: self.seq, ..RunChanges::default() };
        if self.next == 0 {
            run.state = Some(WorkflowState {
                status: WorkflowStatus::Running,
                generation: 1,
                started_at: Some(AT),
                ..WorkflowState::default()
            });
        }
        for node in self.next..self.next + share {
            let key = self.key(node);
            step(&mut run, node, TaskStatus::Queued, Some(shape(node)));
            run.runnable.push(key);
            commit.admissions.push(key);
        }
        if let Some(first) = self.next.checked_sub(share) {
            for node in first..self.next {
                step(&mut run, node, TaskStatus::Running, None);
                run.started.push((self.key(node), AT));
            }
        }
        if let Some(first) = self.next.checked_sub(2 * share) {
            for node in first..first + share {
                step(&mut run, node, TaskStatus::Succeeded, None);
                run.ended.push((self.key(node), report()));
            }
        }
        self.next += share;
        self.seq += u64::try_from(run.records.len()).unwrap_or(0);
        commit.runs.push(run);
    }

    fn key(&self, node: u32) -> AttemptKey {
        AttemptKey { workflow: self.id, node: NodeIx(node), number: 1 }
    }
}

fn shape(node: u32) -> TaskShape {
    TaskShape {
        parent: (node > 0).then_some(NodeIx::ROOT),
        slot: node,
        kind: NodeKind::Leaf,
        name: format!("transform({node}:part-{node})"),
        template: "transform".to_owned(),
        item: Some(serde_json::Value::from(format!("part-{node}"))),
    }
}

fn step(run: &mut RunChanges, node: u32, status: TaskStatus, shape: Option<TaskShape>) {
    let ended = status.terminal();
    let started = status != TaskStatus::Queued;
    run.tasks.push(TaskWrite {
        node: NodeIx(node),
        shape,
        state: TaskState {
            status,
            attempt: 1,
            exit_code: ended.then_some(0),
            outputs: ended.then(|| Outputs {
                parameters: vec![("rows".to_owned(), "1000".to_owned())],
                artifacts: Vec::new(),
                result: None,
            }),
            queued_at: Some(AT),
            started_at: started.then_some(AT),
            finished_at: ended.then_some(AT),
            ..TaskState::default()
        },
    });
    run.records.push(Record::Task {
        node: NodeIx(node),
        status,
        reason: None,
        message: None,
        attempt: 1,
        exit_code: ended.then_some(0),
    });
}

fn report() -> Report {
    Report {
        started_at: Some(AT),
        finished_at: AT,
        exit_code: Some(0),
        failure: None,
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result: None,
    }
}

/// The value of a future that never waits.
fn now<T, E>(future: impl Future<Output = Result<T, E>>) -> Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value?),
        Poll::Pending => anyhow::bail!("the store's futures never wait"),
    }
}
