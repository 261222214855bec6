//! The scheduler, with bugs made on purpose at its border.

use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::quota::{Entity, Level};
use flowforge_model::time::Millis;
use flowforge_model::time::Timestamp;
use flowforge_scheduler::{Candidate, Claimed, FairShare, Settings};

/// A bug made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plant {
    /// An attempt that ends twice gives back what another holds.
    ReleaseTwice,
    /// The limits of tenants are not looked at.
    MissALevel,
    /// Among equals the last goes first.
    LastComeFirst,
    /// What was admitted and came to nothing stays held.
    LoseARollback,
    /// The slot of a workflow that ended stays held.
    KeepASlot,
    /// What is kept for a claim is given to others.
    ForgetAnEarmark,
}

impl Plant {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::ReleaseTwice,
        Self::MissALevel,
        Self::LastComeFirst,
        Self::LoseARollback,
        Self::KeepASlot,
        Self::ForgetAnEarmark,
    ];

    /// For people.
    #[must_use]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ReleaseTwice => "release twice",
            Self::MissALevel => "miss a level",
            Self::LastComeFirst => "last come, first served",
            Self::LoseARollback => "lose a rollback",
            Self::KeepASlot => "keep a slot",
            Self::ForgetAnEarmark => "forget an earmark",
        }
    }
}

/// Who waits for so long claims: not long, so that many do.
pub(crate) const CLAIM_AFTER: Millis = Millis(60_000);

pub(crate) struct Subject {
    pub(crate) fair: FairShare,
    plant: Option<Plant>,
    held: Vec<AttemptKey>,
    offered: BTreeMap<AttemptKey, Candidate>,
}

impl Subject {
    pub(crate) fn new(plant: Option<Plant>) -> Self {
        let settings = Settings { claim_after: CLAIM_AFTER, ..Settings::default() };
        let (held, offered) = (Vec::new(), BTreeMap::new());
        Self { fair: FairShare::new(0, settings), plant, held, offered }
    }

    pub(crate) fn offer(&mut self, mut candidate: Candidate) {
        if self.plant == Some(Plant::LastComeFirst) {
            candidate.since = Timestamp(-candidate.since.0);
        }
        self.offered.insert(candidate.key, candidate);
        self.fair.offer(candidate);
    }

    pub(crate) fn admit(&mut self, now: Timestamp) -> Option<AttemptKey> {
        let mut key = self.fair.admit(now, 1).first().copied();
        if self.plant == Some(Plant::ForgetAnEarmark) && key.is_none() {
            key = self.pass(now);
        }
        self.held.extend(key);
        key
    }

    /// The claims by which [`Subject::admit`] will decide at this instant.
    pub(crate) fn claims(&mut self, now: Timestamp) -> Vec<Claimed> {
        self.fair.admit(now, 0);
        self.fair.claims().collect()
    }

    /// Admits what would be next if nobody claimed.
    fn pass(&mut self, now: Timestamp) -> Option<AttemptKey> {
        let mut fork = self.fair.fork();
        for claim in self.fair.claims() {
            fork.withdraw(claim.key);
        }
        let key = fork.admit(now, 1).first().copied()?;
        self.fair.adopt(*self.offered.get(&key)?);
        Some(key)
    }

    pub(crate) fn release(&mut self, key: AttemptKey) {
        let before = self.fair.held();
        self.fair.release(key);
        self.held.retain(|held| *held != key);
        let again = self.plant == Some(Plant::ReleaseTwice) && self.fair.held() == before;
        if let Some(other) = again.then(|| self.held.pop()).flatten() {
            self.fair.release(other);
        }
    }

    pub(crate) fn roll_back(&mut self, key: AttemptKey) {
        if self.plant != Some(Plant::LoseARollback) {
            self.fair.roll_back(key);
        }
    }

    pub(crate) fn end_workflow(&mut self, workflow: flowforge_model::id::WorkflowId) {
        if self.plant != Some(Plant::KeepASlot) {
            self.fair.end_workflow(workflow);
        }
    }

    pub(crate) fn upsert(&mut self, entity: &Entity) -> bool {
        let mut entity = entity.clone();
        let missed = self.plant == Some(Plant::MissALevel) && entity.level == Level::Tenant;
        if let Some(quota) = entity.quota.as_mut().filter(|_| missed) {
            quota.limits = Default::default();
        }
        self.fair.upsert(&entity).is_ok()
    }
}
