//! Arguments of `tenant`, `department`, `group`, `project`, `quota` and `org`.

use clap::{Args as Group, Subcommand};

/// What may be done with tenants, departments, groups and projects alike.
#[derive(Debug, Subcommand)]
pub(crate) enum Entities {
    /// List them, the oldest first
    #[command(visible_alias = "ls")]
    List(Entries),
    /// Show one
    Get {
        /// Its path from the tenant down, its id, or its name if only one has it
        which: String,
    },
    /// Create one
    Create {
        /// Its name: 1 to 63 of a-z, 0-9 and -
        name: String,
        /// What it stands below: a path, an id, or the name of a tenant (default: the default tenant)
        #[arg(long, value_name = "PATH")]
        parent: Option<String>,
        /// A quota of its tenant, as TENANT/NAME or by id
        #[arg(long)]
        quota: Option<String>,
        /// Of a project, the cluster that its tasks are to run in (default: that of the scheduler)
        #[arg(long)]
        cluster: Option<String>,
    },
    /// Give one another name, another quota or another cluster
    Update {
        /// Its path, id or name
        which: String,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        /// Another quota, as TENANT/NAME or by id; `none` for no limits of its own
        #[arg(long)]
        quota: Option<String>,
        /// Of a project, the cluster for what starts from now on; `none` for that of the scheduler
        #[arg(long)]
        cluster: Option<String>,
        /// Lower limits below it that are above the new ones
        #[arg(long)]
        clamp: bool,
    },
    /// Move one, with all that is below it
    Move {
        /// Its path, id or name
        which: String,
        /// What it stands below from now on: a path, an id, or the name of a tenant
        to: String,
        /// Lower limits that are above the ones they come below
        #[arg(long)]
        clamp: bool,
    },
    /// Delete some
    #[command(visible_alias = "rm")]
    Delete {
        /// Their paths, ids or names
        #[arg(required = true)]
        which: Vec<String>,
        /// Although workflows are unfinished: it takes no new ones, and goes with the last
        #[arg(long)]
        drain: bool,
        /// With all that is below it; drains
        #[arg(long)]
        cascade: bool,
    },
}

#[derive(Debug, Group)]
pub(crate) struct Entries {
    /// Only directly below this: a path, an id, or the name of a tenant
    #[arg(long, value_name = "PATH")]
    pub(crate) parent: Option<String>,
    /// Only of this tenant, by id or name
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only names that begin so
    #[arg(long)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Quotas {
    /// List them, the oldest first
    #[command(visible_alias = "ls")]
    List {
        /// Only of this tenant, by id or name
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Show one
    Get {
        /// The quota, as TENANT/NAME, by id, or by its name if only one has it
        quota: String,
    },
    /// Show what a tenant, department, group or project may use itself
    Of {
        /// Its path from the tenant down, or its id
        entity: String,
    },
    /// Set what a tenant, department, group or project may use, and nobody else
    Set {
        /// Its path from the tenant down, or its id
        entity: String,
        #[command(flatten)]
        limits: Limits,
        /// Lower limits below it that are above the new ones
        #[arg(long)]
        clamp: bool,
    },
    /// Create one, which entities of a tenant may name
    Create {
        /// Its name: 1 to 63 of a-z, 0-9 and -
        name: String,
        /// Whose it is to be, by id or name (default: the default tenant)
        #[arg(long)]
        tenant: Option<String>,
        #[command(flatten)]
        limits: Limits,
    },
    /// Change one, for all who name it
    Update {
        /// The quota, as TENANT/NAME, by id, or by its name if only one has it
        quota: String,
        /// Its new name
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        limits: Limits,
        /// Lower limits below that are above the new ones
        #[arg(long)]
        clamp: bool,
    },
    /// Delete some that nobody names
    #[command(visible_alias = "rm")]
    Delete {
        /// The quotas
        #[arg(required = true)]
        quotas: Vec<String>,
    },
}

/// Limits; what is not named stays. `none` is no limit at this level.
#[derive(Debug, Default, Group)]
#[command(next_help_heading = "Limits (`none`: no limit; what is not named stays)")]
pub(crate) struct Limits {
    /// Cores at most, as 4 or 1500m
    #[arg(long, value_name = "CORES")]
    pub(crate) cpu_limit: Option<String>,
    /// Requested cores
    #[arg(long, value_name = "CORES")]
    pub(crate) cpu_request: Option<String>,
    /// Memory at most, as 8Gi or 512Mi
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<String>,
    /// Requested memory
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_request: Option<String>,
    /// Devices
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) gpu_limit: Option<String>,
    /// Tasks that run at a time
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) max_concurrent_pods: Option<String>,
    /// Workflows at a time
    #[arg(long, value_name = "N", value_parser = count)]
    pub(crate) max_concurrent_workflows: Option<String>,
    /// Volumes, as 100Gi
    #[arg(long, value_name = "SIZE")]
    pub(crate) storage_limit: Option<String>,
    /// Its part of what is contended: 1 to 1000
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) priority_weight: Option<u16>,
}

fn count(text: &str) -> Result<String, String> {
    match text.parse::<u64>() {
        Ok(_) => Ok(text.to_owned()),
        Err(_) if text == "none" => Ok(text.to_owned()),
        Err(_) => Err("a whole number, or `none`".to_owned()),
    }
}
