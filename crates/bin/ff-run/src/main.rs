//! The runner: started by the server for a task that sees paths of its own, which it then becomes.

use std::process::ExitCode;

fn main() -> ExitCode {
    flowforge_process::exec_task()
}
