//! Deterministic simulation: the real controller, scheduler and executor on a simulated store,
//! simulated processes and a simulated clock.
//!
//! A seed decides everything: the workflows, what their tasks do, when servers die, which calls
//! fail before or after they did their work, which reports come late, twice or only after they
//! were sent again. After every commit the [`checker`] compares what is stored with the rules it
//! knows by itself. [`sim::run`] is the entry; `cargo xtask sim` calls it.

pub mod checker;
pub mod dice;
pub mod documents;
pub mod plants;
pub mod sim;
