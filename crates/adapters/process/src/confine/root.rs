//! A root of its own: everything the machine has, except what is private.
//!
//! The new root is a directory on the disk in which each entry of the machine's root is mounted
//! again: what a task writes there is as it is without mapping. Only the root itself, `/tmp`, what
//! is new in `/mnt` and the folders named by the layout are the task's own. The directory stays from one task to the
//! next, so that a start makes mounts (some microseconds each) and few files.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flowforge_model::attempt::Failure;
use flowforge_model::status::Reason;
use rustix::fs::StatVfsMountFlags;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, mount_remount, unmount,
};

use super::{failure, views};
use crate::mapping::layout::{Layout, Mounted, Source};

/// Private without being asked for.
pub(super) const TMP: &str = "/tmp";
/// What is made here is private without being asked for, as at the root: where containers are given
/// things, and machines have little.
pub(super) const MNT: &str = "/mnt";

/// An error and what was being done.
pub(super) type Done<T> = Result<T, (String, io::Error)>;

/// Says what was being done if it fails.
pub(super) trait Doing<T> {
    fn doing(self, what: &str, path: &Path) -> Done<T>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, what: &str, path: &Path) -> Done<T> {
        self.map_err(|error| (format!("cannot {what} {}", path.display()), error.into()))
    }
}

/// Builds the root that `layout` describes, at its place, without going there.
pub(super) fn build(layout: &Layout) -> Result<(), Failure> {
    fill(layout).map_err(|(what, error)| {
        let message = format!("a task's own view of the files cannot be made: {what}: {error}");
        failure(Reason::NotPossible, message)
    })
}

fn fill(layout: &Layout) -> Done<()> {
    let root = Root { path: &layout.root, layers: &layout.layers };
    mount_bind(root.path, root.path).doing("mount", root.path)?;
    // Not shown again with the folder it is in.
    let apart = MountPropagationFlags::UNBINDABLE;
    mount_change(root.path, apart).doing("set apart", root.path)?;
    root.mirror(&layout.own)?;
    let covered = |path: &Path| {
        layout.mounts.iter().any(|mounted| path != mounted.at && path.starts_with(&mounted.at))
    };
    let mounted = |path: &Path| layout.mounts.iter().any(|mounted| path.starts_with(&mounted.at));
    let own: Vec<&PathBuf> = layout.own.iter().filter(|path| !mounted(path)).collect();
    // What is made in these folders, and what is changed in them, is the task's own.
    let whole: BTreeSet<&Path> = own.iter().map(|path| &***path).filter(|p| p.is_dir()).collect();
    let mut made: BTreeSet<PathBuf> =
        own.iter().filter(|path| !path.is_dir()).map(|path| anchor(path)).collect();
    let fresh = layout.mounts.iter().filter(|mounted| !covered(&mounted.at));
    made.extend(fresh.filter(|mounted| !fits(mounted)).map(|mounted| anchor(&mounted.at)));
    if !layout.cwd.is_dir() && !mounted(&layout.cwd) {
        made.insert(anchor(&layout.cwd));
    }
    let mnt = Path::new(MNT);
    if !mounted(mnt) && views::shown_whole(mnt) {
        made.insert(mnt.to_owned());
    }
    // Parents sort before what is in them.
    let views: BTreeSet<&Path> = made.iter().map(|path| &**path).chain(whole.clone()).collect();
    for (number, view) in views.iter().enumerate() {
        if *view != Path::new("/") && !view.starts_with(TMP) {
            views::View { root: &root, folder: view, whole: whole.contains(view), number }
                .put(&own)?;
        }
    }
    for path in &own {
        root.make_parent(path)?;
    }
    root.keep(layout.keep.iter().filter(|path| !mounted(path)))?;
    root.mount_all(&layout.mounts)?;
    root.working_directory(&layout.cwd, layout.keep.first())
}

/// The folder that must be private so that `path` can be made: the nearest one that is there.
fn anchor(path: &Path) -> PathBuf {
    if path.starts_with(TMP) {
        return PathBuf::from(TMP);
    }
    let there = path.ancestors().skip(1).find(|folder| folder.is_dir());
    there.unwrap_or_else(|| Path::new("/")).to_owned()
}

/// There is already something of the same kind to mount it on.
fn fits(mounted: &Mounted) -> bool {
    let folder = match &mounted.source {
        Source::Host(path) => path.is_dir(),
        Source::Files { only, .. } => only.is_empty(),
    };
    !mounted.at.starts_with(TMP) && mounted.at.metadata().is_ok_and(|meta| meta.is_dir() == folder)
}

/// The root that is being made.
pub(super) struct Root<'a> {
    path: &'a Path,
    layers: &'a Path,
}

impl Root<'_> {
    /// Where a path of the task is, before the root is changed.
    pub(super) fn inside(&self, path: &Path) -> PathBuf {
        self.path.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A place of the machine that is part of the new root.
    pub(super) fn holds(&self, path: &Path) -> bool {
        path.starts_with(self.path) || path.starts_with(self.layers)
    }

    /// A new place for what a task writes, or what it is shown.
    pub(super) fn layer(&self, name: &str) -> Done<PathBuf> {
        let path = self.layers.join(name);
        DirBuilder::new().recursive(true).mode(0o755).create(&path).doing("create", &path)?;
        Ok(path)
    }

    /// Shows all the machine has at its root, except files that are to be the task's own.
    fn mirror(&self, own: &[PathBuf]) -> Done<()> {
        let host = Path::new("/");
        for entry in fs::read_dir(host).doing("read", host)? {
            let entry = entry.doing("read", host)?;
            let source = entry.path();
            if source == Path::new(TMP) {
                continue;
            }
            if own.contains(&source) && !source.is_dir() {
                remove_file(&self.inside(&source))?;
                continue;
            }
            self.show(&source)?;
        }
        let tmp = self.layer("tmp")?;
        fs::set_permissions(&tmp, Permissions::from_mode(0o1777)).doing("open up", &tmp)?;
        self.bind_folder(&tmp, Path::new(TMP))
    }

    /// Shows a file, folder or link of the machine at its own path.
    pub(super) fn show(&self, source: &Path) -> Done<()> {
        let at = self.inside(source);
        let kind = source.symlink_metadata().doing("look at", source)?.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(source).doing("read", source)?;
            if fs::read_link(&at).is_ok_and(|there| there == target) {
                return Ok(());
            }
            remove_file(&at)?;
            return symlink(&target, &at).doing("create", &at);
        }
        if kind.is_dir() {
            return self.bind_folder(source, source);
        }
        touch(&at)?;
        mount_bind(source, &at).doing("mount", source)
    }

    fn bind_folder(&self, source: &Path, at: &Path) -> Done<()> {
        let at = self.inside(at);
        match DirBuilder::new().mode(0o755).create(&at) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !at.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                    remove_file(&at)?;
                    fs::create_dir(&at).doing("create", &at)?;
                }
            }
            other => other.doing("create", &at)?,
        }
        mount_bind_recursive(source, &at).doing("mount", source)
    }

    /// Makes the folder that a file is to be written in.
    fn make_parent(&self, path: &Path) -> Done<()> {
        let at = self.inside(path);
        let parent = at.parent().unwrap_or(self.path);
        fs::create_dir_all(parent).doing("create", parent)
    }

    /// Brings back into sight what lies in a private folder.
    fn keep<'p>(&self, paths: impl Iterator<Item = &'p PathBuf>) -> Done<()> {
        for path in paths {
            if self.inside(path).symlink_metadata().is_ok() || !path.exists() {
                continue;
            }
            self.make_parent(path)?;
            self.show(path)?;
        }
        Ok(())
    }

    fn mount_all(&self, mounts: &[Mounted]) -> Done<()> {
        let mut mounts: Vec<&Mounted> = mounts.iter().collect();
        mounts.sort_by(|a, b| a.at.cmp(&b.at));
        for (number, mounted) in mounts.iter().enumerate() {
            let source = match &mounted.source {
                Source::Host(path) => path.clone(),
                Source::Files { files, only } => {
                    let folder = self.layer(&format!("files-{number}"))?;
                    in_memory(&folder, files)?;
                    folder.join(only)
                }
            };
            let at = self.inside(&mounted.at);
            if source.is_dir() {
                fs::create_dir_all(&at).doing("create", &mounted.at)?;
            } else {
                self.make_parent(&mounted.at)?;
                touch(&at)?;
            }
            mount_bind_recursive(&source, &at).doing("mount", &mounted.at)?;
        }
        // Only now, so that one mount can be made inside another.
        for mounted in mounts.iter().filter(|mounted| mounted.read_only) {
            read_only(&self.inside(&mounted.at)).doing("mount for reading only", &mounted.at)?;
        }
        Ok(())
    }

    /// Makes the folder where the process begins, unless it is there. Below the attempt's own it is
    /// that one.
    fn working_directory(&self, path: &Path, own: Option<&PathBuf>) -> Done<()> {
        let at = self.inside(path);
        if at.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(&at).doing("create", path)?;
        if own.is_some_and(|own| path.starts_with(own)) && path.is_dir() {
            mount_bind_recursive(path, &at).doing("mount", path)?;
        }
        Ok(())
    }
}

/// Mounts a file system that is only in memory and writes the files there.
fn in_memory(folder: &Path, files: &[(String, Vec<u8>)]) -> Done<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", folder, "tmpfs", flags, Some(c"mode=0755")).doing("mount", folder)?;
    for (path, content) in files {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).doing("create", parent)?;
        }
        fs::write(&path, content).doing("write", &path)?;
    }
    Ok(())
}

/// A bind mount takes its other flags from what it shows, and may not drop them.
fn read_only(at: &Path) -> io::Result<()> {
    let has = rustix::fs::statvfs(at)?.f_flag;
    let pairs = [
        (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
        (StatVfsMountFlags::NODEV, MountFlags::NODEV),
        (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
        (StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
        (StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
        (StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
    ];
    let kept = pairs.iter().filter(|(flag, _)| has.contains(*flag));
    let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, |all, (_, flag)| all | *flag);
    Ok(mount_remount(at, flags, c"")?)
}

pub(super) fn touch(path: &Path) -> Done<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.is_file() => return Ok(()),
        Ok(_) => remove_file(path)?,
        Err(_) => {}
    }
    File::create_new(path).map(drop).doing("create", path)
}

fn remove_file(path: &Path) -> Done<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // An empty one that an earlier layout was mounted on.
        Err(_) if path.is_dir() => fs::remove_dir(path).doing("remove", path),
        other => other.doing("remove", path),
    }
}

/// Makes a prepared directory the root of this process; the old one is out of reach.
pub(super) fn pivot(root: &Path) -> io::Result<()> {
    rustix::process::chdir(root)?;
    rustix::process::pivot_root(".", ".")?;
    // The old root now lies over the new one.
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}
