//! The traits between the services and the technologies, and the rows they exchange.
//!
//! No technology and no policy lives here. Each trait has at least two real implementations and
//! one conformance suite that all of them pass. Start at [`store::Store`].

pub mod admission;
pub mod artifacts;
pub mod catalog;
pub mod claims;
pub mod clock;
pub mod explain;
pub mod handover;
pub mod leases;
pub mod logs;
pub mod nudge;
pub mod organization;
pub mod pod_calls;
pub mod pods;
pub mod queue;
pub mod reservations;
pub mod runner;
pub mod schedules;
pub mod secrets;
pub mod store;
pub mod templates;
pub mod usage;
pub mod witness;
