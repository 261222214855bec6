//! The directory an attempt works in.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::Process;

/// Makes the directories of attempts below one folder, and keeps those that an attempt left as
/// they were for the next one: making and removing a directory waits for the file system's
/// journal, which commits keep busy (a fan-out of 500 on a loaded machine: 741 tasks/s with a new
/// directory each, 1,157 without; `docs/bench/standalone.md`).
#[derive(Debug)]
pub(crate) struct Directories {
    folder: PathBuf,
    made: AtomicU64,
    /// Empty ones. Never more than ran at a time.
    spare: Mutex<Vec<PathBuf>>,
}

/// An attempt's own directory, given back or removed with everything in it when this is dropped.
#[derive(Debug)]
pub(crate) struct Directory<'a> {
    /// Absolute.
    pub(crate) path: PathBuf,
    home: &'a Directories,
}

/// What a directory holds for one process.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Where the process begins.
    pub(crate) cwd: PathBuf,
    /// The script, if there is one.
    pub(crate) script: Option<PathBuf>,
}

impl Directories {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, made: AtomicU64::new(0), spare: Mutex::default() }
    }

    /// Makes a directory, only for this user.
    pub(crate) fn create(&self) -> io::Result<Directory<'_>> {
        let spare = self.spare().pop();
        let path = match spare {
            Some(path) => path,
            None => self.make()?,
        };
        Ok(Directory { path, home: self })
    }

    fn make(&self) -> io::Result<PathBuf> {
        let path = self.folder.join(self.made.fetch_add(1, Ordering::Relaxed).to_string());
        let mut builder = DirBuilder::new();
        builder.mode(MODE);
        match builder.create(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Left by a server that was killed.
                std::fs::remove_dir_all(&path)?;
                builder.create(&path)?;
            }
            other => other?,
        }
        Ok(path)
    }

    /// Removes what is kept for later.
    pub(crate) fn clear(&self) {
        for path in std::mem::take(&mut *self.spare()) {
            remove(&path);
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Only for this user.
const MODE: u32 = 0o700;

/// The directory is as it was made: there, empty and private.
fn untouched(path: &Path) -> bool {
    let private = path
        .symlink_metadata()
        .is_ok_and(|meta| meta.is_dir() && meta.permissions().mode() & 0o7777 == MODE);
    private && std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}

fn remove(path: &Path) {
    let removed = std::fs::remove_dir(path).or_else(|_| std::fs::remove_dir_all(path));
    if let Err(error) = removed {
        tracing::warn!(path = %path.display(), %error, "left an attempt's directory");
    }
}

impl Directory<'_> {
    /// Stages the script and finds where the process begins. A relative working directory is made
    /// inside; an absolute one must be there, unless it will be `mapped`.
    pub(crate) fn prepare(&self, process: &Process, mapped: bool) -> io::Result<Prepared> {
        let wanted = process.working_dir.as_deref().filter(|wanted| !wanted.is_empty());
        let cwd = match wanted {
            Some(wanted) => self.enter(wanted, mapped)?,
            None => self.path.clone(),
        };
        let script = process.script.as_ref().map(|source| stage(&self.path, source)).transpose()?;
        Ok(Prepared { cwd, script })
    }

    fn enter(&self, wanted: &str, mapped: bool) -> io::Result<PathBuf> {
        let relative = Path::new(wanted);
        let cwd = self.path.join(relative);
        if relative.components().any(|c| c == Component::ParentDir) {
            return Err(refused(format!("{wanted} leads out of the attempt's own")));
        }
        if !relative.is_absolute() {
            DirBuilder::new().recursive(true).mode(0o700).create(&cwd)?;
            return Ok(cwd);
        }
        match cwd.metadata() {
            // What counts is what is there when it is mapped.
            _ if mapped => Ok(cwd),
            Ok(meta) if meta.is_dir() => Ok(cwd),
            Ok(_) => Err(refused(format!("{wanted} is not a directory"))),
            Err(error) => Err(refused(format!("{wanted}: {error}"))),
        }
    }
}

fn refused(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// Writes a script that this user may execute.
pub(crate) fn stage(directory: &Path, source: &str) -> io::Result<PathBuf> {
    let path = directory.join(".flowforge-script");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o700);
    options.open(&path)?.write_all(source.as_bytes())?;
    Ok(path)
}

impl Drop for Directory<'_> {
    fn drop(&mut self) {
        if untouched(&self.path) {
            self.home.spare().push(std::mem::take(&mut self.path));
        } else {
            remove(&self.path);
        }
    }
}
