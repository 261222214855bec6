//! Who runs in a container, and what is kept from it, as documents ask: `securityContext`.

use serde::{Deserialize, Serialize};

/// The largest id of a user or group that Kubernetes takes.
pub const LARGEST_ID: i64 = 0x7fff_ffff;
/// What every pod has for a seccomp profile, and the only one that may be asked for.
pub const SECCOMP: &str = "RuntimeDefault";
/// All capabilities at once.
pub const ALL_CAPABILITIES: &str = "ALL";
/// Capabilities that a container may ask for: those of the pod security standard `baseline` of Kubernetes.
pub const CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    NET_BIND_SERVICE,
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];
/// The one of them that the standard `restricted` leaves.
pub const NET_BIND_SERVICE: &str = "NET_BIND_SERVICE";

/// What one container asks for. What it does not say is as for all of its pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSecurity {
    /// Id of the user, at most [`LARGEST_ID`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<i64>,
    /// Id of the group, at most [`LARGEST_ID`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<i64>,
    /// It does not start as root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_root: Option<bool>,
    /// Its processes may get more rights than what started them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub escalation: Option<bool>,
    /// The image's own files cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only_root: Option<bool>,
    /// Capabilities beside those that its runtime gives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<String>,
    /// Capabilities that are taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
}

/// Whether a text may name a capability: without the `CAP_` that Linux writes before it.
#[must_use]
pub fn is_capability(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && !text.starts_with("CAP_")
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}
