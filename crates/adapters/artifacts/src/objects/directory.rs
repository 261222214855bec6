//! Objects as files below a directory, one file per key.
//!
//! A new object is written beside its place and renamed there, so that a reader never sees half
//! of it; what a server that was killed left beside a place begins with `.flowforge-` and is
//! never listed.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flowforge_ports::artifacts::{ArtifactError, Each};
use rustix::fs::FileType;

use super::{Objects, Upload};
use crate::fault::{disk, invalid};
use crate::tree::Tree;

/// How names that are not objects begin.
const BESIDE: &str = ".flowforge-";

/// Objects below a directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    tree: Arc<Tree>,
    path: PathBuf,
}

impl Directory {
    /// Opens the directory, or makes it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        Ok(Self { tree: Arc::new(Tree::open(path)?), path: path.to_owned() })
    }
}

fn cannot(what: &str, key: &str, error: &io::Error) -> ArtifactError {
    use io::ErrorKind as K;
    if matches!(error.kind(), K::NotADirectory | K::IsADirectory | K::AlreadyExists) {
        invalid(format!("the key \"{key}\" is a folder and a file at once"))
    } else {
        disk(&format!("cannot {what} \"{key}\" in the artifact directory"), error)
    }
}

impl Objects for Directory {
    fn get(&self, key: &str) -> Result<Option<Box<dyn Read>>, ArtifactError> {
        let path = Path::new(key);
        let cannot = |error: io::Error| cannot("read", key, &error);
        match self.tree.look(path).map_err(cannot)? {
            Some(found) if found.kind == FileType::RegularFile => {
                let (file, _) = self.tree.file(path).map_err(cannot)?;
                Ok(Some(Box::new(file)))
            }
            _ => Ok(None),
        }
    }

    fn create(&self, key: &str) -> Result<Box<dyn Upload>, ArtifactError> {
        static BEGUN: AtomicU64 = AtomicU64::new(0);
        let number = BEGUN.fetch_add(1, Ordering::Relaxed);
        if let Some(folder) = key.strip_suffix('/') {
            let made = self.tree.make_folder(Path::new(folder), 0o755);
            made.map_err(|error| cannot("write", key, &error))?;
            return Ok(Box::new(Marker));
        }
        let place = Path::new(key);
        let beside = place.with_file_name(format!("{BESIDE}{}-{number}", std::process::id()));
        let file = self.tree.make_file(&beside, 0o644);
        let file = file.map_err(|error| cannot("write", key, &error))?;
        let tree = Arc::clone(&self.tree);
        Ok(Box::new(Written { file, tree, beside: Some(beside), place: place.to_owned() }))
    }

    fn list(&self, key: &str, each: &mut Each<'_>) -> Result<(), ArtifactError> {
        let root = Path::new(key);
        let cannot = |error: io::Error| cannot("list", key, &error);
        let found = self.tree.look(root).map_err(cannot)?;
        if found.is_none_or(|found| found.kind != FileType::Directory) {
            return Ok(());
        }
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let names = self.tree.names(&root.join(&folder)).map_err(cannot)?;
            if names.is_empty() {
                each(&folder)?;
            }
            for name in names {
                let Some(name) = name.to_str().filter(|name| !name.starts_with(BESIDE)) else {
                    continue;
                };
                let below = format!("{folder}{name}");
                let found = self.tree.look(&root.join(&below)).map_err(cannot)?;
                match found.map(|found| found.kind) {
                    Some(FileType::Directory) => folders.push(below + "/"),
                    Some(FileType::RegularFile) => each(&below)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn name(&self) -> String {
        format!("the artifact directory {}", self.path.display())
    }
}

/// A folder is there as soon as it is made.
struct Marker;

impl Write for Marker {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::other("a folder has no content"))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Marker {
    fn finish(self: Box<Self>) -> Result<(), ArtifactError> {
        Ok(())
    }
}

/// A file beside its place.
struct Written {
    file: File,
    tree: Arc<Tree>,
    /// Where it is; none when it has been put in its place.
    beside: Option<PathBuf>,
    place: PathBuf,
}

impl Write for Written {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Upload for Written {
    fn finish(mut self: Box<Self>) -> Result<(), ArtifactError> {
        let key = self.place.display().to_string();
        let Some(beside) = self.beside.as_deref() else {
            return Ok(());
        };
        self.file
            .sync_all()
            .and_then(|()| self.tree.move_over(beside, &self.place))
            .map_err(|error| cannot("write", &key, &error))?;
        self.beside = None;
        Ok(())
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        if let Some(beside) = &self.beside
            && let Err(error) = self.tree.remove_file(beside)
        {
            tracing::warn!(%error, path = %beside.display(), "cannot be removed");
        }
    }
}
