//! The workflows' own rows, their gates, and their end.

use std::collections::BTreeSet;

use flowforge_model::status::Reason;
use flowforge_ports::store::{Commit, RunChanges, StoreError};
use uuid::Uuid;

use super::{Expect, Step};
use crate::postgres::bind::{Bound, binds, int, long, optional_text};
use crate::postgres::codec;
use crate::rules;

/// In the order of ids, as everybody does, so that nobody waits in a circle. While it is held no
/// cancel is acknowledged and no status is read to judge a command by: those wait for this commit.
const SHARE_GATES: &str =
    "SELECT 1 FROM gate WHERE workflow = ANY ($1) ORDER BY workflow FOR SHARE";
/// The same where some of them are written: a lock that grows could wait in a circle.
const OWN_GATES: &str = "SELECT 1 FROM gate WHERE workflow = ANY ($1) ORDER BY workflow FOR UPDATE";

const ADVANCE: &str = "UPDATE workflow w SET seq = u.after \
     FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS u (id, before, after) \
     WHERE w.id = u.id AND w.seq = u.before";

/// The last line is `rules::workflow_may_become`: a terminal status absorbs.
const WRITE_STATE: &str = "UPDATE workflow w SET seq = u.after, status = u.status, \
     reason = u.reason, message = u.message, generation = u.generation, ending = u.ending, \
     started_at = u.started_at, finished_at = u.finished_at, outputs = u.outputs \
     FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], \
     $7::integer[], $8::text[], $9::bigint[], $10::bigint[], $11::text[]) \
     AS u (id, before, after, status, reason, message, generation, ending, started_at, \
     finished_at, outputs) \
     WHERE w.id = u.id AND w.seq = u.before \
     AND (w.finished_at IS NULL OR w.status = u.status \
     OR (w.status <> 'SUCCEEDED' AND w.generation < u.generation))";

/// Stays closed while somebody waits for an acknowledged cancel, stop or pause (INV-20). The gates
/// are locked by an earlier statement, so that this one sees all intents that closed them.
const GATE: &str = "UPDATE gate g SET closed = (u.closed \
     OR EXISTS (SELECT 1 FROM intent i WHERE i.workflow = u.workflow AND i.closes)) \
     FROM unnest($1::uuid[], $2::boolean[]) AS u (workflow, closed) \
     WHERE g.workflow = u.workflow";

const NOT_THERE: &str = "a workflow is gone, has ended, or is at another record";

/// Everything below a workflow, and the workflow last.
const DELETE: [&str; 14] = [
    "DELETE FROM child WHERE workflow = ANY ($1)",
    "DELETE FROM lock WHERE workflow = ANY ($1)",
    "DELETE FROM slot WHERE workflow = ANY ($1)",
    "DELETE FROM work_order WHERE workflow = ANY ($1)",
    "DELETE FROM attempt WHERE workflow = ANY ($1)",
    "DELETE FROM attempt_member WHERE workflow = ANY ($1)",
    "DELETE FROM news WHERE workflow = ANY ($1)",
    "DELETE FROM timer WHERE workflow = ANY ($1)",
    "DELETE FROM event WHERE workflow = ANY ($1)",
    "DELETE FROM task WHERE workflow = ANY ($1)",
    "DELETE FROM intent WHERE workflow = ANY ($1)",
    "DELETE FROM document WHERE workflow = ANY ($1)",
    "DELETE FROM gate WHERE workflow = ANY ($1)",
    "DELETE FROM workflow WHERE id = ANY ($1)",
];

pub(super) fn id(run: &RunChanges) -> Uuid {
    run.workflow.map_or(Uuid::nil(), |id| id.0)
}

/// Locks the gates that matter to this commit: of workflows that change their status or their gate,
/// of those whose attempts are admitted, and of those that take back what a scheduler may be admitting.
pub(super) fn lock_gates<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) {
    let withdraws = |run: &RunChanges| commit.handover.is_some() && !run.unrunnable.is_empty();
    let writes = |run: &RunChanges| run.gate_closed.is_some() || run.delete || withdraws(run);
    let concerned = commit.runs.iter().filter(|run| writes(run) || run.state.is_some()).map(id);
    let admitted = commit.admissions.iter().map(|key| key.workflow.0);
    let ids: BTreeSet<Uuid> = concerned.chain(admitted).collect();
    if !ids.is_empty() {
        let sql = if commit.runs.iter().any(writes) { OWN_GATES } else { SHARE_GATES };
        steps.push(Step::new(sql, binds![ids.into_iter().collect::<Vec<_>>()]));
    }
}

/// The workflows' rows; refuses the commit unless each is where the controller believes.
pub(super) fn rows<'a>(
    steps: &mut Vec<Step<'a>>,
    runs: &'a [RunChanges],
) -> Result<(), StoreError> {
    let (written, advanced): (Vec<_>, Vec<_>) = sorted(runs).partition(|run| run.state.is_some());
    for (sql, runs) in [(ADVANCE, &advanced), (WRITE_STATE, &written)] {
        if runs.is_empty() {
            continue;
        }
        let (mut before, mut after) = (Vec::new(), Vec::new());
        for run in runs {
            after.push(long(rules::seq_after(run)?)?);
            before.push(long(run.seq_before)?);
        }
        let ids: Vec<Uuid> = runs.iter().copied().map(id).collect();
        let mut values = binds![ids, before, after];
        if sql == WRITE_STATE {
            values.extend(states(runs)?);
        }
        steps.push(Step::new(sql, values).expect(Expect::Rows(runs.len(), NOT_THERE)));
    }
    Ok(())
}

/// The columns of [`WRITE_STATE`] after the first three.
fn states<'a>(runs: &[&'a RunChanges]) -> Result<Vec<Bound<'a>>, StoreError> {
    let (mut status, mut reason, mut message) = (Vec::new(), Vec::new(), Vec::new());
    let (mut generation, mut ending, mut outputs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut started_at, mut finished_at) = (Vec::new(), Vec::new());
    for state in runs.iter().filter_map(|run| run.state.as_ref()) {
        status.push(state.status.as_str());
        reason.push(state.reason.map(Reason::as_str));
        message.push(optional_text(state.message.as_ref()));
        generation.push(int(state.generation)?);
        ending.push(state.ending.map(codec::ending_word));
        started_at.push(state.started_at.map(|at| at.0));
        finished_at.push(state.finished_at.map(|at| at.0));
        outputs.push(codec::outputs_json(state.outputs.as_ref())?);
    }
    Ok(binds![status, reason, message, generation, ending, started_at, finished_at, outputs])
}

pub(super) fn gates<'a>(steps: &mut Vec<Step<'a>>, runs: &'a [RunChanges]) {
    let wanted = sorted(runs).filter_map(|run| Some((id(run), run.gate_closed?)));
    let (ids, closed): (Vec<Uuid>, Vec<bool>) = wanted.unzip();
    if !ids.is_empty() {
        steps.push(Step::new(GATE, binds![ids, closed]));
    }
}

pub(super) fn delete<'a>(steps: &mut Vec<Step<'a>>, runs: &'a [RunChanges]) {
    let ids: Vec<Uuid> = sorted(runs).filter(|run| run.delete).map(id).collect();
    if !ids.is_empty() {
        steps.extend(DELETE.map(|sql| Step::new(sql, binds![ids.clone()])));
    }
}

/// By id: rows are locked in this order.
fn sorted(runs: &[RunChanges]) -> impl Iterator<Item = &RunChanges> {
    let mut runs: Vec<&RunChanges> = runs.iter().collect();
    runs.sort_unstable_by_key(|run| id(run));
    runs.into_iter()
}
