//! Starting a process through the helper.

use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::status::Reason;
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use super::layout::Layout;
use crate::confine::{FAILED, READY};
use crate::outputs::Places;
use crate::supervise::Running;

/// Longer than making a root takes on any machine that works.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer: a message is far shorter.
const ANSWER_BYTES: usize = 64 * 1024;

/// Starts what `layout` describes. It runs, in a group of its own and as the process that was
/// started, or the failure tells why not and nothing is left.
pub(crate) fn start(
    helper: &[String],
    layout: &Layout,
    marks: &[(String, String)],
) -> Result<(Running, Places), Failure> {
    let (ours, theirs) = UnixStream::pair().map_err(|error| failed("no socket", &error))?;
    let Some((program, arguments)) = helper.split_first() else {
        return Err(failure(Reason::NotPossible, "there is no helper to start it".to_owned()));
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(marks.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .process_group(0);
    let mut running = Running::spawn(command)
        .map_err(|error| failed(&format!("cannot start the helper {program}"), &error))?;
    running.let_go_of_stdin();
    match converse(ours, layout) {
        Ok(places) => Ok((running, places)),
        Err(failure) => {
            running.abandon();
            Err(failure)
        }
    }
}

/// Tells the helper what to do and hears how it went.
fn converse(mut socket: UnixStream, layout: &Layout) -> Result<Places, Failure> {
    let told = socket
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| socket.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| socket.write_all(&layout.encode()))
        .and_then(|()| socket.shutdown(Shutdown::Write));
    // A helper that ended early has said why.
    let heard = listen(&socket);
    let (answer, fds) = heard.map_err(|error| failed("the helper does not answer", &error))?;
    let ready = answer.first() == Some(&READY);
    let rest = if ready { answer.get(1..) } else { Some(&*answer) }.unwrap_or(&[]);
    match (rest.split_first(), <[OwnedFd; 3]>::try_from(fds)) {
        (None, Ok([root, cwd, namespace])) if ready => Ok(Places::mapped(cwd, root, namespace)),
        (Some((&FAILED, text)), _) => Err(spoken(text)),
        _ => {
            let error = told.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into());
            Err(failed("the helper ended without an answer", &error))
        }
    }
}

/// Reads until the helper has closed the socket, by starting the program or by ending.
fn listen(socket: &UnixStream) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut answer = Vec::new();
    let mut fds = Vec::new();
    let mut bytes = [0; 1024];
    loop {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let count = match rustix::net::recvmsg(socket, &mut parts, &mut control, flags) {
            Err(Errno::INTR) => continue,
            other => other?.bytes,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(more) = message {
                fds.extend(more);
            }
        }
        if count == 0 || answer.len() > ANSWER_BYTES {
            return Ok((answer, fds));
        }
        answer.extend_from_slice(bytes.get(..count).unwrap_or(&[]));
    }
}

/// A failure in the words of the helper.
fn spoken(text: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(text);
    let (reason, message) = text.split_once('\0').unwrap_or(("", &text));
    failure(Reason::parse(reason).unwrap_or(Reason::SpawnFailed), message.to_owned())
}

fn failed(what: &str, error: &io::Error) -> Failure {
    failure(Reason::SpawnFailed, format!("{what}: {error}"))
}

fn failure(reason: Reason, message: String) -> Failure {
    Failure { class: FailureClass::Error, reason, message }
}

/// The helper is there to be started.
pub(crate) fn usable(helper: &[String]) -> bool {
    helper.first().is_some_and(|program| Path::new(program).is_file())
}
