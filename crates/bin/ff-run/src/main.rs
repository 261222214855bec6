//! The runner. Started by the server for a task that sees paths of its own, it becomes that task; as
//! `ff-run pod` it runs the task of the pod that it is in.

mod pod;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().nth(1).is_some_and(|mode| mode == "pod") {
        return pod::run();
    }
    flowforge_process::exec_task()
}
