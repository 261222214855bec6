//! Which fields each kind of map has, and which ones Argo has that are not supported here.

/// The fields of one kind of map.
#[derive(Debug)]
pub(crate) struct Kind {
    /// For messages, with an article.
    pub(crate) name: &'static str,
    pub(crate) known: &'static [&'static str],
    /// Fields of Argo that would change what happens.
    pub(crate) unsupported: &'static [&'static str],
    /// Fields of Kubernetes that a local process has no use for: accepted with a warning.
    pub(crate) no_effect: &'static [&'static str],
}

/// Fields of Argo's `spec` that are not supported.
const SPEC_UNSUPPORTED: &[&str] = &[
    "serviceAccountName",
    "automountServiceAccountToken",
    "executor",
    "volumes",
    "volumeClaimTemplates",
    "artifactRepositoryRef",
    "nodeSelector",
    "affinity",
    "tolerations",
    "imagePullSecrets",
    "hostNetwork",
    "dnsPolicy",
    "dnsConfig",
    "schedulerName",
    "podGC",
    "podPriorityClassName",
    "podPriority",
    "hostAliases",
    "securityContext",
    "podSpecPatch",
    "podDisruptionBudget",
    "metrics",
    "shutdown",
    "workflowTemplateRef",
    "synchronization",
    "volumeClaimGC",
    "podMetadata",
    "templateDefaults",
    "archiveLogs",
    "hooks",
    "workflowMetadata",
    "artifactGC",
    "executorPlugins",
    "podResources",
    "resourceClaims",
    "mutex",
    "semaphore",
    "schedule",
    "ttlSecondsAfterFinished",
];

pub(crate) const NATIVE: Kind = Kind {
    name: "the workflow",
    known: &[
        "version",
        "name",
        "description",
        "labels",
        "entrypoint",
        "arguments",
        "templates",
        "onExit",
        "ttlStrategy",
        "activeDeadlineSeconds",
        "parallelism",
        "suspend",
        "priority",
        "retryStrategy",
    ],
    unsupported: SPEC_UNSUPPORTED,
    no_effect: &[],
};

pub(crate) const MANIFEST: Kind = Kind {
    name: "the manifest",
    known: &["apiVersion", "kind", "metadata", "spec"],
    unsupported: &["status"],
    no_effect: &[],
};

pub(crate) const METADATA: Kind = Kind {
    name: "metadata",
    known: &["name", "generateName", "namespace", "labels", "annotations"],
    unsupported: &[
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ],
    no_effect: &[],
};

pub(crate) const SPEC: Kind = Kind {
    name: "the spec",
    known: &[
        "entrypoint",
        "arguments",
        "templates",
        "onExit",
        "ttlStrategy",
        "activeDeadlineSeconds",
        "parallelism",
        "suspend",
        "priority",
        "retryStrategy",
    ],
    unsupported: SPEC_UNSUPPORTED,
    no_effect: &[],
};

pub(crate) const TTL: Kind = Kind {
    name: "ttlStrategy",
    known: &["secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure"],
    unsupported: &[],
    no_effect: &[],
};

pub(crate) const ARGUMENTS: Kind =
    Kind { name: "arguments", known: &["parameters"], unsupported: &["artifacts"], no_effect: &[] };

pub(crate) const WORKFLOW_PARAMETER: Kind = Kind {
    name: "a parameter",
    known: &["name", "value", "default", "enum", "description"],
    unsupported: &["valueFrom", "globalName"],
    no_effect: &[],
};

pub(crate) const ARGUMENT: Kind = Kind {
    name: "an argument",
    known: &["name", "value", "description"],
    unsupported: &["valueFrom", "default", "enum", "globalName"],
    no_effect: &[],
};

pub(crate) const TEMPLATE: Kind = Kind {
    name: "a template",
    known: &[
        "name",
        "description",
        "inputs",
        "outputs",
        "container",
        "script",
        "dag",
        "steps",
        "suspend",
        "retryStrategy",
        "activeDeadlineSeconds",
        "timeout",
        "parallelism",
        "failFast",
        "annotations",
    ],
    unsupported: &[
        "containerSet",
        "resource",
        "http",
        "data",
        "plugin",
        "nodeSelector",
        "affinity",
        "metadata",
        "daemon",
        "volumes",
        "initContainers",
        "sidecars",
        "archiveLocation",
        "tolerations",
        "schedulerName",
        "priorityClassName",
        "priority",
        "serviceAccountName",
        "automountServiceAccountToken",
        "executor",
        "hostAliases",
        "securityContext",
        "podSpecPatch",
        "metrics",
        "synchronization",
        "memoize",
        "pendingTimeout",
        "podResources",
        "resourceClaims",
        "gang",
        "hooks",
        "template",
        "templateRef",
        "arguments",
    ],
    no_effect: &[],
};

pub(crate) const INPUTS: Kind =
    Kind { name: "inputs", known: &["parameters"], unsupported: &["artifacts"], no_effect: &[] };

pub(crate) const INPUT: Kind = Kind {
    name: "an input",
    known: &["name", "default", "value", "enum", "description"],
    unsupported: &["valueFrom", "globalName"],
    no_effect: &[],
};

pub(crate) const OUTPUTS: Kind = Kind {
    name: "outputs",
    known: &["parameters"],
    unsupported: &["artifacts", "result", "exitCode"],
    no_effect: &[],
};

pub(crate) const OUTPUT: Kind = Kind {
    name: "an output",
    known: &["name", "valueFrom", "globalName", "description"],
    unsupported: &["value", "default", "enum"],
    no_effect: &[],
};

pub(crate) const VALUE_FROM: Kind = Kind {
    name: "valueFrom",
    known: &["path", "parameter", "expression", "supplied", "default"],
    unsupported: &["jsonPath", "jqFilter", "event", "configMapKeyRef"],
    no_effect: &[],
};

pub(crate) const RETRY: Kind = Kind {
    name: "retryStrategy",
    known: &["limit", "retryPolicy", "backoff", "expression"],
    unsupported: &["affinity"],
    no_effect: &[],
};

pub(crate) const BACKOFF: Kind = Kind {
    name: "backoff",
    known: &["duration", "factor", "maxDuration", "cap"],
    unsupported: &[],
    no_effect: &[],
};

/// Kubernetes' container without what is not supported.
const CONTAINER_UNSUPPORTED: &[&str] = &[
    "envFrom",
    "ports",
    "volumeMounts",
    "volumeDevices",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "securityContext",
    "stdin",
    "stdinOnce",
    "tty",
    "resizePolicy",
    "restartPolicy",
    "mirrorVolumeMounts",
];

pub(crate) const CONTAINER: Kind = Kind {
    name: "a container",
    known: &[
        "name",
        "image",
        "command",
        "args",
        "env",
        "workingDir",
        "resources",
        "imagePullPolicy",
    ],
    unsupported: CONTAINER_UNSUPPORTED,
    no_effect: &[],
};

pub(crate) const SCRIPT: Kind = Kind {
    name: "a script",
    known: &[
        "name",
        "image",
        "command",
        "source",
        "args",
        "env",
        "workingDir",
        "resources",
        "imagePullPolicy",
    ],
    unsupported: CONTAINER_UNSUPPORTED,
    no_effect: &[],
};

pub(crate) const ENV: Kind = Kind {
    name: "a variable",
    known: &["name", "value"],
    unsupported: &["valueFrom"],
    no_effect: &[],
};

pub(crate) const DAG: Kind = Kind {
    name: "a dag",
    known: &["tasks", "target", "failFast"],
    unsupported: &[],
    no_effect: &[],
};

pub(crate) const TASK: Kind = Kind {
    name: "a task",
    known: &[
        "name",
        "template",
        "arguments",
        "dependencies",
        "depends",
        "when",
        "withItems",
        "withParam",
        "withSequence",
        "continueOn",
    ],
    unsupported: &["templateRef", "inline", "hooks", "onExit", "withArtifacts"],
    no_effect: &[],
};

pub(crate) const STEP: Kind = Kind {
    name: "a step",
    known: &[
        "name",
        "template",
        "arguments",
        "when",
        "withItems",
        "withParam",
        "withSequence",
        "continueOn",
    ],
    unsupported: &["templateRef", "inline", "hooks", "onExit", "withArtifacts"],
    no_effect: &[],
};

pub(crate) const DEPENDENCY: Kind =
    Kind { name: "a dependency", known: &["task", "type"], unsupported: &[], no_effect: &[] };

pub(crate) const CONTINUE_ON: Kind =
    Kind { name: "continueOn", known: &["error", "failed"], unsupported: &[], no_effect: &[] };

pub(crate) const SEQUENCE: Kind = Kind {
    name: "withSequence",
    known: &["count", "start", "end", "format"],
    unsupported: &[],
    no_effect: &[],
};

pub(crate) const SUSPEND: Kind =
    Kind { name: "suspend", known: &["duration"], unsupported: &[], no_effect: &[] };

/// Names one key of a `ConfigMap` or secret.
pub(crate) const CONFIG_KEY: Kind = Kind {
    name: "a key reference",
    known: &["name", "key", "optional"],
    unsupported: &[],
    no_effect: &[],
};
