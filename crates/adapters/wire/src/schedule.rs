//! A schedule.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::problem::Finding;
use crate::time::Time;

/// A schedule as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Schedule {
    /// Its id, a `UUIDv7`.
    pub id: String,
    /// Its name, unique in its project.
    pub name: String,
    /// The id of its project.
    pub project_id: String,
    /// `ACTIVE`, `SUSPENDED` or `STOPPED` (its stop condition came true); expect more.
    pub status: String,
    /// Cron expressions; a run is due when any of them says so.
    #[serde(default)]
    pub cron: Vec<String>,
    /// IANA name of the time zone that the expressions are read in.
    #[serde(default)]
    pub timezone: String,
    /// `allow`, `forbid` or `replace`: what happens while an earlier run is not over.
    #[serde(default)]
    pub concurrency: String,
    /// `none`, `last` or `all`: what happens with missed runs.
    #[serde(default)]
    pub catch_up: String,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When the next run is due; missing if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Time>,
    /// When the last run that was started was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_scheduled_at: Option<Time>,
    /// Runs that are not over.
    pub active: u64,
    /// Runs that succeeded.
    pub succeeded: u64,
    /// Runs that failed, and those that could not be started.
    pub failed: u64,
    /// Why nothing was started when it was last due; missing if something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it was created.
    pub created_at: Time,
    /// When its document, or whether it is suspended, was last written.
    pub updated_at: Time,
    /// When the next ten runs are due. Not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upcoming: Vec<Time>,
    /// The last runs, the latest first, as far as they are kept. Not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<ScheduleRun>,
    /// What deserves a look in the document. Only in the answer to a document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Finding>,
}

/// A run of a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ScheduleRun {
    /// When it was due.
    pub scheduled_at: Time,
    /// Its workflow.
    pub workflow_id: String,
    /// Where that stands.
    pub status: String,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}
