//! Where a container sees its volumes.

use std::collections::BTreeSet;

use flowforge_model::attempt::{Failure, Mount, Process};
use k8s_openapi::api::core::v1::VolumeMount;

use super::SDK_PATH;
use super::volumes::TOKEN_DIRECTORY;
use crate::refusal::not_possible;

/// Paths at or below which nothing can be mounted: they are the runner's, or the kernel's.
const KEPT: [&str; 5] = [SDK_PATH, TOKEN_DIRECTORY, "/proc", "/sys", "/dev"];

/// `names` are the volumes of the document with their names in the pod.
pub(super) fn build(
    process: &Process,
    names: &[(&str, String)],
) -> Result<Vec<VolumeMount>, Failure> {
    let mut paths = BTreeSet::new();
    let mut all = Vec::with_capacity(process.mounts.len().saturating_add(2));
    for mount in &process.mounts {
        let fault = |why: &str| not_possible(format!("the mount {}: {why}", mount.path));
        check(mount).map_err(fault)?;
        let volume = names.iter().find(|(name, _)| *name == mount.volume);
        let Some((_, volume)) = volume else {
            return Err(fault(&format!("there is no volume {}", mount.volume)));
        };
        if !paths.insert(mount.path.trim_end_matches('/')) {
            return Err(fault("another volume is mounted there"));
        }
        all.push(VolumeMount {
            name: volume.clone(),
            mount_path: mount.path.clone(),
            sub_path: mount.sub_path.clone().filter(|path| !path.is_empty()),
            read_only: Some(mount.read_only),
            ..VolumeMount::default()
        });
    }
    Ok(all)
}

fn check(mount: &Mount) -> Result<(), &'static str> {
    check_path(&mount.path)?;
    match &mount.sub_path {
        Some(sub) if sub.starts_with('/') || sub.split('/').any(|part| part == "..") => {
            Err("its subPath leads out of the volume")
        }
        Some(sub) if sub.contains('\0') => Err("its subPath holds a NUL byte"),
        _ => Ok(()),
    }
}

/// Whether something may be mounted there.
pub(super) fn check_path(path: &str) -> Result<(), &'static str> {
    if !path.starts_with('/') {
        return Err("is not absolute");
    }
    if path.contains([':', '\0', '\n']) {
        return Err("holds a colon, a line break or a NUL byte");
    }
    if path.split('/').any(|part| part == ".." || part == ".") {
        return Err("leads through . or ..");
    }
    // Spelled with one slash each, so that no other spelling gets by.
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err("is the root");
    }
    let plain = format!("/{}/", parts.join("/"));
    if KEPT.iter().any(|kept| plain.starts_with(&format!("{kept}/"))) {
        return Err("is kept for the system and the runner");
    }
    Ok(())
}
