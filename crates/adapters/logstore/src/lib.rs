//! The output of tasks on disk: append-only segments of checked, compressed frames.
//!
//! Knows no policy: who may read a log, how long it lives and how it is shown is decided
//! elsewhere. Start at [`SegmentLogs`]; [`MemoryLogs`] is its twin for tests and simulations.
//! [`RemoteLogs`] are those of a log aggregator elsewhere, to which lines are shipped from a spool.
//! One suite (`conforms` in `tests`) holds all to the same behaviour.

mod frame;
mod index;
mod memory;
mod query;
mod receipts;
mod remote;
mod scan;
mod seal;
mod segments;
mod spool;

#[cfg(test)]
mod tests;

pub use memory::MemoryLogs;
pub use remote::{Aggregator, AggregatorError, RemoteLogs};
pub use segments::SegmentLogs;
