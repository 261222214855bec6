//! What leaves run: containers, sets of them, requests.

use super::{CONTAINER_SECURITY, Field, Kind, MOUNT, emulated, full, kind, no_effect, refused};

/// Why other probes than that of a daemon change nothing.
const NO_PROBE: &str = "a process counts as ready once it runs";
/// A probe where nobody waits for one.
const NOT_MAIN: Field = no_effect("readinessProbe", "only the main container of a daemon is asked");
/// The probe of a daemon.
const DAEMON: Field = full("readinessProbe").map(&PROBE);
/// Why a choice about terminals and users changes nothing.
const PLAIN_PROCESS: &str = "a local process is started plainly, by the user of the server";

/// Kubernetes' container.
const SHARED: &[Field] = &[
    full("name"),
    full("image"),
    full("command"),
    full("args"),
    full("env").list(&ENV),
    full("envFrom").list(&ENV_FROM),
    full("workingDir"),
    full("resources"),
    full("volumeMounts").list(&MOUNT),
    emulated("imagePullPolicy", "in pods; local processes have no image"),
    no_effect("ports", "local processes have the network of the machine"),
    no_effect("livenessProbe", "a process that hangs is ended by its deadline"),
    no_effect("startupProbe", NO_PROBE),
    no_effect("lifecycle", "nothing runs beside a local process"),
    no_effect("terminationMessagePath", PLAIN_PROCESS),
    no_effect("terminationMessagePolicy", PLAIN_PROCESS),
    CONTAINER_SECURITY,
    no_effect("stdin", PLAIN_PROCESS),
    no_effect("stdinOnce", PLAIN_PROCESS),
    no_effect("tty", PLAIN_PROCESS),
    no_effect("resizePolicy", PLAIN_PROCESS),
    refused("volumeDevices", "devices are not handed to local processes"),
    refused("restartPolicy", "write retryStrategy"),
    refused("restartPolicyRules", "write retryStrategy"),
];

pub(crate) static CONTAINER: Kind = kind("a container", &[DAEMON]).with(SHARED);

pub(crate) static SCRIPT: Kind = kind("a script", &[full("source"), DAEMON]).with(SHARED);

pub(crate) static INIT_CONTAINER: Kind =
    kind("an init container", &[full("mirrorVolumeMounts"), NOT_MAIN]).with(SHARED);

pub(crate) static SIDECAR: Kind =
    kind("a sidecar", &[full("mirrorVolumeMounts"), NOT_MAIN]).with(SHARED);

pub(crate) static MEMBER: Kind =
    kind("a container of the set", &[full("dependencies"), NOT_MAIN]).with(SHARED);

pub(crate) static CONTAINER_SET: Kind = kind(
    "a containerSet",
    &[
        full("containers").list(&MEMBER),
        full("volumeMounts").list(&MOUNT),
        full("retryStrategy").map(&SET_RETRY),
    ],
);

pub(crate) static SET_RETRY: Kind =
    kind("retryStrategy of a set", &[full("duration"), full("retries")]);

pub(crate) static PROBE: Kind = kind(
    "a probe",
    &[
        full("httpGet").map(&HTTP_GET),
        full("tcpSocket").map(&TCP_SOCKET),
        emulated("exec", "in pods; a local daemon with such a probe fails").map(&EXEC),
        full("initialDelaySeconds"),
        full("periodSeconds"),
        full("timeoutSeconds"),
        full("successThreshold"),
        full("failureThreshold"),
        no_effect("terminationGracePeriodSeconds", "a daemon that is not ready goes on"),
        refused("grpc", "write httpGet or tcpSocket"),
    ],
);

pub(crate) static HTTP_GET: Kind = kind(
    "httpGet",
    &[
        full("host"),
        full("port").any_string(),
        full("path"),
        emulated("scheme", "HTTPS in pods; a local daemon with such a probe fails"),
        full("httpHeaders").list(&HEADER),
    ],
);

pub(crate) static TCP_SOCKET: Kind = kind("tcpSocket", &[full("host"), full("port").any_string()]);

pub(crate) static EXEC: Kind = kind("exec", &[full("command")]);

pub(crate) static ENV: Kind =
    kind("a variable", &[full("name"), full("value"), full("valueFrom").map(&ENV_VALUE_FROM)]);

pub(crate) static ENV_VALUE_FROM: Kind = kind(
    "valueFrom of a variable",
    &[
        full("secretKeyRef").map(&CONFIG_KEY),
        full("configMapKeyRef").map(&CONFIG_KEY),
        full("fieldRef").map(&FIELD_REF),
        refused("resourceFieldRef", "a local process has no pod"),
        refused("fileKeyRef", "a local process has no pod"),
    ],
);

/// Names a field of the pod.
pub(crate) static FIELD_REF: Kind = kind(
    "fieldRef",
    &[full("fieldPath"), no_effect("apiVersion", "fields are those of version v1")],
);

pub(crate) static ENV_FROM: Kind = kind(
    "envFrom",
    &[full("prefix"), full("configMapRef").map(&CONFIG_REF), full("secretRef").map(&CONFIG_REF)],
);

/// Names a whole `ConfigMap`.
pub(crate) static CONFIG_REF: Kind = kind("a reference", &[full("name"), full("optional")]);

/// Names one key of a `ConfigMap` or secret.
pub(crate) static CONFIG_KEY: Kind =
    kind("a key reference", &[full("name"), full("key"), full("optional")]);

pub(crate) static HTTP: Kind = kind(
    "http",
    &[
        full("method"),
        full("url"),
        full("headers").list(&HEADER),
        full("timeoutSeconds"),
        full("body"),
        full("successCondition"),
        full("insecureSkipVerify"),
        refused("bodyFrom", "write the body as a text"),
    ],
);

pub(crate) static OBJECT: Kind = kind(
    "resource",
    &[
        full("action"),
        full("manifest"),
        full("mergeStrategy"),
        full("successCondition"),
        full("failureCondition"),
        full("flags"),
        full("setOwnerReference"),
        refused("manifestFrom", "write the manifest as a text"),
    ],
);

pub(crate) static HEADER: Kind =
    kind("a header", &[full("name"), full("value"), full("valueFrom").map(&HEADER_VALUE_FROM)]);

pub(crate) static HEADER_VALUE_FROM: Kind =
    kind("valueFrom of a header", &[full("secretKeyRef").map(&CONFIG_KEY)]);
