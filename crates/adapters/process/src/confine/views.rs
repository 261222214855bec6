//! Folders of the machine that a task may change for itself.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount, mount_bind};

use super::root::{Doing, Done, MNT, Root};

/// Entries of a folder up to which each is mounted again. Above, the folder is overlaid: that
/// takes a file system of Linux that not every disk supports.
const FEW: usize = 64;

/// The folder is there, and few enough are in it to show each again.
pub(super) fn shown_whole(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| entries.take(FEW + 1).count() <= FEW)
}

/// A private view of a folder: it shows what is there; what is made there is seen by this task
/// alone.
pub(super) struct View<'a> {
    pub(super) root: &'a Root<'a>,
    pub(super) folder: &'a Path,
    /// What is changed there is this task's own as well.
    pub(super) whole: bool,
    pub(super) number: usize,
}

impl View<'_> {
    /// Mounts it. Of the task's own files none is there at first.
    pub(super) fn put(&self, own: &[&PathBuf]) -> Done<()> {
        let Self { root, folder, whole, number } = self;
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).doing("read", folder)?.take(FEW + 1) {
            entries.push(entry.doing("read", folder)?.path());
        }
        let hidden: Vec<&PathBuf> = own
            .iter()
            .copied()
            .filter(|path| path.parent() == Some(folder) && !path.is_dir())
            .filter(|path| path.symlink_metadata().is_ok())
            .collect();
        let overlaid = *whole || entries.len() > FEW;
        let layer = if *folder == Path::new(MNT) && !overlaid {
            // Every task has this one: it is used again.
            root.layer("mnt")?
        } else {
            root.layer(&format!("view-{number}"))?
        };
        let at = root.inside(folder);
        if overlaid {
            overlay(root, (folder, &at), &layer)?;
            for path in hidden {
                let path = root.inside(path);
                fs::remove_file(&path).doing("hide", &path)?;
            }
            return Ok(());
        }
        let mode = fs::metadata(folder).doing("look at", folder)?.permissions();
        fs::set_permissions(&layer, mode).doing("open up", &layer)?;
        mount_bind(&layer, &at).doing("mount", folder)?;
        entries.iter().filter(|path| !hidden.contains(path)).try_for_each(|path| root.show(path))
    }
}

fn overlay(root: &Root<'_>, (folder, at): (&Path, &Path), layer: &Path) -> Done<()> {
    let (upper, work) = (layer.join("upper"), layer.join("work"));
    for path in [&upper, &work] {
        fs::create_dir(path).doing("create", path)?;
    }
    let options = [("lowerdir", folder), ("upperdir", &upper), ("workdir", &work)];
    let mut text = Vec::new();
    for (name, path) in options {
        let path = path.as_os_str().as_bytes();
        if path.iter().any(|byte| matches!(byte, b',' | b':' | b'\\')) {
            let odd = io::Error::from(io::ErrorKind::InvalidFilename);
            return Err((format!("cannot overlay {}", folder.display()), odd));
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(path);
        text.push(b',');
    }
    // What is not seen through an overlay: file systems mounted further down.
    let deeper = mounts_below(root, folder)?;
    let try_with = |more: &[u8]| -> io::Result<()> {
        let text = std::ffi::CString::new([&text, more].concat())?;
        Ok(mount("overlay", at, "overlay", MountFlags::empty(), Some(&*text))?)
    };
    // In a user namespace it keeps its notes in attributes of the user.
    try_with(b"userxattr").or_else(|_| try_with(b"index=off")).doing("overlay", folder)?;
    deeper.iter().try_for_each(|path| root.show(path))
}

/// The places below a folder where other file systems are mounted, outermost first; without those
/// of the root that is being made.
fn mounts_below(root: &Root<'_>, folder: &Path) -> Done<Vec<PathBuf>> {
    let table = Path::new("/proc/self/mountinfo");
    let text = fs::read_to_string(table).doing("read", table)?;
    let all = text.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    let mut below: Vec<PathBuf> = Vec::new();
    for path in all.filter(|path| path != folder && path.starts_with(folder)) {
        if root.holds(&path) {
            continue;
        }
        if !below.iter().any(|outer| path.starts_with(outer)) {
            below.push(path);
        }
    }
    Ok(below)
}
