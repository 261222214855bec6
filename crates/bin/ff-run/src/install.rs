//! `ff-run install DIR`: puts this program where the other containers of its pod find it.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

pub(crate) fn run() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let done = match (arguments.next(), arguments.next()) {
        (Some(directory), None) => install(&directory),
        _ => Err(io::Error::other("wanted is one directory")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to tell if even this fails.
            drop(writeln!(io::stderr(), "ff-run install: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// A copy that everybody may start, whole or not at all: a pod's init container may run again.
fn install(directory: &OsStr) -> io::Result<()> {
    let directory = Path::new(directory);
    let (new, place) = (directory.join(".ff-run"), directory.join("ff-run"));
    fs::copy("/proc/self/exe", &new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755))?;
    fs::rename(&new, &place)
}
