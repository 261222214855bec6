//! What roles of their own leave for each other: leases, calls, orders, news.

mod claims;
mod leases;
mod reservations;

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::InstanceId;
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::Ready;
use flowforge_ports::catalog::AttemptView;
use flowforge_ports::handover::{Call, Handover, News, Order, Released, Tidings};
use flowforge_ports::leases::{Lease, Role};
use flowforge_ports::store::StoreError;

use super::flaw::Flaw;
use super::pods::Pods;
use super::{MemoryStore, Rows};
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
                Call::Withdraw(key) => self.forget_attempt(*key),
                Call::Release(Released { key, .. }) => {
                    if let Some(kept) = self.workflows.get_mut(&key.workflow) {
                        kept.runnable.remove(&(key.node, key.number));
                    }
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

    pub(super) fn open(
        &mut self,
        key: AttemptKey,
    ) -> Option<&mut (Option<InstanceId>, AttemptView)> {
        let kept = self.workflows.get_mut(&key.workflow)?;
        let attempt = kept.attempts.get_mut(&(key.node, key.number))?;
        attempt.1.finished_at.is_none().then_some(attempt)
    }
}
