//! What is kept from what runs in a pod, and what a document may change about that.
//!
//! A document may take rights away everywhere. What it may add is what the pod security standard of its project
//! leaves, and no more: the cluster keeps the namespace to the same standard.

use flowforge_model::attempt::{Failure, Process};
use flowforge_model::security::{
    ALL_CAPABILITIES, CAPABILITIES, ContainerSecurity, LARGEST_ID, NET_BIND_SERVICE, SECCOMP,
};
use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};
use serde::Deserialize;

use crate::placement::Security;
use crate::refusal::not_possible;

/// The user and group where nothing else is said.
const USER: i64 = 10001;
/// How the group of volumes may be changed.
const CHANGES: [&str; 2] = ["Always", "OnRootMismatch"];

/// What a document says of all containers of its pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Asked {
    run_as_user: Option<i64>,
    run_as_group: Option<i64>,
    run_as_non_root: Option<bool>,
    fs_group: Option<i64>,
    fs_group_change_policy: Option<String>,
    supplemental_groups: Option<Vec<i64>>,
    seccomp_profile: Option<Profile>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    #[serde(rename = "type")]
    type_: String,
}

pub(crate) fn pod(security: Security) -> PodSecurityContext {
    let seccomp = SeccompProfile { type_: SECCOMP.to_owned(), localhost_profile: None };
    let baseline =
        PodSecurityContext { seccomp_profile: Some(seccomp), ..PodSecurityContext::default() };
    match security {
        Security::Baseline => baseline,
        Security::Restricted => PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            ..baseline
        },
    }
}

pub(crate) fn container(security: Security) -> Option<SecurityContext> {
    match security {
        Security::Restricted => Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                add: None,
                drop: Some(vec![ALL_CAPABILITIES.to_owned()]),
            }),
            ..SecurityContext::default()
        }),
        Security::Baseline => None,
    }
}

/// Restricted whatever the pod is.
pub(super) fn ordinary_user() -> SecurityContext {
    SecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        ..container(Security::Restricted).unwrap_or_default()
    }
}

/// Of what fetches the inputs of `process`: it is the same user, so that the task may change what it gets and
/// volumes let it in; nothing else that is asked for is for it.
pub(super) fn fetching(process: &Process, security: Security) -> SecurityContext {
    let asked = process.security.as_deref();
    SecurityContext {
        run_as_user: asked.and_then(|asked| asked.user),
        run_as_group: asked.and_then(|asked| asked.group),
        // The image of ours may be one of root, which is no matter where the task may be root.
        run_as_non_root: (security == Security::Baseline).then_some(false),
        ..container(security).unwrap_or_default()
    }
}

/// The context of a pod for which a document asks something.
pub(super) fn asked(asked: Asked, security: Security) -> Result<PodSecurityContext, Failure> {
    let place = "securityContext of the pod";
    let ids = [
        ("runAsUser", asked.run_as_user),
        ("runAsGroup", asked.run_as_group),
        ("fsGroup", asked.fs_group),
    ];
    let groups = asked.supplemental_groups.iter().flatten();
    let groups = groups.map(|id| ("supplementalGroups", Some(*id)));
    are_ids(ids.into_iter().chain(groups), place)?;
    ordinary((asked.run_as_user, asked.run_as_non_root), security, place)?;
    if asked.fs_group_change_policy.as_deref().is_some_and(|one| !CHANGES.contains(&one)) {
        return Err(refused(place, "fsGroupChangePolicy", "it is Always or OnRootMismatch"));
    }
    if asked.seccomp_profile.is_some_and(|profile| profile.type_ != SECCOMP) {
        return Err(refused(place, "seccompProfile", "pods have RuntimeDefault and no other"));
    }
    let ours = pod(security);
    Ok(PodSecurityContext {
        run_as_user: asked.run_as_user.or(ours.run_as_user),
        run_as_group: asked.run_as_group.or(ours.run_as_group),
        run_as_non_root: asked.run_as_non_root.or(ours.run_as_non_root),
        fs_group: asked.fs_group.or(ours.fs_group),
        fs_group_change_policy: asked.fs_group_change_policy.or(ours.fs_group_change_policy),
        supplemental_groups: asked.supplemental_groups.filter(|groups| !groups.is_empty()),
        ..pod(security)
    })
}

/// The context of a container of the user's.
pub(super) fn users(
    process: &Process,
    security: Security,
) -> Result<Option<SecurityContext>, Failure> {
    let ours = container(security);
    let Some(asked) = process.security.as_deref() else { return Ok(ours) };
    let place = &*format!("securityContext of the container {}", process.name);
    are_ids([("runAsUser", asked.user), ("runAsGroup", asked.group)], place)?;
    ordinary((asked.user, asked.non_root), security, place)?;
    let restricted = security == Security::Restricted;
    if restricted && asked.escalation == Some(true) {
        return Err(refused(place, "allowPrivilegeEscalation true", ORDINARY));
    }
    let may: &[&str] = if restricted { &[NET_BIND_SERVICE] } else { &CAPABILITIES };
    if let Some(other) = asked.add.iter().find(|name| !may.contains(&&***name)) {
        let why = format!("a pod of this project may add {}", may.join(", "));
        return Err(refused(place, &format!("capability {other:.64?}"), &why));
    }
    Ok(Some(SecurityContext {
        run_as_user: asked.user,
        run_as_group: asked.group,
        run_as_non_root: asked.non_root,
        allow_privilege_escalation: if restricted { Some(false) } else { asked.escalation },
        read_only_root_filesystem: asked.read_only_root,
        capabilities: capabilities(asked, restricted),
        ..SecurityContext::default()
    }))
}

/// All are taken away where the standard is the stricter one, whatever else is.
fn capabilities(asked: &ContainerSecurity, restricted: bool) -> Option<Capabilities> {
    let drop = if restricted { vec![ALL_CAPABILITIES.to_owned()] } else { asked.drop.clone() };
    let some = |names: Vec<String>| (!names.is_empty()).then_some(names);
    let (add, drop) = (some(asked.add.clone()), some(drop));
    (add.is_some() || drop.is_some()).then_some(Capabilities { add, drop })
}

/// Why a project's pods do not get more.
const ORDINARY: &str = "pods of this project run as ordinary users, without more rights; kubernetes.pod_security and \
                        kubernetes.baseline_projects of the executor say which projects have more";

fn are_ids(
    ids: impl IntoIterator<Item = (&'static str, Option<i64>)>,
    place: &str,
) -> Result<(), Failure> {
    for (what, id) in ids {
        if id.is_some_and(|id| !(0..=LARGEST_ID).contains(&id)) {
            return Err(refused(place, what, "an id is a whole number from 0 to 2147483647"));
        }
    }
    Ok(())
}

/// Whether the standard lets this user in.
fn ordinary(
    (user, non_root): (Option<i64>, Option<bool>),
    security: Security,
    place: &str,
) -> Result<(), Failure> {
    if security == Security::Baseline {
        return Ok(());
    }
    if user == Some(0) {
        return Err(refused(place, "runAsUser 0", ORDINARY));
    }
    if non_root == Some(false) {
        return Err(refused(place, "runAsNonRoot false", ORDINARY));
    }
    Ok(())
}

fn refused(place: &str, what: &str, why: &str) -> Failure {
    not_possible(format!("{place}: {what}: {why}"))
}

#[cfg(test)]
mod tests;
