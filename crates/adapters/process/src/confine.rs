//! The helper: a process that gives itself a root of its own and then becomes the task.
//!
//! It is told a [`Layout`] on its standard input, which is a socket; answers with the places that
//! outputs are read from, or with why it could not; and starts the program in place, so that no
//! second process stays.

mod namespace;
mod root;
mod views;

use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::status::Reason;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::command::Argv;
use crate::mapping::layout::Layout;

/// The answer before the program starts: three descriptors come with it.
pub(crate) const READY: u8 = b'R';
/// The answer if it cannot start: the code of the reason, a NUL byte and a message follow.
pub(crate) const FAILED: u8 = b'F';

/// The places outputs are read from, each seen as the task sees them.
struct Places {
    root: OwnedFd,
    cwd: OwnedFd,
    /// Keeps everything mounted after the task has ended.
    namespace: OwnedFd,
}

/// Becomes the task that standard input tells of. Returns only if that cannot be done, after
/// saying why to whoever asked.
#[must_use]
pub fn exec_task() -> ExitCode {
    let told = rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3).map(UnixStream::from);
    let Ok(mut socket) = told else {
        return ExitCode::FAILURE;
    };
    let failure = become_task(&mut socket);
    let mut answer = vec![FAILED];
    answer.extend_from_slice(failure.reason.as_str().as_bytes());
    answer.push(0);
    answer.extend_from_slice(failure.message.as_bytes());
    // Without a listener there is nobody to tell.
    drop(socket.write_all(&answer));
    ExitCode::FAILURE
}

fn become_task(socket: &mut UnixStream) -> Failure {
    let mut bytes = Vec::new();
    let layout = match socket.read_to_end(&mut bytes) {
        Ok(_) => Layout::decode(&bytes),
        Err(_) => None,
    };
    let Some(layout) = layout else {
        let this = std::env::current_exe().unwrap_or_default();
        let message = format!(
            "{} was told nothing it understands: it must be of the same version as the server \
             that starts it (build both, or see the setting `executor.ff_run`)",
            this.display()
        );
        return failure(Reason::SpawnFailed, message);
    };
    let (argv, places) = match enter(&layout) {
        Ok(ready) => ready,
        Err(failure) => return failure,
    };
    if let Err(error) = announce(socket, &places) {
        return failed("cannot answer the server", &error);
    }
    drop(places);
    let mut command = Command::new(&argv.program);
    if let Some((name, arguments)) = argv.words.split_first() {
        command.arg0(name).args(arguments);
    }
    command
        .env_clear()
        .envs(layout.env.iter().map(|(name, value)| (name, value)))
        .current_dir(&layout.cwd)
        .stdin(Stdio::null());
    crate::attempt::refused(&command.exec(), &argv, &layout.line.path)
}

/// Gives this process its own root and finds the program there.
fn enter(layout: &Layout) -> Result<(Argv, Places), Failure> {
    namespace::unshare(layout)?;
    root::build(layout)?;
    root::pivot(&layout.root).map_err(|error| failed("cannot change the root", &error))?;
    let open = |path: &Path, flags: OFlags| {
        rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty())
            .map_err(|error| failed(&format!("cannot open {}", path.display()), &error.into()))
    };
    let folder = OFlags::PATH | OFlags::DIRECTORY;
    let places = Places {
        root: open(Path::new("/"), folder)?,
        cwd: open(&layout.cwd, folder)?,
        namespace: File::open("/proc/self/ns/mnt")
            .map_err(|error| failed("cannot open the mount namespace", &error))?
            .into(),
    };
    let argv = layout.line.resolve()?;
    Ok((argv, places))
}

fn announce(socket: &UnixStream, places: &Places) -> io::Result<()> {
    let Places { root, cwd, namespace } = places;
    let fds = [root.as_fd(), cwd.as_fd(), namespace.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for three descriptors"));
    }
    let data = [IoSlice::new(&[READY])];
    rustix::net::sendmsg(socket, &data, &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn failed(what: &str, error: &io::Error) -> Failure {
    failure(Reason::SpawnFailed, format!("{what}: {error}"))
}

fn failure(reason: Reason, message: String) -> Failure {
    Failure { class: FailureClass::Error, reason, message }
}
