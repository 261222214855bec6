//! Volumes: folders that processes see at paths of their choice.

use std::fs::{DirBuilder, Permissions, create_dir_all, set_permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use flowforge_model::attempt::{
    Failure, FailureClass, Mount, Process, Volume, VolumeSource, WorkOrder,
};
use flowforge_model::id::WorkflowId;
use flowforge_model::status::Reason;
use flowforge_ports::secrets::Secrets;

use crate::config::ProcessConfig;
use crate::mapping;
use crate::mapping::layout::{Mounted, Source};
use crate::secrets::plain;

/// Below the folder of volumes: holds a folder for each workflow that has claims, by its id.
const WORKFLOWS: &str = "workflows";

/// The volumes of one attempt that are gone with it. Made when they are first mounted.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn new(config: &ProcessConfig, order: &WorkOrder, member: u32) -> Self {
        Self { path: config.work_dir.join(format!("volumes-{}-{member}", order.attempt)) }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match std::fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %self.path.display(), %error, "left an attempt's volumes");
            }
            _ => {}
        }
    }
}

/// What the process sees because of its mounts; the paths have no links.
pub(crate) fn mounts(
    (config, secrets): (&ProcessConfig, &dyn Secrets),
    order: &WorkOrder,
    process: &Process,
    scratch: &Scratch,
) -> Result<Vec<Mounted>, Failure> {
    let mut wanted: Vec<&Mount> = process.mounts.iter().collect();
    wanted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut all: Vec<Mounted> = Vec::with_capacity(wanted.len());
    for mount in wanted {
        let fault = |why: String| not_possible(format!("the mount {}: {why}", mount.path));
        if !mount.path.starts_with('/') {
            return Err(fault("is not absolute".to_owned()));
        }
        if let Some(why) = mapping::refused(&mount.path) {
            return Err(fault(why.to_owned()));
        }
        let volume = order.volumes.iter().find(|volume| volume.name == mount.volume);
        let volume = volume.ok_or_else(|| fault(format!("there is no volume {}", mount.volume)))?;
        let (source, fixed) = match source(config, order, volume, scratch)? {
            Content::Folder(folder) => (host(&folder, mount)?, false),
            Content::Files(files) => (in_memory(files, mount)?, true),
            Content::Secret => (in_memory(secret_files(secrets, volume)?, mount)?, true),
        };
        let covers: Vec<PathBuf> = all.iter().map(|mounted| mounted.at.clone()).collect();
        let at = mapping::settle(Path::new(&mount.path), &covers);
        all.push(Mounted { at, source, read_only: mount.read_only || fixed });
    }
    Ok(all)
}

enum Content {
    Folder(PathBuf),
    Files(Vec<(String, Vec<u8>)>),
    Secret,
}

fn source(
    config: &ProcessConfig,
    order: &WorkOrder,
    volume: &Volume,
    scratch: &Scratch,
) -> Result<Content, Failure> {
    let below = |folder: PathBuf, name: &str| {
        if plain(name) {
            folder_for(&folder.join(name)).map(Content::Folder).map_err(|error| {
                not_possible(format!("the volume {} cannot be made: {error}", volume.name))
            })
        } else {
            Err(not_possible(format!("the volume {} cannot have the name {name:?}", volume.name)))
        }
    };
    match &volume.source {
        VolumeSource::Empty => below(scratch.path.clone(), &volume.name),
        VolumeSource::Claim(name) => below(config.volumes_dir.join(&config.project_id), name),
        VolumeSource::WorkflowClaim(claim) => {
            below(workflow_volumes(&config.volumes_dir, order.key.workflow), &claim.name)
        }
        VolumeSource::Files(files) => Ok(Content::Files(
            files.iter().map(|(path, text)| (path.clone(), text.clone().into_bytes())).collect(),
        )),
        VolumeSource::Secret { .. } => Ok(Content::Secret),
    }
}

/// The folder of the claims that a workflow takes with it when it goes. It is there once a task
/// has mounted one.
#[must_use]
pub fn workflow_volumes(volumes_dir: &Path, workflow: WorkflowId) -> PathBuf {
    volumes_of_workflows(volumes_dir).join(workflow.to_string())
}

/// The folder with a folder of claims for each workflow, by its id.
#[must_use]
pub fn volumes_of_workflows(volumes_dir: &Path) -> PathBuf {
    volumes_dir.join(WORKFLOWS)
}

/// A folder that tasks of whatever user may write, in one that only this user may enter.
fn folder_for(path: &Path) -> io::Result<PathBuf> {
    if !path.is_dir() {
        if let Some(parent) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        match DirBuilder::new().create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => {
                other?;
                set_permissions(path, Permissions::from_mode(0o777))?;
            }
        }
    }
    path.canonicalize()
}

/// The folder, or the part of it that is mounted, which is made if it is not there.
fn host(folder: &Path, mount: &Mount) -> Result<Source, Failure> {
    let Some(part) = below(mount)? else {
        return Ok(Source::Host(folder.to_owned()));
    };
    let wanted = folder.join(part);
    if !wanted.exists() {
        create_dir_all(&wanted).map_err(|error| {
            not_possible(format!("the part {part} of the volume {}: {error}", mount.volume))
        })?;
    }
    match wanted.canonicalize() {
        Ok(path) if path.starts_with(folder) => Ok(Source::Host(path)),
        _ => Err(not_possible(format!("{part} leads out of the volume {}", mount.volume))),
    }
}

fn in_memory(files: Vec<(String, Vec<u8>)>, mount: &Mount) -> Result<Source, Failure> {
    for (path, _) in &files {
        if !inside(path) {
            let why = format!("{path} leads out of the volume {}", mount.volume);
            return Err(not_possible(why));
        }
    }
    let only = below(mount)?.unwrap_or_default();
    let there = |path: &str| Path::new(path).starts_with(only);
    if !only.is_empty() && !files.iter().any(|(path, _)| there(path)) {
        let why = format!("the volume {} holds no {only}", mount.volume);
        return Err(not_possible(why));
    }
    Ok(Source::Files { files, only: only.to_owned() })
}

fn below(mount: &Mount) -> Result<Option<&str>, Failure> {
    match mount.sub_path.as_deref() {
        None | Some("" | ".") => Ok(None),
        Some(part) if inside(part) => Ok(Some(part)),
        Some(part) => Err(not_possible(format!("{part} leads out of the volume {}", mount.volume))),
    }
}

fn inside(path: &str) -> bool {
    let mut parts = Path::new(path).components();
    !path.is_empty()
        && !path.contains('\0')
        && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

fn secret_files(secrets: &dyn Secrets, volume: &Volume) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let VolumeSource::Secret { name, items, optional } = &volume.source else {
        return Ok(Vec::new());
    };
    let missing = |message: String| Failure {
        class: FailureClass::Error,
        reason: Reason::SecretMissing,
        message,
    };
    let Some(keys) = secrets.secret(name) else {
        if *optional {
            return Ok(Vec::new());
        }
        let message = format!(
            "the secret {name} of the volume {} is not here: make the folder {name} with a file \
             for each key in the server's directory of secrets",
            volume.name
        );
        return Err(missing(message));
    };
    if items.is_empty() {
        return Ok(keys.into_iter().collect());
    }
    let mut files = Vec::with_capacity(items.len());
    for (key, path) in items {
        match keys.get(key) {
            Some(value) => files.push((path.clone(), value.clone())),
            None if *optional => {}
            None => return Err(missing(format!("the secret {name} has no key {key}"))),
        }
    }
    Ok(files)
}

fn not_possible(message: String) -> Failure {
    Failure { class: FailureClass::Error, reason: Reason::NotPossible, message }
}
