//! Why something waits, and who uses what.

use serde::{Deserialize, Serialize};

use crate::lock::Lock;
use crate::time::Time;

/// Why a task stands where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskWhy {
    /// Its workflow.
    pub workflow_id: String,
    /// The name of its workflow.
    pub workflow_name: String,
    /// Its id.
    pub task_id: String,
    /// Its place in the tree of the run.
    pub node: u32,
    /// Its dotted path; empty for the root.
    pub task: String,
    /// Its status.
    pub status: String,
    /// In a word: `DEPENDENCY`, `BACKOFF`, `LOCK`, `PAUSED`, `SUSPENDED`, `RUNNING`, `ENDED`, or of a
    /// task in the scheduler's queue `QUOTA_FULL`, `PARENT_FULL`, `CAPACITY_FULL`,
    /// `EXCEEDS_QUOTA_FOREVER`, `NO_SUCH_QUEUE`, `BEHIND_FAIR_SHARE`, `BEHIND_PRIORITY`,
    /// `BEHIND_CLAIM`, `CIRCUIT_OPEN`, `RETRY_BUDGET`, `WORKFLOW_LIMIT`, `NEXT`, `ON_ITS_WAY`;
    /// expect more.
    pub code: String,
    /// The same in a sentence, for people.
    pub text: String,
    /// Since when it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it goes on by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Tasks that have to end first, by their dotted names; the first fifty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<String>,
    /// Locks that it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locks: Vec<Lock>,
    /// What the scheduler says, if it is in its queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueWhy>,
}

/// Why a task waits in the scheduler's queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct QueueWhy {
    /// The cluster that it is to run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// The lowest level at which there is too little, and of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short: Option<Short>,
    /// Who holds most of what there is too little of, the largest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<Holder>,
    /// All it needs.
    pub need: Vec<Amount>,
    /// Its place on each level, from the installation down to its project.
    pub ranks: Vec<Rank>,
    /// Who goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rival: Option<Rival>,
    /// The budget for retries that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
    /// The circuit that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
    /// Its priority now.
    pub priority: Priority,
    /// What would let it start; each of them alone takes away what `code` names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cures: Vec<Cure>,
}

/// An entity, in few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Place {
    /// Its id; none for the installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `installation`, `tenant`, `department`, `group` or `project`.
    pub level: String,
    /// Its path from the tenant down; empty for the installation.
    pub path: String,
}

/// An amount of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Amount {
    /// `cpu_request`, `cpu_limit`, `memory_request`, `memory_limit`, `gpu`, `pods`, `workflows` or
    /// `storage`.
    pub dimension: String,
    /// `millicores`, `bytes` or `count`.
    pub unit: String,
    /// So much.
    pub amount: u64,
}

/// A retry for which its tenant has no token yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetryBudget {
    /// Whose tokens.
    pub tenant: Place,
    /// Retries of the tenant that come before it; counted up to a thousand.
    pub ahead: u64,
    /// Tokens that come in a second.
    pub per_second: u32,
    /// Percent of a token that come with each first attempt that succeeds.
    pub percent: u32,
    /// Tokens that are kept, at most.
    pub burst: u32,
    /// When its token is there if nothing succeeds until then.
    pub at: Time,
}

/// A retry that waits because attempts of its template break one after the other: one at a time tries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Circuit {
    /// Which template of its project.
    pub template: String,
    /// So many attempts in a row broke.
    pub failures: u32,
    /// Retries of the template that come before it; counted up to a thousand.
    pub ahead: u64,
    /// When the next one tries; none while one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// Too little of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Short {
    /// Where.
    pub at: Place,
    /// Of what.
    pub dimension: String,
    /// What the numbers count.
    pub unit: String,
    /// So much is needed.
    pub need: u64,
    /// So much is used.
    pub used: u64,
    /// So much may be used.
    pub limit: u64,
}

/// Who holds how much of what there is too little of: an entity, or a workflow of the project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Holder {
    /// The entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Place>,
    /// Or the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// So much, in the unit of `short`.
    pub used: u64,
}

/// A place in a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rank {
    /// Among what stands directly below this.
    pub below: Place,
    /// So many go before it; counted up to 1000.
    pub ahead: u64,
    /// So many compete there, itself included.
    pub of: u64,
}

/// A task that goes before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rival {
    /// Its workflow.
    pub workflow_id: String,
    /// Its id.
    pub task_id: String,
    /// The lowest entity that both are below.
    pub common: Place,
    /// The side of the task that waits.
    pub ours: Side,
    /// The side of the one that goes before.
    pub theirs: Side,
}

/// One of two sides that are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Side {
    /// Directly below the common entity; none if that is the project of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<Place>,
    /// The largest part it uses of what counts, over its weight in hundreds.
    pub share: f64,
    /// The priority of its task.
    pub priority: Priority,
}

/// `total = base + weight + waiting - penalty`, in points.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Priority {
    /// All together.
    pub total: f64,
    /// As it was submitted.
    pub base: f64,
    /// Of its tenant.
    pub weight: f64,
    /// For waiting: 10 an hour, for an hour.
    pub waiting: f64,
    /// Of a tenant that uses more than 80 % of its own limits: up to 5.
    pub penalty: f64,
}

/// Something that would let it start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Cure {
    /// `RAISE_LIMIT`, `WAIT_FOR_OTHERS`, `WAIT_FOR_OWN`, `RESUME`, `CREATE_ENTITY` or
    /// `RAISE_PRIORITY`; expect more.
    pub kind: String,
    /// In a sentence, for people.
    pub text: String,
}

/// Why a workflow does not go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkflowWhy {
    /// Its id.
    pub workflow_id: String,
    /// Its name.
    pub workflow_name: String,
    /// Its status.
    pub status: String,
    /// Its unfinished tasks by what they wait for, the most first.
    pub groups: Vec<WhyGroup>,
    /// So many more tasks are in the queue than were looked at.
    pub omitted: u64,
}

/// Tasks that wait for the same.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WhyGroup {
    /// In a word: one of the codes of a task.
    pub code: String,
    /// So many tasks.
    pub count: u64,
    /// The first ten of them.
    pub tasks: Vec<String>,
    /// The first of them in full; none for those that wait for other tasks of the workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<TaskWhy>,
}

/// What an entity and all below it use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Usage {
    /// Whose.
    pub of: Place,
    /// Tasks that wait in the scheduler's queue.
    pub waiting: u64,
    /// Tasks that run.
    pub running: u64,
    /// Of each dimension that is limited here or used.
    pub dimensions: Vec<Used>,
}

/// What is used of one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Used {
    /// Of what.
    pub dimension: String,
    /// What the numbers count: `millicores`, `bytes` or `count`.
    pub unit: String,
    /// So much.
    pub used: u64,
    /// At most, at this level; none is no limit there.
    pub limit: Option<u64>,
    /// `used / limit`; above 1 after a cut. None without a limit, or with one of 0 of which nothing is
    /// used.
    pub utilisation: Option<f64>,
}

/// What an entity uses, and what those directly below it do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageReport {
    /// Itself.
    #[serde(flatten)]
    pub usage: Usage,
    /// Directly below it, by name; at most 1000.
    pub below: Vec<Usage>,
    /// So many more are below it.
    pub omitted: u64,
}
