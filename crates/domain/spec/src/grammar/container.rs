//! What leaves run.

use super::{Field, Kind, full, kind, no_effect, refused};

/// Kubernetes' container.
const SHARED: &[Field] = &[
    full("name"),
    full("image"),
    full("command"),
    full("args"),
    full("env").list(&ENV),
    full("workingDir"),
    full("resources"),
    no_effect("imagePullPolicy", "local processes have no image"),
    refused("envFrom", ""),
    refused("ports", ""),
    refused("volumeMounts", ""),
    refused("volumeDevices", ""),
    refused("livenessProbe", ""),
    refused("readinessProbe", ""),
    refused("startupProbe", ""),
    refused("lifecycle", ""),
    refused("terminationMessagePath", ""),
    refused("terminationMessagePolicy", ""),
    refused("securityContext", ""),
    refused("stdin", ""),
    refused("stdinOnce", ""),
    refused("tty", ""),
    refused("resizePolicy", ""),
    refused("restartPolicy", ""),
];

pub(crate) static CONTAINER: Kind = kind("a container", &[]).with(SHARED);

pub(crate) static SCRIPT: Kind = kind("a script", &[full("source")]).with(SHARED);

pub(crate) static ENV: Kind =
    kind("a variable", &[full("name"), full("value"), refused("valueFrom", "")]);

/// Names one key of a `ConfigMap` or secret.
pub(crate) static CONFIG_KEY: Kind =
    kind("a key reference", &[full("name"), full("key"), full("optional")]);
