//! The volumes of a pod: those of its order that are mounted, and the runner's.

use std::collections::BTreeMap;

use flowforge_model::attempt::{Failure, Process, VolumeSource, WorkOrder};
use k8s_openapi::api::core::v1::{
    DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, KeyToPath,
    ObjectFieldSelector, PersistentVolumeClaimVolumeSource, ProjectedVolumeSource,
    SecretVolumeSource, ServiceAccountTokenProjection, Volume, VolumeMount, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use flowforge_ports::pod_calls::AUDIENCE;

use super::SDK;
use crate::refusal::not_possible;

/// Where the token is by which a pod is known: `token` in here.
pub(super) const TOKEN_DIRECTORY: &str = "/var/run/secrets/flowforge";
const TOKEN: &str = "flowforge-token";
const TOKEN_SECONDS: i64 = 3600;
/// The runner and the Python package take a few MiB, a script and its like little more.
const SDK_SIZE: &str = "256Mi";
/// Bytes of fixed files of all volumes of a pod: they are annotations, and a cluster takes 256 KiB of
/// those.
const FILE_BYTES: usize = 192 * 1024;

/// What the volumes of a document become.
pub(super) struct Content<'o> {
    pub(super) volumes: Vec<Volume>,
    /// Names in the document, in the pod.
    pub(super) names: Vec<(&'o str, String)>,
    /// What is in files.
    pub(super) annotations: BTreeMap<String, String>,
}

/// Those that any of the processes mounts. Their names are numbers: documents take names that clusters do not.
pub(super) fn build<'o>(
    order: &'o WorkOrder,
    processes: &[&Process],
    claims: &BTreeMap<String, String>,
) -> Result<Content<'o>, Failure> {
    let mut content =
        Content { volumes: Vec::new(), names: Vec::new(), annotations: BTreeMap::new() };
    for (at, volume) in order.volumes.iter().enumerate() {
        let mut mounts = processes.iter().flat_map(|process| &process.mounts);
        if !mounts.any(|mount| mount.volume == volume.name) {
            continue;
        }
        let name = format!("volume-{at}");
        let fault = |why: String| not_possible(format!("the volume {}: {why}", volume.name));
        let mut built = Volume { name: name.clone(), ..Volume::default() };
        match &volume.source {
            VolumeSource::Empty => built.empty_dir = Some(EmptyDirVolumeSource::default()),
            VolumeSource::Claim(claim) => built.persistent_volume_claim = Some(claimed(claim)),
            VolumeSource::WorkflowClaim(claim) => {
                let made = claims.get(&claim.name).ok_or_else(|| {
                    fault(format!("no claim {} was made for its workflow", claim.name))
                })?;
                built.persistent_volume_claim = Some(claimed(made));
            }
            VolumeSource::Files(files) => {
                let notes = &mut content.annotations;
                built.downward_api = Some(fixed(at, files, notes).map_err(fault)?);
            }
            VolumeSource::Secret { name, items, optional } => {
                built.secret = Some(secret(name, items, *optional));
            }
        }
        content.volumes.push(built);
        content.names.push((&volume.name, name));
    }
    Ok(content)
}

fn claimed(name: &str) -> PersistentVolumeClaimVolumeSource {
    PersistentVolumeClaimVolumeSource { claim_name: name.to_owned(), read_only: None }
}

fn secret(name: &str, items: &[(String, String)], optional: bool) -> SecretVolumeSource {
    let item = |(key, path): &(String, String)| KeyToPath {
        key: key.clone(),
        path: path.clone(),
        mode: None,
    };
    let items: Vec<_> = items.iter().map(item).collect();
    SecretVolumeSource {
        secret_name: Some(name.to_owned()),
        items: (!items.is_empty()).then_some(items),
        optional: optional.then_some(true),
        default_mode: None,
    }
}

/// Files whose text is in annotations of the pod, from where the kubelet writes them: nothing else has to
/// be made in the cluster, kept and deleted for them.
fn fixed(
    volume: usize,
    files: &[(String, String)],
    annotations: &mut BTreeMap<String, String>,
) -> Result<DownwardAPIVolumeSource, String> {
    let mut items = Vec::with_capacity(files.len());
    for (at, (path, text)) in files.iter().enumerate() {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !path.split('/').all(plain) || path.contains('\0') || path.starts_with("..") {
            return Err(format!("the file {path:?} is not below it"));
        }
        let key = format!("flowforge.io/file-{volume}-{at}");
        let field = ObjectFieldSelector {
            api_version: None,
            field_path: format!("metadata.annotations['{key}']"),
        };
        items.push(DownwardAPIVolumeFile {
            path: path.clone(),
            field_ref: Some(field),
            ..DownwardAPIVolumeFile::default()
        });
        annotations.insert(key, text.clone());
    }
    let bytes: usize = annotations.iter().map(|(key, text)| key.len() + text.len()).sum();
    if bytes > FILE_BYTES {
        return Err(format!(
            "the fixed files of a pod have at most {FILE_BYTES} bytes, these {bytes}: pass them as an \
             artifact"
        ));
    }
    Ok(DownwardAPIVolumeSource { default_mode: None, items: Some(items) })
}

/// What the runner is copied into.
pub(super) fn sdk() -> Volume {
    let limit = Some(Quantity(SDK_SIZE.to_owned()));
    Volume {
        name: SDK.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium: None, size_limit: limit }),
        ..Volume::default()
    }
}

/// A token that names this pod, and is good for nothing in the cluster.
pub(super) fn token() -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: Some(AUDIENCE.to_owned()),
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
    };
    let source =
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() };
    Volume {
        name: TOKEN.to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(vec![source]), default_mode: None }),
        ..Volume::default()
    }
}

pub(super) fn token_mount() -> VolumeMount {
    VolumeMount {
        name: TOKEN.to_owned(),
        mount_path: TOKEN_DIRECTORY.to_owned(),
        read_only: Some(true),
        ..VolumeMount::default()
    }
}
