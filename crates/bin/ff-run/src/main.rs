//! The runner. Started by the server for a task that sees paths of its own, it becomes that task; as
//! `ff-run pod` it runs the task of the pod that it is in, and as `ff-run sidecar` what is beside it, where
//! `ff-run install` has put it before and `ff-run fetch` the task's input artifacts. As `ff-run listen` and `ff-run reach` it
//! finds out what the network of a cluster lets through.

mod install;
mod network;
mod pod;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mode = std::env::args_os().nth(1);
    match mode.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("pod") => pod::run(),
        Some("sidecar") => pod::sidecar(),
        Some("fetch") => pod::fetch(),
        Some("install") => install::run(),
        Some("listen") => network::listen(),
        Some("reach") => network::reach(),
        Some(_) | None => flowforge_process::exec_task(),
    }
}
