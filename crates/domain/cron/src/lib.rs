//! Schedules: when a workflow is due, and what is decided about it.
//!
//! Three parts, each usable alone: [`Cron`] is one expression and its fire times, [`Schedule`] is
//! what a document says, and [`due`] decides from it, the [`ScheduleState`] and `now` what to
//! start, what to stop and when to look again. Nothing here reads a clock or the machine's time
//! zones; deciding the same thing twice names the same runs.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod condition;
mod cron;
mod decide;
mod error;
mod schedule;
mod state;

pub use cron::{Cron, Zone};
pub use decide::{Decision, Skip, SkipReason, due};
pub use error::{CronError, Fault, Place};
pub use schedule::{CatchUp, Concurrency, Definition, Schedule};
pub use state::{Ended, Phase, ScheduleState};
