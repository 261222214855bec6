//! Templates: what they take, do and give.

use super::{
    AFFINITY, AUTOMOUNT, CONFIG_KEY, CONTAINER, CONTAINER_SET, DAG, Field, HOST_ALIASES, HTTP,
    INIT_CONTAINER, INPUT_ARTIFACT, Kind, MEMOIZE, NO_ACCOUNT, NO_POD, NODE_SELECTOR, OBJECT,
    ONE_MACHINE, OUTPUT_ARTIFACT, POD_PATCH, POD_SECURITY, PRIORITY_CLASS, SCHEDULER, SCRIPT,
    SERVICE_ACCOUNT, SIDECAR, STEP, SYNCHRONIZATION, TEMPLATE_METADATA, TOLERATIONS, VOLUME, full,
    kind, no_effect, refused,
};

pub(crate) static TEMPLATE: Kind = kind(
    "a template",
    &[
        full("name"),
        full("description"),
        full("annotations"),
        full("inputs").map(&INPUTS),
        full("outputs").map(&OUTPUTS),
        full("container").map(&CONTAINER),
        full("script").map(&SCRIPT),
        full("dag").map(&DAG),
        full("steps").groups(&STEP),
        full("suspend").map(&SUSPEND),
        full("containerSet").map(&CONTAINER_SET),
        full("resource").map(&OBJECT),
        full("http").map(&HTTP),
        refused("data", "lists of remote buckets are not read; list them in a script"),
        refused("plugin", "plugins of Argo's agent are not loaded"),
        full("retryStrategy").map(&RETRY),
        full("activeDeadlineSeconds"),
        full("timeout"),
        full("parallelism"),
        full("failFast"),
        full("daemon"),
        full("volumes").list(&VOLUME),
        full("initContainers").list(&INIT_CONTAINER),
        full("sidecars").list(&SIDECAR),
        no_effect(
            "archiveLocation",
            "artifacts are kept in the repository of the project, logs always",
        ),
        full("synchronization").map(&SYNCHRONIZATION),
        full("memoize").map(&MEMOIZE),
        no_effect("metrics", "metrics of documents are not collected"),
        no_effect("pendingTimeout", "a local process is never pending"),
        full("gang").map(&GANG),
        refused("hooks", "hooks stand at the step or task that calls the template"),
        refused("template", "a template is called from a step or task, not from a template"),
        refused("templateRef", "a template is called from a step or task, not from a template"),
        refused("arguments", "arguments stand at the step or task that calls the template"),
    ],
)
.with(TEMPLATE_POD);

pub(crate) static GANG: Kind = kind("a gang", &[full("replicas")]);

/// What a template says of its pod.
const TEMPLATE_POD: &[Field] = &[
    TEMPLATE_METADATA,
    NODE_SELECTOR,
    AFFINITY,
    TOLERATIONS,
    SCHEDULER,
    PRIORITY_CLASS,
    no_effect("priority", NO_POD),
    SERVICE_ACCOUNT,
    AUTOMOUNT,
    no_effect("executor", NO_ACCOUNT),
    HOST_ALIASES,
    POD_SECURITY,
    POD_PATCH,
    no_effect("podResources", NO_POD),
    refused("resourceClaims", "there is no Kubernetes to claim devices from"),
];

pub(crate) static INPUTS: Kind =
    kind("inputs", &[full("parameters").list(&INPUT), full("artifacts").list(&INPUT_ARTIFACT)]);

pub(crate) static INPUT: Kind = kind(
    "an input",
    &[
        full("name"),
        full("default").any_string(),
        full("value").any_string(),
        full("enum").any_string(),
        full("description"),
        full("valueFrom").map(&GIVEN_FROM),
        refused("globalName", "only outputs are exported"),
    ],
);

pub(crate) static OUTPUTS: Kind = kind(
    "outputs",
    &[
        full("parameters").list(&OUTPUT),
        full("artifacts").list(&OUTPUT_ARTIFACT),
        refused("result", "it is what the task prints"),
        refused("exitCode", "it is what the task ends with"),
    ],
);

pub(crate) static OUTPUT: Kind = kind(
    "an output",
    &[
        full("name"),
        full("valueFrom").map(&VALUE_FROM),
        full("globalName"),
        full("description"),
        refused("value", ""),
        refused("default", "it stands in valueFrom"),
        refused("enum", ""),
    ],
);

pub(crate) static VALUE_FROM: Kind = kind(
    "valueFrom",
    &[
        full("path"),
        full("parameter"),
        full("expression"),
        full("supplied"),
        full("default").any_string(),
        full("jsonPath"),
        full("jqFilter"),
        refused("event", "workflows are not submitted by event bindings"),
        refused("configMapKeyRef", "it is for values that are given"),
    ],
);

/// Where a value that is given comes from.
pub(crate) static GIVEN_FROM: Kind = kind(
    "valueFrom",
    &[
        full("configMapKeyRef").map(&CONFIG_KEY),
        full("expression"),
        full("default").any_string(),
        refused("path", "it is for outputs of a container"),
        refused("parameter", "it is for outputs of a dag or steps"),
        refused("supplied", "it is for outputs of a suspension"),
        refused("jsonPath", "it is for outputs of a resource"),
        refused("jqFilter", "it is for outputs of a resource"),
        refused("event", "workflows are not submitted by event bindings"),
    ],
);

pub(crate) static RETRY: Kind = kind(
    "retryStrategy",
    &[
        full("limit"),
        full("retryPolicy"),
        full("backoff").map(&BACKOFF),
        full("expression"),
        no_effect("affinity", ONE_MACHINE),
    ],
);

pub(crate) static BACKOFF: Kind =
    kind("backoff", &[full("duration"), full("factor"), full("maxDuration"), full("cap")]);

pub(crate) static SUSPEND: Kind = kind("suspend", &[full("duration")]);
