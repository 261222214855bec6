//! What roles of their own leave for each other: leases, calls, orders, news.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::event::{NodeKind, TaskRow};
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::status::{Reason, TaskStatus};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::Measured;
use flowforge_ports::admission::{self, LockRequest, Ready, SlotChanges};
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::handover::{Call, Entry, Handover, News, Order, Released, Tidings};
use flowforge_ports::leases::{Attendance, Attended, Leader, Leaders, Lease, Leases, Role};
use flowforge_ports::reservations::{Placed, Reservations, Reserved, Snapshot};
use flowforge_ports::store::StoreError;

use super::flaw::Flaw;
use super::pods::Pods;
use super::{Kept, MemoryStore, Rows, page};
use crate::rules;

/// Rows that only roles of their own have.
#[derive(Debug, Default)]
pub(super) struct Roles {
    /// The database's clock.
    clock: Timestamp,
    slots: BTreeMap<(Role, u8), Slot>,
    /// Living servers: until when, and how many attempts they run.
    members: BTreeMap<(Role, InstanceId), (Timestamp, u32)>,
    /// Executors whose attempts outlive them, dead ones too.
    keepers: BTreeSet<InstanceId>,
    /// Where executors are that said so, dead ones too.
    clusters: BTreeMap<InstanceId, ClusterName>,
    /// For which clusters attempts were admitted.
    placed: BTreeMap<AttemptKey, ClusterName>,
    /// Where those may be asked that said so.
    urls: BTreeMap<InstanceId, String>,
    /// Executors that were declared dead, for ever.
    buried: BTreeSet<InstanceId>,
    calls: BTreeMap<(Shard, u64), Vec<Call>>,
    last_call: BTreeMap<Shard, u64>,
    /// What the scheduler knows of attempts that are runnable or open.
    ready: BTreeMap<AttemptKey, Ready>,
    orders: BTreeMap<AttemptKey, Order>,
    stops: BTreeSet<AttemptKey>,
    news: BTreeMap<i64, Tidings>,
    last_news: i64,
    pub(super) pods: Pods,
    flaw: Option<Flaw>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    epoch: u64,
    holder: Option<InstanceId>,
    until: Timestamp,
}

impl MemoryStore {
    /// An empty store that leaves a check out.
    #[must_use]
    pub fn flawed(flaw: Flaw) -> Self {
        let store = Self::new();
        store.rows().roles.flaw = Some(flaw);
        store
    }

    /// Sets the clock by which leases run out.
    pub fn set_clock(&self, now: Timestamp) {
        self.rows().roles.clock = now;
    }
}

impl Roles {
    /// A controller of the whole store: nobody holds a shard any more.
    pub(super) fn take_over(&mut self) {
        for number in 0..Role::Controller.slots() {
            let slot = self.slots.entry((Role::Controller, number)).or_default();
            *slot = Slot { epoch: slot.epoch + 1, ..Slot::default() };
        }
    }

    pub(super) fn flaw(&self) -> Option<Flaw> {
        self.flaw
    }

    pub(super) fn fence(&self, role: Role, leases: &[Lease]) -> Result<(), StoreError> {
        let current = |lease: &Lease| {
            self.slots.get(&(role, lease.slot)).is_some_and(|slot| slot.epoch == lease.epoch)
        };
        let flaw = self.flaw == Some(Flaw::NoFence);
        if flaw || leases.iter().all(current) { Ok(()) } else { Err(StoreError::Fenced) }
    }

    pub(super) fn news(&self, shards: ShardSet, limit: usize) -> Vec<News> {
        let ours = self.news.iter().filter(|(_, what)| shards.contains(what.workflow().shard()));
        ours.take(limit).map(|(id, what)| News { id: *id, what: what.clone() }).collect()
    }

    pub(super) fn tell(&mut self, what: Tidings) {
        self.last_news += 1;
        self.news.insert(self.last_news, what);
    }

    /// Somebody has reported its end.
    pub(super) fn has_ended(&self, key: AttemptKey) -> bool {
        if self.flaw == Some(Flaw::ClaimedAfterItsEnd) {
            return false;
        }
        self.news.values().any(|what| match what {
            Tidings::Fact(Fact { key: of, kind: FactKind::Finished(_) }) => *of == key,
            Tidings::Fact(_) | Tidings::Granted { .. } | Tidings::Unread { .. } => false,
        })
    }

    pub(super) fn order(&self, key: AttemptKey) -> Option<&Order> {
        self.orders.get(&key)
    }

    pub(super) fn to_stop(&self, key: AttemptKey) -> bool {
        self.stops.contains(&key)
    }

    /// What it runs outlives it.
    pub(super) fn keeps(&self, executor: InstanceId) -> bool {
        self.keepers.contains(&executor)
    }

    /// It is dead, and what it ran goes on without it.
    fn outlived(&self, executor: InstanceId) -> bool {
        self.buried.contains(&executor) && self.keeps(executor)
    }

    /// The executor is in the cluster of an attempt, as far as both are said.
    fn is_there(&self, executor: InstanceId, key: AttemptKey) -> bool {
        let both = self.clusters.get(&executor).zip(self.placed.get(&key));
        both.is_none_or(|(here, there)| here == there)
    }

    /// The attempt was admitted for one of these clusters, or it is not said for which.
    pub(super) fn is_in(&self, key: AttemptKey, clusters: &[ClusterName]) -> bool {
        self.placed.get(&key).is_none_or(|name| clusters.contains(name))
    }

    fn leads(&self, epoch: u64) -> Result<(), StoreError> {
        self.fence(Role::Scheduler, &[Lease { slot: 0, epoch }])
    }

    fn lives(&self, executor: InstanceId) -> Result<(), StoreError> {
        let known = self.members.contains_key(&(Role::Executor, executor));
        if known { Ok(()) } else { Err(StoreError::Fenced) }
    }

    fn attend(&mut self, attendance: &Attendance) -> (Attended, bool) {
        let Attendance { role, holder, .. } = *attendance;
        let clock = self.clock;
        self.urls.remove(&holder);
        self.urls.extend(attendance.url.clone().map(|url| (holder, url)));
        self.members.retain(|(of, id), (until, _)| {
            // Executors are buried, with what they ran; others are just gone.
            *of == Role::Executor || *until > clock || (*of, *id) == (role, holder)
        });
        if attendance.keeps {
            self.keepers.insert(holder);
        }
        self.clusters.extend(attendance.cluster.clone().map(|cluster| (holder, cluster)));
        if attendance.leaving {
            self.members.remove(&(role, holder));
        } else {
            let until = clock.plus(attendance.ttl);
            self.members.insert((role, holder), (until, attendance.capacity));
        }
        let living = |wanted: Role| {
            let of_role =
                move |((of, _), (until, _)): &(&(Role, InstanceId), &(Timestamp, u32))| {
                    *of == wanted && *until > clock
                };
            self.members.iter().filter(of_role)
        };
        let count = u32::try_from(living(role).count()).unwrap_or(u32::MAX);
        let executors = living(Role::Executor);
        let (mut capacity, mut clusters) = (0, BTreeMap::new());
        for ((_, id), (_, slots)) in executors {
            capacity += u64::from(*slots);
            if let Some(name) = self.clusters.get(id).filter(|_| role == Role::Scheduler) {
                *clusters.entry(name.clone()).or_default() += u64::from(*slots);
            }
        }
        let share = u32::from(role.slots()).div_ceil(count.max(1));
        let (leases, changed) = self.distribute(attendance, share);
        let held = u32::try_from(leases.len()).unwrap_or(u32::MAX);
        let excess = held.saturating_sub(share);
        (Attended { leases, excess, capacity, clusters }, changed)
    }

    fn distribute(&mut self, attendance: &Attendance, share: u32) -> (Vec<Lease>, bool) {
        let Attendance { role, holder, ttl, .. } = *attendance;
        let clock = self.clock;
        let mut leases = Vec::new();
        for number in 0..role.slots() {
            let slot = self.slots.entry((role, number)).or_default();
            if slot.holder != Some(holder) {
                continue;
            }
            if attendance.leaving || attendance.give_back.contains(&number) {
                slot.holder = None;
            } else {
                slot.until = clock.plus(ttl);
                leases.push(Lease { slot: number, epoch: slot.epoch });
            }
        }
        let mut changed = false;
        for number in 0..role.slots() {
            let held = u32::try_from(leases.len()).unwrap_or(u32::MAX);
            if attendance.leaving || held >= share {
                break;
            }
            let slot = self.slots.entry((role, number)).or_default();
            let others = slot.holder.is_some_and(|by| by != holder) && slot.until <= clock;
            let free = slot.holder.is_none() || others;
            if free && !attendance.give_back.contains(&number) {
                let epoch = slot.epoch + 1;
                *slot = Slot { epoch, holder: Some(holder), until: clock.plus(ttl) };
                leases.push(Lease { slot: number, epoch });
                changed = true;
            }
        }
        leases.sort_unstable();
        (leases, changed)
    }
}

impl Rows {
    /// What the other roles find after a commit.
    pub(super) fn hand_over(&mut self, handover: &Handover, at: Timestamp) {
        let mut entries: BTreeMap<Shard, Vec<Call>> = BTreeMap::new();
        for call in &handover.calls {
            entries.entry(call.workflow().shard()).or_default().push(call.clone());
            match call {
                Call::Offer(ready) => {
                    self.roles.ready.insert(ready.key, *ready);
                }
                Call::Withdraw(key) | Call::Release(Released { key, .. }) => {
                    self.forget_attempt(*key);
                }
                Call::Gate { .. }
                | Call::EndWorkflow(_)
                | Call::Suspend { .. }
                | Call::WantLocks(_)
                | Call::HoldLocks(_)
                | Call::ReleaseLocks { .. } => {}
            }
        }
        for (shard, calls) in entries {
            let last = self.roles.last_call.entry(shard).or_default();
            *last += 1;
            self.roles.calls.insert((shard, *last), calls);
        }
        self.roles.orders.extend(handover.orders.iter().cloned());
        for key in &handover.stops {
            match self.open(*key) {
                Some((None, _)) => {
                    let (class, reason) = (FailureClass::Stopped, Reason::Stopped);
                    let message = rules::STOPPED_UNCLAIMED.to_owned();
                    let report = Box::new(Report::failed(at, class, reason, message));
                    let fact = Fact { key: *key, kind: FactKind::Finished(report) };
                    self.roles.stops.insert(*key);
                    self.roles.tell(Tidings::Fact(fact));
                }
                Some(_) => {
                    self.roles.stops.insert(*key);
                }
                None => {}
            }
        }
        for id in &handover.news_done {
            self.roles.news.remove(id);
        }
    }

    fn forget_attempt(&mut self, key: AttemptKey) {
        self.roles.ready.remove(&key);
        self.roles.orders.remove(&key);
        self.roles.stops.remove(&key);
        self.roles.placed.remove(&key);
        self.roles.pods.forget(key);
    }

    fn holds_open(&self, executor: InstanceId) -> bool {
        let mut attempts = self.workflows.values().flat_map(|kept| kept.attempts.values());
        attempts.any(|(by, view)| *by == Some(executor) && view.finished_at.is_none())
    }

    pub(super) fn open(
        &mut self,
        key: AttemptKey,
    ) -> Option<&mut (Option<InstanceId>, flowforge_ports::catalog::AttemptView)> {
        let kept = self.workflows.get_mut(&key.workflow)?;
        let attempt = kept.attempts.get_mut(&(key.node, key.number))?;
        attempt.1.finished_at.is_none().then_some(attempt)
    }

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
    fn workflow_slot(&self, workflow: WorkflowId) -> admission::Slot {
        let suspends = |task: &std::sync::Arc<TaskRow>| {
            task.shape.kind == NodeKind::Suspend && task.state.status == TaskStatus::Running
        };
        admission::Slot {
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

impl Leaders for MemoryStore {
    async fn leader(&self, role: Role) -> Result<Option<Leader>, StoreError> {
        let rows = self.rows();
        let slot = rows.roles.slots.get(&(role, 0)).filter(|slot| slot.until > rows.roles.clock);
        Ok(slot.and_then(|slot| {
            let url = rows.roles.urls.get(&slot.holder?).cloned();
            Some(Leader { epoch: slot.epoch, url })
        }))
    }
}

impl Leases for MemoryStore {
    async fn attend(&self, mut attendance: Attendance) -> Result<Attended, StoreError> {
        let mut rows = self.rows();
        if attendance.leaving && rows.holds_open(attendance.holder) {
            // To be buried with what it has.
            (attendance.leaving, attendance.ttl) = (false, Millis(0));
        }
        if rows.roles.buried.contains(&attendance.holder) {
            return Err(StoreError::Fenced);
        }
        let (attended, changed) = rows.roles.attend(&attendance);
        if changed && attendance.role == Role::Controller {
            // A controller of the whole store is one of several no more.
            rows.epoch += 1;
        }
        Ok(attended)
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

impl Claims for MemoryStore {
    async fn claim(
        &self,
        executor: InstanceId,
        _at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        let mut rows = self.rows();
        rows.roles.lives(executor)?;
        let mut claimed = Vec::new();
        for key in keys {
            let gated = rows.workflows.get(&key.workflow).is_some_and(|kept| kept.gate_closed);
            let stopped = rows.roles.stops.contains(key);
            let over = rows.roles.has_ended(*key);
            let flaw = rows.roles.flaw;
            let dead: Vec<InstanceId> = match rows.roles.keepers.contains(&executor) {
                true => rows.roles.buried.intersection(&rows.roles.keepers).copied().collect(),
                false => Vec::new(),
            };
            let gated = gated && flaw != Some(Flaw::OpenGate);
            let there = rows.roles.is_there(executor, *key) || flaw == Some(Flaw::AnyCluster);
            let Some((by, _)) = rows.open(*key) else { continue };
            let free = by.is_none() || flaw == Some(Flaw::ClaimedTwice);
            let outlived = by.is_some_and(|by| dead.contains(&by));
            let others = outlived || (free && !gated && !stopped);
            let ours = *by == Some(executor) || (others && there);
            if !ours || over {
                continue;
            }
            let outlived = outlived && *by != Some(executor);
            *by = Some(executor);
            let order = rows.roles.orders.get(key).cloned();
            let order =
                order.ok_or_else(|| StoreError::Corrupt(format!("{key:?} has no order")))?;
            claimed.push(Claimed { key: *key, order, outlived });
        }
        Ok(claimed)
    }

    async fn report(&self, executor: InstanceId, facts: &[Fact]) -> Result<(), StoreError> {
        let mut rows = self.rows();
        rows.roles.lives(executor)?;
        for fact in facts {
            let ended =
                matches!(fact.kind, FactKind::Finished(_)) && rows.roles.has_ended(fact.key);
            if !ended && rows.open(fact.key).is_some_and(|(by, _)| *by == Some(executor)) {
                rows.roles.tell(Tidings::Fact(fact.clone()));
            }
        }
        Ok(())
    }

    async fn stops(&self, executor: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        let mut rows = self.rows();
        rows.roles.lives(executor)?;
        let asked: Vec<AttemptKey> = rows.roles.stops.iter().copied().collect();
        let ours = |key: &AttemptKey| {
            let claimed = rows.open(*key).is_some_and(|(by, _)| *by == Some(executor));
            claimed && !rows.roles.has_ended(*key)
        };
        Ok(asked.into_iter().filter(ours).collect())
    }
}
