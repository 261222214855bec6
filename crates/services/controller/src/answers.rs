//! What runs ask the controller for, and are answered within the turn: locks and remembered
//! outputs.

use std::collections::BTreeMap;

use flowforge_model::event::{Event, Outputs};
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_ports::admission::{Admission, LockRequest};
use flowforge_ports::store::{LockRow, MemoWrite, Store, StoreError, StoredRun};

use crate::ControllerError;
use crate::controller::Controller;
use crate::live::Live;
use crate::turn::Turn;

/// Project, cache and key.
pub(crate) type MemoKey = (EntityId, String, String);

impl<S: Store, A: Admission> Controller<S, A> {
    /// Answers all questions, and those that follow from the answers.
    pub(crate) async fn answer(&mut self, turn: &mut Turn) -> Result<(), ControllerError> {
        self.look_after_children(turn).await?;
        loop {
            while let Some((id, node)) = turn.recalls.pop_front() {
                self.recall(turn, id, node).await?;
            }
            while let Some(key) = turn.spawns.pop_front() {
                self.spawn(turn, key).await?;
            }
            if self.careful() {
                self.settle_slots(turn);
            } else {
                self.grant(turn);
            }
            if turn.recalls.is_empty() && turn.spawns.is_empty() {
                return Ok(());
            }
        }
    }

    /// Gives free locks to those whose turn it is. A lock that is released and given on in one turn
    /// changes its owner in one commit; while commits are made one by one, that takes two turns.
    pub(crate) fn grant(&mut self, turn: &mut Turn) {
        loop {
            // Who asks for locks needs a slot first: those that are free now can be had.
            self.settle_slots(turn);
            let granted = self.admission.grant_locks();
            if granted.is_empty() {
                return;
            }
            for (id, node) in granted {
                let rows = self.live.get_mut(&id).and_then(|live| live.locks.get_mut(&node));
                let Some(rows) = rows else {
                    self.admission.release_locks(id, node);
                    continue;
                };
                for row in &mut *rows {
                    row.held = true;
                }
                let rows = rows.clone();
                turn.pending(id).locks.insert(node, rows);
                self.apply(turn, id, &Event::Granted { node });
            }
        }
    }

    pub(crate) fn acquire(&mut self, turn: &mut Turn, id: WorkflowId, node: NodeIx) {
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let requests = match flowforge_engine::lock_requests(&live.plan, &live.run, node) {
            Ok(requests) => requests,
            // The engine has asked for them itself a moment ago.
            Err(failure) => return self.set_aside(turn, id, failure.message),
        };
        let (since, held) = (turn.now, false);
        let row = |lock: flowforge_engine::LockRequest| LockRow {
            node,
            key: lock.key,
            limit: lock.limit,
            held,
            since,
        };
        let rows: Vec<LockRow> = requests.into_iter().map(row).collect();
        self.admission.want_locks(request(live, node, &rows));
        live.locks.insert(node, rows.clone());
        turn.pending(id).locks.insert(node, rows);
        turn.locks_moved = true;
    }

    pub(crate) fn release(&mut self, turn: &mut Turn, id: WorkflowId, node: NodeIx) {
        self.admission.release_locks(id, node);
        let Some(live) = self.live.get_mut(&id) else {
            return;
        };
        let Some(mut rows) = live.locks.remove(&node) else {
            return;
        };
        let kept = flowforge_engine::kept_locks(&live.plan, &live.run, node);
        rows.retain(|row| row.held && kept.iter().any(|lock| lock.key == row.key));
        if !rows.is_empty() {
            self.admission.adopt_locks(request(live, node, &rows));
            live.locks.insert(node, rows.clone());
        }
        turn.pending(id).locks.insert(node, rows);
        turn.locks_moved = true;
    }

    /// Takes locks as they were found in the store.
    pub(crate) fn take_locks(&mut self, live: &mut Live, rows: Vec<LockRow>) {
        live.locks = by_node(rows);
        for (node, rows) in &live.locks {
            let request = request(live, *node, rows);
            if rows.iter().all(|row| row.held) {
                self.admission.adopt_locks(request);
            } else {
                self.admission.want_locks(request);
            }
        }
    }

    /// The locks of a workflow that is set aside are free.
    pub(crate) fn forget_locks(&mut self, stored: &StoredRun) {
        for row in &stored.locks {
            self.admission.release_locks(stored.id, row.node);
        }
    }

    async fn recall(
        &mut self,
        turn: &mut Turn,
        id: WorkflowId,
        node: NodeIx,
    ) -> Result<(), ControllerError> {
        let Some(live) = self.live.get(&id) else {
            return Ok(());
        };
        let memo = match flowforge_engine::memo(&live.plan, &live.run, node) {
            Ok(memo) => memo,
            Err(failure) => {
                self.set_aside(turn, id, failure.message);
                return Ok(());
            }
        };
        let mut hit = None;
        if let Some(memo) = memo {
            let project = live.project;
            let of = (project, memo.cache, memo.key);
            hit = match turn.memos.get(&of) {
                Some(outputs) => Some(outputs.clone()),
                None => match self.store.recall(of.0, &of.1, &of.2).await {
                    Ok(found) => found
                        .filter(|found| {
                            memo.max_age.is_none_or(|most| turn.now.since(found.at) <= most)
                        })
                        .map(|found| found.outputs),
                    Err(StoreError::Corrupt(why)) => {
                        tracing::warn!(workflow = %id, %why, "remembered outputs cannot be read");
                        None
                    }
                    Err(error) => return Err(error.into()),
                },
            };
        }
        self.apply(turn, id, &Event::Recalled { node, hit: hit.map(Box::new) });
        Ok(())
    }

    pub(crate) fn memorize(&mut self, turn: &mut Turn, id: WorkflowId, node: NodeIx) {
        let Some(live) = self.live.get(&id) else {
            return;
        };
        let memo = match flowforge_engine::memo(&live.plan, &live.run, node) {
            Ok(Some(memo)) => memo,
            Ok(None) => return,
            Err(failure) => {
                tracing::warn!(workflow = %id, why = failure.message, "outputs without a key");
                return;
            }
        };
        let task = flowforge_engine::task_write(&live.plan, &live.run, node, false);
        let outputs = task.and_then(|task| task.state.outputs).unwrap_or_default();
        let project = live.project;
        let of = (project, memo.cache.clone(), memo.key.clone());
        turn.memos.insert(of, outputs.clone());
        turn.pending(id).memos.insert((memo.cache, memo.key), outputs);
    }
}

/// The locks of each node.
pub(crate) fn by_node(rows: Vec<LockRow>) -> BTreeMap<NodeIx, Vec<LockRow>> {
    let mut locks: BTreeMap<NodeIx, Vec<LockRow>> = BTreeMap::new();
    for row in rows {
        locks.entry(row.node).or_default().push(row);
    }
    locks
}

fn request(live: &Live, node: NodeIx, rows: &[LockRow]) -> LockRequest {
    let context = live.run.context();
    LockRequest {
        workflow: context.id,
        node,
        project: live.project,
        storage: live.storage,
        priority: context.priority,
        created_at: context.created_at,
        since: rows.first().map_or(context.created_at, |row| row.since),
        locks: rows.iter().map(|row| (row.key.clone(), row.limit)).collect(),
        called: live.called(),
    }
}

/// The memos of a turn as they are written.
pub(crate) fn memo_writes(memos: BTreeMap<(String, String), Outputs>) -> Vec<MemoWrite> {
    let write = |((cache, key), outputs)| MemoWrite { cache, key, outputs };
    memos.into_iter().map(write).collect()
}
