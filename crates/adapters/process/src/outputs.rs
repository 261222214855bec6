//! What a process wrote: output files, and the places of artifacts.
//!
//! A relative path is below the directory the process begins in, an absolute one below the root
//! that the process had for itself. Nothing is looked up through a symbolic link, only regular
//! files become values, and never more than the limit is read. A hard link is read: the process
//! runs as this user and could have copied the file.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use flowforge_model::attempt::{Failure, FailureClass, OutputFile};
use flowforge_model::limits;
use flowforge_model::status::Reason;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::mapping;

/// The places outputs are read from, held open from before the process starts, so that it cannot
/// put another directory there.
#[derive(Debug)]
pub(crate) struct Places {
    cwd: OwnedFd,
    own: Option<Own>,
}

/// A root of its own.
#[derive(Debug)]
struct Own {
    root: OwnedFd,
    /// Keeps what was mounted there when the process has ended; none if this process sees it too.
    _namespace: Option<OwnedFd>,
}

impl Places {
    /// Of a process that sees what the machine has.
    pub(crate) fn local(cwd: &Path) -> Result<Self, Failure> {
        Ok(Self { cwd: open_folder(cwd)?, own: None })
    }

    /// Of a process whose root is this process's, and nobody else's.
    pub(crate) fn shared(cwd: &Path) -> Result<Self, Failure> {
        let own = Own { root: open_folder(Path::new("/"))?, _namespace: None };
        Ok(Self { cwd: open_folder(cwd)?, own: Some(own) })
    }

    /// Of a process with a root of its own.
    pub(crate) fn mapped(cwd: OwnedFd, root: OwnedFd, namespace: OwnedFd) -> Self {
        Self { cwd, own: Some(Own { root, _namespace: Some(namespace) }) }
    }

    /// Opens what is there without following a link; none if nothing is.
    fn open(&self, path: &Path, flags: OFlags) -> Result<Option<OwnedFd>, String> {
        let (from, path) = self.from(path)?;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = flags | OFlags::CLOEXEC;
        loop {
            return match rustix::fs::openat2(from, path, flags, Mode::empty(), resolve) {
                Ok(file) => Ok(Some(file)),
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
                Err(Errno::LOOP) => Err("leads through a symbolic link".to_owned()),
                Err(Errno::XDEV) => Err("leads out of the directory".to_owned()),
                Err(error) => Err(io::Error::from(error).to_string()),
            };
        }
    }

    fn from<'a>(&self, path: &'a Path) -> Result<(BorrowedFd<'_>, &'a Path), String> {
        match (path.strip_prefix("/"), &self.own) {
            (Err(_), _) => Ok((self.cwd.as_fd(), path)),
            (Ok(path), Some(own)) => {
                let here = if path.as_os_str().is_empty() { Path::new(".") } else { path };
                Ok((own.root.as_fd(), here))
            }
            (Ok(_), None) => Err("is absolute, and the process had no root of its own".to_owned()),
        }
    }

    /// Finds a file, folder or link; none if there is none.
    pub(crate) fn find(&self, path: &Path) -> Result<Option<Found>, String> {
        let Some(name) = path.file_name() else {
            return Err("names no file".to_owned());
        };
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = OFlags::PATH | OFlags::DIRECTORY;
        let Some(parent) = self.open(parent.unwrap_or(Path::new(".")), folder)? else {
            return Ok(None);
        };
        // The folder may be in a root that nobody else sees: it is named by its descriptor.
        let path = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
        Ok(path.symlink_metadata().is_ok().then_some(Found { path, _parent: parent }))
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|error| {
        let message = format!("cannot open the working directory {}: {error}", path.display());
        failure(Reason::SpawnFailed, message)
    })
}

/// Something that a process left.
#[derive(Debug)]
pub(crate) struct Found {
    /// Where this process finds it, as long as this lives.
    pub(crate) path: PathBuf,
    _parent: OwnedFd,
}

/// Checks the paths of outputs before anything starts.
pub(crate) fn check(files: &[OutputFile]) -> Result<(), Failure> {
    for file in files {
        if let Some(why) = mapping::refused(&file.path) {
            return Err(invalid(file, why));
        }
    }
    Ok(())
}

/// Reads all files, in order; `paths` are where they are, without links.
pub(crate) fn collect(
    places: &Places,
    files: &[OutputFile],
    paths: &[PathBuf],
) -> Result<Vec<(String, String)>, Failure> {
    let mut all = Vec::with_capacity(files.len());
    let mut total = 0;
    for (file, path) in files.iter().zip(paths) {
        let value = match read(places, file, path)? {
            Some(value) => value,
            None => default(file)?,
        };
        total += value.len();
        if total > limits::OUTPUTS_TOTAL_BYTES {
            let message = format!(
                "the outputs together have more than {} bytes: keep large data in files",
                limits::OUTPUTS_TOTAL_BYTES
            );
            return Err(failure(Reason::OutputTooLarge, message));
        }
        all.push((file.name.clone(), value));
    }
    Ok(all)
}

/// Reads what a process that failed has left, in order: what is missing, wrong or has no room is left out.
pub(crate) fn collect_some(
    places: &Places,
    files: &[OutputFile],
    paths: &[PathBuf],
) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let mut room = limits::OUTPUTS_TOTAL_BYTES;
    for (file, path) in files.iter().zip(paths) {
        let one = collect(places, from_ref(file), from_ref(path)).unwrap_or_default();
        for (name, value) in one {
            if let Some(left) = room.checked_sub(value.len()) {
                room = left;
                all.push((name, value));
            }
        }
    }
    all
}

/// The value of one file without one trailing newline; `None` if there is no such file.
fn read(places: &Places, output: &OutputFile, at: &Path) -> Result<Option<String>, Failure> {
    let OutputFile { name, path, .. } = output;
    // NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
    let Some(file) = places.open(at, flags).map_err(|why| invalid(output, &why))? else {
        return Ok(None);
    };
    let meta = rustix::fs::fstat(&file).map_err(|e| invalid(output, &e.to_string()))?;
    if FileType::from_raw_mode(meta.st_mode) != FileType::RegularFile {
        return Err(invalid(output, "is not a regular file"));
    }
    let mut bytes = Vec::new();
    let cap = limits::OUTPUT_BYTES as u64 + 1;
    File::from(file)
        .take(cap)
        .read_to_end(&mut bytes)
        .map_err(|error| invalid(output, &error.to_string()))?;
    if bytes.len() > limits::OUTPUT_BYTES {
        let message = format!(
            "output {name}: {path} has more than {} bytes: keep large data in files",
            limits::OUTPUT_BYTES
        );
        return Err(failure(Reason::OutputTooLarge, message));
    }
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
    }
    String::from_utf8(bytes).map(Some).map_err(|_| invalid(output, "is not UTF-8 text"))
}

fn default(output: &OutputFile) -> Result<String, Failure> {
    output.default.clone().ok_or_else(|| {
        let message = format!("output {}: {} was not written", output.name, output.path);
        failure(Reason::OutputMissing, message)
    })
}

fn invalid(output: &OutputFile, why: &str) -> Failure {
    let message = format!("output {}: {} {why}", output.name, output.path);
    failure(Reason::OutputInvalid, message)
}

fn failure(reason: Reason, message: String) -> Failure {
    Failure { class: FailureClass::Error, reason, message }
}
