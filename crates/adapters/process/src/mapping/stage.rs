//! The directories that roots are made of.

use std::fs::{DirBuilder, DirEntry, FileType, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Makes stages below one folder and keeps those that can be used again: a root holds a directory
/// for each entry of the machine's, and making and removing these takes ten times as long as
/// mounting them (ext4 looks for a place that was not freed in the last seconds).
#[derive(Debug)]
pub(crate) struct Stages {
    folder: PathBuf,
    made: AtomicU64,
    /// Clean ones. Never more than ran at a time.
    spare: Mutex<Vec<PathBuf>>,
}

/// What one process is given to build its root from; cleaned and given back when dropped. The
/// process must have ended by then.
#[derive(Debug)]
pub(crate) struct Stage<'a> {
    path: PathBuf,
    home: &'a Stages,
}

impl Stages {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder, made: AtomicU64::new(0), spare: Mutex::default() }
    }

    pub(crate) fn create(&self) -> io::Result<Stage<'_>> {
        let spare = self.spare().pop();
        let path = match spare {
            Some(path) => path,
            None => {
                let number = self.made.fetch_add(1, Ordering::Relaxed);
                let path = self.folder.join(format!("stage-{number}"));
                if path.exists() {
                    // Left by a server that was killed.
                    remove(&path)?;
                }
                for (part, mode) in [("", 0o700), ("root", 0o755), ("layers", 0o755), ("in", 0o755)]
                {
                    DirBuilder::new().mode(mode).create(path.join(part))?;
                }
                path
            }
        };
        Ok(Stage { path, home: self })
    }

    /// Removes what is kept for later.
    pub(crate) fn clear(&self) {
        for path in std::mem::take(&mut *self.spare()) {
            if let Err(error) = remove(&path) {
                tracing::warn!(path = %path.display(), %error, "left a stage");
            }
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage<'_> {
    /// Becomes the root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Holds what the process writes elsewhere than at the root.
    pub(crate) fn layers(&self) -> PathBuf {
        self.path.join("layers")
    }

    /// Holds what the process is given.
    pub(crate) fn inputs(&self) -> PathBuf {
        self.path.join("in")
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.path);
        match clean(&path) {
            Ok(()) => self.home.spare().push(path),
            Err(first) => {
                if let Err(error) = remove(&path) {
                    tracing::warn!(path = %path.display(), %first, %error, "left a stage");
                }
            }
        }
    }
}

/// Removes all but the places where the machine's own entries are mounted.
fn clean(stage: &Path) -> io::Result<()> {
    let root = stage.join("root");
    if std::fs::symlink_metadata(&root)?.permissions().mode() & 0o7777 != 0o755 {
        std::fs::set_permissions(&root, Permissions::from_mode(0o755))?;
    }
    clean_mirror(&root, Path::new("/"))?;
    for part in ["layers", "in"] {
        for entry in std::fs::read_dir(stage.join(part))? {
            let path = entry?.path();
            if path.ends_with("layers/tmp") {
                clean_mirror(&path, Path::new(NOWHERE))?;
            } else if path.ends_with("layers/mnt") {
                clean_mirror(&path, Path::new("/mnt"))?;
            } else {
                remove(&path)?;
            }
        }
    }
    Ok(())
}

/// Has nothing to mirror.
const NOWHERE: &str = "/proc/self/nowhere";

/// Removes all but the places where entries of a folder of the machine are mounted.
fn clean_mirror(folder: &Path, host: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if !mirrors(&entry, entry.file_type()?, host) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Something of the machine is mounted here, or stands here as the same link: the helper looks at
/// it again before it is used.
fn mirrors(entry: &DirEntry, kind: FileType, host: &Path) -> bool {
    let there = host.join(entry.file_name()).symlink_metadata();
    if kind.is_symlink() {
        return there.is_ok_and(|there| there.is_symlink());
    }
    there.is_ok_and(|there| {
        let folder = kind.is_dir() && there.is_dir();
        let empty = || entry.metadata().is_ok_and(|meta| meta.len() == 0);
        folder || (kind.is_file() && there.is_file() && empty())
    })
}

/// Removes a file or folder, whatever its permissions.
fn remove(path: &Path) -> io::Result<()> {
    let folder = match path.symlink_metadata() {
        Ok(meta) => meta.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !folder {
        return std::fs::remove_file(path);
    }
    if std::fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    // Folders that their owner may not write: an overlay leaves some, and so may tasks.
    open_up(path)?;
    std::fs::remove_dir_all(path)
}

fn open_up(folder: &Path) -> io::Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}
