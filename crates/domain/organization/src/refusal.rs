//! Why an edit is not made. Nothing changes then.

use flowforge_model::limits::{CLUSTERS, ENTITIES, ORGANIZATION_DEPTH, QUOTAS};
use flowforge_model::quota::{Amounts, Dimension, Level};

use crate::exceeding::Offender;

/// What is wrong with an edit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It, or something that it names, is not there.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// The row changed since the wish was made.
    #[error("it was changed meanwhile: it has version {found}, not {wanted}; read it again")]
    Stale {
        /// As the wish has it.
        wanted: u64,
        /// As it is.
        found: u64,
    },
    /// No name.
    #[error(
        "`{0}` is no name: a name is 1 to 63 of a-z, 0-9 and -, not at the ends, and does not read like an id"
    )]
    BadName(String),
    /// Another has it.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
    /// Not a parent for this level.
    #[error("a {level} cannot stand below {}", .parent.map_or("nothing", Level::as_str))]
    Misplaced {
        /// Of what is placed.
        level: Level,
        /// Of what it would stand below.
        parent: Option<Level>,
    },
    /// Below itself.
    #[error("it cannot stand below itself or what is below it")]
    Cycle,
    /// Tenants share nothing.
    #[error("that belongs to another tenant")]
    OtherTenant,
    /// Too many levels.
    #[error("a tenant has at most {ORGANIZATION_DEPTH} levels, this would be {0}")]
    TooDeep(usize),
    /// Too many.
    #[error(
        "there are at most {ENTITIES} tenants, departments, groups and projects, and {QUOTAS} quotas"
    )]
    TooMany,
    /// Nothing runs there.
    #[error("a {0} names no cluster: projects do")]
    NoCluster(Level),
    /// Too many.
    #[error("projects name at most {CLUSTERS} clusters, all together")]
    TooManyClusters,
    /// No limit.
    #[error("a limit of {0} is whole units, at most {most}", most = Amounts::MOST / crate::unit(*.0))]
    BadLimit(Dimension),
    /// Limits above those of ancestors: all of them.
    #[error("{}", exceeding(.0))]
    Exceeding(Vec<Offender>),
    /// It takes nothing new.
    #[error("`{0}` is being deleted")]
    Draining(String),
    /// It has something below it.
    #[error("{0} entities stand below it: delete them first, or all of it with `cascade`")]
    NotEmpty(usize),
    /// It has unfinished workflows.
    #[error(
        "workflows of {} are unfinished: wait for them, or delete it with `drain`, which takes no new ones", .0.join(", ")
    )]
    Busy(Vec<String>),
    /// It is always there.
    #[error("the default {0} cannot be deleted")]
    Default(Level),
    /// Entities name it.
    #[error("{} name this quota: give them another first", .0.join(", "))]
    InUse(Vec<String>),
}

/// The first few of them; all are in the value.
fn exceeding(all: &[Offender]) -> String {
    let first: Vec<String> = all.iter().take(3).map(ToString::to_string).collect();
    let more = all.len().saturating_sub(first.len());
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", first.join("; "))
}
