//! Task rows and records.

use flowforge_model::event::{Record, TaskShape, TaskState};
use flowforge_model::id::WorkflowId;
use flowforge_model::status::Reason;
use flowforge_ports::store::{Commit, RunChanges, StoreError};

use super::workflows::id;
use super::{Expect, Step};
use crate::postgres::bind::{Bound, binds, int, long, optional_text, text};
use crate::postgres::codec;
use crate::rules;

const INSERT: &str = "INSERT INTO task (workflow, node, status, reason, message, attempt, \
     failures, losses, exit_code, queued_at, started_at, finished_at, outputs, parent, slot, kind, \
     name, template, item) \
     SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], \
     $6::integer[], $7::integer[], $8::integer[], $9::integer[], $10::bigint[], $11::bigint[], \
     $12::bigint[], $13::text[], $14::integer[], $15::bigint[], $16::text[], $17::text[], \
     $18::text[], $19::text[])";

/// The last line is `rules::task_may_become`: success is final.
const UPDATE: &str = "UPDATE task t SET status = u.status, reason = u.reason, \
     message = u.message, attempt = u.attempt, failures = u.failures, losses = u.losses, \
     exit_code = u.exit_code, queued_at = u.queued_at, started_at = u.started_at, \
     finished_at = u.finished_at, outputs = u.outputs \
     FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::integer[], \
     $7::integer[], $8::integer[], $9::integer[], $10::bigint[], $11::bigint[], $12::bigint[], \
     $13::text[]) AS u (workflow, node, status, reason, message, attempt, failures, losses, \
     exit_code, queued_at, started_at, finished_at, outputs) \
     WHERE t.workflow = u.workflow AND t.node = u.node \
     AND (t.status <> 'SUCCEEDED' OR u.status = 'SUCCEEDED')";

const RECORDS: &str = "INSERT INTO event (workflow, seq, at, node, status, reason, message, \
     attempt, exit_code, generation) \
     SELECT u.workflow, u.seq, $9, u.node, u.status, u.reason, u.message, u.attempt, u.exit_code, \
     u.generation \
     FROM unnest($1::uuid[], $2::bigint[], $3::integer[], $4::text[], $5::text[], $6::text[], \
     $7::integer[], $8::integer[], $10::integer[]) AS u (workflow, seq, node, status, reason, \
     message, attempt, exit_code, generation)";

const MISSING: &str = "a task is missing or has succeeded";

/// Those that are kept: a workflow that is deleted needs no new rows.
pub(super) fn living(commit: &Commit) -> impl Iterator<Item = (WorkflowId, &RunChanges)> {
    commit.runs.iter().filter(|run| !run.delete).map(|run| (WorkflowId(id(run)), run))
}

/// New tasks and changed ones.
pub(super) fn rows<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) -> Result<(), StoreError> {
    let (mut new, mut changed) = (States::default(), States::default());
    let mut shapes = Shapes::default();
    for (workflow, run) in living(commit) {
        for task in &run.tasks {
            match &task.shape {
                Some(shape) => {
                    new.push(workflow, task.node.0, &task.state)?;
                    shapes.push(shape)?;
                }
                None => changed.push(workflow, task.node.0, &task.state)?,
            }
        }
    }
    if !new.node.is_empty() {
        let mut values = new.binds();
        values.extend(shapes.binds());
        steps.push(Step::new(INSERT, values));
    }
    let count = changed.node.len();
    if count > 0 {
        let expect = Expect::Rows(count, MISSING);
        steps.push(Step::new(UPDATE, changed.binds()).expect(expect));
    }
    Ok(())
}

/// The columns that change.
#[derive(Default)]
struct States<'a> {
    workflow: Vec<uuid::Uuid>,
    node: Vec<i32>,
    status: Vec<&'a str>,
    reason: Vec<Option<&'a str>>,
    message: Vec<Option<std::borrow::Cow<'a, str>>>,
    attempt: Vec<i32>,
    failures: Vec<i32>,
    losses: Vec<i32>,
    exit_code: Vec<Option<i32>>,
    queued_at: Vec<Option<i64>>,
    started_at: Vec<Option<i64>>,
    finished_at: Vec<Option<i64>>,
    outputs: Vec<Option<String>>,
}

impl<'a> States<'a> {
    fn push(
        &mut self,
        workflow: WorkflowId,
        node: u32,
        state: &'a TaskState,
    ) -> Result<(), StoreError> {
        self.workflow.push(workflow.0);
        self.node.push(int(node)?);
        self.status.push(state.status.as_str());
        self.reason.push(state.reason.map(Reason::as_str));
        self.message.push(optional_text(state.message.as_ref()));
        self.attempt.push(int(state.attempt)?);
        self.failures.push(int(state.failures)?);
        self.losses.push(int(state.losses)?);
        self.exit_code.push(state.exit_code);
        self.queued_at.push(state.queued_at.map(|at| at.0));
        self.started_at.push(state.started_at.map(|at| at.0));
        self.finished_at.push(state.finished_at.map(|at| at.0));
        self.outputs.push(codec::outputs_json(state.outputs.as_ref())?);
        Ok(())
    }

    fn binds(self) -> Vec<Bound<'a>> {
        binds![
            self.workflow,
            self.node,
            self.status,
            self.reason,
            self.message,
            self.attempt,
            self.failures,
            self.losses,
            self.exit_code,
            self.queued_at,
            self.started_at,
            self.finished_at,
            self.outputs,
        ]
    }
}

/// The columns that never change.
#[derive(Default)]
struct Shapes<'a> {
    parent: Vec<Option<i32>>,
    slot: Vec<i64>,
    kind: Vec<&'a str>,
    name: Vec<std::borrow::Cow<'a, str>>,
    template: Vec<std::borrow::Cow<'a, str>>,
    item: Vec<Option<String>>,
}

impl<'a> Shapes<'a> {
    fn push(&mut self, shape: &'a TaskShape) -> Result<(), StoreError> {
        self.parent.push(shape.parent.map(|node| int(node.0)).transpose()?);
        self.slot.push(i64::from(shape.slot));
        self.kind.push(shape.kind.as_str());
        self.name.push(text(&shape.name));
        self.template.push(text(&shape.template));
        self.item.push(shape.item.as_ref().map(codec::to_json).transpose()?);
        Ok(())
    }

    fn binds(self) -> Vec<Bound<'a>> {
        binds![self.parent, self.slot, self.kind, self.name, self.template, self.item]
    }
}

/// The history of this turn.
pub(super) fn records<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) -> Result<(), StoreError> {
    let (mut workflows, mut seqs, mut nodes) = (Vec::new(), Vec::new(), Vec::new());
    let (mut statuses, mut reasons, mut messages) = (Vec::new(), Vec::new(), Vec::new());
    let (mut attempts, mut exit_codes, mut generations) = (Vec::new(), Vec::new(), Vec::new());
    for (workflow, run) in living(commit) {
        rules::seq_after(run)?;
        for (seq, record) in (run.seq_before + 1..).zip(&run.records) {
            let (node, status, reason, message, attempt, exit_code, generation) = match record {
                Record::Workflow { status, reason, message, generation } => {
                    (None, status.as_str(), reason, message, None, None, Some(int(*generation)?))
                }
                Record::Task { node, status, reason, message, attempt, exit_code } => {
                    let (node, attempt) = (Some(int(node.0)?), Some(int(*attempt)?));
                    (node, status.as_str(), reason, message, attempt, *exit_code, None)
                }
            };
            workflows.push(workflow.0);
            seqs.push(long(seq)?);
            nodes.push(node);
            statuses.push(status);
            reasons.push(reason.map(Reason::as_str));
            messages.push(optional_text(message.as_ref()));
            attempts.push(attempt);
            exit_codes.push(exit_code);
            generations.push(generation);
        }
    }
    if !seqs.is_empty() {
        let at = commit.at.0;
        let mut values = binds![workflows, seqs, nodes, statuses, reasons, messages, attempts];
        values.extend(binds![exit_codes, at, generations]);
        steps.push(Step::new(RECORDS, values));
    }
    Ok(())
}
