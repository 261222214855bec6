//! Logs at an aggregator over real HTTP: the same suite as for all stores, and what only a network and
//! two processes can go through.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

mod answers;
#[path = "../../../../adapters/logstore/src/tests/conforms.rs"]
mod conforms;
mod faults;
mod served;

use served::{PATIENCE, ROOMY, Served, TOKEN, nobody};
