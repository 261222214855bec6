//! An explanation as it goes from the scheduler to those who asked.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_model::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Why an attempt waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Which attempt.
    pub key: AttemptKey,
    /// In a word, such as `QUOTA_FULL`.
    pub code: String,
    /// All it takes to start it: what it needs, and the slot of its workflow if that has none yet.
    pub need: Amounts,
    /// The cluster that it is to run in. Schedulers of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// The lowest level at which there is too little, and of what.
    pub short: Option<Short>,
    /// Who holds most of what there is too little of: a few, the largest first.
    pub holders: Vec<Holding>,
    /// Its place on each level, from the installation down to its project.
    pub ranks: Vec<Rank>,
    /// The attempt that goes first, if that is not this one.
    pub rival: Option<Rival>,
    /// The budget for retries that it waits for. Schedulers of earlier versions do not say.
    #[serde(default)]
    pub rationed: Option<Rationed>,
    /// The circuit of its template, for which it waits. Schedulers of earlier versions do not say.
    #[serde(default)]
    pub tripped: Option<Tripped>,
    /// Its priority now.
    pub priority: Points,
    /// What would let it start: each of them alone takes away what `code` names.
    pub cures: Vec<Cure>,
}

/// A retry for which its tenant has no token yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rationed {
    /// Whose tokens.
    pub tenant: EntityId,
    /// Retries of the tenant that come before it; counted up to a thousand.
    pub ahead: u64,
    /// Tokens that come in a second.
    pub per_second: u32,
    /// Percent of a token that come with each first attempt that succeeds.
    pub percent: u32,
    /// Tokens that are kept, at most.
    pub burst: u32,
    /// When its token is there if nothing succeeds until then.
    pub at: Timestamp,
}

/// A retry whose template breaks again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tripped {
    /// So many attempts of the template broke, one after the other.
    pub failures: u32,
    /// Retries of the template that come before it; counted up to a thousand.
    pub ahead: u64,
    /// When the next one tries; none while one does.
    pub at: Option<Timestamp>,
}

/// Too little of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Short {
    /// Where; none for the installation.
    pub entity: Option<EntityId>,
    /// Of what.
    pub dimension: Dimension,
    /// So much is needed.
    pub need: u64,
    /// So much is used.
    pub used: u64,
    /// So much may be used.
    pub limit: u64,
}

/// Who holds how much of what there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Directly below the entity that is short.
    pub who: Member,
    /// So much of the dimension that is short.
    pub used: u64,
}

/// What stands below an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Member {
    /// Another one.
    Entity(EntityId),
    /// A workflow of a project.
    Workflow(WorkflowId),
}

/// A place on one level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rank {
    /// Below whom; none is the installation.
    pub below: Option<EntityId>,
    /// So many go before it; counted up to 1000.
    pub ahead: u64,
    /// At least so many compete there, itself included.
    pub of: u64,
}

/// An attempt that goes before another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rival {
    /// Which.
    pub key: AttemptKey,
    /// The lowest entity that both are below; none is the installation.
    pub common: Option<EntityId>,
    /// The explained one's side of it.
    pub ours: Side,
    /// The other's.
    pub theirs: Side,
}

/// One of two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Side {
    /// Directly below the common entity; none if that is the project of both.
    pub entity: Option<EntityId>,
    /// The largest part it uses of what counts, over its weight in hundreds.
    pub share: f64,
    /// The priority of its attempt.
    pub priority: Points,
}

/// A priority: `base + weight + waiting - penalty`, in points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// As it was submitted.
    pub base: f64,
    /// Of its tenant.
    pub weight: f64,
    /// For waiting.
    pub waiting: f64,
    /// Of a tenant that uses nearly all it may.
    pub penalty: f64,
}

/// The smallest change of one sort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cure {
    /// All these limits raised.
    Raise(Vec<Raise>),
    /// So many attempts of this project end, and so many of its workflows.
    End {
        /// Which project.
        project: EntityId,
        /// Attempts.
        attempts: u64,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raise {
    /// Whose; none is the installation.
    pub entity: Option<EntityId>,
    /// Of what.
    pub dimension: Dimension,
    /// By so much.
    pub by: u64,
}
