//! Arguments of `usage`.

use clap::Args as Group;

use super::{Since, since};

/// Whose, and when.
#[derive(Debug, Group)]
pub(crate) struct Usage {
    /// Its path from the tenant down, its id, or its name if only one has it
    pub(crate) entity: Option<String>,
    /// What it used in the past: the mean and the most
    #[arg(long)]
    pub(crate) history: bool,
    /// The past since then: a time (RFC 3339), or a span before now (`12h`)
    #[arg(
        long,
        value_name = "TIME",
        value_parser = since,
        default_value = "24h",
        requires = "history"
    )]
    pub(crate) since: Since,
    /// In steps of so long, as `1h`; `-o wide` shows each
    #[arg(long, value_name = "SPAN", requires = "history")]
    pub(crate) step: Option<String>,
}
