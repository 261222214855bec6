//! The only writer of workflow state: events in, [`flowforge_engine::step`], one commit, effects
//! out.
//!
//! [`Controller::turn`] decides in memory and then commits once; it waits for nothing but the
//! store and never looks at a clock, so a simulator can drive it step by step. [`Serve`] is the
//! loop around it that does the waiting.
//!
//! Everything in memory is a cache of the store. When the outcome of a commit is unknown, all of
//! it is dropped and read again; facts that were not acknowledged come again from the executor.

mod absorb;
mod admit;
mod ahead;
mod answers;
mod beside;
mod children;
mod commit;
mod controller;
mod guard;
mod hold;
mod live;
mod news;
mod pending;
mod quarantine;
mod serve;
mod timers;
mod turn;

pub use beside::Beside;
pub use controller::{Config, Controller};
pub use serve::{Inbox, Mailbox, Outlet, Serve, mailbox};
pub use turn::{Message, Turned};

use flowforge_ports::store::StoreError;

/// Why a controller cannot go on with what it has in memory.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// Another controller took over this database. Nothing more may be done.
    #[error("another server has taken over this database")]
    Fenced,
    /// The store refused or did not answer. Drop the controller and start another one: what the
    /// store holds decides.
    #[error(transparent)]
    Store(StoreError),
}

impl ControllerError {
    /// Starting again would not help.
    #[must_use]
    pub fn fatal(&self) -> bool {
        matches!(self, Self::Fenced | Self::Store(StoreError::FutureSchema { .. }))
    }

    /// A row was not as this controller believed.
    #[must_use]
    pub fn conflict(&self) -> bool {
        matches!(self, Self::Store(StoreError::Conflict(_)))
    }
}

impl From<StoreError> for ControllerError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Fenced => Self::Fenced,
            other => Self::Store(other),
        }
    }
}

#[cfg(test)]
mod tests;
