//! What a container's first process owes the others: signals passed on, orphans waited for.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use rustix::process::{Pid, set_child_subreaper};

use crate::supervise::{Ask, Control};

/// Stands between the container's runtime and the task.
#[derive(Debug)]
pub struct Warden {
    control: Control,
    /// The task's first process. Until there is one there are no orphans. Held while orphans are waited for.
    watched: Mutex<Option<Pid>>,
}

impl Warden {
    /// From now on orphans of what this process starts are its own, also if it is not the first process
    /// of its container.
    ///
    /// # Errors
    /// Too many open files.
    pub fn new() -> io::Result<Self> {
        // Any process will do as the argument: it means yes.
        set_child_subreaper(Some(rustix::process::getpid()))?;
        Ok(Self { control: Control::new()?, watched: Mutex::new(None) })
    }

    /// Asks the task to end, as `SIGTERM` does. After its grace it is killed.
    pub fn stop(&self) {
        self.control.ask(Ask::Stop);
    }

    /// Asks the task to end, as `SIGINT` does. After its grace it is killed.
    pub fn interrupt(&self) {
        self.control.ask(Ask::Interrupt);
    }

    /// Whether it was asked to end.
    #[must_use]
    pub fn asked(&self) -> bool {
        self.control.asked().is_some()
    }

    /// Sleeps, but not longer than until the task is asked to end.
    ///
    /// # Errors
    /// The system's own.
    pub fn sleep(&self, span: Duration) -> io::Result<()> {
        self.control.sleep(span)
    }

    /// Waits for all orphans that have ended, so that they are gone. Call it on every `SIGCHLD`.
    pub fn reap(&self) {
        let held = self.watched();
        let Some(watched) = *held else {
            return;
        };
        // Looked at without being waited for: the task itself is somebody else's.
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        loop {
            match waitid(Id::All, look).map(|status| status.pid()) {
                Ok(Some(pid)) if pid.as_raw() != watched.as_raw_pid() => {
                    // One that somebody else has waited for is gone, too.
                    waitpid(pid, Some(WaitPidFlag::WNOHANG)).ok();
                }
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => return,
            }
        }
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// A process is about to start that is no orphan.
    pub(super) fn watches_nothing(&self) {
        *self.watched() = None;
    }

    /// The task runs.
    pub(super) fn watches(&self, pid: Pid) {
        *self.watched() = Some(pid);
        self.reap();
    }

    fn watched(&self) -> MutexGuard<'_, Option<Pid>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
