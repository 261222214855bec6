//! A mount namespace, with or without the rights of root.

use std::fs;
use std::io;

use flowforge_model::attempt::Failure;
use flowforge_model::status::Reason;
use nix::errno::Errno;
use nix::sched::CloneFlags;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{getegid, geteuid};

use super::failure;
use crate::mapping::layout::Layout;

/// Moves this process into a mount namespace of its own, from which no mount gets out.
pub(super) fn unshare(layout: &Layout) -> Result<(), Failure> {
    match nix::sched::unshare(CloneFlags::CLONE_NEWNS) {
        Ok(()) => {}
        Err(Errno::EPERM) => {
            as_user().map_err(|(what, error)| not_possible(layout, what, &error))?;
        }
        Err(error) => return Err(not_possible(layout, "a mount namespace", &error.into())),
    }
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)
        .map_err(|error| not_possible(layout, "a private mount namespace", &error.into()))
}

/// Without the right to mount: a user namespace, in which this user has it until the task starts.
fn as_user() -> Result<(), (&'static str, io::Error)> {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|error| ("a user namespace", error.into()))?;
    // Asked for by Linux before the groups can be mapped by somebody who is not root.
    let denied = fs::write("/proc/self/setgroups", "deny");
    denied.map_err(|error| ("a user namespace without setgroups", error))?;
    let map = |file: &str, id: u32| fs::write(file, format!("{id} {id} 1"));
    map("/proc/self/uid_map", user).map_err(|error| ("a user namespace with its user", error))?;
    map("/proc/self/gid_map", group).map_err(|error| ("a user namespace with its group", error))
}

fn not_possible(layout: &Layout, what: &str, error: &io::Error) -> Failure {
    let path = layout.own.first().or_else(|| layout.mounts.first().map(|mounted| &mounted.at));
    let path = path.map_or_else(|| "/tmp".into(), |path| path.to_string_lossy());
    let message = format!(
        "{path} must be this task's own, which takes {what}, and the system does not give one \
         ({error}): run the server as root with CAP_SYS_ADMIN, or allow user namespaces (the \
         sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and \
         kernel.apparmor_restrict_unprivileged_userns), or use only paths relative to the task's \
         working directory"
    );
    failure(Reason::NotPossible, message)
}
