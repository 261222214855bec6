//! Whole lives of workflows over the store in memory, with an executor of a few lines and no
//! clock: the test decides what happens between two turns.

mod answers;
mod beside;
mod children;
mod fixture;
mod flaky;
mod lives;
mod serving;
mod trouble;
mod usage;
