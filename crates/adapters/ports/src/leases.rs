//! Who may do what is done by one at a time, when several servers share a database.
//!
//! A role has slots: a controller's are the shards, the scheduler has one, executors have none and
//! only say that they live. A slot is leased to one holder. Its *epoch* rises whenever it changes
//! hands, and every write of a holder names the epoch it believes in: a lease that ran out is not
//! a lock, the epoch is (INV-6). Time is the database's.

use std::collections::BTreeMap;
use std::future::Future;

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::InstanceId;
use flowforge_model::shard::SHARDS;
use flowforge_model::time::Millis;

use crate::store::StoreError;

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Carries workflows on; a slot is a shard.
    Controller,
    /// Decides what starts; there is one leader.
    Scheduler,
    /// Runs attempts.
    Executor,
}

/// A slot that is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lease {
    /// From 0, below [`Role::slots`].
    pub slot: u8,
    /// Rises whenever the slot changes hands.
    pub epoch: u64,
}

/// Says that a server lives, and what it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attendance {
    /// What it does.
    pub role: Role,
    /// Which server.
    pub holder: InstanceId,
    /// Without another attendance, others may take its slots after this long.
    pub ttl: Millis,
    /// How many attempts it runs at a time; 0 for those that run none.
    pub capacity: u32,
    /// Of an executor, in which cluster. Those of earlier versions do not say.
    pub cluster: Option<ClusterName>,
    /// Slots that it holds and gives back, done with them.
    pub give_back: Vec<u8>,
    /// It is about to end: it takes no slots and does not count any more. An executor that has claimed
    /// what has not ended is to be buried, now that it is gone.
    pub leaving: bool,
    /// What it runs outlives it: when it is buried, that is not lost but for others to claim.
    pub keeps: bool,
    /// Where others may ask it, as `http://HOST:PORT`; none if nowhere.
    pub url: Option<String>,
}

impl Attendance {
    /// It lives, runs nothing and gives nothing back.
    #[must_use]
    pub fn new(role: Role, holder: InstanceId, ttl: Millis) -> Self {
        Self {
            role,
            holder,
            ttl,
            capacity: 0,
            cluster: None,
            give_back: Vec::new(),
            leaving: false,
            keeps: false,
            url: None,
        }
    }
}

/// The answer to an attendance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attended {
    /// All slots that it holds now, by slot.
    pub leases: Vec<Lease>,
    /// How many of them are more than its share; it should give them back when it can.
    pub excess: u32,
    /// How many attempts all living executors run at a time.
    pub capacity: u64,
    /// How many of these in which cluster. A cluster without a living executor is not there, and
    /// executors of earlier versions are in none.
    pub clusters: BTreeMap<ClusterName, u64>,
}

impl Attended {
    /// How many attempts living executors of each cluster run at a time. Those that do not say where they are
    /// count to `home`.
    #[must_use]
    pub fn slots(&self, home: &ClusterName) -> BTreeMap<ClusterName, u64> {
        let mut slots = self.clusters.clone();
        let unsaid = self.capacity.saturating_sub(slots.values().sum());
        if unsaid > 0 {
            *slots.entry(home.clone()).or_default() += unsaid;
        }
        slots
    }
}

impl Role {
    /// How many slots there are.
    #[must_use]
    pub fn slots(self) -> u8 {
        match self {
            Self::Controller => SHARDS,
            Self::Scheduler => 1,
            Self::Executor => 0,
        }
    }

    /// Its stored name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Scheduler => "scheduler",
            Self::Executor => "executor",
        }
    }
}

/// Leases. Every call is one transaction. Implementations: PostgreSQL, memory.
pub trait Leases: Send + Sync + 'static {
    /// Renews what the holder has, gives back what it is done with, and takes free slots and those
    /// that ran out, up to its share: slots divided by living servers of the role, rounded up.
    ///
    /// # Errors
    /// `Fenced` if it is an executor that was buried; `Unavailable`.
    fn attend(
        &self,
        attendance: Attendance,
    ) -> impl Future<Output = Result<Attended, StoreError>> + Send;
}

/// Who holds a slot, for those who want to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Of its lease: who has another one does not lead any more.
    pub epoch: u64,
    /// Where it said it may be asked.
    pub url: Option<String>,
}

/// Finds those who hold leases. Implementations: PostgreSQL, memory.
pub trait Leaders: Send + Sync + 'static {
    /// Who holds the first slot of a role; none if nobody does, or its lease has run out.
    ///
    /// # Errors
    /// `Unavailable`.
    fn leader(&self, role: Role)
    -> impl Future<Output = Result<Option<Leader>, StoreError>> + Send;
}
