//! Attempts as pods of a Kubernetes cluster.
//!
//! What a pod is made of ([`build`]), what becomes of it ([`look`]) and what to do about it (`book`) are
//! decided purely; the rest asks the cluster and tells it. Names do not fence, leases do not either: a pod
//! asks whether it may begin ([`flowforge_ports::pods`]), so that one that nobody wants any more ends
//! without having done anything. The reasons stand in docs/decisions/0017. Start at [`ClusterRunner`].

mod access;
mod answer;
mod backoff;
mod book;
mod claims;
mod collector;
mod config;
mod keys;
mod labels;
mod left;
mod namespaces;
mod network;
mod objects;
mod observed;
mod pace;
mod placement;
mod pod;
mod project;
mod refusal;
mod runner;
mod strays;
mod verdict;
mod watch;

pub use access::{Access, Cluster};
pub use claims::Claimed;
pub use collector::{Collector, CollectorConfig, Counts, Tell};
pub use config::ClusterConfig;
pub use observed::Observed;
pub use placement::{Endpoints, Grants, Placement, Pull, Sdk, Security};
pub use pod::{INIT, INPUTS, MAIN, build};
pub use project::{Asked, Limits, Project, Projects};
pub use runner::{ClusterPorts, ClusterRunner};
pub use strays::Stray;
pub use verdict::{Bounds, Memory, Next, Trouble, Verdict, gone, look};

/// What keeps a cluster from being used.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Its address or the credentials for it cannot be read.
    #[error("no access to the cluster: {why}")]
    Access {
        /// What is wrong where.
        why: String,
    },
    /// The settings say what no cluster takes.
    #[error("{what} {value:?} {why}")]
    Config {
        /// Of which setting.
        what: &'static str,
        /// What it says.
        value: String,
        /// What it must be.
        why: &'static str,
    },
    /// It did not do what it was asked.
    #[error("the cluster did not answer {what}: {why}")]
    Request {
        /// What it was asked.
        what: String,
        /// What it said.
        why: String,
    },
    /// It said something that cannot be understood.
    #[error("{what} {why}")]
    Answer {
        /// What it said.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
}
