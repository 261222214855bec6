//! What would start, if.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::explain::{Place, QueueWhy};
use crate::organization::QuotaInput;

/// What is thought of. All of it may be missing: then the answer is what would start now anyway.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulationInput {
    /// Tasks that come too: at most 100 groups, and 10,000 tasks all together.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<SimulatedTasks>,
    /// Quotas that are otherwise, one after the other; at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quotas: Vec<SimulatedQuota>,
    /// So many tasks may run at a time in the installation; what there is, if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
}

/// Tasks of one new workflow that are all alike, and ready at once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatedTasks {
    /// Their project, by id, path or name; the default one if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// How many; 1 if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// What each asks for: `cpu`, `memory`, `nvidia.com/gpu`, as quantities. What is missing is settled
    /// as in documents.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, String>,
    /// What each may use at most.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
    /// Each is a gang of so many members, 2 to 256, that start together or not at all; each member asks for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Higher goes first; 0 if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// At most so many of them run at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<u32>,
}

/// What an entity may use; limits that are missing stay, as with `PUT .../quota`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatedQuota {
    /// `tenant`, `department`, `group` or `project`.
    pub level: String,
    /// Which, by id, path or name.
    pub id: String,
    /// Its limits and its weight.
    #[serde(flatten)]
    pub limits: QuotaInput,
}

/// What would be, as of now. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Simulation {
    /// What would start at once, in order, tasks that wait already among it; at most 10,000.
    pub starts: Vec<SimulatedStart>,
    /// Nothing else would start; else more would than are told.
    pub complete: bool,
    /// What would become of the tasks that were asked about, group by group.
    pub tasks: Vec<SimulatedGroup>,
}

/// Tasks that would start one after another: the next ones of a group, or one that waits already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatedStart {
    /// The group's place in the request, from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// The workflow of a task that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// The id of that task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// How many.
    pub count: u32,
}

/// What would become of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatedGroup {
    /// Its project.
    pub project: Place,
    /// So many would start at once.
    pub starting: u32,
    /// So many would wait.
    pub waiting: u32,
    /// Why the first of them would; the others stand behind it. In ids of workflows and tasks
    /// `simulated-N` is group N of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<SimulatedWhy>,
}

/// Why a task would wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SimulatedWhy {
    /// In a word: one of the codes that a task in the scheduler's queue has.
    pub code: String,
    /// The same in a sentence, for people.
    pub text: String,
    /// In full.
    pub queue: QueueWhy,
}
