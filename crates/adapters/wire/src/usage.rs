//! What was used in the past.

use serde::{Deserialize, Serialize};

use crate::{Place, Time};

/// What an entity and all below it used over some time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsageHistory {
    /// Whose.
    pub of: Place,
    /// When the first step begins.
    pub from: Time,
    /// Nothing at or after this counts.
    pub to: Time,
    /// How long a step is.
    pub step_seconds: u64,
    /// By time. A step in which nobody measured is missing.
    pub points: Vec<UsagePoint>,
}

/// What was used in one step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsagePoint {
    /// When the step began.
    pub at: Time,
    /// Tasks that waited in the scheduler's queue.
    pub waiting: Spread,
    /// Tasks that ran.
    pub running: Spread,
    /// Of each dimension that was used or limited in any step.
    pub dimensions: Vec<UsedOver>,
}

/// An amount that changed over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Spread {
    /// Of some thirty looks in each interval that was measured.
    pub mean: f64,
    /// The most there was: of what is used at any time, of tasks at those looks.
    pub max: u64,
}

/// What was used of one dimension.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UsedOver {
    /// Of what.
    pub dimension: String,
    /// What the numbers count: `millicores`, `bytes` or `count`.
    pub unit: String,
    /// So much.
    #[serde(flatten)]
    pub used: Spread,
    /// At most, at this level, when it was last looked at; none is no limit there, or nothing used.
    pub limit: Option<u64>,
}
