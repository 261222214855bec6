//! What the scheduler reads and writes.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::event::{NodeKind, TaskRow};
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::shard::Shard;
use flowforge_model::status::{Reason, TaskStatus};
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::admission::{LockRequest, Ready, Slot, SlotChanges};
use flowforge_ports::handover::{Call, Entry, Tidings};
use flowforge_ports::leases::Role;
use flowforge_ports::reservations::{Placed, Reservations, Reserved, Snapshot};
use flowforge_ports::store::StoreError;

use super::super::flaw::Flaw;
use super::super::{Kept, MemoryStore, Rows, page};
use crate::rules;

impl Rows {
    fn reserve(
        &mut self,
        Placed { key, cluster }: &Placed,
        at: Timestamp,
        done: &mut Reserved,
    ) -> Result<(), StoreError> {
        let key = *key;
        let Some(kept) = self.workflows.get_mut(&key.workflow) else {
            done.gone.push(key);
            return Ok(());
        };
        if !kept.runnable.contains(&(key.node, key.number)) {
            done.gone.push(key);
        } else if kept.gate_closed && self.roles.flaw != Some(Flaw::OpenGate) {
            done.gated.push(key);
        } else {
            kept.runnable.remove(&(key.node, key.number));
            kept.admit(key, None, at)?;
            self.roles.placed.extend(cluster.clone().map(|cluster| (key, cluster)));
            done.admitted.push(key);
        }
        Ok(())
    }

    /// No lock would be held by too many.
    fn may_grant(&self, holders: &[(WorkflowId, NodeIx)]) -> Result<(), StoreError> {
        let mut held: BTreeMap<&str, (u64, u32)> = BTreeMap::new();
        for (id, kept) in &self.workflows {
            for row in kept.locks.values().flatten() {
                if row.held || holders.contains(&(*id, row.node)) {
                    let (count, limit) = held.entry(&row.key).or_default();
                    *count += 1;
                    *limit = row.limit.max(*limit);
                }
            }
        }
        held.iter().try_for_each(|(key, (count, limit))| rules::lock_overfull(key, *count, *limit))
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (id, kept) in &self.workflows {
            if kept.gate_closed && !kept.ended() {
                snapshot.gated.push(*id);
            }
            if kept.slot && !kept.ended() {
                snapshot.slots.push(kept.workflow_slot(*id));
            }
            let key = |(node, number): (NodeIx, u32)| AttemptKey { workflow: *id, node, number };
            let ready = |of: (NodeIx, u32)| self.roles.ready.get(&key(of)).copied();
            snapshot.ready.extend(kept.runnable.iter().copied().filter_map(ready));
            let open = kept.attempts.iter().filter(|(_, (_, view))| view.finished_at.is_none());
            let open: Vec<Ready> = open.filter_map(|(of, _)| ready(*of)).collect();
            let placed =
                |ready: &Ready| Some((ready.key, self.roles.placed.get(&ready.key)?.clone()));
            snapshot.clusters.extend(open.iter().filter_map(placed));
            snapshot.open.extend(open);
            for (node, rows) in &kept.locks {
                let held = rows.iter().all(|row| row.held);
                let request = kept.lock_request(*id, *node);
                if held { &mut snapshot.holding } else { &mut snapshot.waiting }.push(request);
            }
        }
        snapshot.seen = self.roles.last_call.iter().map(|(shard, seq)| (*shard, *seq)).collect();
        snapshot
    }
}

impl Kept {
    fn workflow_slot(&self, workflow: WorkflowId) -> Slot {
        let suspends = |task: &std::sync::Arc<TaskRow>| {
            task.shape.kind == NodeKind::Suspend && task.state.status == TaskStatus::Running
        };
        Slot {
            workflow,
            project: self.new.project,
            storage: self.new.storage,
            suspended: self.tasks.values().any(suspends),
            called: self.called(),
        }
    }

    fn lock_request(&self, workflow: WorkflowId, node: NodeIx) -> LockRequest {
        let rows = self.locks.get(&node).map_or(&[][..], Vec::as_slice);
        LockRequest {
            workflow,
            node,
            project: self.new.project,
            storage: self.new.storage,
            priority: self.new.priority,
            created_at: self.new.at,
            since: rows.first().map_or(self.new.at, |row| row.since),
            locks: rows.iter().map(|row| (row.key.clone(), row.limit)).collect(),
            called: self.called(),
        }
    }
}

impl Reservations for MemoryStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(self.rows().snapshot())
    }

    async fn calls(
        &self,
        epoch: u64,
        seen: &[(Shard, u64)],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let seen: BTreeMap<Shard, u64> = seen.iter().copied().collect();
        let rows = self.rows();
        rows.roles.leads(epoch)?;
        let new = rows
            .roles
            .calls
            .iter()
            .filter(|((shard, seq), _)| *seq > seen.get(shard).copied().unwrap_or(0));
        let entry = |((shard, seq), calls): (&(Shard, u64), &Vec<Call>)| Entry {
            shard: *shard,
            seq: *seq,
            calls: calls.clone(),
        };
        Ok(new.take(page(limit)).map(entry).collect())
    }

    async fn forget_calls(&self, epoch: u64, seen: &[(Shard, u64)]) -> Result<(), StoreError> {
        let seen: BTreeMap<Shard, u64> = seen.iter().copied().collect();
        let roles = &mut self.rows().roles;
        roles.leads(epoch)?;
        roles.calls.retain(|(shard, seq), _| *seq > seen.get(shard).copied().unwrap_or(0));
        Ok(())
    }

    async fn reserve(
        &self,
        epoch: u64,
        at: Timestamp,
        placed: &[Placed],
        slots: &SlotChanges,
    ) -> Result<Reserved, StoreError> {
        let mut rows = self.rows();
        rows.roles.leads(epoch)?;
        let mut done = Reserved::default();
        for one in placed {
            rows.reserve(one, at, &mut done)?;
        }
        rows.keep_slots(slots);
        Ok(done)
    }

    async fn begin_own(
        &self,
        epoch: u64,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.roles.leads(epoch)?;
        for key in keys {
            rows.roles.tell(Tidings::Fact(Fact { key: *key, kind: FactKind::Started(at) }));
        }
        Ok(())
    }

    async fn grant(
        &self,
        epoch: u64,
        holders: &[(WorkflowId, NodeIx)],
    ) -> Result<Vec<(WorkflowId, NodeIx)>, StoreError> {
        let mut rows = self.rows();
        rows.roles.leads(epoch)?;
        rows.may_grant(holders)?;
        let mut gone = Vec::new();
        for (workflow, node) in holders {
            let kept = rows.workflows.get_mut(workflow);
            let locks = kept.and_then(|kept| kept.locks.get_mut(node));
            let Some(locks) = locks.filter(|locks| locks.iter().any(|row| !row.held)) else {
                gone.push((*workflow, *node));
                continue;
            };
            for row in locks {
                row.held = true;
            }
            rows.roles.tell(Tidings::Granted { workflow: *workflow, node: *node });
        }
        Ok(gone)
    }

    async fn record(&self, epoch: u64, usage: &[Measured]) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.roles.leads(epoch)?;
        rows.usage.record(usage);
        Ok(())
    }

    async fn unclaimed(
        &self,
        before: Timestamp,
        clusters: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<Placed>, StoreError> {
        let rows = self.rows();
        let mut keys = Vec::new();
        for (id, kept) in &rows.workflows {
            for ((node, number), (claimed, view)) in &kept.attempts {
                let key = AttemptKey { workflow: *id, node: *node, number: *number };
                let free = match claimed {
                    None => !rows.roles.stops.contains(&key) && view.started_at.is_none(),
                    Some(by) => rows.roles.outlived(*by),
                };
                let place = rows.roles.placed.get(&key);
                let there = place.is_none_or(|name| clusters.contains(name));
                if free && there && view.finished_at.is_none() && view.admitted_at < before {
                    keys.push((view.admitted_at, key, place.cloned()));
                }
            }
        }
        keys.sort_unstable();
        Ok(keys
            .into_iter()
            .take(page(limit))
            .map(|(_, key, cluster)| Placed { key, cluster })
            .collect())
    }

    async fn give_back(
        &self,
        epoch: u64,
        spared: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<AttemptKey>, StoreError> {
        let mut guard = self.rows();
        let rows = &mut *guard;
        rows.roles.leads(epoch)?;
        let flaw = rows.roles.flaw;
        let mut given = Vec::new();
        for (id, kept) in &rows.workflows {
            let open = kept.attempts.iter().filter(|(_, (_, view))| view.finished_at.is_none());
            for ((node, number), (claimed, _)) in open {
                let key = AttemptKey { workflow: *id, node: *node, number: *number };
                let free = claimed.is_none() || flaw == Some(Flaw::GivenBackClaimed);
                let there = rows.roles.is_in(key, spared);
                if free && !there && !rows.roles.stops.contains(&key) {
                    given.push(key);
                }
            }
        }
        given.truncate(page(limit));
        for key in &given {
            rows.roles.placed.remove(key);
            let Some(kept) = rows.workflows.get_mut(&key.workflow) else { continue };
            kept.attempts.remove(&(key.node, key.number));
            if flaw != Some(Flaw::NotPutBack) {
                kept.runnable.insert((key.node, key.number));
            }
        }
        Ok(given)
    }

    async fn bury(&self, epoch: u64, at: Timestamp) -> Result<Vec<InstanceId>, StoreError> {
        let mut guard = self.rows();
        let rows = &mut *guard;
        rows.roles.leads(epoch)?;
        let clock = rows.roles.clock;
        let dead: BTreeSet<InstanceId> = rows
            .roles
            .members
            .iter()
            .filter(|((role, _), (until, _))| *role == Role::Executor && *until <= clock)
            .map(|((_, id), _)| *id)
            .collect();
        rows.roles.members.retain(|(role, id), _| *role != Role::Executor || !dead.contains(id));
        rows.roles.buried.extend(&dead);
        let mut lost = Vec::new();
        for (id, kept) in &rows.workflows {
            for ((node, number), (claimed, view)) in &kept.attempts {
                let with_it =
                    |by: InstanceId| dead.contains(&by) && !rows.roles.keepers.contains(&by);
                if view.finished_at.is_none() && claimed.is_some_and(with_it) {
                    lost.push(AttemptKey { workflow: *id, node: *node, number: *number });
                }
            }
        }
        for key in lost {
            if rows.roles.flaw == Some(Flaw::NotBuried) {
                continue;
            }
            let message = rules::EXECUTOR_LOST.to_owned();
            let report = Report::failed(at, FailureClass::Lost, Reason::Lost, message);
            let kind = FactKind::Finished(Box::new(report));
            rows.roles.tell(Tidings::Fact(Fact { key, kind }));
        }
        Ok(dead.into_iter().collect())
    }
}
