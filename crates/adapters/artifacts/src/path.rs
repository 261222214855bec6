//! Paths that others wrote: keys of objects, names in archives, targets of links.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use flowforge_model::limits;
use flowforge_ports::artifacts::ArtifactError;

use crate::fault::invalid;

/// What Linux takes as one name, and most stores over a file system do.
const NAME_BYTES: usize = 255;
/// What Linux takes as one path, its end included.
const PATH_BYTES: usize = 4095;

/// Checks a key: relative, clean, printable, and nothing that some server might take for a step
/// upwards. Some write a folder's key with a slash at its end; it comes back without.
pub(crate) fn clean_key(key: &str) -> Result<&str, ArtifactError> {
    let refuse = |why: &str| {
        let shown: String = key.chars().take(100).flat_map(char::escape_default).collect();
        Err(invalid(format!("the key \"{shown}\" {why}")))
    };
    let clean = key.strip_suffix('/').unwrap_or(key);
    if clean.is_empty() {
        return refuse("is empty");
    }
    if clean.len() > limits::ARTIFACT_KEY_BYTES {
        return refuse(&format!("has more than {} bytes", limits::ARTIFACT_KEY_BYTES));
    }
    if clean.starts_with('/') {
        return refuse("is absolute: write it without the slash at its start");
    }
    if clean.chars().any(char::is_control) {
        return refuse("has a control character");
    }
    if clean.contains('\\') {
        return refuse("has a backslash");
    }
    let lower = clean.to_ascii_lowercase();
    if ["%2e", "%2f", "%5c", "%00"].iter().any(|coded| lower.contains(coded)) {
        return refuse("has a percent-encoded dot, slash or backslash");
    }
    for part in clean.split('/') {
        match part {
            "" => return refuse("has an empty part"),
            "." | ".." => return refuse("has a part \".\" or \"..\""),
            _ if part.len() > NAME_BYTES => {
                return refuse(&format!("has a part of more than {NAME_BYTES} bytes"));
            }
            _ => {}
        }
    }
    Ok(clean)
}

/// The path of an archive's entry, or of a part of an artifact: relative and without `..`; parts
/// `.` are dropped. Empty if it names the root.
pub(crate) fn clean_path(raw: &[u8]) -> Result<PathBuf, ArtifactError> {
    let refuse = |why: &str| Err(invalid(format!("the name \"{}\" in it {why}", shown(raw))));
    if raw.contains(&0) {
        return refuse("has a zero byte");
    }
    if raw.len() > PATH_BYTES {
        return refuse(&format!("has more than {PATH_BYTES} bytes"));
    }
    let mut clean = PathBuf::new();
    let mut depth = 0;
    for part in Path::new(OsStr::from_bytes(raw)).components() {
        match part {
            Component::Normal(name) if name.len() > NAME_BYTES => {
                return refuse(&format!("has a part of more than {NAME_BYTES} bytes"));
            }
            Component::Normal(name) => {
                clean.push(name);
                depth += 1;
            }
            Component::CurDir => {}
            Component::ParentDir => return refuse("leads upwards"),
            Component::RootDir | Component::Prefix(_) => return refuse("is absolute"),
        }
    }
    if depth > limits::ARTIFACT_DEPTH {
        return refuse(&format!("is deeper than {} folders", limits::ARTIFACT_DEPTH));
    }
    Ok(clean)
}

/// Whether a link at `link` that leads to `target` stays in the folder both are relative to,
/// whatever other such links are in it.
///
/// Steps upwards may only come first: from the real folder of the link they are counted. Behind
/// a name they would start wherever that name leads, and two harmless links could leave together.
pub(crate) fn stays_inside(link: &Path, target: &Path) -> bool {
    let depth = link.components().count().saturating_sub(1);
    let mut up = 0;
    let mut named = false;
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if !named => up += 1,
            Component::Normal(_) => named = true,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    up <= depth && !target.as_os_str().is_empty()
}

/// A name for people: control characters escaped, cut.
pub(crate) fn shown(raw: &[u8]) -> String {
    String::from_utf8_lossy(raw).chars().take(100).flat_map(char::escape_debug).collect()
}

/// Where a link at `link` leads by its text; none if out of the folder both are relative to.
pub(crate) fn led_to(link: &Path, target: &Path) -> Option<PathBuf> {
    let mut path = link.parent().map(Path::to_owned).unwrap_or_default();
    for part in target.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(name) => path.push(name),
            Component::ParentDir if path.pop() => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(path)
}
