//! What a cluster has to know about a project.

use std::future::Future;
use std::pin::Pin;

use flowforge_model::id::EntityId;

use crate::placement::{Grants, Security};

/// A project as its namespace and its pods show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Its tenant.
    pub tenant: EntityId,
    /// The tenant's name and the project's: for people, in annotations.
    pub names: (String, String),
    /// What its pods may.
    pub security: Security,
    /// As [`crate::Placement::grants`].
    pub grants: Grants,
    /// As [`crate::Placement::pull_secrets`].
    pub pull_secrets: Vec<String>,
    /// Its pods may speak to Redis.
    pub redis: bool,
    /// What its quotas limit; its namespace gets half as much again, as a backstop.
    pub limits: Limits,
}

/// Limits of a project; none is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core that are asked for.
    pub cpu: Option<u64>,
    /// Bytes of memory that are asked for.
    pub memory: Option<u64>,
    /// Devices.
    pub gpu: Option<u64>,
    /// Pods.
    pub pods: Option<u64>,
}

/// The answer to a question about a project.
pub type Asked<'a> = Pin<Box<dyn Future<Output = Result<Option<Project>, String>> + Send + 'a>>;

/// Where projects are looked up.
pub trait Projects: Send + Sync + 'static {
    /// The project; none if there is none such. An error is a text for people, and is asked again.
    fn project(&self, id: EntityId) -> Asked<'_>;
}
