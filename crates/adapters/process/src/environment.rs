//! The environment of a task, built anew: nothing of the server's own leaks into it.

use std::ops::Range;
use std::path::Path;

use flowforge_model::artifact::{Given, SecretKey, SecretVariables};
use flowforge_model::attempt::{Failure, FailureClass, Process, WorkOrder};
use flowforge_model::limits;
use flowforge_model::status::Reason;
use flowforge_ports::secrets::Secrets;

use crate::config::ProcessConfig;
use crate::launch::Member;
use crate::variables;

/// Marks every process of a data directory; the value is [`ProcessConfig::data_dir_id`].
pub(crate) const DATA_DIR: &str = "FLOWFORGE_DATA_DIR_ID";
/// Marks every process of one attempt.
pub(crate) const ATTEMPT: &str = "FLOWFORGE_ATTEMPT_ID";
/// Which member of a gang a process is, from 0.
const GANG_INDEX: &str = "FLOWFORGE_GANG_INDEX";
/// How many members its gang has.
const GANG_SIZE: &str = "FLOWFORGE_GANG_SIZE";
/// Where programs are looked for if nobody says.
pub(crate) const DEFAULT_PATH: &str =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that Argo tells.
const ARGO_NAMES: [&str; 5] = [
    "ARGO_CONTAINER_NAME",
    "ARGO_NODE_ID",
    "ARGO_POD_NAME",
    "ARGO_WORKFLOW_NAME",
    "ARGO_WORKFLOW_UID",
];

/// Names and values in order; of equal names the last one counts.
pub(crate) type Environment = Vec<(String, String)>;

/// The base and what Argo tells, then the user's, then ours: a user cannot pretend to be another
/// task. Gives the places of what is the container's own, too: Argo's and the user's.
pub(crate) fn build(
    config: &ProcessConfig,
    secrets: &dyn Secrets,
    (order, process, member): (&WorkOrder, &Process, Option<Member>),
    temporary: &Path,
) -> Result<(Environment, Range<usize>), Failure> {
    let mut all = Vec::with_capacity(config.inherit_env.len() + process.env.len() + 20);
    all.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    all.extend(config.inherit_env.iter().cloned());
    all.push(("TMPDIR".to_owned(), temporary.to_string_lossy().into_owned()));
    let own = all.len();
    let argos = [
        process.name.clone(),
        order.task.to_string(),
        order.attempt.to_string(),
        order.workflow_name.clone(),
        order.key.workflow.to_string(),
    ];
    all.extend(ARGO_NAMES.iter().zip(argos).map(|(name, value)| ((*name).to_owned(), value)));
    for at in 0..=process.env.len() {
        for from in process.secrets.iter().filter(|from| from.at == at) {
            all.extend(all_of(secrets, from)?);
        }
        let Some((name, value)) = process.env.get(at) else { break };
        let value = match value {
            Given::Text(text) if process.variables => {
                variables::expand(text, all.get(own..).unwrap_or_default())
            }
            Given::Text(text) => text.clone(),
            Given::Secret(secret) => match read(secrets, secret)? {
                Some(value) => value,
                None => continue,
            },
        };
        check(name, &value)?;
        all.push((name.clone(), value));
    }
    let own = own..all.len();
    all.extend(marks(config, order));
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
    ];
    all.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    if let Some(Member { index, size }) = member {
        all.push((GANG_INDEX.to_owned(), index.to_string()));
        all.push((GANG_SIZE.to_owned(), size.to_string()));
    }
    Ok((all, own))
}

/// By what processes of an attempt are found, from their first moment on.
pub(crate) fn marks(config: &ProcessConfig, order: &WorkOrder) -> [(String, String); 2] {
    [(ATTEMPT, order.attempt.to_string()), (DATA_DIR, config.data_dir_id.clone())]
        .map(|(name, value)| (name.to_owned(), value))
}

/// All keys of a secret that can be variables, as Kubernetes takes them.
fn all_of(secrets: &dyn Secrets, from: &SecretVariables) -> Result<Environment, Failure> {
    let SecretVariables { prefix, name, optional, .. } = from;
    let Some(keys) = secrets.secret(name) else {
        let message = format!(
            "the secret {name} is not here: make a folder {name} in the server's directory of \
             secrets, with a file for each key, readable by nobody else"
        );
        let missing =
            Failure { class: FailureClass::Error, reason: Reason::SecretMissing, message };
        return if *optional { Ok(Vec::new()) } else { Err(missing) };
    };
    let fits =
        |name: &str| !name.contains(|c: char| c == '=' || c.is_control() || c.is_whitespace());
    let mut all = Vec::with_capacity(keys.len());
    for (key, value) in keys {
        let name = format!("{prefix}{key}");
        if let (true, Ok(value)) = (fits(&name), String::from_utf8(value)) {
            check(&name, &value)?;
            all.push((name, value));
        }
    }
    Ok(all)
}

/// The value of a secret's key; none if it is not there and need not be.
fn read(secrets: &dyn Secrets, wanted: &SecretKey) -> Result<Option<String>, Failure> {
    let SecretKey { name, key, optional } = wanted;
    let failure = |reason, message| Failure { class: FailureClass::Error, reason, message };
    let found = secrets.secret(name);
    match found.as_ref().and_then(|keys| keys.get(key)) {
        Some(value) => match String::from_utf8(value.clone()) {
            Ok(text) => Ok(Some(text)),
            Err(_) => {
                let message = format!("the key {key} of the secret {name} is not UTF-8 text");
                Err(failure(Reason::SecretMissing, message))
            }
        },
        None if *optional => Ok(None),
        None => {
            let what = if found.is_some() { "has no key" } else { "is not here, with its key" };
            let message = format!(
                "the secret {name} {what} {key}: write the value to the file {name}/{key} in the \
                 server's directory of secrets, readable by nobody else"
            );
            Err(failure(Reason::SecretMissing, message))
        }
    }
}

/// The value of a variable.
pub(crate) fn value<'e>(environment: &'e Environment, wanted: &str) -> Option<&'e str> {
    let last = environment.iter().rev().find(|(name, _)| name == wanted);
    last.map(|(_, value)| value.as_str())
}

/// Where the task's programs are looked for.
pub(crate) fn path(environment: &Environment) -> &str {
    value(environment, "PATH").unwrap_or(DEFAULT_PATH)
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
