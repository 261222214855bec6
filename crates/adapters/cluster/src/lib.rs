//! Attempts as pods of a Kubernetes cluster.
//!
//! What a pod is made of ([`build`]) and what becomes of it are decided purely; the rest asks the cluster
//! and tells it. Names do not fence, leases do not either: a pod asks whether it may begin
//! ([`flowforge_ports::pods`]), so that one that nobody wants any more ends without having done anything.
//! The reasons stand in docs/decisions/0017.

mod placement;
mod pod;
mod refusal;
mod verdict;

pub use placement::{Endpoints, Placement, Pull, Sdk, Security};
pub use pod::{INIT, MAIN, build};
pub use verdict::{Bounds, Memory, Next, Trouble, Verdict, gone, look};
