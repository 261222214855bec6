//! The output of tasks on disk: append-only segments of checked, compressed frames.
//!
//! Knows no policy: who may read a log, how long it lives and how it is shown is decided
//! elsewhere. Start at [`SegmentLogs`]; [`MemoryLogs`] is its twin for tests and simulations, and
//! one suite (`tests`) holds both to the same behaviour.

mod frame;
mod index;
mod memory;
mod query;
mod scan;
mod seal;
mod segments;

#[cfg(test)]
mod tests;

pub use memory::MemoryLogs;
pub use segments::SegmentLogs;
