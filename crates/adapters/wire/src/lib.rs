//! The JSON of the REST API, shared by the server and its clients.
//!
//! Keys are `snake_case`, times are RFC 3339 in UTC with milliseconds ([`Time`]), ids are UUIDs in
//! their hyphenated form. What a client sends refuses unknown fields; what a client reads ignores
//! them and keeps words such as statuses as text, so that an old client can read a newer server.

pub mod explain;
pub mod feed;
pub mod fleet;
pub mod lock;
pub mod memo;
pub mod meta;
pub mod organization;
pub mod problem;
pub mod schedule;
pub mod simulation;
pub mod submit;
pub mod task;
pub mod template;
pub mod time;
pub mod usage;
pub mod workflow;

pub use explain::{
    Amount, Circuit, Cure, Holder, Place, Priority, QueueWhy, Rank, RetryBudget, Rival, Short,
    Side, TaskWhy, Usage, UsageReport, Used, WhyGroup, WorkflowWhy,
};
pub use feed::{Event, Feed, LogLine, Page};
pub use fleet::{DeadAttempt, DeadLetter, Redriven, RedrivenAttempt, Server};
pub use lock::{Lock, LockUser};
pub use memo::{Cache, Forgotten, Memo};
pub use meta::{Endpoint, Health, Readiness, Version};
pub use organization::{Clamped, Entity, EntityPatch, NewEntity, Quota, QuotaInput};
pub use problem::{Finding, LintReport, Problem};
pub use schedule::{Schedule, ScheduleRun};
pub use simulation::{
    SimulatedGroup, SimulatedQuota, SimulatedStart, SimulatedTasks, SimulatedWhy, Simulation,
    SimulationInput,
};
pub use submit::{ParameterValue, Resubmit, Resume, Submit};
pub use task::{Attempt, Task, TaskArtifact};
pub use template::{Applied, AppliedTemplate, Template, TemplateRef};
pub use time::Time;
pub use usage::{Spread, UsageHistory, UsagePoint, UsedOver};
pub use workflow::{Workflow, WorkflowParent};
