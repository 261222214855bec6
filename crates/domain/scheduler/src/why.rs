//! What an explanation says: [`FairShare::why`](crate::FairShare::why) and
//! [`FairShare::usage`](crate::FairShare::usage).

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension, Level};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::Blocked;

use crate::fair::{Rationed, Tripped};

/// Why an attempt waits.
#[derive(Clone, Debug, PartialEq)]
pub struct Why {
    /// In a word.
    pub code: Code,
    /// All it takes to start it: what it needs, and the slot of its workflow if that has none yet.
    pub need: Amounts,
    /// Where it is to run.
    pub cluster: ClusterName,
    /// The lowest level at which there is too little, and of what; of
    /// [`Code::ExceedsQuotaForever`] the lowest whose limit is less than the need; of [`Code::Running`] that its
    /// cluster has no slots at all any more.
    pub short: Option<Blocked>,
    /// Who holds most of what there is too little of: at most [`Why::HOLDERS`], the largest first.
    pub holders: Vec<Holding>,
    /// Its place on each level, from the installation down to its project.
    pub ranks: Vec<Rank>,
    /// The attempt that goes first, or is first in line for what there is too little of; none if
    /// that is this one.
    pub rival: Option<Rival>,
    /// The claim that holds it back, or its own.
    pub claim: Option<Claimed>,
    /// The budget that it waits for.
    pub rationed: Option<Rationed>,
    /// The circuit that it waits for.
    pub tripped: Option<Tripped>,
    /// Its priority now.
    pub priority: Points,
    /// What would let it start: each of them alone takes away what [`Why::code`] names.
    pub cures: Vec<Cure>,
}

impl Why {
    /// Holders that are named, at most.
    pub const HOLDERS: usize = 5;
    /// Those ahead on a level are counted up to here.
    pub const AHEAD: usize = 1000;
}

/// What holds an attempt back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// Its project has no room.
    QuotaFull,
    /// An entity above its project has no room.
    ParentFull,
    /// The installation has no room, or its cluster no slot.
    CapacityFull,
    /// Its cluster has no slots at all: nobody is there to run anything.
    ClusterDown,
    /// A limit on its way is less than it needs: only a change of quotas helps.
    ExceedsQuotaForever,
    /// Its project, or something above it, is not known: there it has no room.
    NoSuchQueue,
    /// There is room, and an entity that has less goes first.
    BehindFairShare,
    /// There is room, and an attempt with a higher priority, or an earlier one, goes first.
    BehindPriority,
    /// There is room, and it is kept for an attempt that was passed for too long: [`Why::claim`].
    BehindClaim,
    /// It is a retry, and its tenant has no token for it yet: [`Why::rationed`].
    RetryBudget,
    /// It is a retry, and attempts of its template break one after the other: [`Why::tripped`].
    CircuitOpen,
    /// Its workflow runs as many attempts as it may, or no slot is left for its workflow.
    WorkflowLimit,
    /// The gate of its workflow is closed.
    Paused,
    /// It does not wait: it holds what it needs.
    Running,
    /// Nothing holds it back: it is the next.
    Next,
}

impl Code {
    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::QuotaFull => "QUOTA_FULL",
            Self::ParentFull => "PARENT_FULL",
            Self::CapacityFull => "CAPACITY_FULL",
            Self::ClusterDown => "CLUSTER_DOWN",
            Self::ExceedsQuotaForever => "EXCEEDS_QUOTA_FOREVER",
            Self::NoSuchQueue => "NO_SUCH_QUEUE",
            Self::BehindFairShare => "BEHIND_FAIR_SHARE",
            Self::BehindPriority => "BEHIND_PRIORITY",
            Self::BehindClaim => "BEHIND_CLAIM",
            Self::RetryBudget => "RETRY_BUDGET",
            Self::CircuitOpen => "CIRCUIT_OPEN",
            Self::WorkflowLimit => "WORKFLOW_LIMIT",
            Self::Paused => "PAUSED",
            Self::Running => "RUNNING",
            Self::Next => "NEXT",
        }
    }
}

/// A claim: what becomes free is kept for an attempt until it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// Which attempt.
    pub key: AttemptKey,
    /// Up to which entity: there, and on the way to it. `None` is the installation.
    pub at: Option<EntityId>,
    /// All that is kept.
    pub need: Amounts,
    /// What of that is not free there yet.
    pub lacks: Amounts,
    /// Since when.
    pub since: Timestamp,
    /// When there is room for it at that entity at the latest, where what runs says how long it lasts.
    pub by: Option<Timestamp>,
    /// Who lasts no longer may start in its place meanwhile.
    pub passes: Millis,
}

/// Who holds how much of what there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holding {
    /// Directly below the entity that is short.
    pub who: Member,
    /// So much of the dimension that is short.
    pub used: u64,
}

/// What stands below an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// Another one.
    Entity(EntityId),
    /// A workflow of a project.
    Workflow(WorkflowId),
}

/// A place on one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Below whom; `None` is the installation.
    pub below: Option<EntityId>,
    /// So many go before it: siblings of the entity on its way that have something to start, and
    /// attempts in its project. At most [`Why::AHEAD`], which stands for that many or more.
    pub ahead: usize,
    /// At least so many compete there, itself included.
    pub of: usize,
}

/// An attempt that goes before another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rival {
    /// Which.
    pub key: AttemptKey,
    /// The lowest entity that both are below; `None` is the installation.
    pub common: Option<EntityId>,
    /// The explained one's side of it.
    pub ours: Side,
    /// The other's.
    pub theirs: Side,
}

/// One of two that are compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Side {
    /// Directly below the common entity; `None` if that is the project of both, where priorities
    /// decide.
    pub entity: Option<EntityId>,
    /// The largest part it uses of what counts, over its weight in hundreds: with a weight of 100
    /// and half of everything 0.5. 0 within a project.
    pub share: f64,
    /// The priority of its attempt.
    pub priority: Points,
}

/// A priority: `base + weight + waiting - penalty`, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Points {
    /// As it was submitted.
    pub base: f64,
    /// Of its tenant: 20 for a weight of 100.
    pub weight: f64,
    /// 0 to 10: 10 an hour, for an hour.
    pub waiting: f64,
    /// 0 to 5: of a tenant that uses more than 80 % of its own limits.
    pub penalty: f64,
}

impl Points {
    /// All together.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.base + self.weight + self.waiting - self.penalty
    }
}

/// The smallest change of one sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cure {
    /// All these limits raised. One less of any, and there is no room.
    Raise(Vec<Raise>),
    /// So many attempts of this project end, the largest first, and so many of its workflows.
    End {
        /// Which project.
        project: EntityId,
        /// Attempts.
        attempts: usize,
        /// Workflows with a slot.
        workflows: u64,
    },
    /// So many attempts of its own workflow end, or its parallelism is raised by as many.
    EndOwn(u32),
    /// Its workflow goes on.
    Resume,
    /// Somebody tells who this is.
    Tell(EntityId),
    /// Its base priority raised to this.
    Prioritize(i32),
}

/// A limit that is to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raise {
    /// Whose; `None` is the installation.
    pub entity: Option<EntityId>,
    /// Of what.
    pub dimension: Dimension,
    /// By so much.
    pub by: u64,
}

/// What an entity and all below it use, and how many wait and run there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Whose; `None` is the installation.
    pub entity: Option<EntityId>,
    /// What it is; `None` is the installation, or an entity that is not known.
    pub level: Option<Level>,
    /// So much.
    pub used: Amounts,
    /// The most since [`FairShare::forget_peaks`](crate::FairShare::forget_peaks).
    pub peak: Amounts,
    /// Its own limits; `None` where it has none.
    pub limits: [Option<u64>; Dimension::COUNT],
    /// Attempts that wait, those held back by a gate or a parallelism included.
    pub waiting: u64,
    /// Attempts that hold something.
    pub running: u64,
}
