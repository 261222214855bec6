//! Arguments of `simulate`.

use std::path::PathBuf;

use clap::Args as Group;

use super::organization::Limits;

/// What is thought of. Without anything: what would start now anyway.
#[derive(Debug, Group)]
pub(crate) struct Simulate {
    /// Tasks of one new workflow, all alike
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u32>,
    /// Their project, by id, path or name
    #[arg(long, requires = "count")]
    pub(crate) project: Option<String>,
    /// Cores that each requests, as 4 or 500m
    #[arg(long, value_name = "CORES", requires = "count")]
    pub(crate) cpu: Option<String>,
    /// Memory that each requests, as 1Gi
    #[arg(long, value_name = "SIZE", requires = "count")]
    pub(crate) memory: Option<String>,
    /// Devices that each requests
    #[arg(long, value_name = "N", requires = "count")]
    pub(crate) gpu: Option<u32>,
    /// Each of them is a gang of so many members, each of which requests that
    #[arg(long, value_name = "N", requires = "count")]
    pub(crate) replicas: Option<u32>,
    /// Higher goes first
    #[arg(long, requires = "count", allow_negative_numbers = true)]
    pub(crate) priority: Option<i32>,
    /// At most so many of them run at a time
    #[arg(long, value_name = "N", requires = "count")]
    pub(crate) parallelism: Option<u32>,
    /// So many tasks may run at a time in the installation
    #[arg(long, value_name = "N")]
    pub(crate) capacity: Option<u32>,
    /// The tenant, department, group or project whose limits are other ones: its path, id or name
    #[arg(long, value_name = "ENTITY")]
    pub(crate) quota_of: Option<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
    /// Lower limits below that are above the new ones
    #[arg(long)]
    pub(crate) clamp: bool,
    /// All of it as JSON, as `POST /api/v1/simulate` takes it: several groups, several quotas; `-` is
    /// standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["count", "capacity", "quota_of"])]
    pub(crate) file: Option<PathBuf>,
}
