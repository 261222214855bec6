//! Calls of templates: tasks, steps, hooks.

use super::{ARGUMENT_ARTIFACT, Field, GIVEN_FROM, Kind, TEMPLATE, full, kind, refused};

pub(crate) static DAG: Kind =
    kind("a dag", &[full("tasks").list(&TASK), full("target"), full("failFast")]);

/// What tasks and steps have in common.
static CALL: [Field; 12] = [
    full("name"),
    full("template"),
    full("templateRef").map(&TEMPLATE_REF),
    full("inline").map(&TEMPLATE),
    full("arguments").map(&ARGUMENTS),
    full("when"),
    full("withItems").any_string(),
    full("withParam"),
    full("withSequence").map(&SEQUENCE),
    full("continueOn").map(&CONTINUE_ON),
    full("hooks").named(&HOOK),
    full("onExit"),
];

pub(crate) static TASK: Kind =
    kind("a task", &[full("dependencies"), full("depends"), WITH_ARTIFACTS]).with(&CALL);

pub(crate) static STEP: Kind = kind("a step", &[WITH_ARTIFACTS]).with(&CALL);

const WITH_ARTIFACTS: Field = refused("withArtifacts", "loops go over values");

pub(crate) static HOOK: Kind = kind(
    "a hook",
    &[
        full("template"),
        full("templateRef").map(&TEMPLATE_REF),
        full("arguments").map(&ARGUMENTS),
        full("expression"),
    ],
);

pub(crate) static TEMPLATE_REF: Kind =
    kind("templateRef", &[full("name"), full("template"), full("clusterScope")]);

pub(crate) static ARGUMENTS: Kind = kind(
    "arguments",
    &[full("parameters").list(&ARGUMENT), full("artifacts").list(&ARGUMENT_ARTIFACT)],
);

pub(crate) static ARGUMENT: Kind = kind(
    "an argument",
    &[
        full("name"),
        full("value").any_string(),
        full("description"),
        full("valueFrom").map(&GIVEN_FROM),
        refused("default", ""),
        refused("enum", ""),
        refused("globalName", ""),
    ],
);

pub(crate) static DEPENDENCY: Kind = kind("a dependency", &[full("task"), full("type")]);

pub(crate) static CONTINUE_ON: Kind = kind("continueOn", &[full("error"), full("failed")]);

pub(crate) static SEQUENCE: Kind =
    kind("withSequence", &[full("count"), full("start"), full("end"), full("format")]);
