//! Paths that belong to one attempt.
//!
//! Two tasks that write `/tmp/out` must not read each other's. A process whose work order names an
//! absolute path (an output, an artifact, a volume) therefore starts through a helper that gives
//! it a root of its own: see [`layout`] for what it is told and `confine` for what it does. All
//! other processes start directly, which is three times as fast.

pub(crate) mod layout;
pub(crate) mod stage;
pub(crate) mod start;

use std::path::{Component, Path, PathBuf};

use flowforge_model::attempt::{Process, WorkOrder};

use crate::command;
use layout::Mounted;

/// Private to every mapped process.
const TMP: &str = "/tmp";

/// The process must see paths of its own.
pub(crate) fn needed(order: &WorkOrder, process: &Process, gives_outputs: bool) -> bool {
    let absolute = |path: &str| path.starts_with('/');
    let files = || {
        order.outputs.iter().any(|output| absolute(&output.path))
            || order.artifacts_out.iter().any(|artifact| absolute(&artifact.path))
            || !order.artifacts_in.is_empty()
    };
    let elsewhere = |dir: &String| absolute(dir) && !Path::new(dir).exists();
    !process.mounts.is_empty()
        || (gives_outputs && files())
        || process.working_dir.as_ref().is_some_and(elsewhere)
}

/// Says why a path of a document cannot be used; none if it can.
pub(crate) fn refused(path: &str) -> Option<&'static str> {
    let named = Path::new(path);
    if path.contains('\0') {
        return Some("holds a NUL byte");
    }
    if named.components().any(|part| part == Component::ParentDir) {
        return Some("leads through ..");
    }
    if named.file_name().is_none() {
        return Some("names no file");
    }
    None
}

/// The path without links, as it is on this machine now, so that none is followed later. What is
/// covered (by a mount, or because it is private) has no links yet.
pub(crate) fn settle(path: &Path, covers: &[PathBuf]) -> PathBuf {
    let plain: PathBuf = path.components().collect();
    let covered = covers.iter().find(|cover| plain.starts_with(cover));
    if covered.is_some() || plain.starts_with(TMP) || plain.is_relative() {
        return plain;
    }
    let folder = plain.is_dir();
    for there in plain.ancestors().skip(usize::from(!folder)) {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), plain.strip_prefix(there)) {
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    plain
}

/// What stays in sight although what is around it is private: the attempt's directory and the
/// places of programs.
pub(crate) fn kept(directory: &Path, path: &str, home: Option<&str>) -> Vec<PathBuf> {
    let home = home.map(Path::new).filter(|home| home.is_absolute() && *home != Path::new("/"));
    let all = [directory].into_iter().chain(command::directories(path)).chain(home);
    all.filter(|kept| *kept != Path::new(TMP)).map(Path::to_owned).collect()
}

/// What is asked for of a layout must not name the same place twice.
pub(crate) fn clash(mounts: &[Mounted]) -> Option<&Path> {
    let mut places: Vec<&Path> = mounts.iter().map(|mounted| &*mounted.at).collect();
    places.sort_unstable();
    let twice = places.windows(2).find(|pair| pair.first() == pair.last());
    twice.and_then(|pair| pair.first().copied())
}
