//! Schedules: looks when one is due, lets [`flowforge_cron::due`] decide, and starts what it says
//! in one commit with the state that remembers it.
//!
//! [`Cron::turn`] waits for nothing but the store and takes the time as an argument; [`Serve`] is
//! the loop around it that does the waiting. What is in memory, when to look at which schedule
//! and whose runs are under way, is a cache of the rows: a start reads it again.

mod cron;
mod history;
mod look;
mod run;
mod serve;

pub use cron::{Config, Cron, Turned};
pub use serve::{Inbox, Mailbox, Serve, mailbox};

use flowforge_model::id::{ScheduleId, WorkflowId};

/// Something that may change what is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A user created, changed or deleted a schedule.
    Changed(ScheduleId),
    /// A workflow has ended or is deleted; most are nobody's run.
    Ended(WorkflowId),
}

#[cfg(test)]
mod tests;
