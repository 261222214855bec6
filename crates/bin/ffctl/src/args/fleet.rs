//! Arguments of `dead-letter`.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// List them, the oldest first
    #[command(visible_alias = "ls")]
    List,
    /// Show one of them, with its attempts
    Get {
        /// Its id
        id: String,
    },
    /// Take them away, and retry the workflows that failed with them
    Redrive {
        /// Their ids
        #[arg(required = true)]
        ids: Vec<String>,
    },
}
