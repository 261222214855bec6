//! Locks, timers and remembered outputs. Few tasks have any.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::event::Timer;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::limits::MEMOS_PER_CACHE;
use flowforge_ports::store::{Commit, LockWrite, StoreError};

use super::tasks::living;
use super::workflows::id;
use super::{Expect, Step};
use crate::postgres::bind::{binds, int, text};
use crate::postgres::codec;
use crate::rules;

const FORGET_LOCKS: &str = "DELETE FROM lock l \
     USING unnest($1::uuid[], $2::integer[]) AS u (workflow, node) \
     WHERE l.workflow = u.workflow AND l.node = u.node";

const SET_LOCKS: &str = "INSERT INTO lock (workflow, node, key, capacity, held, since) \
     SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::bigint[], $5::boolean[], \
     $6::bigint[])";

/// Controllers of different shards may take the same lock: they count its holders one after the
/// other. In ascending order, so that nobody waits in a circle.
const ONE_BY_ONE: &str = "SELECT pg_advisory_xact_lock(k) FROM \
     (SELECT DISTINCT hashtextextended(u, 0) AS k FROM unnest($1::text[]) AS u ORDER BY k) sorted";

const HOLDERS: &str = "SELECT key, count(*), max(capacity) FROM lock \
     WHERE key = ANY ($1) AND held GROUP BY key";

const CLEAR_TIMERS: &str = "DELETE FROM timer t \
     USING unnest($1::uuid[], $2::integer[], $3::text[]) AS u (workflow, node, kind) \
     WHERE t.workflow = u.workflow AND t.node = u.node AND t.kind = u.kind";

const SET_TIMERS: &str = "INSERT INTO timer (workflow, node, kind, at) \
     SELECT * FROM unnest($1::uuid[], $2::integer[], $3::text[], $4::bigint[]) \
     ON CONFLICT (workflow, node, kind) DO UPDATE SET at = excluded.at";

/// Of several outputs for the same key the last ones count. Sorted, so that two projects' worth of
/// commits never wait for each other in a circle.
const REMEMBER: &str = "INSERT INTO memo (project, cache, key, workflow, at, outputs) \
     SELECT DISTINCT ON (w.project, u.cache, u.key) w.project, u.cache, u.key, u.workflow, $5, \
     u.outputs \
     FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY \
     AS u (workflow, cache, key, outputs, place) JOIN workflow w ON w.id = u.workflow \
     ORDER BY w.project, u.cache, u.key, u.place DESC \
     ON CONFLICT (project, cache, hashtextextended(key, 1), hashtextextended(key, 2)) \
     DO UPDATE SET key = excluded.key, workflow = excluded.workflow, at = excluded.at, \
     outputs = excluded.outputs";

/// Of a full cache the oldest go.
const CUT_CACHES: &str = "DELETE FROM memo WHERE id IN (SELECT old.id FROM \
     (SELECT DISTINCT w.project, u.cache FROM unnest($1::uuid[], $2::text[]) AS u (workflow, cache) \
     JOIN workflow w ON w.id = u.workflow) c \
     CROSS JOIN LATERAL (SELECT m.id FROM memo m WHERE m.project = c.project \
     AND m.cache = c.cache ORDER BY m.at DESC, m.key DESC OFFSET $3) old)";

/// Replaces the locks of tasks, and looks whether any that are taken are held by too many now.
pub(super) fn locks<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) -> Result<(), StoreError> {
    let mut last: BTreeMap<(WorkflowId, NodeIx), &LockWrite> = BTreeMap::new();
    for (workflow, run) in living(commit) {
        for write in &run.locks {
            rules::locks_sound(write)?;
            last.insert((workflow, write.node), write);
        }
    }
    if !last.is_empty() {
        let (mut workflows, mut nodes) = (Vec::new(), Vec::new());
        for (workflow, node) in last.keys() {
            workflows.push(workflow.0);
            nodes.push(int(node.0)?);
        }
        steps.push(Step::new(FORGET_LOCKS, binds![workflows, nodes]));
    }
    let (mut workflows, mut nodes, mut names) = (Vec::new(), Vec::new(), Vec::new());
    let (mut limits, mut held, mut since) = (Vec::new(), Vec::new(), Vec::new());
    for ((workflow, _), write) in &last {
        for row in &write.rows {
            workflows.push(workflow.0);
            nodes.push(int(row.node.0)?);
            names.push(text(&row.key));
            limits.push(i64::from(row.limit));
            held.push(row.held);
            since.push(row.since.0);
        }
    }
    if !names.is_empty() {
        let values = binds![workflows, nodes, names, limits, held, since];
        steps.push(Step::new(SET_LOCKS, values));
    }
    guard(steps, commit);
    Ok(())
}

/// Looked at once all locks are written: what one workflow releases another may hold.
fn guard<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) {
    let rows = commit.runs.iter().flat_map(|run| &run.locks).flat_map(|write| &write.rows);
    let keys: BTreeSet<_> = rows.filter(|row| row.held).map(|row| text(&row.key)).collect();
    if keys.is_empty() {
        return;
    }
    let keys: Vec<_> = keys.into_iter().collect();
    steps.push(Step::new(ONE_BY_ONE, binds![keys.clone()]));
    steps.push(Step::new(HOLDERS, binds![keys]).expect(Expect::Locks));
}

/// Forgets first and sets then: a timer too many is refused when it is due, a timer too few would
/// be a workflow that waits for ever.
pub(super) fn timers<'a>(steps: &mut Vec<Step<'a>>, commit: &'a Commit) -> Result<(), StoreError> {
    let mut cleared: BTreeMap<(WorkflowId, NodeIx, Timer), i64> = BTreeMap::new();
    let mut set = BTreeMap::new();
    for (workflow, run) in living(commit) {
        for (node, timer) in &run.timers_cleared {
            cleared.insert((workflow, *node, *timer), 0);
        }
        for (node, timer, at) in &run.timers_set {
            set.insert((workflow, *node, *timer), at.0);
        }
    }
    for (sql, timers) in [(CLEAR_TIMERS, cleared), (SET_TIMERS, set)] {
        if timers.is_empty() {
            continue;
        }
        let (mut workflows, mut nodes) = (Vec::new(), Vec::new());
        let (mut kinds, mut times) = (Vec::new(), Vec::new());
        for ((workflow, node, timer), at) in timers {
            workflows.push(workflow.0);
            nodes.push(int(node.0)?);
            kinds.push(timer.as_str());
            times.push(at);
        }
        let mut values = binds![workflows, nodes, kinds];
        if sql == SET_TIMERS {
            values.extend(binds![times]);
        }
        steps.push(Step::new(sql, values));
    }
    Ok(())
}

/// Keeps outputs for tasks of the same key, also those of workflows that are deleted here.
pub(super) fn remember<'a>(
    steps: &mut Vec<Step<'a>>,
    commit: &'a Commit,
) -> Result<(), StoreError> {
    let (mut workflows, mut caches) = (Vec::new(), Vec::new());
    let (mut keys, mut outputs) = (Vec::new(), Vec::new());
    for run in &commit.runs {
        for memo in &run.memos {
            workflows.push(id(run));
            caches.push(text(&memo.cache));
            keys.push(text(&memo.key));
            outputs.push(codec::to_json(&memo.outputs)?);
        }
    }
    if keys.is_empty() {
        return Ok(());
    }
    let values = binds![workflows.clone(), caches.clone(), keys, outputs, commit.at.0];
    steps.push(Step::new(REMEMBER, values));
    let most = i64::from(MEMOS_PER_CACHE);
    steps.push(Step::new(CUT_CACHES, binds![workflows, caches, most]));
    Ok(())
}
