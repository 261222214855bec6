//! A folder, and files below it that are reached without ever following a link.
//!
//! Every path is opened by one `openat2` that stays beneath the folder and refuses links, so that
//! nothing that is put there meanwhile can lead elsewhere.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

/// The folder.
#[derive(Debug)]
pub(crate) struct Tree {
    root: OwnedFd,
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) kind: FileType,
    pub(crate) size: u64,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Seconds since 1970.
    pub(crate) modified: u64,
}

const BENEATH: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_MAGICLINKS);
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Tree {
    /// A folder that exists. Links on the way to it are followed.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { root: rustix::fs::openat(CWD, path, FOLDER, Mode::empty())? })
    }

    /// What is at `path`; none if nothing is, or if the way there is none.
    pub(crate) fn look(&self, path: &Path) -> io::Result<Option<Standing>> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = match self.parent(path) {
            Ok(parent) => parent,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        match rustix::fs::openat(&parent, file_name(path), flags, Mode::empty()) {
            Ok(found) => Ok(Some(standing(&rustix::fs::fstat(&found)?))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens a regular file.
    pub(crate) fn file(&self, path: &Path) -> io::Result<(File, Standing)> {
        // Without NONBLOCK the opening of a FIFO would wait for its other end.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat2(&self.root, at(path), flags, Mode::empty(), BENEATH)?;
        let standing = standing(&rustix::fs::fstat(&file)?);
        if standing.kind == FileType::RegularFile {
            Ok((File::from(file), standing))
        } else {
            Err(io::Error::other("it is not a regular file"))
        }
    }

    /// Opens what `path` leads to, links followed as long as they stay in this folder.
    pub(crate) fn followed(&self, path: &Path) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.root, at(path), flags, Mode::empty(), resolve)?)
    }

    /// Names in a folder, in byte order.
    pub(crate) fn names(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::openat2(&self.root, at(path), flags, Mode::empty(), BENEATH)?;
        let mut names = Vec::new();
        for entry in Dir::new(folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Where a link leads.
    pub(crate) fn target(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = self.parent(path)?;
        let target = rustix::fs::readlinkat(&parent, file_name(path), Vec::new())?;
        Ok(PathBuf::from(OsString::from_vec(target.into_bytes())))
    }

    /// Makes a folder and those above it.
    pub(crate) fn make_folder(&self, path: &Path, mode: u32) -> io::Result<()> {
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            match self.parent(path) {
                Ok(_) => {}
                Err(Errno::NOENT) => self.make_way(parent)?,
                Err(error) => return Err(error.into()),
            }
        }
        match rustix::fs::mkdirat(self.parent(path)?, file_name(path), bits(mode)) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => self.folder(path).map(|_| ()).map_err(Into::into),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes all folders of `path` that are missing, from the top.
    fn make_way(&self, path: &Path) -> io::Result<()> {
        let mut way = PathBuf::new();
        for part in path.components() {
            way.push(part);
            match rustix::fs::mkdirat(self.parent(&way)?, file_name(&way), bits(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes a file and the folders above it; one that is there is replaced.
    pub(crate) fn make_file(&self, path: &Path, mode: u32) -> io::Result<File> {
        let parent = self.ready_parent(path)?;
        let name = file_name(path);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = match rustix::fs::openat(&parent, name, flags, bits(mode)) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
                rustix::fs::openat(&parent, name, flags, bits(mode))?
            }
            made => made?,
        };
        Ok(File::from(made))
    }

    /// Makes a link that leads to `target`; nothing may be there.
    pub(crate) fn make_link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let parent = self.ready_parent(path)?;
        Ok(rustix::fs::symlinkat(target, &parent, file_name(path))?)
    }

    /// Gives a regular file of this folder a second name.
    pub(crate) fn second_name(&self, path: &Path, existing: &Path) -> io::Result<()> {
        let from = self.parent(existing)?;
        let to = self.ready_parent(path)?;
        let (old, new) = (file_name(existing), file_name(path));
        match rustix::fs::linkat(&from, old, &to, new, AtFlags::empty()) {
            Err(Errno::EXIST) => {
                rustix::fs::unlinkat(&to, new, AtFlags::empty())?;
                rustix::fs::linkat(&from, old, &to, new, AtFlags::empty())?;
            }
            done => done?,
        }
        Ok(())
    }

    /// Sets the permission bits of what is no link.
    pub(crate) fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let parent = self.parent(path)?;
        Ok(rustix::fs::chmodat(&parent, file_name(path), bits(mode), AtFlags::empty())?)
    }

    /// Moves what is at `path` to a place outside, on the same file system.
    pub(crate) fn move_out(&self, path: &Path, to: &Path) -> io::Result<()> {
        let parent = self.parent(path)?;
        Ok(rustix::fs::renameat(&parent, file_name(path), CWD, to)?)
    }

    #[cfg(feature = "places")]
    /// Puts a file in place of another of this folder, and makes that durable.
    pub(crate) fn move_over(&self, path: &Path, to: &Path) -> io::Result<()> {
        let from = self.parent(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = at(to.parent().unwrap_or_else(|| Path::new("")));
        let into = rustix::fs::openat2(&self.root, parent, flags, Mode::empty(), BENEATH)?;
        rustix::fs::renameat(&from, file_name(path), &into, file_name(to))?;
        Ok(rustix::fs::fsync(&into)?)
    }

    #[cfg(feature = "places")]
    /// Removes a file.
    pub(crate) fn remove_file(&self, path: &Path) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.parent(path)?, file_name(path), AtFlags::empty())?)
    }

    fn folder(&self, path: &Path) -> Result<OwnedFd, Errno> {
        rustix::fs::openat2(&self.root, at(path), FOLDER, Mode::empty(), BENEATH)
    }

    fn parent(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.folder(path.parent().unwrap_or_else(|| Path::new("")))
    }

    fn ready_parent(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.parent(path) {
            Err(Errno::NOENT) => {
                self.make_way(path.parent().unwrap_or_else(|| Path::new("")))?;
                Ok(self.parent(path)?)
            }
            parent => Ok(parent?),
        }
    }
}

/// The folder itself is `.`.
fn at(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn file_name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_else(|| OsStr::from_bytes(b"."))
}

/// Set-user-id and the like are never among them.
fn bits(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & 0o777)
}

pub(crate) fn standing(stat: &Stat) -> Standing {
    Standing {
        kind: FileType::from_raw_mode(stat.st_mode),
        size: u64::try_from(stat.st_size).unwrap_or(0),
        mode: stat.st_mode & 0o777,
        modified: u64::try_from(stat.st_mtime).unwrap_or(0),
    }
}
