//! The scheduler that leads: what controllers committed in, reservations out.
//!
//! It waits for nothing but the store and has no clock. After any error it is spent: a new
//! one begins with a snapshot, because what the store holds decides.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::admission::Admission;
use flowforge_ports::explain::{Answer, Question};
use flowforge_ports::organization::Organizations;
use flowforge_ports::reservations::{Placed, Reservations, Snapshot};
use flowforge_ports::store::StoreError;

use crate::elsewhere::play;
use crate::{LocalAdmission, Rules};

/// Entries read at a time.
const ENTRIES: u32 = 2048;
/// An attempt that nobody claimed for this long is sent again: its dispatch may be lost.
const SEND_AGAIN: Millis = Millis(5_000);
/// Attempts admitted in one turn, if those are not less than a quarter of what waits. With all at once
/// hundreds of chains move in lockstep, and of scheduler, executor and controller one works at a time:
/// 3,000 tasks/s then, 4,100 with 250 (500 chains of 20, `cargo xtask bench postgres`).
const ADMITTED: usize = 250;
/// Attempts sent again in one look, and taken back.
const RESENT: u32 = 1024;
/// What nobody claimed in a cluster in which nobody has lived for this long waits again, if nothing else is said.
const AWAY: Millis = Millis(10_000);

/// Decides what starts, for all controllers of a database.
#[derive(Debug)]
pub struct Leader<S> {
    store: Arc<S>,
    epoch: u64,
    /// Clusters in which somebody lives.
    living: Vec<ClusterName>,
    /// When somebody was last seen to live in each.
    seen_living: BTreeMap<ClusterName, Timestamp>,
    /// When it first saw who lives.
    began: Option<Timestamp>,
    away: Millis,
    admission: LocalAdmission,
    /// How far the calls of each shard were taken.
    seen: BTreeMap<Shard, u64>,
    /// Calls were taken that the store still keeps.
    litter: bool,
    /// Of the hierarchy that is shared among.
    version: u64,
}

/// What is to be done after a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    /// Attempts to send to executors, each of its cluster.
    pub dispatches: Vec<Placed>,
    /// Shards whose controllers have something to read.
    pub told: ShardSet,
    /// There is more to read: call again without waiting.
    pub again: bool,
}

impl Decided {
    /// The attempts to send.
    #[must_use]
    pub fn keys(&self) -> Vec<AttemptKey> {
        self.dispatches.iter().map(|placed| placed.key).collect()
    }
}

impl<S: Reservations + Organizations> Leader<S> {
    /// Reads everything that is open, ready or waits, for the leader of this epoch, which goes by these
    /// rules. Projects that name no cluster run in `home`.
    ///
    /// # Errors
    /// The store's.
    pub async fn start(
        store: Arc<S>,
        epoch: u64,
        (home, rules): (ClusterName, Rules),
    ) -> Result<Self, StoreError> {
        let Snapshot { ready, open, clusters, slots, gated, holding, waiting, seen } =
            store.snapshot().await?;
        let mut admission = LocalAdmission::new(0, rules).at_home(home.clone());
        // Before anything is decided: without quotas too much would fit.
        let (version, entities) = store.hierarchy().await?;
        admission.share_among(&entities);
        for workflow in gated {
            admission.gate(workflow, false);
        }
        for attempt in open {
            let cluster = clusters.get(&attempt.key).unwrap_or(&home);
            admission.adopt_in(&attempt, Some(cluster));
        }
        for slot in slots {
            admission.adopt_workflow(slot);
        }
        for attempt in ready {
            admission.offer(attempt);
        }
        for request in holding {
            admission.adopt_locks(request);
        }
        for request in waiting {
            admission.want_locks(request);
        }
        let seen = seen.into_iter().collect();
        Ok(Self {
            store,
            epoch,
            living: Vec::new(),
            seen_living: BTreeMap::new(),
            began: None,
            away: AWAY,
            admission,
            seen,
            litter: true,
            version,
        })
    }

    /// The same, which takes back what nobody claimed in a cluster in which nobody has lived for this long.
    #[must_use]
    pub fn patient_for(self, away: Millis) -> Self {
        Self { away, ..self }
    }

    /// The same, which measures what is used in intervals of this length, if there is one.
    #[must_use]
    pub fn measuring(self, every: Option<Millis>) -> Self {
        Self { admission: self.admission.measuring(every), ..self }
    }

    /// When somebody may be admitted because of the time alone.
    #[must_use]
    pub fn next_look(&self) -> Option<Timestamp> {
        self.admission.fair().next_retry()
    }

    /// Takes in what was called since, gives locks, and admits as many attempts as there is room
    /// for in each cluster among `slots`. `now` is asked after the calls were read: who is admitted in the place of
    /// somebody is so after the other's end.
    ///
    /// # Errors
    /// The store's; this leader is spent then.
    pub async fn turn(
        &mut self,
        now: impl FnOnce() -> Timestamp,
        slots: &BTreeMap<ClusterName, u64>,
    ) -> Result<Decided, StoreError> {
        let mut decided = Decided::default();
        let seen: Vec<_> = self.seen.iter().map(|(shard, seq)| (*shard, *seq)).collect();
        let entries = self.store.calls(self.epoch, &seen, ENTRIES).await?;
        decided.again = u32::try_from(entries.len()).is_ok_and(|len| len >= ENTRIES);
        for entry in entries {
            let last = self.seen.entry(entry.shard).or_default();
            if entry.seq != last.saturating_add(1) {
                let gap =
                    format!("calls of shard {} jump from {last} to {}", entry.shard, entry.seq);
                return Err(StoreError::Corrupt(gap));
            }
            *last = entry.seq;
            self.litter = true;
            for call in entry.calls {
                play(call, &mut self.admission);
            }
        }
        let now = now();
        self.grant(now, &mut decided).await?;
        self.admission.resize_each(slots);
        self.see(now, slots);
        self.admit(now, &mut decided).await?;
        Ok(decided)
    }

    /// Takes note of who lives where.
    fn see(&mut self, now: Timestamp, slots: &BTreeMap<ClusterName, u64>) {
        self.began.get_or_insert(now);
        if !self.living.iter().eq(slots.keys()) {
            self.living = slots.keys().cloned().collect();
        }
        for name in &self.living {
            match self.seen_living.get_mut(name) {
                Some(at) => *at = now,
                None => drop(self.seen_living.insert(name.clone(), now)),
            }
        }
    }

    /// Gives free locks away. Whoever does not wait any more lets go, and others may have a turn.
    async fn grant(&mut self, now: Timestamp, decided: &mut Decided) -> Result<(), StoreError> {
        loop {
            let granted: Vec<(WorkflowId, NodeIx)> = self.admission.grant_locks();
            if granted.is_empty() {
                return Ok(());
            }
            // Who holds a lock holds a slot, whatever happens next.
            self.write_slots(now).await?;
            let gone = self.store.grant(self.epoch, &granted).await?;
            for (workflow, node) in granted.iter().filter(|holder| !gone.contains(holder)) {
                tracing::debug!(%workflow, node = node.0, "locks granted");
                decided.told = decided.told.with(workflow.shard());
            }
            for (workflow, node) in gone {
                self.admission.release_locks(workflow, node);
            }
        }
    }

    /// Writes down who holds a slot.
    async fn write_slots(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let slots = self.admission.slot_changes();
        if !slots.is_empty() {
            self.store.reserve(self.epoch, now, &[], &slots).await?;
        }
        Ok(())
    }

    async fn admit(&mut self, now: Timestamp, decided: &mut Decided) -> Result<(), StoreError> {
        let most = ADMITTED.max(self.admission.waiting() / 4);
        let keys = self.admission.admit(now, most);
        if keys.is_empty() {
            return Ok(());
        }
        decided.again |= keys.len() == most;
        let slots = self.admission.slot_changes();
        let placed: Vec<Placed> = keys.iter().map(|key| self.placed(*key)).collect();
        let reserved = self.store.reserve(self.epoch, now, &placed, &slots).await?;
        for key in reserved.gone {
            self.admission.roll_back(key);
            self.admission.withdraw(key);
            decided.again = true;
        }
        for key in reserved.gated {
            self.admission.roll_back(key);
            self.admission.gate(key.workflow, false);
            decided.again = true;
        }
        let admitted = reserved.admitted.into_iter().map(|key| self.placed(key)).collect();
        self.send(now, admitted, decided).await
    }

    /// Where an attempt runs, if it has a pod.
    fn placed(&self, key: AttemptKey) -> Placed {
        let pod = !self.admission.has_no_pod(key);
        Placed { key, cluster: pod.then(|| self.admission.fair().cluster(key)).flatten() }
    }

    /// What executors run is for them; of what controllers do themselves, those are told.
    async fn send(
        &self,
        now: Timestamp,
        admitted: Vec<Placed>,
        decided: &mut Decided,
    ) -> Result<(), StoreError> {
        let podless = |one: &Placed| self.admission.has_no_pod(one.key);
        let (own, others): (Vec<_>, Vec<_>) = admitted.into_iter().partition(podless);
        if !own.is_empty() {
            let own: Vec<AttemptKey> = own.into_iter().map(|one| one.key).collect();
            self.store.begin_own(self.epoch, now, &own).await?;
            let told = own.iter().map(|key| key.workflow.shard());
            decided.told = decided.told.iter().chain(told).collect();
        }
        decided.dispatches.extend(others);
        Ok(())
    }

    /// Answers a question as of the last turn.
    #[must_use]
    pub fn explain(&self, question: &Question, now: Timestamp) -> Answer {
        crate::explain::answer(self.admission.fair(), question, now)
    }

    /// Takes back what was admitted for clusters in which nobody has lived for long and that nobody there has claimed: it
    /// waits for the cluster that its project is in, and is admitted again when somebody lives there.
    async fn take_back(&mut self, now: Timestamp, decided: &mut Decided) -> Result<(), StoreError> {
        let away = |since: Timestamp| now.since(since) >= self.away;
        if !self.began.is_some_and(away) {
            return Ok(());
        }
        let spared = self.seen_living.iter().filter(|(_, at)| !away(**at));
        let spared: Vec<ClusterName> = spared.map(|(name, _)| name.clone()).collect();
        let mut clusters = self.admission.fair().clusters();
        if !clusters.any(|one| one.used > 0 && !spared.contains(&one.name)) {
            return Ok(());
        }
        drop(clusters);
        let given = self.store.give_back(self.epoch, &spared, RESENT).await?;
        if !given.is_empty() {
            let attempts = given.len();
            tracing::info!(attempts, "nobody lives where these were admitted for: they wait again");
            decided.again = true;
        }
        for key in given {
            self.admission.take_back(key);
        }
        Ok(())
    }

    /// What need not be done in every turn: forgets calls that were taken, writes down what was used,
    /// reports what dead executors ran as lost, takes back what nobody claimed where nobody lives any more, and sends
    /// again what nobody claimed where somebody lives.
    ///
    /// # Errors
    /// The store's; this leader is spent then.
    pub async fn repair(&mut self, now: Timestamp) -> Result<Decided, StoreError> {
        let mut decided = Decided::default();
        if std::mem::take(&mut self.litter) {
            let seen: Vec<_> = self.seen.iter().map(|(shard, seq)| (*shard, *seq)).collect();
            self.store.forget_calls(self.epoch, &seen).await?;
        }
        self.take_back(now, &mut decided).await?;
        self.write_slots(now).await?;
        if let Some((version, entities)) = self.store.other_hierarchy(self.version).await? {
            self.admission.share_among(&entities);
            self.version = version;
        }
        let usage = self.admission.measure(now);
        if !usage.is_empty() {
            self.store.record(self.epoch, &usage).await?;
        }
        for executor in self.store.bury(self.epoch, now).await? {
            tracing::warn!(%executor, "executor is gone; what it ran is lost, unless it outlives it");
            decided.told = ShardSet::ALL;
        }
        let before = Timestamp(now.0.saturating_sub(i64::try_from(SEND_AGAIN.0).unwrap_or(0)));
        let unclaimed = self.store.unclaimed(before, &self.living, RESENT).await?;
        self.send(now, unclaimed, &mut decided).await?;
        Ok(decided)
    }
}
