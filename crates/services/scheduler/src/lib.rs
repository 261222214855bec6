//! Admission: which ready attempt starts next.
//!
//! Joins the pure decisions of `flowforge-scheduler` to the seam the controller sees: in the same
//! process ([`LocalAdmission`]), or as a server of its own ([`Leader`]) that controllers tell through
//! their commits ([`Elsewhere`]). Whoever decides also says why something waits: API servers ask by a
//! [`Route`].

mod desk;
mod elsewhere;
mod explain;
mod leader;
mod local;
mod route;
mod serve;
mod service;

pub use desk::{Desk, Questions, desk};
pub use elsewhere::Elsewhere;
pub use flowforge_scheduler::{Precedence, RetryBreaker, RetryBudget};
pub use leader::{Decided, Leader};
pub use local::{LocalAdmission, Rules};
pub use route::Route;
pub use serve::Serve;
pub use service::ExplainService;
