//! What documents ask of pods beside their containers: where they run, and what names mean there.

use super::{Field, Kind, emulated, full, kind, refused};

/// What becomes of it.
const IN_PODS: &str = "in pods, as far as the settings of executors grant it; local processes run on the machine of the server";
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
pub(crate) const POD_PATCH: Field =
    emulated("podSpecPatch", "in pods, of the fields beside containers that a document may say");
/// Of a template.
pub(crate) const PRIORITY_CLASS: Field = emulated("priorityClassName", IN_PODS);
/// Of a workflow.
pub(crate) const POD_PRIORITY_CLASS: Field = emulated("podPriorityClassName", IN_PODS);

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
