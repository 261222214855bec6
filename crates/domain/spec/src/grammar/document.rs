//! Documents as a whole: what stands around the templates.

use super::{
    AFFINITY, ARGUMENT_ARTIFACT, AUTOMOUNT, CLAIM_TEMPLATE, DNS_CONFIG, DNS_POLICY, Field,
    GIVEN_FROM, HOOK, HOST_ALIASES, Kind, NO_ACCOUNT, NO_POD, NODE_SELECTOR, ONE_MACHINE,
    POD_METADATA, POD_PATCH, POD_PRIORITY_CLASS, POD_SECURITY, PULL_SECRETS, RETRY, SCHEDULER,
    SERVICE_ACCOUNT, SYNCHRONIZATION, TEMPLATE, TOLERATIONS, VOLUME, emulated, full, kind,
    no_effect, refused,
};

pub(crate) static NATIVE: Kind = kind(
    "the workflow",
    &[
        full("version"),
        full("name"),
        full("description"),
        full("labels"),
        full("entrypoint"),
        full("arguments").map(&WORKFLOW_ARGUMENTS),
        full("templates").list(&TEMPLATE),
        full("onExit"),
        full("hooks").named(&HOOK),
        full("ttlStrategy").map(&TTL),
        full("activeDeadlineSeconds"),
        full("parallelism"),
        full("suspend"),
        full("priority"),
        full("retryStrategy").map(&RETRY),
        full("maxRetries"),
        full("synchronization").map(&SYNCHRONIZATION),
        full("volumes").list(&VOLUME),
        full("volumeClaimTemplates").list(&CLAIM_TEMPLATE),
    ],
)
.with(NOT_NATIVE);

/// Fields of Argo's `spec` that the native form does not have.
const NOT_NATIVE: &[Field] = &[
    refused("serviceAccountName", NO_ACCOUNT),
    refused("automountServiceAccountToken", NO_ACCOUNT),
    refused("executor", NO_ACCOUNT),
    refused("artifactRepositoryRef", ""),
    refused("nodeSelector", ONE_MACHINE),
    refused("affinity", ONE_MACHINE),
    refused("tolerations", ONE_MACHINE),
    refused("imagePullSecrets", NO_POD),
    refused("hostNetwork", NO_POD),
    refused("dnsPolicy", NO_POD),
    refused("dnsConfig", NO_POD),
    refused("schedulerName", ONE_MACHINE),
    refused("podGC", NO_POD),
    refused("podPriorityClassName", NO_POD),
    refused("podPriority", NO_POD),
    refused("hostAliases", NO_POD),
    refused("securityContext", NO_POD),
    refused("podSpecPatch", NO_POD),
    refused("podDisruptionBudget", NO_POD),
    refused("metrics", ""),
    refused("shutdown", ""),
    refused("workflowTemplateRef", ""),
    refused("volumeClaimGC", ""),
    refused("podMetadata", NO_POD),
    refused("templateDefaults", ""),
    refused("archiveLogs", "logs are always kept"),
    refused("workflowMetadata", "write labels"),
    refused("artifactGC", ""),
    refused("executorPlugins", ""),
    refused("podResources", NO_POD),
    refused("resourceClaims", NO_POD),
    refused("mutex", ""),
    refused("semaphore", ""),
    refused("schedule", ""),
    refused("ttlSecondsAfterFinished", "write ttlStrategy"),
];

pub(crate) static MANIFEST: Kind = kind("the manifest", &[full("spec").map(&SPEC)]).with(AROUND);

pub(crate) static CRON_MANIFEST: Kind =
    kind("the manifest", &[full("spec").map(&CRON_SPEC)]).with(AROUND);

/// What every manifest has.
const AROUND: &[Field] = &[
    full("apiVersion"),
    full("kind"),
    full("metadata").map(&METADATA),
    no_effect("status", "a workflow begins anew"),
];

pub(crate) static CONFIG_MAP: Kind = kind(
    "a ConfigMap",
    &[
        full("apiVersion"),
        full("kind"),
        full("metadata").map(&METADATA),
        full("data"),
        refused("binaryData", "values are texts"),
        no_effect("immutable", "a run keeps the values it began with"),
    ],
);

/// Why what Kubernetes writes into metadata changes nothing.
const KUBERNETES: &str = "Kubernetes keeps it for itself";

pub(crate) static METADATA: Kind = kind(
    "metadata",
    &[
        full("name"),
        full("generateName"),
        no_effect("namespace", "the project decides the namespace"),
        full("labels"),
        full("annotations"),
        no_effect("uid", KUBERNETES),
        no_effect("resourceVersion", KUBERNETES),
        no_effect("generation", KUBERNETES),
        no_effect("creationTimestamp", KUBERNETES),
        no_effect("deletionTimestamp", KUBERNETES),
        no_effect("deletionGracePeriodSeconds", KUBERNETES),
        no_effect("selfLink", KUBERNETES),
        no_effect("ownerReferences", KUBERNETES),
        no_effect("finalizers", KUBERNETES),
        no_effect("managedFields", KUBERNETES),
    ],
);

pub(crate) static SPEC: Kind = kind(
    "the spec",
    &[
        full("entrypoint"),
        full("arguments").map(&WORKFLOW_ARGUMENTS),
        full("templates").list(&TEMPLATE),
        full("templateDefaults").map(&TEMPLATE),
        full("workflowTemplateRef").map(&WORKFLOW_TEMPLATE_REF),
        full("onExit"),
        full("hooks").named(&HOOK),
        full("ttlStrategy").map(&TTL),
        full("ttlSecondsAfterFinished"),
        full("activeDeadlineSeconds"),
        full("parallelism"),
        full("suspend"),
        full("priority"),
        full("retryStrategy").map(&RETRY),
        full("workflowMetadata").map(&WORKFLOW_METADATA),
        full("synchronization").map(&SYNCHRONIZATION),
        full("volumes").list(&VOLUME),
        full("volumeClaimTemplates").list(&CLAIM_TEMPLATE),
        no_effect("volumeClaimGC", "the claims of a workflow go when it is deleted"),
        no_effect("artifactRepositoryRef", "artifacts are kept in the repository of the project"),
        no_effect("artifactGC", "artifacts are kept"),
        emulated("archiveLogs", "logs are always kept"),
        no_effect("metrics", "metrics of documents are not collected"),
        refused("shutdown", "submit it, then ask: ffctl stop or ffctl terminate"),
        refused("executorPlugins", "plugins of Argo's agent are not loaded"),
        refused("mutex", "it stands in synchronization"),
        refused("semaphore", "it stands in synchronization"),
        refused("schedule", "it stands in a CronWorkflow"),
    ],
)
.with(SPEC_POD);

/// What a workflow says of its pods.
const SPEC_POD: &[Field] = &[
    SERVICE_ACCOUNT,
    AUTOMOUNT,
    no_effect("executor", NO_ACCOUNT),
    NODE_SELECTOR,
    AFFINITY,
    TOLERATIONS,
    SCHEDULER,
    PULL_SECRETS,
    no_effect("hostNetwork", "local processes have the network of the machine"),
    DNS_POLICY,
    DNS_CONFIG,
    HOST_ALIASES,
    no_effect("podGC", NO_POD),
    POD_PRIORITY_CLASS,
    no_effect("podPriority", NO_POD),
    POD_SECURITY,
    POD_PATCH,
    no_effect("podDisruptionBudget", NO_POD),
    POD_METADATA,
    no_effect("podResources", NO_POD),
    refused("resourceClaims", "there is no Kubernetes to claim devices from"),
];

pub(crate) static CRON_SPEC: Kind = kind(
    "the spec",
    &[
        full("workflowSpec").map(&SPEC),
        full("workflowMetadata").map(&METADATA),
        full("schedule"),
        full("schedules"),
        full("timezone"),
        full("concurrencyPolicy"),
        full("startingDeadlineSeconds"),
        full("successfulJobsHistoryLimit"),
        full("failedJobsHistoryLimit"),
        full("suspend"),
        full("stopStrategy").map(&STOP_STRATEGY),
        full("when"),
    ],
);

pub(crate) static STOP_STRATEGY: Kind =
    kind("stopStrategy", &[full("expression"), full("condition")]);

pub(crate) static NATIVE_SCHEDULE: Kind = kind(
    "the schedule document",
    &[
        full("version"),
        full("name"),
        full("labels"),
        full("annotations"),
        full("schedule").map(&SCHEDULE),
        full("workflow").map(&NATIVE),
    ],
);

pub(crate) static SCHEDULE: Kind = kind(
    "the schedule",
    &[
        full("cron"),
        full("timezone"),
        full("concurrency"),
        full("startingDeadline"),
        full("catchUp"),
        full("keep").map(&KEEP),
        full("suspend"),
        full("when"),
        full("stopWhen"),
    ],
);

pub(crate) static KEEP: Kind = kind("keep", &[full("succeeded"), full("failed")]);

pub(crate) static WORKFLOW_TEMPLATE_REF: Kind =
    kind("workflowTemplateRef", &[full("name"), full("clusterScope")]);

pub(crate) static WORKFLOW_METADATA: Kind = kind(
    "workflowMetadata",
    &[full("labels"), full("annotations"), full("labelsFrom").named(&LABEL)],
);

pub(crate) static LABEL: Kind = kind("a label", &[full("expression")]);

pub(crate) static TTL: Kind = kind(
    "ttlStrategy",
    &[full("secondsAfterCompletion"), full("secondsAfterSuccess"), full("secondsAfterFailure")],
);

/// The arguments of a workflow.
pub(crate) static WORKFLOW_ARGUMENTS: Kind = kind(
    "arguments",
    &[full("parameters").list(&WORKFLOW_PARAMETER), full("artifacts").list(&ARGUMENT_ARTIFACT)],
);

pub(crate) static WORKFLOW_PARAMETER: Kind = kind(
    "a parameter",
    &[
        full("name"),
        full("value").any_string(),
        full("default").any_string(),
        full("enum").any_string(),
        full("description"),
        full("valueFrom").map(&GIVEN_FROM),
        refused("globalName", "only outputs are exported"),
    ],
);
