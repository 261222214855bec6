//! One try of a task: what an executor is told, and what it reports.
//!
//! Both are kept and sent as JSON for every attempt: what is empty is left out.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::artifact::{Artifact, Given, SecretVariables, StageIn, StageOut};
use crate::claim::Claim;
use crate::daemon::Daemon;
use crate::id::{AttemptId, EntityId, NodeIx, TaskId, WorkflowId};
use crate::object::Action;
use crate::plan::PullPolicy;
use crate::resources::Resources;
use crate::security::ContainerSecurity;
use crate::status::Reason;
use crate::time::{Millis, Timestamp};

/// Names one attempt inside the engine: the task and the number of the try, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// The workflow.
    pub workflow: WorkflowId,
    /// The task.
    pub node: NodeIx,
    /// The number of the try, from 1, rising over all generations.
    pub number: u32,
}

impl AttemptKey {
    /// The attempt's public id.
    #[must_use]
    pub fn id(self) -> AttemptId {
        self.workflow.attempt(self.node, self.number)
    }

    /// The workflow that the attempt starts, if it does that.
    #[must_use]
    pub fn child(self) -> WorkflowId {
        self.workflow.child(self.node, self.number)
    }
}

/// `WORKFLOW/NODE/NUMBER`, as pods are told it.
impl fmt::Display for AttemptKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.workflow, self.node.0, self.number)
    }
}

/// Not `WORKFLOW/NODE/NUMBER`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("WORKFLOW/NODE/NUMBER is wanted")]
pub struct NoAttemptKey;

impl FromStr for AttemptKey {
    type Err = NoAttemptKey;

    fn from_str(text: &str) -> Result<Self, NoAttemptKey> {
        let mut parts = text.split('/');
        let mut key = || {
            let workflow = parts.next()?.parse().ok()?;
            let node = NodeIx(parts.next()?.parse().ok()?);
            let number = parts.next()?.parse().ok()?;
            parts.next().is_none().then_some(Self { workflow, node, number })
        };
        key().ok_or(NoAttemptKey)
    }
}

/// Everything an executor needs to run one attempt: all text substituted, nothing to look up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkOrder {
    /// Which attempt.
    pub key: AttemptKey,
    /// Its public id, `key.id()`.
    pub attempt: AttemptId,
    /// The task's public id.
    pub task: TaskId,
    /// The workflow's project. Orders of earlier versions do not say.
    #[serde(default = "default_project")]
    pub project: EntityId,
    /// Name of the workflow.
    pub workflow_name: String,
    /// Dotted path of the task in its workflow.
    pub task_name: String,
    /// Name of its template.
    pub template: String,
    /// What is done.
    pub work: Work,
    /// Needs and bounds.
    pub resources: Resources,
    /// Volumes that its processes may mount.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
    /// Artifacts to fetch before anything starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts_in: Vec<StageIn>,
    /// Artifacts to keep after success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts_out: Vec<StageOut>,
    /// Output files to collect after success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<OutputFile>,
    /// The attempt is stopped when it has run for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Millis>,
    /// It serves others, once it is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daemon: Option<Box<Daemon<String, u16>>>,
    /// What it asks of its pods beside their containers, as JSON: fields of a pod's `spec`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Box<str>>,
    /// Changes to that, in order, each the text of a YAML map.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pod_patches: Vec<String>,
    /// Labels and annotations of its pods, as JSON: a map with these two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_metadata: Option<Box<str>>,
}

fn default_project() -> EntityId {
    EntityId::DEFAULT_PROJECT
}

/// What an attempt does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Runs processes.
    Run(Box<Program>),
    /// Sends one HTTP request.
    Request(Box<Request>),
    /// Asks a cluster for one object. Programs of earlier versions do not know it, and run nothing.
    Object(Box<Object>),
}

/// The processes of one attempt. They share its volumes and its directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Run one after the other before everything else; the first that fails ends the attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub init: Vec<Process>,
    /// The main process, alone or as a gang; of a container set, its members.
    pub main: Main,
    /// Run beside the main ones, from when those of `init` have ended; they are ended when the main ones
    /// have, and how they end changes nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<Process>,
}

/// What runs after the init processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Main {
    /// One process.
    One(Process),
    /// The same process so many times beside each other, all or none, each with a directory of its own;
    /// the first gives the outputs. Programs of earlier versions do not know it, and run nothing.
    Gang {
        /// What each runs.
        process: Process,
        /// How many there are.
        size: u32,
    },
    /// A small graph of processes; the one named `main` gives the outputs.
    Set {
        /// Its members.
        members: Vec<Member>,
        /// Times a member that failed is started again.
        retries: u32,
        /// The wait before.
        wait: Millis,
    },
}

/// One process of a container set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it runs.
    pub process: Process,
    /// Places of the members that must have succeeded before.
    pub after: Vec<u32>,
}

/// One process to start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name: `main`, or that of its container.
    pub name: String,
    /// The image; a local process takes only its entrypoint from it.
    pub image: String,
    /// Program and arguments; empty means the image's entrypoint, then `args`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// More arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// A script's source: staged as an executable file whose path ends the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// The user's environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<(String, Given)>,
    /// Secrets whose keys are variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<SecretVariables>,
    /// Where it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// Where it sees which volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    /// `$(NAME)` in command, arguments and environment stands for a variable, and `$$` for `$`, as
    /// in Kubernetes. Values that were put into them hold no `$` but doubled ones.
    pub variables: bool,
    /// What it asks for itself, where several share an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Box<Resources>>,
    /// When the image is pulled, if the document says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<PullPolicy>,
    /// Who runs in its container, and what that may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security: Option<Box<ContainerSecurity>>,
}

/// A volume of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name in the document.
    pub name: String,
    /// What is in it.
    pub source: VolumeSource,
}

/// What a volume holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VolumeSource {
    /// Nothing at first; gone with the attempt.
    Empty,
    /// A claim that is there already and outlives workflows; shared by all of its project.
    Claim(String),
    /// A claim made for this workflow, shared by its tasks, gone with it.
    WorkflowClaim(Claim),
    /// Fixed files: path below the volume, content.
    Files(Vec<(String, String)>),
    /// The keys of a secret as files.
    Secret {
        /// Its name.
        name: String,
        /// Keys and their paths below the volume; empty means all keys under their own names.
        items: Vec<(String, String)>,
        /// Missing is an empty volume.
        optional: bool,
    },
}

/// A volume seen by a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Name of the volume.
    pub volume: String,
    /// Absolute path at which it is seen.
    pub path: String,
    /// Only this part of it, below its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_path: Option<String>,
    /// Writing is refused.
    pub read_only: bool,
}

/// An HTTP request that is a task of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `GET`, `POST`...
    pub method: String,
    /// `http://...` or `https://...`.
    pub url: String,
    /// Headers, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, Given)>,
    /// The body.
    pub body: String,
    /// It fails when there is no answer for this long.
    pub timeout: Millis,
    /// An expression over `response.statusCode`, `response.body` and `response.headers` that is
    /// true for a success; without one every status below 400 is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// Accept any certificate.
    pub insecure: bool,
}

/// An object of a Kubernetes cluster that is a task of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// What is done with it.
    pub action: Action,
    /// The object, or what a patch says, as YAML or JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// Type and name of the object, where the manifest does not say them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<(String, String)>,
    /// A [`Condition`](crate::object::Condition) that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<String>,
    /// One that is a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// What is read of it after success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<ObjectOutput>,
}

/// An output parameter that is read of an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOutput {
    /// Name of the output parameter.
    pub name: String,
    /// Where it is.
    pub from: ObjectField,
    /// Value if it is not there; without one that fails the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// Where a value is in an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObjectField {
    /// As [`Reading::json_path`](crate::object::Reading::json_path).
    JsonPath(String),
    /// As [`Reading::jq`](crate::object::Reading::jq).
    Jq(String),
}

/// One output file to collect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputFile {
    /// Name of the output parameter.
    pub name: String,
    /// Where the task writes it.
    pub path: String,
    /// Value if the file is missing; without one a missing file fails the task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When the process began, by the executor's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// The exit code; 128 + n for signal n; none if no process ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Why it failed; none means success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Collected output parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<(String, String)>,
    /// Artifacts that were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<(String, Artifact)>,
    /// The end of standard output, one trailing newline trimmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// The template of an attempt in short: where many are counted, its name would take room. Templates of different
/// names have different keys but for chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateKey(pub u64);

impl TemplateKey {
    /// The same for the same name, in every process and version (FNV-1a).
    #[must_use]
    pub fn of(name: &str) -> Self {
        let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        Self(name.bytes().fold(0xcbf2_9ce4_8422_2325, add))
    }
}

/// How an attempt ended, as far as whoever admits retries has to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Well.
    Succeeded,
    /// By itself, or because it was told to stop.
    Failed,
    /// What it needs did not do its part, or its failure is known to pass.
    Broken,
}

impl Report {
    /// How it ended; none if it vanished, which says nothing about it.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.failure.as_ref().map(|failure| failure.class) {
            None => Some(Outcome::Succeeded),
            Some(FailureClass::User | FailureClass::Stopped) => Some(Outcome::Failed),
            Some(FailureClass::Transient | FailureClass::Error) => Some(Outcome::Broken),
            Some(FailureClass::Lost) => None,
        }
    }
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Whose fault: decides the retry.
    pub class: FailureClass,
    /// Stable code.
    pub reason: Reason,
    /// For people: what happened and what to do.
    pub message: String,
}

impl Failure {
    /// Says which container of several it was, unless nobody's process is to blame.
    #[must_use]
    pub fn of_container(self, name: &str) -> Self {
        self.of(&format!("container {name}"))
    }

    /// Says which member of a gang it was, unless nobody's process is to blame, or time is.
    #[must_use]
    pub fn of_member(self, index: u32) -> Self {
        if self.reason == Reason::Deadline { self } else { self.of(&format!("member {index}")) }
    }

    fn of(self, who: &str) -> Self {
        match self.class {
            FailureClass::Stopped | FailureClass::Lost => self,
            FailureClass::User | FailureClass::Transient | FailureClass::Error => {
                Self { message: format!("{who}: {}", self.message), ..self }
            }
        }
    }
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// The user's code ended badly (Argo's Failed).
    User,
    /// As `User`, but known to pass: exit codes 137, 143, 255 and known messages.
    Transient,
    /// The engine or executor could not do its part (Argo's Error).
    Error,
    /// The attempt vanished; it does not count against the user's retries.
    Lost,
    /// It was told to stop and did.
    Stopped,
}

/// What an executor tells the controller. May arrive twice, late or out of order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// About which attempt.
    pub key: AttemptKey,
    /// What happened.
    pub kind: FactKind,
}

/// What happened to an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FactKind {
    /// Its process runs.
    Started(Timestamp),
    /// It is a daemon, and serves from now on.
    Ready {
        /// When it was found to be ready.
        at: Timestamp,
        /// Its address.
        ip: String,
    },
    /// It ended.
    Finished(Box<Report>),
}

impl Report {
    /// A report of an attempt that ended without its process having its say.
    #[must_use]
    pub fn failed(at: Timestamp, class: FailureClass, reason: Reason, message: String) -> Self {
        Self {
            started_at: None,
            finished_at: at,
            exit_code: None,
            failure: Some(Failure { class, reason, message }),
            outputs: Vec::new(),
            artifacts: Vec::new(),
            result: None,
        }
    }
}

impl Report {
    /// How a gang ended, from the ends of its members in the order of their numbers: as the one that failed first,
    /// or else as its first member. Only that one's outputs count. None of no members.
    #[must_use]
    pub fn of_gang(members: Vec<Self>, first_failed: Option<u32>) -> Option<Self> {
        let started_at = members.iter().filter_map(|one| one.started_at).min();
        let finished_at = members.iter().map(|one| one.finished_at).max()?;
        let decides = first_failed.unwrap_or(0);
        let mut report = members.into_iter().nth(usize::try_from(decides).ok()?)?;
        if decides > 0 {
            report = report.of_another_member();
        }
        Some(Self { started_at, finished_at, ..report })
    }

    /// Without what only the first member of a gang gives.
    #[must_use]
    pub fn of_another_member(self) -> Self {
        Self { outputs: Vec::new(), artifacts: Vec::new(), result: None, ..self }
    }
}

impl Work {
    /// One process with nothing before it.
    #[must_use]
    pub fn one(process: Process) -> Self {
        Self::Run(Box::new(Program {
            init: Vec::new(),
            main: Main::One(process),
            sidecars: Vec::new(),
        }))
    }
}

impl Program {
    /// It has one process, alone or as a gang, and nothing else.
    #[must_use]
    pub fn is_one(&self) -> bool {
        let one = matches!(self.main, Main::One(_) | Main::Gang { .. });
        one && self.init.is_empty() && self.sidecars.is_empty()
    }

    /// All its processes: those of `init`, then the main one or the members, then the sidecars.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let (one, members) = match &self.main {
            Main::One(process) | Main::Gang { process, .. } => (Some(process), [].as_slice()),
            Main::Set { members, .. } => (None, members.as_slice()),
        };
        let members = members.iter().map(|member| &member.process);
        self.init.iter().chain(one).chain(members).chain(&self.sidecars)
    }
}

impl WorkOrder {
    /// How many members it has, if it is a gang.
    #[must_use]
    pub fn gang(&self) -> Option<u32> {
        match &self.work {
            Work::Run(program) => match &program.main {
                Main::Gang { size, .. } => Some(*size),
                Main::One(_) | Main::Set { .. } => None,
            },
            Work::Request(_) | Work::Object(_) => None,
        }
    }

    /// The name of its pod, or of a member's.
    #[must_use]
    pub fn pod_name(&self, member: Option<u32>) -> String {
        self.attempt.pod_name(&self.task_name, member)
    }

    /// The process whose outputs and exit code are those of the attempt: the main one, or the
    /// member of a container set that is called `main`. None if there is none such.
    #[must_use]
    pub fn main(&self) -> Option<&Process> {
        match &self.work {
            Work::Run(program) => match &program.main {
                Main::One(process) | Main::Gang { process, .. } => Some(process),
                Main::Set { members, .. } => {
                    members.iter().map(|member| &member.process).find(|p| p.name == "main")
                }
            },
            Work::Request(_) | Work::Object(_) => None,
        }
    }
}
