//! Who is next: fair shares of what there is below the quotas of a hierarchy, and the queues of locks.
//!
//! Pure: no clock, no I/O.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod fair;
mod locks;
mod meter;
mod metrics;
mod what_if;
mod why;

use flowforge_model::attempt::{AttemptKey, TemplateKey};
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::Amounts;
use flowforge_model::time::{Millis, Timestamp};

pub use fair::{
    ClusterUse, FairShare, Precedence, Rationed, RetryBreaker, RetryBudget, Settings, Tripped,
};
pub use flowforge_quota::Blocked;
pub use locks::{Holder, LockClaim, LockTable};
pub use meter::Meter;
pub use metrics::{Metrics, Pools, Size, Waits, Where};
pub use what_if::{Batch, Change, Preview, Start, WhatIf};
pub use why::{Claimed, Code, Cure, Holding, Member, Points, Raise, Rank, Rival, Side, Usage, Why};

/// An attempt that may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which attempt.
    pub key: AttemptKey,
    /// Higher goes first.
    pub priority: i32,
    /// When it became ready; earlier goes first among equals.
    pub since: Timestamp,
    /// At most this many attempts of its workflow hold a slot at a time.
    pub parallelism: Option<u32>,
    /// Whose quotas it counts against.
    pub project: EntityId,
    /// What it needs, all of its pods together.
    pub need: Amounts,
    /// The workflow whose slot it uses: its own, or the one that called it, directly or not.
    pub root: WorkflowId,
    /// Bytes of volumes that the workflow `root` holds together with its slot.
    pub storage: u64,
    /// The slot of `root` counts as none: the workflow that started it, and waits for it, holds one.
    pub called: bool,
    /// It is expected to have ended so long after it was admitted at the latest, if that is known.
    pub lasts: Option<Millis>,
    /// An attempt of the same task failed before: it takes a token of its tenant's [`RetryBudget`].
    pub retry: bool,
    /// Its template, if that is known: what breaks again and again holds back retries of the same
    /// ([`RetryBreaker`]).
    pub template: Option<TemplateKey>,
}
