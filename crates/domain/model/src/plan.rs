//! What was asked for: a workflow document after it was parsed, validated and compiled.
//!
//! A [`Plan`] is valid by construction: every template and sibling it names exists, its graphs
//! have no cycle, its expressions parse. Names are resolved to indices.

mod artifacts;
mod child;
mod containers;
mod graph;
mod object;
mod pod;
mod retry;
mod rows;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::daemon::Daemon;
use crate::resources::{Bytes, Resources};
use crate::text::Text;
use crate::time::Millis;

pub use artifacts::{
    ArtifactRef, ArtifactSource, InputArtifact, OutputArtifact, OutputArtifactSource, Place,
    PlaceKind,
};
pub use child::Child;
pub use containers::{
    Container, ContainerSet, Http, Mount, NamedContainer, PullPolicy, Value, Volume, VolumeSource,
};
pub use graph::{
    Call, Condition, ContinueOn, Dag, Dependency, DependencyKind, Hook, Needs, Outcome, Repeat,
    Sequence, Steps, Task,
};
pub use object::Object;
pub use pod::Tree;
pub use retry::{Backoff, RetryPolicy, RetryStrategy, Setting};
pub use rows::Rows;

/// What the container of a template that has one is called.
pub const MAIN: &str = "main";

/// Index into [`Plan::templates`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TemplateIx(pub u32);

/// A compiled workflow document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// All templates, in the order of the document.
    pub templates: Vec<Template>,
    /// Where the workflow begins.
    pub entrypoint: TemplateIx,
    /// What runs after everything else, whatever happened: `onExit`, or the hook `exit`.
    pub on_exit: Option<Call>,
    /// What runs beside everything else, once, when a condition first becomes true.
    pub hooks: Vec<Hook>,
    /// `workflow.parameters`, with the values of this submission filled in.
    pub parameters: Vec<(Box<str>, Box<str>)>,
    /// Artifacts the workflow itself is given, for the inputs of the entrypoint.
    pub artifacts: Vec<(Box<str>, ArtifactSource)>,
    /// `workflow.annotations`, fixed by the document.
    pub annotations: Vec<(Box<str>, Box<str>)>,
    /// `workflow.serviceAccountName`.
    pub service_account: Option<Box<str>>,
    /// Locks held while the workflow runs.
    pub locks: Vec<Lock>,
    /// Volumes that any template may mount.
    pub volumes: Vec<Volume>,
    /// Retries of leaves that name none themselves.
    pub default_retry: Option<RetryStrategy>,
    /// Retries of all its tasks together; `None` is [`limits::WORKFLOW_RETRIES`].
    ///
    /// [`limits::WORKFLOW_RETRIES`]: crate::limits::WORKFLOW_RETRIES
    pub max_retries: Option<u32>,
    /// The workflow fails when it has run for this long.
    pub active_deadline: Option<Millis>,
    /// When a finished workflow is deleted.
    pub ttl: Ttl,
    /// Running leaves at a time, over the whole workflow.
    pub parallelism: Option<u32>,
    /// Begins paused.
    pub suspend: bool,
}

/// Spans after the end at which a workflow is deleted with everything it kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ttl {
    /// After any end.
    pub completion: Option<Millis>,
    /// After `SUCCEEDED`.
    pub success: Option<Millis>,
    /// After `FAILED` or `CANCELLED`.
    pub failure: Option<Millis>,
}

/// A reusable definition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Unique in the plan: its name in the document; with the name of a stored template before it
    /// (`stored/name`) if it comes from there; made from the task for one that stands inline.
    pub name: Box<str>,
    /// Parameters it takes.
    pub inputs: Vec<Input>,
    /// Artifacts it takes.
    pub artifacts_in: Vec<InputArtifact>,
    /// Parameters it gives.
    pub outputs: Vec<Output>,
    /// Artifacts it gives.
    pub artifacts_out: Vec<OutputArtifact>,
    /// What it does.
    pub body: Body,
    /// How often it is tried.
    pub retry: Option<RetryStrategy>,
    /// One attempt of a leaf fails after this long.
    pub active_deadline: Option<Millis>,
    /// The task fails this long after it became ready, waiting and retries included.
    pub timeout: Option<Millis>,
    /// Running children of one instance at a time.
    pub parallelism: Option<u32>,
    /// Begins nothing more in it after a first failure.
    pub fail_fast: bool,
    /// Locks held while it runs, tries included.
    pub locks: Vec<Lock>,
    /// Where its outputs are remembered.
    pub memoize: Option<Memoize>,
    /// Volumes of its own.
    pub volumes: Vec<Volume>,
    /// Containers that run one after the other before its own.
    pub init: Vec<NamedContainer>,
    /// So many of it run beside each other as one attempt, all or none: from 2 to
    /// [`GANG_MEMBERS`](crate::limits::GANG_MEMBERS).
    pub gang: Option<u32>,
    /// Containers that run beside its own and end with them.
    #[serde(default)]
    pub sidecars: Vec<NamedContainer>,
    /// It serves the tasks after it until the template around it ends.
    #[serde(default)]
    pub daemon: Option<Box<Daemon<Text, Text>>>,
    /// What it asks of its pods beside their containers: a map of those fields of a pod's `spec` that
    /// documents may say.
    #[serde(default)]
    pub pod: Option<Box<Tree>>,
    /// Changes to that, each the text of a YAML map: the workflow's, then its own.
    #[serde(default)]
    pub pod_patches: Vec<Text>,
    /// Its pods' labels and annotations: a map with these two, each a map of strings.
    #[serde(default)]
    pub pod_metadata: Option<Box<Tree>>,
    /// Settings whose texts are read when a task begins; elsewhere they are as if not given.
    pub late: Vec<(Setting, Text)>,
}

/// A lock. One with a limit of 1 is a mutex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lock {
    /// Where its name counts: `mutex` and `database/mutex`, or what holds the limit of a semaphore:
    /// `configmap/NAME` and `database`, whose keys are the names.
    pub scope: Box<str>,
    /// Its name within the scope; may hold tags.
    pub name: Text,
    /// How many may hold it at a time.
    pub limit: u32,
}

/// Outputs that are remembered between tasks and workflows of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Memoize {
    /// What makes two tasks the same.
    pub key: Text,
    /// The cache it is looked up in.
    pub cache: Box<str>,
    /// Older ones are not used.
    pub max_age: Option<Millis>,
}

/// A parameter a template takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: Box<str>,
    /// Used when the caller gives none.
    pub default: Option<Text>,
    /// Allowed values; empty allows all.
    pub choices: Vec<Box<str>>,
}

/// A parameter a template gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Its name.
    pub name: Box<str>,
    /// Where its value comes from.
    pub source: OutputSource,
    /// Used when there is no value.
    pub default: Option<Text>,
    /// Exported as `workflow.outputs.parameters.NAME` too.
    pub global_name: Option<Box<str>>,
}

/// Where an output's value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutputSource {
    /// A file the container writes.
    Path(Text),
    /// Fields of the object that a task asked a cluster for: text with paths, `{.metadata.name}`.
    JsonPath(Text),
    /// One field of it, as jq writes paths: `.metadata.name`.
    JqFilter(Text),
    /// A text over the children of a dag or steps template.
    Parameter(Text),
    /// An expression over the children of a dag or steps template.
    Expression(Box<str>),
    /// Given by a user when a suspension is resumed.
    Supplied,
}

/// What a template does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Body {
    /// Runs one command.
    Container(Container),
    /// Runs an interpreter on a source; the file's path is the last argument of the command.
    Script(Container, Text),
    /// Runs tasks as their dependencies allow.
    Dag(Dag),
    /// Runs groups of tasks one after the other.
    Steps(Steps),
    /// Waits for a span, or for a user if there is none.
    Suspend(Option<Text>),
    /// Runs containers that wait for each other, as one attempt.
    ContainerSet(Box<ContainerSet>),
    /// Sends one HTTP request.
    Http(Box<Http>),
    /// Starts another workflow.
    Child(Box<Child>),
    /// Asks a cluster for one object.
    Object(Box<Object>),
}

impl Template {
    /// Pods, or local processes, of one attempt of a leaf. One that starts a workflow has none.
    #[must_use]
    pub fn pods(&self) -> u32 {
        if matches!(self.body, Body::Child(_)) { 0 } else { self.gang.unwrap_or(1) }
    }

    /// What one pod of a leaf asks for and may use at a time: its containers and sidecars together, or one that
    /// runs before them if that asks for more, as clusters count it; nothing for anything else. An amount that is
    /// late counts as 0.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let init = self.init.iter().map(|init| init.container.resources);
        let beside = self.sidecars.iter().map(|sidecar| sidecar.container.resources);
        let together = std::iter::once(self.body.resources()).chain(beside).sum();
        init.fold(together, Resources::max)
    }

    /// Its containers with their names: those of its body, those before them, those beside them.
    pub fn containers_mut(&mut self) -> Vec<(&str, &mut Container)> {
        let mut all: Vec<(&str, &mut Container)> = match &mut self.body {
            Body::Container(container) | Body::Script(container, _) => vec![(MAIN, container)],
            Body::ContainerSet(set) => {
                set.members.iter_mut().map(NamedContainer::named_mut).collect()
            }
            Body::Dag(_)
            | Body::Steps(_)
            | Body::Suspend(_)
            | Body::Http(_)
            | Body::Object(_)
            | Body::Child(_) => Vec::new(),
        };
        all.extend(self.init.iter_mut().chain(&mut self.sidecars).map(NamedContainer::named_mut));
        all
    }
}

impl Body {
    /// What a leaf asks for and may use, all of its containers together; nothing for anything else.
    #[must_use]
    pub fn resources(&self) -> Resources {
        match self {
            Self::Container(container) | Self::Script(container, _) => container.resources,
            Self::ContainerSet(set) => {
                set.members.iter().map(|member| member.container.resources).sum()
            }
            Self::Dag(_)
            | Self::Steps(_)
            | Self::Suspend(_)
            | Self::Http(_)
            | Self::Object(_)
            | Self::Child(_) => Resources::NONE,
        }
    }

    /// It runs something: it is counted as a pod.
    #[must_use]
    pub fn is_leaf(&self) -> bool {
        match self {
            Self::Container(_)
            | Self::Script(..)
            | Self::ContainerSet(_)
            | Self::Http(_)
            | Self::Object(_)
            | Self::Child(_) => true,
            Self::Dag(_) | Self::Steps(_) | Self::Suspend(_) => false,
        }
    }
}

impl Plan {
    /// Templates that the workflow may come to, each once, in the order of the document.
    #[must_use]
    pub fn used(&self) -> Vec<&Template> {
        let hooks =
            |hooks: &[Hook]| hooks.iter().map(|hook| hook.call.template).collect::<Vec<_>>();
        let mut next = hooks(&self.hooks);
        next.push(self.entrypoint);
        next.extend(self.on_exit.as_ref().map(|call| call.template));
        let mut used = BTreeSet::new();
        while let Some(ix) = next.pop() {
            let Some(template) = self.template(ix).filter(|_| used.insert(ix)) else { continue };
            for task in template.body.tasks() {
                next.push(task.template);
                next.extend(hooks(&task.hooks));
            }
        }
        used.into_iter().filter_map(|ix| self.template(ix)).collect()
    }

    /// What the claims that are made for the workflow ask for together.
    #[must_use]
    pub fn storage(&self) -> Bytes {
        let claim = |volume: &Volume| match &volume.source {
            VolumeSource::WorkflowClaim(template) => template.storage.0,
            VolumeSource::Empty
            | VolumeSource::Claim(_)
            | VolumeSource::Files(_)
            | VolumeSource::Secret { .. } => 0,
        };
        Bytes(self.volumes.iter().map(claim).fold(0, u64::saturating_add))
    }

    /// The template at `ix`.
    #[must_use]
    pub fn template(&self, ix: TemplateIx) -> Option<&Template> {
        self.templates.get(ix.0 as usize)
    }

    /// The value of `workflow.parameters.NAME`.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(n, _)| &**n == name).map(|(_, v)| &**v)
    }
}

impl Plan {
    /// A plan of these templates and nothing else.
    #[must_use]
    pub fn new(templates: Vec<Template>, entrypoint: TemplateIx) -> Self {
        Self {
            templates,
            entrypoint,
            on_exit: None,
            hooks: Vec::new(),
            parameters: Vec::new(),
            artifacts: Vec::new(),
            annotations: Vec::new(),
            service_account: None,
            locks: Vec::new(),
            volumes: Vec::new(),
            default_retry: None,
            max_retries: None,
            active_deadline: None,
            ttl: Ttl::default(),
            parallelism: None,
            suspend: false,
        }
    }
}

impl Template {
    /// A template that takes and gives nothing.
    #[must_use]
    pub fn new(name: &str, body: Body) -> Self {
        Self {
            name: name.into(),
            inputs: Vec::new(),
            artifacts_in: Vec::new(),
            outputs: Vec::new(),
            artifacts_out: Vec::new(),
            body,
            retry: None,
            active_deadline: None,
            timeout: None,
            parallelism: None,
            fail_fast: false,
            locks: Vec::new(),
            memoize: None,
            volumes: Vec::new(),
            init: Vec::new(),
            gang: None,
            sidecars: Vec::new(),
            daemon: None,
            pod: None,
            pod_patches: Vec::new(),
            pod_metadata: None,
            late: Vec::new(),
        }
    }
}

impl Body {
    /// Runs as one attempt at a time, in a pod or process.
    #[must_use]
    pub fn leaf(&self) -> bool {
        matches!(
            self,
            Self::Container(_)
                | Self::Script(..)
                | Self::ContainerSet(_)
                | Self::Http(_)
                | Self::Object(_)
                | Self::Child(_)
        )
    }

    /// The tasks of a dag or steps template, by slot.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        match self {
            Self::Dag(dag) => &dag.tasks,
            Self::Steps(steps) => &steps.steps,
            Self::Container(_)
            | Self::Script(..)
            | Self::Suspend(_)
            | Self::ContainerSet(_)
            | Self::Http(_)
            | Self::Object(_)
            | Self::Child(_) => &[],
        }
    }
}
