//! Admission: which ready attempt starts next.
//!
//! Joins the pure decisions of `flowforge-scheduler` to the seam the controller sees: in the same
//! process ([`LocalAdmission`]), or as a server of its own ([`Leader`]) that controllers tell through
//! their commits ([`Elsewhere`]).

mod elsewhere;
mod leader;
mod local;
mod serve;

pub use elsewhere::Elsewhere;
pub use leader::{Decided, Leader};
pub use local::LocalAdmission;
pub use serve::Serve;
