//! Attempts as local processes: a work order becomes a process group, its end a fact.
//!
//! Does what it is told and decides nothing: when an attempt starts, whether it is repeated and
//! what its end means is decided elsewhere. One worker thread runs one attempt at a time, from
//! the making of its directory to its report, and reads its output itself: no hand-over, no
//! second process. Start at [`ProcessRunner`], then `attempt`, then `supervise`.
//!
//! A process that needs paths of its own (`/tmp/out`, a volume) is started through a helper that
//! gives it a root of its own: see `mapping`, and [`exec_task`] for the helper. Where the system
//! does not allow that, such a task is refused by name and never approximated. A process that leaves its group (`setsid`) is found by its
//! environment, see [`end_survivors`]; one that also clears its environment is not found.

mod artifacts;
mod attempt;
mod capture;
mod command;
mod config;
mod confine;
mod contained;
mod directory;
mod environment;
mod images;
mod launch;
mod mapping;
mod outputs;
mod probe;
mod program;
mod runner;
mod secrets;
mod supervise;
mod survivors;
mod variables;
mod volumes;

#[cfg(test)]
mod tests;

pub use config::ProcessConfig;
pub use confine::exec_task;
pub use contained::{Container, Warden, fetch_inputs, run_contained};
pub use runner::{ProcessPorts, ProcessRunner};
pub use secrets::DirectorySecrets;
pub use survivors::end_survivors;
pub use volumes::{volumes_of_workflows, workflow_volumes};

/// What keeps a runner from being built.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The directory for attempts cannot be made.
    #[error("cannot create the work directory {path}")]
    WorkDir {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Each running attempt needs open files, and the system allows too few.
    #[error("{needed} open files are needed for this concurrency, the limit is {allowed}")]
    OpenFiles {
        /// For all attempts and some more.
        needed: u64,
        /// The hard limit of this process.
        allowed: u64,
    },
}
