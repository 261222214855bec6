//! Output files.
//!
//! An output's path is relative to the directory the process begins in. An absolute path is
//! refused before the process starts: without a mount namespace two tasks that write `/tmp/out`
//! would read each other's. Files are opened beneath that directory without following a symbolic
//! link, only regular ones are read, and never more than the limit. A hard link is read: the
//! process runs as this user and could have copied the file.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use flowforge_model::attempt::{Failure, FailureClass, OutputFile};
use flowforge_model::limits;
use flowforge_model::status::Reason;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// The place outputs are read from, held open from before the process starts, so that it cannot
/// put another directory there.
#[derive(Debug)]
pub(crate) struct Outputs {
    directory: OwnedFd,
}

impl Outputs {
    /// Checks the paths; `None` if there is nothing to collect.
    pub(crate) fn prepare(files: &[OutputFile], cwd: &Path) -> Result<Option<Self>, Failure> {
        if files.is_empty() {
            return Ok(None);
        }
        for file in files {
            check_path(file)?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, cwd, flags, Mode::empty()).map_err(|error| {
            let message = format!("cannot open the working directory {}: {error}", cwd.display());
            failure(Reason::SpawnFailed, message)
        })?;
        Ok(Some(Self { directory }))
    }

    /// Reads all files, in order.
    pub(crate) fn collect(&self, files: &[OutputFile]) -> Result<Vec<(String, String)>, Failure> {
        let mut all = Vec::with_capacity(files.len());
        let mut total = 0;
        for file in files {
            let value = match self.read(file)? {
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

    /// The value of one file without one trailing newline; `None` if there is no such file.
    fn read(&self, output: &OutputFile) -> Result<Option<String>, Failure> {
        let OutputFile { name, path, .. } = output;
        let Some(file) = self.open(output)? else {
            return Ok(None);
        };
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

    fn open(&self, output: &OutputFile) -> Result<Option<OwnedFd>, Failure> {
        // NONBLOCK: opening a FIFO must not wait for a writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let path = output.path.as_str();
        let opened = loop {
            match rustix::fs::openat2(&self.directory, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => break other,
            }
        };
        let file = match opened {
            Ok(file) => file,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(Errno::LOOP) => return Err(invalid(output, "leads through a symbolic link")),
            Err(Errno::XDEV) => return Err(invalid(output, "leads out of the directory")),
            Err(error) => return Err(invalid(output, &io::Error::from(error).to_string())),
        };
        let meta = rustix::fs::fstat(&file).map_err(|e| invalid(output, &e.to_string()))?;
        if FileType::from_raw_mode(meta.st_mode) == FileType::RegularFile {
            Ok(Some(file))
        } else {
            Err(invalid(output, "is not a regular file"))
        }
    }
}

fn check_path(output: &OutputFile) -> Result<(), Failure> {
    let path = Path::new(&output.path);
    if path.is_absolute() {
        let why = "is absolute, which a local process cannot have for itself: \
                   write to a path relative to the working directory, such as ";
        let base = path.file_name().map_or("out".into(), |n| n.to_string_lossy());
        return Err(invalid(output, &format!("{why}{base}")));
    }
    let up = path.components().any(|c| matches!(c, Component::ParentDir));
    if up || path.file_name().is_none() || output.path.contains('\0') {
        return Err(invalid(output, "does not name a file in the working directory"));
    }
    Ok(())
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
