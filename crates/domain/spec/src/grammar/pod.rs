//! What documents ask of pods beside their containers: where they run, and what names mean there.

use super::{Field, Kind, emulated, full, kind, refused};

/// What becomes of it.
const IN_PODS: &str = "in pods, as far as the settings of executors grant it; local processes run on the machine of the server";
/// What becomes of accounts.
const AS_GRANTED: &str = "in pods, accounts that kubernetes.service_accounts grants; local processes run as the user of the server";
/// What becomes of users and rights.
const AS_PROJECT: &str = "in pods, as far as the standard of the project allows; local processes run as the user of the server";
/// What becomes of labels.
const ON_PODS: &str = "pods have them; a local process has none";
/// Why what concerns nodes is refused.
const NODES_OWN: &str = "what pods get of their node is the same for all of a project";
/// Why a rule looks at the pods of the project only.
const OWN_NAMESPACE: &str = "rules look at pods of the project's own namespace";

pub(crate) const NODE_SELECTOR: Field = emulated("nodeSelector", IN_PODS);
pub(crate) const AFFINITY: Field = emulated("affinity", IN_PODS).map(&AFFINITY_KIND);
pub(crate) const TOLERATIONS: Field = emulated("tolerations", IN_PODS).list(&TOLERATION);
pub(crate) const SCHEDULER: Field = emulated("schedulerName", IN_PODS);
pub(crate) const HOST_ALIASES: Field = emulated("hostAliases", IN_PODS).list(&HOST_ALIAS);
pub(crate) const PULL_SECRETS: Field = emulated("imagePullSecrets", IN_PODS).list(&PULL_SECRET);
pub(crate) const DNS_POLICY: Field = emulated("dnsPolicy", IN_PODS);
pub(crate) const DNS_CONFIG: Field = emulated("dnsConfig", IN_PODS).map(&DNS);
pub(crate) const POD_PATCH: Field = emulated(
    "podSpecPatch",
    "resources of containers, and in pods the fields beside containers that a document may say",
);
/// Of a template.
pub(crate) const PRIORITY_CLASS: Field = emulated("priorityClassName", IN_PODS);
/// Of a workflow.
pub(crate) const POD_PRIORITY_CLASS: Field = emulated("podPriorityClassName", IN_PODS);

pub(crate) const SERVICE_ACCOUNT: Field = emulated("serviceAccountName", AS_GRANTED);
pub(crate) const AUTOMOUNT: Field = emulated("automountServiceAccountToken", AS_GRANTED);
pub(crate) const POD_SECURITY: Field = emulated("securityContext", AS_PROJECT).map(&POD_CONTEXT);
pub(crate) const CONTAINER_SECURITY: Field =
    emulated("securityContext", AS_PROJECT).map(&CONTAINER_CONTEXT);
/// Of a workflow.
pub(crate) const POD_METADATA: Field = emulated("podMetadata", ON_PODS).map(&LABELS_OF_PODS);
/// Of a template.
pub(crate) const TEMPLATE_METADATA: Field = emulated("metadata", ON_PODS).map(&LABELS_OF_PODS);

pub(crate) static LABELS_OF_PODS: Kind =
    kind("metadata of pods", &[full("labels"), full("annotations")]);

static POD_CONTEXT: Kind = kind(
    "securityContext of a pod",
    &[
        full("runAsUser"),
        full("runAsGroup"),
        full("runAsNonRoot"),
        full("fsGroup"),
        full("fsGroupChangePolicy"),
        full("supplementalGroups"),
        full("seccompProfile").map(&SECCOMP),
        refused("supplementalGroupsPolicy", NODES_OWN),
        refused("seLinuxOptions", NODES_OWN),
        refused("seLinuxChangePolicy", NODES_OWN),
        refused("appArmorProfile", NODES_OWN),
        refused("windowsOptions", NODES_OWN),
        refused("sysctls", NODES_OWN),
    ],
);

pub(crate) static CONTAINER_CONTEXT: Kind = kind(
    "securityContext of a container",
    &[
        full("runAsUser"),
        full("runAsGroup"),
        full("runAsNonRoot"),
        full("allowPrivilegeEscalation"),
        full("readOnlyRootFilesystem"),
        full("capabilities").map(&CAPABILITIES),
        full("seccompProfile").map(&SECCOMP),
        emulated("privileged", "false and nothing else"),
        refused("procMount", NODES_OWN),
        refused("seLinuxOptions", NODES_OWN),
        refused("appArmorProfile", NODES_OWN),
        refused("windowsOptions", NODES_OWN),
    ],
);

pub(crate) static CAPABILITIES: Kind = kind("capabilities", &[full("add"), full("drop")]);

pub(crate) static SECCOMP: Kind = kind(
    "a seccomp profile",
    &[emulated("type", "RuntimeDefault and nothing else"), refused("localhostProfile", NODES_OWN)],
);

static TOLERATION: Kind = kind(
    "a toleration",
    &[full("key"), full("operator"), full("value"), full("effect"), full("tolerationSeconds")],
);

static AFFINITY_KIND: Kind = kind(
    "affinity",
    &[
        full("nodeAffinity").map(&NODE_AFFINITY),
        full("podAffinity").map(&POD_AFFINITY),
        full("podAntiAffinity").map(&POD_AFFINITY),
    ],
);

static NODE_AFFINITY: Kind = kind(
    "nodeAffinity",
    &[
        full("requiredDuringSchedulingIgnoredDuringExecution").map(&NODE_TERMS),
        full("preferredDuringSchedulingIgnoredDuringExecution").list(&PREFERRED_NODES),
    ],
);

static NODE_TERMS: Kind = kind("a node selector", &[full("nodeSelectorTerms").list(&NODE_TERM)]);

static NODE_TERM: Kind = kind(
    "a term of a node selector",
    &[full("matchExpressions").list(&EXPRESSION), full("matchFields").list(&EXPRESSION)],
);

static EXPRESSION: Kind =
    kind("a selector's expression", &[full("key"), full("operator"), full("values")]);

static PREFERRED_NODES: Kind =
    kind("a preference of nodes", &[full("weight"), full("preference").map(&NODE_TERM)]);

static POD_AFFINITY: Kind = kind(
    "affinity to pods",
    &[
        full("requiredDuringSchedulingIgnoredDuringExecution").list(&POD_TERM),
        full("preferredDuringSchedulingIgnoredDuringExecution").list(&PREFERRED_PODS),
    ],
);

static PREFERRED_PODS: Kind =
    kind("a preference of pods", &[full("weight"), full("podAffinityTerm").map(&POD_TERM)]);

static POD_TERM: Kind = kind(
    "a term of affinity to pods",
    &[
        full("labelSelector").map(&LABELS),
        full("topologyKey"),
        full("matchLabelKeys"),
        full("mismatchLabelKeys"),
        refused("namespaces", OWN_NAMESPACE),
        refused("namespaceSelector", OWN_NAMESPACE),
    ],
);

static LABELS: Kind =
    kind("a label selector", &[full("matchLabels"), full("matchExpressions").list(&EXPRESSION)]);

static HOST_ALIAS: Kind = kind("a host alias", &[full("ip"), full("hostnames")]);

static PULL_SECRET: Kind = kind("an image pull secret", &[full("name")]);

static DNS: Kind =
    kind("dnsConfig", &[full("nameservers"), full("searches"), full("options").list(&DNS_OPTION)]);

static DNS_OPTION: Kind = kind("an option of dnsConfig", &[full("name"), full("value")]);
