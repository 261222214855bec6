//! As whom a pod speaks to its cluster, if it does at all.
//!
//! The project's own account may nothing, and its pods get no token of it. Another one has the rights that somebody
//! bound to it, so it has to be granted. Its token is mounted here, as the cluster would: the cluster itself would
//! mount it in our containers, too, and what is in a pod is to be seen where pods are built.

use flowforge_model::attempt::Failure;
use k8s_openapi::api::core::v1::{
    ConfigMapProjection, Container, DownwardAPIProjection, DownwardAPIVolumeFile, KeyToPath,
    ObjectFieldSelector, PodSpec, ProjectedVolumeSource, ServiceAccountTokenProjection, Volume,
    VolumeMount, VolumeProjection,
};

use super::asked::{granted, listed};
use super::{INIT, INPUTS};
use crate::placement::Grants;
use crate::refusal::not_possible;

/// Where programs that speak to the cluster look for their token.
const PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME: &str = "flowforge-account";
/// As clusters do it themselves.
const TOKEN_SECONDS: i64 = 3607;
/// What every namespace has: the certificate of the cluster's servers.
const CERTIFICATE: &str = "kube-root-ca.crt";

/// Makes the pod one of the account that is asked for.
pub(super) fn add(
    (name, mounted): (Option<&str>, Option<bool>),
    grants: &Grants,
    spec: &mut PodSpec,
) -> Result<(), Failure> {
    let name = name.filter(|name| !name.is_empty());
    if name.is_none() && mounted != Some(true) {
        return Ok(());
    }
    let own = spec.service_account_name.clone().unwrap_or_default();
    let name = name.unwrap_or(&own);
    if name == own && !grants.service_accounts.contains(&own) {
        if mounted != Some(true) {
            return Ok(());
        }
        return Err(not_possible(format!(
            "automountServiceAccountToken: pods get no token of the project's own account: name one that \
             kubernetes.service_accounts of the executor has, in serviceAccountName; for this project it has {}",
            listed(&grants.service_accounts)
        )));
    }
    let setting = ("serviceAccountName", "kubernetes.service_accounts");
    granted(setting, Some(name), &grants.service_accounts)?;
    spec.service_account_name = Some(name.to_owned());
    if mounted == Some(false) {
        return Ok(());
    }
    spec.volumes.get_or_insert_default().push(volume());
    let init = spec.init_containers.iter_mut().flatten();
    let users = |one: &&mut Container| ![INIT, INPUTS].contains(&&*one.name);
    for container in init.chain(&mut spec.containers).filter(users) {
        let mounts = container.volume_mounts.get_or_insert_default();
        // What the document puts there stays, as in the cluster.
        if !mounts.iter().any(|mount| same(&mount.mount_path, PATH)) {
            let read_only = Some(true);
            mounts.push(VolumeMount { read_only, ..super::mount(VOLUME, PATH) });
        }
    }
    Ok(())
}

fn same(path: &str, other: &str) -> bool {
    let parts =
        |path: &str| path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/");
    parts(path) == parts(other)
}

fn volume() -> Volume {
    let token = ServiceAccountTokenProjection {
        audience: None,
        expiration_seconds: Some(TOKEN_SECONDS),
        path: "token".to_owned(),
    };
    let certificate = KeyToPath { key: "ca.crt".to_owned(), path: "ca.crt".to_owned(), mode: None };
    let certificate = ConfigMapProjection {
        name: CERTIFICATE.to_owned(),
        items: Some(vec![certificate]),
        optional: None,
    };
    let namespace =
        ObjectFieldSelector { api_version: None, field_path: "metadata.namespace".to_owned() };
    let namespace = DownwardAPIVolumeFile {
        path: "namespace".to_owned(),
        field_ref: Some(namespace),
        ..DownwardAPIVolumeFile::default()
    };
    let sources = vec![
        VolumeProjection { service_account_token: Some(token), ..VolumeProjection::default() },
        VolumeProjection { config_map: Some(certificate), ..VolumeProjection::default() },
        VolumeProjection {
            downward_api: Some(DownwardAPIProjection { items: Some(vec![namespace]) }),
            ..VolumeProjection::default()
        },
    ];
    Volume {
        name: VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource { sources: Some(sources), default_mode: None }),
        ..Volume::default()
    }
}

#[cfg(test)]
mod tests;
