//! Settings from `FLOWFORGE_<SECTION>_<KEY>`.

use super::settings::all;
use super::{ConfigError, Origin};

const PREFIX: &str = "FLOWFORGE_";

/// What a task of a workflow finds in its environment: a server that runs inside a task is not
/// configured by it.
const TASK_VARIABLES: &[&str] = &[
    "TASK_ID",
    "WORKFLOW_ID",
    "TENANT_ID",
    "PROJECT_ID",
    "API_ENDPOINT",
    "REDIS_ENDPOINT",
    "LOG_ENDPOINT",
    "INSTANCE_ID",
    "ATTEMPT_ID",
    "DATA_DIR_ID",
];

/// `(variable, path of the setting, value)` of every variable that is a setting.
///
/// Variables that Kubernetes injects for a Service of our name, and those of tasks, are ignored;
/// any other unknown one is a mistake.
pub(super) fn values(
    environment: &[(String, String)],
) -> Result<Vec<(&str, &'static str, &str)>, ConfigError> {
    let in_task = environment.iter().any(|(name, _)| name == "FLOWFORGE_TASK_ID");
    let mut values = Vec::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if TASK_VARIABLES.contains(&rest)
            || (in_task && rest == "AUTH_TOKEN")
            || injected(rest, value)
        {
            continue;
        }
        let Some(setting) = all().find(|setting| variable(setting.path) == rest) else {
            let known: Vec<String> =
                all().map(|setting| format!("{PREFIX}{}", variable(setting.path))).collect();
            return Err(ConfigError {
                origin: Origin::Environment(name.clone()),
                what: format!("unknown variable; known are {}", known.join(", ")),
            });
        };
        values.push((name.as_str(), setting.path, value.as_str()));
    }
    Ok(values)
}

/// `FLOWFORGE_PORT=tcp://...`, `FLOWFORGE_PORT_80_TCP_ADDR`, `FLOWFORGE_API_SERVICE_HOST`, ...:
/// what the kubelet sets for Services named `flowforge` and `flowforge-*`.
fn injected(rest: &str, value: &str) -> bool {
    let service = rest.starts_with("SERVICE_")
        || rest.contains("_SERVICE_HOST")
        || rest.contains("_SERVICE_PORT");
    let port = rest.starts_with("PORT_") || rest.contains("_PORT_");
    let link = rest == "PORT" || rest.ends_with("_PORT");
    service || port || (link && value.contains("://"))
}

/// `server.http_port` as `SERVER_HTTP_PORT`.
fn variable(path: &str) -> String {
    path.replace('.', "_").to_uppercase()
}
