//! The environment of a task, built anew: nothing of the server's own leaks into it.

use std::path::Path;

use flowforge_model::artifact::{Given, SecretKey};
use flowforge_model::attempt::{Failure, FailureClass, Process, WorkOrder};
use flowforge_model::limits;
use flowforge_model::status::Reason;

use crate::config::ProcessConfig;

/// Marks every process of a data directory; the value is [`ProcessConfig::data_dir_id`].
pub(crate) const DATA_DIR: &str = "FLOWFORGE_DATA_DIR_ID";
/// Marks every process of one attempt.
pub(crate) const ATTEMPT: &str = "FLOWFORGE_ATTEMPT_ID";
/// Where programs are looked for if nobody says.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Names and values in order; of equal names the last one counts.
pub(crate) type Environment = Vec<(String, String)>;

/// The base, then the user's, then ours: a user cannot pretend to be another task.
pub(crate) fn build(
    config: &ProcessConfig,
    (order, process): (&WorkOrder, &Process),
    directory: &Path,
) -> Result<Environment, Failure> {
    let mut all = Vec::with_capacity(config.inherit_env.len() + process.env.len() + 16);
    all.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    all.extend(config.inherit_env.iter().cloned());
    all.push(("TMPDIR".to_owned(), directory.to_string_lossy().into_owned()));
    for (name, value) in &process.env {
        let value = match value {
            Given::Text(text) => text.clone(),
            Given::Secret(secret) => return Err(no_secret(secret)),
        };
        check(name, &value)?;
        all.push((name.clone(), value));
    }
    let ours = [
        ("FLOWFORGE_TASK_ID", order.task.to_string()),
        ("FLOWFORGE_WORKFLOW_ID", order.key.workflow.to_string()),
        ("FLOWFORGE_TENANT_ID", config.tenant_id.clone()),
        ("FLOWFORGE_PROJECT_ID", config.project_id.clone()),
        ("FLOWFORGE_API_ENDPOINT", config.api_endpoint.clone()),
        ("FLOWFORGE_REDIS_ENDPOINT", String::new()),
        ("FLOWFORGE_LOG_ENDPOINT", config.log_endpoint.clone()),
        ("FLOWFORGE_AUTH_TOKEN", String::new()),
        ("FLOWFORGE_INSTANCE_ID", config.instance.to_string()),
        (ATTEMPT, order.attempt.to_string()),
        (DATA_DIR, config.data_dir_id.clone()),
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    Ok(all)
}

fn no_secret(secret: &SecretKey) -> Failure {
    let message = format!("the secret {} is not here", secret.name);
    Failure { class: FailureClass::Error, reason: Reason::SecretMissing, message }
}

/// Where the task's programs are looked for.
pub(crate) fn path(environment: &Environment) -> &str {
    let last = environment.iter().rev().find(|(name, _)| name == "PATH");
    last.map_or(DEFAULT_PATH, |(_, value)| value)
}

fn check(name: &str, value: &str) -> Result<(), Failure> {
    let failure = |reason, message| Failure { class: FailureClass::Error, reason, message };
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        let message = format!("the environment variable {name:?} holds a character it may not");
        return Err(failure(Reason::SpawnFailed, message));
    }
    let bytes = name.len() + 1 + value.len();
    if bytes > limits::ARGUMENT_BYTES {
        let message = format!(
            "the environment variable {name} has {bytes} bytes, Linux takes {}: pass it in a file",
            limits::ARGUMENT_BYTES
        );
        return Err(failure(Reason::ArgumentTooLong, message));
    }
    Ok(())
}
