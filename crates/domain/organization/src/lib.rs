//! Who belongs to whom, and what may be changed about it.
//!
//! [`Organization`] is all there is: tenants, departments, groups, projects, and the quotas they
//! name. [`decide`] looks at one [`Edit`] and says what changes, or everything that is wrong with it.
//! Stores keep rows, the api shows them; neither knows a rule of its own.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod decide;
mod edit;
mod exceeding;
mod find;
mod leaving;
mod narrow;
mod placing;
mod refusal;
mod tree;

pub use decide::decide;
pub use edit::{Change, Clamped, Decision, Edit, Subject};
pub use exceeding::{Offender, unit};
pub use find::{Lookup, is_name};
pub use leaving::finished;
pub use narrow::TooNarrow;
pub use refusal::Refusal;
pub use tree::{NamedQuota, Node, Organization};

#[cfg(test)]
mod tests;
