//! Where an artifact's files appear: a fresh folder beside their place, moved there when whole.
//!
//! Links are made last, when no more file is written: none can be written through. A link that
//! leads out of the artifact is refused, a hard link becomes a second name of a file that came
//! before it. Of a mode only the permission bits count, and the owner may always read.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flowforge_model::limits;
use flowforge_ports::artifacts::ArtifactError;
use rustix::fs::FileType;

use crate::fault::{damaged, disk, invalid};
use crate::meter::Meter;
use crate::path::{clean_path, shown, stays_inside};
use crate::tree::Tree;

/// Bytes moved at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A new folder that is removed with all that is in it.
#[derive(Debug)]
struct Fresh {
    path: PathBuf,
}

impl Fresh {
    /// Makes one in `folder`.
    fn new(folder: &Path) -> io::Result<Self> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".flowforge-{}-{number}", std::process::id()));
        std::fs::create_dir(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.path) {
            Ok(()) => {}
            // It was moved into place as a whole.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(%error, path = %self.path.display(), "cannot be removed");
            }
        }
    }
}

/// Takes the files of one artifact.
pub(crate) struct Unpacker<'a> {
    tree: Tree,
    fresh: Fresh,
    meter: &'a Meter<'a>,
    /// Path and target of every link, made at the end.
    links: Vec<(PathBuf, PathBuf)>,
    link_bytes: usize,
    chunk: Vec<u8>,
}

/// What of an unpacked artifact is put in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Top {
    /// The one thing at the top, if there is only one; else everything. This is Argo's rule for
    /// archives.
    Only,
    /// Everything, in a folder.
    Folder,
}

impl<'a> Unpacker<'a> {
    /// Takes files for `to`, which is not touched before [`Unpacker::place`]. The folder above it
    /// exists.
    pub(crate) fn new(to: &Path, meter: &'a Meter<'a>) -> Result<Self, ArtifactError> {
        let cannot = |error: io::Error| disk("cannot unpack beside its place", &error);
        let folder = to.parent().unwrap_or_else(|| Path::new("/"));
        let fresh = Fresh::new(folder).map_err(cannot)?;
        let tree = Tree::open(&fresh.path).map_err(cannot)?;
        let chunk = vec![0; CHUNK_BYTES];
        Ok(Self { tree, fresh, meter, links: Vec::new(), link_bytes: 0, chunk })
    }

    /// The bounds of this artifact.
    pub(crate) fn meter(&self) -> &'a Meter<'a> {
        self.meter
    }

    /// A folder.
    pub(crate) fn folder(&mut self, name: &[u8], mode: u32) -> Result<(), ArtifactError> {
        let path = self.enter(name)?;
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        self.tree.make_folder(&path, mode | 0o700).map_err(|error| cannot_make(name, &error))
    }

    /// A file of `size` bytes, read from `data`.
    pub(crate) fn file(
        &mut self,
        name: &[u8],
        mode: u32,
        size: u64,
        data: &mut dyn Read,
    ) -> Result<(), ArtifactError> {
        self.meter.room(size)?;
        let mut file = self.new_file(name, mode)?;
        let mut data = data.take(size);
        let written = self.pour(name, &mut data, &mut file)?;
        if written < size {
            return Err(invalid(format!(
                "the file \"{}\" in it ends after {written} of {size} bytes",
                shown(name)
            )));
        }
        Ok(())
    }

    /// A file whose size nobody knows.
    pub(crate) fn whole(&mut self, name: &[u8], data: &mut dyn Read) -> Result<(), ArtifactError> {
        let mut file = self.new_file(name, 0o644)?;
        self.pour(name, data, &mut file).map(|_| ())
    }

    /// A link, made at the end.
    pub(crate) fn link(&mut self, name: &[u8], target: &[u8]) -> Result<(), ArtifactError> {
        let path = self.enter(name)?;
        self.link_bytes = self.link_bytes.saturating_add(name.len() + target.len());
        if self.link_bytes > limits::ARTIFACT_LINK_BYTES {
            let most = limits::ARTIFACT_LINK_BYTES;
            return Err(invalid(format!("the links in it have more than {most} bytes")));
        }
        if target.contains(&0) {
            return Err(invalid(format!("the link \"{}\" has a zero byte", shown(name))));
        }
        self.links.push((path, PathBuf::from(std::ffi::OsStr::from_bytes(target))));
        Ok(())
    }

    /// A second name of a file that came before.
    pub(crate) fn hard_link(&mut self, name: &[u8], target: &[u8]) -> Result<(), ArtifactError> {
        let path = self.enter(name)?;
        let existing = clean_path(target)?;
        let found = self.tree.look(&existing).map_err(|error| cannot_make(name, &error))?;
        if found.is_none_or(|found| found.kind != FileType::RegularFile) {
            return Err(invalid(format!(
                "the hard link \"{}\" in it leads to \"{}\", which is no file before it",
                shown(name),
                shown(target)
            )));
        }
        if path == existing {
            return Ok(());
        }
        self.tree.second_name(&path, &existing).map_err(|error| cannot_make(name, &error))
    }

    /// Makes the links, sets the mode and moves the artifact, or its part `sub`, to `to`. False
    /// if there is no such part.
    pub(crate) fn place(
        mut self,
        top: Top,
        sub: Option<&Path>,
        mode: Permissions,
        to: &Path,
    ) -> Result<bool, ArtifactError> {
        let mut base = match top {
            Top::Only => self.only()?.map(PathBuf::from).unwrap_or_default(),
            Top::Folder => PathBuf::new(),
        };
        if let Some(sub) = sub {
            base.push(sub);
        }
        self.make_links(&base)?;
        let cannot = |error: io::Error| disk("cannot put it in place", &error);
        // The root needs a name to be moved by.
        let (tree, base) = if base.as_os_str().is_empty() {
            let folder = self.fresh.path.parent().unwrap_or_else(|| Path::new("/"));
            let name = self.fresh.path.file_name().unwrap_or_default();
            (Tree::open(folder).map_err(cannot)?, PathBuf::from(name))
        } else {
            (self.tree, base)
        };
        let Some(found) = tree.look(&base).map_err(cannot)? else {
            return Ok(false);
        };
        mode.apply(&tree, &base).map_err(cannot)?;
        let there = std::fs::symlink_metadata(to).ok();
        match there.map(|there| there.is_dir()) {
            Some(true) if found.kind != FileType::Directory => {
                std::fs::remove_dir(to).map_err(|error| occupied(to, &error))?;
            }
            Some(false) if found.kind == FileType::Directory => {
                std::fs::remove_file(to).map_err(|error| occupied(to, &error))?;
            }
            _ => {}
        }
        tree.move_out(&base, to).map_err(|error| occupied(to, &error))?;
        Ok(true)
    }

    fn enter(&self, name: &[u8]) -> Result<PathBuf, ArtifactError> {
        self.meter.entry()?;
        clean_path(name)
    }

    fn new_file(&self, name: &[u8], mode: u32) -> Result<File, ArtifactError> {
        let path = self.enter(name)?;
        if path.as_os_str().is_empty() {
            return Err(invalid("a file in it has no name"));
        }
        self.tree.make_file(&path, mode | 0o400).map_err(|error| cannot_make(name, &error))
    }

    fn pour(
        &mut self,
        name: &[u8],
        from: &mut dyn Read,
        into: &mut File,
    ) -> Result<u64, ArtifactError> {
        let mut total: u64 = 0;
        loop {
            let count = match from.read(&mut self.chunk) {
                Ok(0) => return Ok(total),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged("artifact", &error)),
            };
            into.write_all(self.chunk.get(..count).unwrap_or(&[]))
                .map_err(|error| disk(&format!("cannot write \"{}\"", shown(name)), &error))?;
            total = total.saturating_add(count as u64);
        }
    }

    /// The one name at the top; none if there are several or none.
    fn only(&self) -> Result<Option<OsString>, ArtifactError> {
        let names = self.tree.names(Path::new(""));
        let mut names: BTreeSet<OsString> = names
            .map_err(|error| disk("cannot read what was unpacked", &error))?
            .into_iter()
            .collect();
        let of_links = self.links.iter().filter_map(|(path, _)| path.iter().next());
        names.extend(of_links.map(ToOwned::to_owned));
        Ok(if names.len() == 1 { names.pop_first() } else { None })
    }

    /// Makes the links below `base`; the others do not come along.
    fn make_links(&mut self, base: &Path) -> Result<(), ArtifactError> {
        for (path, target) in std::mem::take(&mut self.links) {
            self.meter.go_on()?;
            let name = path.as_os_str().as_bytes();
            let Ok(inside) = path.strip_prefix(base) else {
                continue;
            };
            if inside.as_os_str().is_empty() || !stays_inside(inside, &target) {
                return Err(invalid(format!(
                    "the link \"{}\" in it leads out of it, to \"{}\"",
                    shown(name),
                    shown(target.as_os_str().as_bytes())
                )));
            }
            self.tree.make_link(&path, &target).map_err(|error| cannot_make(name, &error))?;
        }
        Ok(())
    }
}

fn cannot_make(name: &[u8], error: &io::Error) -> ArtifactError {
    use io::ErrorKind as K;
    if matches!(error.kind(), K::AlreadyExists | K::NotADirectory | K::IsADirectory) {
        invalid(format!("\"{}\" in it is there twice, as different things", shown(name)))
    } else {
        disk(&format!("cannot make \"{}\"", shown(name)), error)
    }
}

fn occupied(to: &Path, error: &io::Error) -> ArtifactError {
    if error.kind() == io::ErrorKind::DirectoryNotEmpty {
        invalid(format!("there is a full folder at {} already", to.display()))
    } else {
        disk(&format!("cannot put it at {}", to.display()), error)
    }
}

/// The permission bits that a document wants.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Permissions {
    pub(crate) mode: Option<u32>,
    /// For everything below as well.
    pub(crate) recurse: bool,
}

impl Permissions {
    fn apply(self, tree: &Tree, base: &Path) -> io::Result<()> {
        let Some(mode) = self.mode else {
            return Ok(());
        };
        let mut folders = vec![base.to_owned()];
        while let Some(path) = folders.pop() {
            let Some(found) = tree.look(&path)? else {
                continue;
            };
            match found.kind {
                FileType::RegularFile => tree.set_mode(&path, mode)?,
                FileType::Directory => {
                    if self.recurse {
                        let names = tree.names(&path)?;
                        folders.extend(names.iter().map(|name| path.join(name)));
                    }
                    // Who may read a folder may enter it; its owner may remove it.
                    tree.set_mode(&path, mode | ((mode & 0o444) >> 2) | 0o700)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}
