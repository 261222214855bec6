//! Dags and steps: tasks, what they wait for, and what runs because of them.

use serde::{Deserialize, Serialize};

use super::TemplateIx;
use super::artifacts::ArtifactSource;
use super::rows::Rows;
use crate::text::Text;

/// A template and the values it is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// What runs.
    pub template: TemplateIx,
    /// Values for its input parameters.
    pub arguments: Vec<(Box<str>, Text)>,
    /// Values for its input artifacts.
    pub artifacts: Vec<(Box<str>, ArtifactSource)>,
}

/// Something that runs because of how a task or a workflow stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name; `exit` runs when the task has ended, before its dependents.
    pub name: Box<str>,
    /// What runs.
    pub call: Call,
    /// Runs once, when this first becomes true; none for `exit`.
    pub expression: Option<Box<str>>,
    /// The expression names more than the status of what it hooks: it may become true when
    /// anything changes.
    pub wide: bool,
}

/// Tasks with dependencies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dag {
    /// The tasks, in the order of the document. A task's place is its slot.
    pub tasks: Vec<Task>,
    /// For each slot, the slots whose [`Needs`] name it: compressed rows.
    pub dependents: Rows,
    /// The slots whose end decides the end of the dag: `target`, or the leaves.
    pub targets: Vec<u32>,
    /// All slots so that every task stands after its dependencies.
    pub order: Vec<u32>,
    /// Begins nothing more after a first failure (Argo's default).
    pub fail_fast: bool,
}

/// Groups of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Steps {
    /// All steps of all groups, in order. A step's place is its slot.
    pub steps: Vec<Task>,
    /// The slot after the last one of each group, rising.
    pub group_ends: Vec<u32>,
}

/// A call of a template from a dag or steps template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Unique in its template.
    pub name: Box<str>,
    /// What it runs.
    pub template: TemplateIx,
    /// Values for the template's inputs.
    pub arguments: Vec<(Box<str>, Text)>,
    /// Values for the template's input artifacts.
    pub artifacts: Vec<(Box<str>, ArtifactSource)>,
    /// What runs because of how it stands.
    pub hooks: Vec<Hook>,
    /// What must have happened before. Empty in a steps template.
    pub needs: Needs,
    /// Runs only if this is true.
    pub when: Option<Text>,
    /// Runs once per item.
    pub repeat: Option<Box<Repeat>>,
    /// Ends that count as good for the group around it.
    pub continue_on: ContinueOn,
}

impl Call {
    /// A call that gives nothing.
    #[must_use]
    pub fn of(template: TemplateIx) -> Self {
        Self { template, arguments: Vec::new(), artifacts: Vec::new() }
    }
}

impl Task {
    /// A call that waits for nothing and gives nothing.
    #[must_use]
    pub fn new(name: &str, template: TemplateIx) -> Self {
        Self {
            name: name.into(),
            template,
            arguments: Vec::new(),
            artifacts: Vec::new(),
            hooks: Vec::new(),
            needs: Needs::All(Box::default()),
            when: None,
            repeat: None,
            continue_on: ContinueOn::default(),
        }
    }
}

/// What must have happened before a dag task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Needs {
    /// All of these.
    All(Box<[Dependency]>),
    /// Argo's `depends`, decided once every task it names has ended; `slots` lists each once.
    Depends {
        /// The tasks it names.
        slots: Box<[u32]>,
        /// The condition.
        condition: Box<Condition>,
    },
}

/// One edge of a dag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// The task depended on.
    pub slot: u32,
    /// Which end meets it.
    pub kind: DependencyKind,
}

/// Which end of a task meets a dependency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependencyKind {
    /// `SUCCEEDED`, `SKIPPED` through its own `when`, an end its `continueOn` covers, or a daemon that serves.
    #[default]
    Success,
    /// Any end, or a daemon that serves.
    Completion,
    /// `FAILED`.
    Failure,
}

/// A `depends` condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Condition {
    /// A bare task name: as [`DependencyKind::Success`].
    Bare(u32),
    /// `task.Succeeded` and the like.
    Is(u32, Outcome),
    /// `!`
    Not(Box<Condition>),
    /// `&&`
    And(Box<Condition>, Box<Condition>),
    /// `||`
    Or(Box<Condition>, Box<Condition>),
}

/// Ends as `depends` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// `SUCCEEDED`
    Succeeded,
    /// `FAILED` by the user's code
    Failed,
    /// `FAILED` with reason `error`
    Errored,
    /// `SKIPPED` by `when`
    Skipped,
    /// `SKIPPED` with reason `omitted`
    Omitted,
    /// Runs as a daemon
    Daemoned,
    /// A loop of which one item succeeded
    AnySucceeded,
    /// A loop of which all items failed
    AllFailed,
}

/// Ends that count as good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContinueOn {
    /// An engine's error.
    pub error: bool,
    /// A failure of the user's code.
    pub failed: bool,
}

/// A loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Repeat {
    /// `withItems`: fixed items; the strings in them may hold tags.
    Items(Vec<Text>),
    /// `withParam`: a text that becomes a JSON list.
    Param(Text),
    /// `withSequence`
    Sequence(Sequence),
}

/// Numbers in a row, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequence {
    /// How many, from `start`. Excludes `end`.
    pub count: Option<Text>,
    /// First number; default 0.
    pub start: Option<Text>,
    /// Last number; may be below `start`.
    pub end: Option<Text>,
    /// A printf format with one integer verb.
    pub format: Option<Text>,
}

impl Needs {
    /// The slots this waits for, each once.
    pub fn slots(&self) -> impl Iterator<Item = u32> + '_ {
        let (all, depends): (&[Dependency], &[u32]) = match self {
            Self::All(all) => (all, &[]),
            Self::Depends { slots, .. } => (&[], slots),
        };
        all.iter().map(|d| d.slot).chain(depends.iter().copied())
    }
}
