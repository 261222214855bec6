//! What may start, what starts, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_ports::store::{Commit, StoreError};
use uuid::Uuid;

use super::tasks::living;
use super::{Expect, Step};
use crate::postgres::bind::{binds, int, text};
use crate::postgres::roles::handover;

/// What nobody was told of has no order to go by: this controller runs it itself.
const INSERT: &str = "INSERT INTO work_order (workflow, node, number) \
     SELECT * FROM unnest($1::uuid[], $2::integer[], $3::integer[]) ON CONFLICT DO NOTHING";

const DELETE: &str = "DELETE FROM work_order r \
     USING unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     WHERE r.workflow = u.workflow AND r.node = u.node AND r.number = u.number \
     AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = r.workflow AND a.node = r.node \
     AND a.number = r.number)";

const GATES: &str = "SELECT workflow, closed FROM gate WHERE workflow = ANY ($1)";

/// Runnable and wanted by this very commit, but behind a gate that is closed: it stays runnable.
/// The last line is looked at once, and nothing else where all gates are open.
const KEEP: &str = "INSERT INTO work_order (workflow, node, number) \
     SELECT u.workflow, u.node, u.number \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     JOIN gate g ON g.workflow = u.workflow WHERE g.closed \
     AND (SELECT bool_or(closed) FROM gate WHERE workflow = ANY ($1)) \
     ON CONFLICT DO NOTHING";

/// Opens the attempts that were runnable before: taking the row away is what entitles to open one, which
/// is run here. A unique index refuses a second open attempt of a task.
const ADMIT: &str = "WITH gone AS (DELETE FROM work_order r \
     USING unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number), gate g \
     WHERE g.workflow = u.workflow AND NOT g.closed \
     AND r.workflow = u.workflow AND r.node = u.node AND r.number = u.number \
     AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = r.workflow AND a.node = r.node \
     AND a.number = r.number) RETURNING r.workflow, r.node, r.number) \
     INSERT INTO attempt (workflow, node, number, instance, admitted_at) \
     SELECT workflow, node, number, $4, $5 FROM gone";

/// Those that this commit makes runnable have no row to take away, unless from an earlier one.
const ADMIT_FRESH: &str = "INSERT INTO attempt (workflow, node, number, instance, admitted_at) \
     SELECT u.workflow, u.node, u.number, $4, $5 \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     JOIN gate g ON g.workflow = u.workflow WHERE NOT g.closed";

const DELETE_FRESH: &str = "DELETE FROM work_order r \
     USING unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number), gate g \
     WHERE g.workflow = u.workflow AND NOT g.closed \
     AND r.workflow = u.workflow AND r.node = u.node AND r.number = u.number";

/// Whoever asks for `ended_at IS NULL` is offered all of the index of open attempts, and takes it.
const START: &str = "UPDATE attempt a SET started_at = u.at \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[]) \
     AS u (workflow, node, number, at) \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     AND coalesce(a.ended_at, -1) = -1 AND a.started_at IS NULL";

/// Ends attempts, which releases them. One that has ended stays as it is.
const END: &str = "UPDATE attempt a SET started_at = coalesce(u.started_at, a.started_at), \
     ended_at = u.ended_at, exit_code = u.exit_code, reason = u.reason, message = u.message \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::bigint[], $5::bigint[], \
     $6::integer[], $7::text[], $8::text[]) \
     AS u (workflow, node, number, started_at, ended_at, exit_code, reason, message) \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     AND coalesce(a.ended_at, -1) = -1";

/// Which admissions there are, and which of them this commit itself makes runnable: that saves
/// inserting rows to delete them.
pub(super) struct Queue<'c> {
    pub(super) wanted: BTreeSet<AttemptKey>,
    fresh: BTreeSet<AttemptKey>,
    /// What others are told of: their orders are its rows.
    pub(super) told: handover::Told<'c>,
}

impl<'c> Queue<'c> {
    pub(super) fn of(commit: &'c Commit) -> Self {
        let wanted: BTreeSet<AttemptKey> = commit.admissions.iter().copied().collect();
        let mut fresh = BTreeSet::new();
        for (_, run) in living(commit) {
            fresh.extend(run.runnable.iter().filter(|key| wanted.contains(key)));
            for key in &run.unrunnable {
                fresh.remove(key);
            }
        }
        let told = handover::told(commit);
        Self { wanted, fresh, told }
    }

    /// What may be admitted from now on, and what not any more.
    pub(super) fn runnable<'a>(
        &self,
        steps: &mut Vec<Step<'a>>,
        commit: &'a Commit,
    ) -> Result<(), StoreError> {
        let runnable = living(commit).flat_map(|(_, run)| &run.runnable);
        let waiting =
            runnable.filter(|key| !self.wanted.contains(key) && !self.told.contains_key(key));
        let unrunnable = living(commit).flat_map(|(_, run)| &run.unrunnable);
        keyed(steps, INSERT, waiting)?;
        keyed(steps, DELETE, unrunnable)
    }

    /// Turns runnable rows into open attempts. Those behind a closed gate stay as they are.
    pub(super) fn admissions<'a>(
        &self,
        steps: &mut Vec<Step<'a>>,
        commit: &'a Commit,
    ) -> Result<(), StoreError> {
        if commit.admissions.is_empty() {
            return Ok(());
        }
        let gates: BTreeSet<Uuid> = commit.admissions.iter().map(|key| key.workflow.0).collect();
        let gates: Vec<Uuid> = gates.into_iter().collect();
        steps.push(Step::new(GATES, binds![gates]).expect(Expect::Gates));
        keyed(steps, KEEP, &self.fresh)?;
        // Without a server to claim them nothing is opened; whoever sees open gates refuses.
        let Some(instance) = commit.instance else {
            return Ok(());
        };
        keyed(steps, DELETE_FRESH, &self.fresh)?;
        let queued = commit.admissions.iter().filter(|key| !self.fresh.contains(key));
        for (sql, keys) in [
            (ADMIT, queued.collect::<Vec<_>>()),
            (ADMIT_FRESH, self.fresh.iter().collect::<Vec<_>>()),
        ] {
            if !keys.is_empty() {
                let (workflows, nodes, numbers) = columns(keys)?;
                let values = binds![workflows, nodes, numbers, instance.0, commit.at.0];
                steps.push(Step::new(sql, values).expect(Expect::Admitted));
            }
        }
        Ok(())
    }
}

/// A statement over keys of attempts, unless there are none.
fn keyed<'a, 'k>(
    steps: &mut Vec<Step<'a>>,
    sql: &'static str,
    keys: impl IntoIterator<Item = &'k AttemptKey>,
) -> Result<(), StoreError> {
    let (workflows, nodes, numbers) = columns(keys)?;
    if !workflows.is_empty() {
        steps.push(Step::new(sql, binds![workflows, nodes, numbers]));
    }
    Ok(())
}

type Columns = (Vec<Uuid>, Vec<i32>, Vec<i32>);

fn columns<'k>(keys: impl IntoIterator<Item = &'k AttemptKey>) -> Result<Columns, StoreError> {
    let mut columns = Columns::default();
    for key in keys {
        columns.0.push(key.workflow.0);
        columns.1.push(int(key.node.0)?);
        columns.2.push(int(key.number)?);
    }
    Ok(columns)
}

/// What executors said about attempts that are `concerned`: the first of each kind counts.
pub(super) fn facts<'a>(
    steps: &mut Vec<Step<'a>>,
    commit: &'a Commit,
    concerned: impl Fn(&AttemptKey) -> bool,
) -> Result<(), StoreError> {
    let mut started = BTreeMap::new();
    let mut ended: BTreeMap<&AttemptKey, &Report> = BTreeMap::new();
    for (_, run) in living(commit) {
        for (key, at) in run.started.iter().filter(|(key, _)| concerned(key)) {
            started.entry(key).or_insert(at.0);
        }
        for (key, report) in run.ended.iter().filter(|(key, _)| concerned(key)) {
            ended.entry(key).or_insert(report);
        }
    }
    if !started.is_empty() {
        let (workflows, nodes, numbers) = columns(started.keys().copied())?;
        let at: Vec<i64> = started.into_values().collect();
        steps.push(Step::new(START, binds![workflows, nodes, numbers, at]));
    }
    if !ended.is_empty() {
        let (workflows, nodes, numbers) = columns(ended.keys().copied())?;
        let (mut started_at, mut ended_at) = (Vec::new(), Vec::new());
        let (mut exit_codes, mut reasons, mut messages) = (Vec::new(), Vec::new(), Vec::new());
        for report in ended.into_values() {
            started_at.push(report.started_at.map(|at| at.0));
            ended_at.push(report.finished_at.0);
            exit_codes.push(report.exit_code);
            let failure = report.failure.as_ref();
            reasons.push(failure.map(|failure| failure.reason.as_str()));
            messages.push(failure.map(|failure| text(&failure.message)));
        }
        let mut values = binds![workflows, nodes, numbers, started_at, ended_at, exit_codes];
        values.extend(binds![reasons, messages]);
        steps.push(Step::new(END, values));
    }
    Ok(())
}
