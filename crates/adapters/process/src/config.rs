//! How attempts are run.

use std::path::PathBuf;

use flowforge_model::id::InstanceId;
use flowforge_model::time::Millis;

/// What a [`crate::ProcessRunner`] needs to know.
#[derive(Clone, Debug)]
pub struct ProcessConfig {
    /// Each attempt gets a directory below it, removed at its end. Absolute.
    pub work_dir: PathBuf,
    /// Claims are folders below it, made when they are first used. Absolute.
    pub volumes_dir: PathBuf,
    /// The program and arguments that call [`crate::exec_task`]: processes that need paths of
    /// their own are started through it. Empty: no process gets them.
    pub helper: Vec<String>,
    /// What images start, beside those that are known: the name of an image, with or without
    /// registry and tag, and the words that go before the arguments.
    pub images: Vec<(String, Vec<String>)>,
    /// Attempts at a time; more wait. At least 1.
    pub concurrency: usize,
    /// From the polite signal to the hard one.
    pub grace: Millis,
    /// This server process.
    pub instance: InstanceId,
    /// Names the data directory for all its servers, past and to come; marks their processes for
    /// [`crate::end_survivors`]. Not empty.
    pub data_dir_id: String,
    /// Told to tasks as `FLOWFORGE_API_ENDPOINT`.
    pub api_endpoint: String,
    /// Told to tasks as `FLOWFORGE_LOG_ENDPOINT`.
    pub log_endpoint: String,
    /// Told to tasks as `FLOWFORGE_TENANT_ID`.
    pub tenant_id: String,
    /// Told to tasks as `FLOWFORGE_PROJECT_ID`.
    pub project_id: String,
    /// The environment every task begins with, such as PATH, HOME, LANG and TZ of the server.
    pub inherit_env: Vec<(String, String)>,
}
