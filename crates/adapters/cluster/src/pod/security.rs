//! What is kept from what runs in a pod.

use k8s_openapi::api::core::v1::{
    Capabilities, PodSecurityContext, SeccompProfile, SecurityContext,
};

use crate::placement::Security;

/// The user and group where nothing else is said.
const USER: i64 = 10001;

pub(crate) fn pod(security: Security) -> PodSecurityContext {
    let seccomp = SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None };
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
            capabilities: Some(Capabilities { add: None, drop: Some(vec!["ALL".to_owned()]) }),
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
