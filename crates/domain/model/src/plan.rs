//! What was asked for: a workflow document after it was parsed, validated and compiled.
//!
//! A [`Plan`] is valid by construction: every template and sibling it names exists, its graphs
//! have no cycle, its expressions parse. Names are resolved to indices.

use serde::{Deserialize, Serialize};

use crate::resources::Resources;
use crate::text::Text;
use crate::time::Millis;

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
    /// What runs after everything else, whatever happened.
    pub on_exit: Option<TemplateIx>,
    /// `workflow.parameters`, with the values of this submission filled in.
    pub parameters: Vec<(Box<str>, Box<str>)>,
    /// Retries of leaves that name none themselves.
    pub default_retry: Option<RetryStrategy>,
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
    /// Its name in the document.
    pub name: Box<str>,
    /// Parameters it takes.
    pub inputs: Vec<Input>,
    /// Parameters it gives.
    pub outputs: Vec<Output>,
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
}

/// What runs, in Kubernetes' words.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// The image; a local process ignores it.
    pub image: Text,
    /// The program and its first arguments; empty means the image's entrypoint.
    pub command: Vec<Text>,
    /// More arguments.
    pub args: Vec<Text>,
    /// Environment, in order; names are unique.
    pub env: Vec<(Box<str>, Text)>,
    /// Where it starts.
    pub working_dir: Option<Text>,
    /// What it needs and may use.
    pub resources: Resources,
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
    /// What must have happened before. Empty in a steps template.
    pub needs: Needs,
    /// Runs only if this is true.
    pub when: Option<Text>,
    /// Runs once per item.
    pub repeat: Option<Box<Repeat>>,
    /// Ends that count as good for the group around it.
    pub continue_on: ContinueOn,
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
    /// `SUCCEEDED`, `SKIPPED` through its own `when`, or an end its `continueOn` covers.
    #[default]
    Success,
    /// Any end.
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
    pub format: Option<Box<str>>,
}

/// How often a task is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryStrategy {
    /// Tries after the first; none means no limit.
    pub limit: Option<u32>,
    /// Which failures are tried again.
    pub policy: RetryPolicy,
    /// Waiting between tries.
    pub backoff: Option<Backoff>,
    /// An expression that must be true as well.
    pub expression: Option<Box<str>>,
}

/// Which failures are tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryPolicy {
    /// Every failure.
    Always,
    /// Failures of the user's code. Argo's default.
    #[default]
    OnFailure,
    /// Errors of the engine or executor, and transient failures.
    OnError,
    /// Only failures known to pass: exit codes 137, 143 and 255, lost pods, known messages.
    OnTransient,
    /// None.
    Never,
}

/// Exponential waiting: `duration * factor^(n-1)` before the n-th retry, plus up to a tenth of
/// jitter derived from the attempt's id, at most `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the first retry.
    pub duration: Millis,
    /// Growth in thousandths: 2000 doubles.
    pub factor_milli: u32,
    /// Longest wait.
    pub cap: Option<Millis>,
    /// No retry begins later than this after the first attempt started.
    pub max_duration: Option<Millis>,
}

/// Lists of numbers in one block: row `i` is `items[starts[i]..starts[i + 1]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rows {
    starts: Vec<u32>,
    items: Vec<u32>,
}

impl Rows {
    /// Builds rows from `(row, item)` pairs in any order; rows keep the order of the pairs.
    #[must_use]
    pub fn from_pairs(rows: usize, pairs: &[(u32, u32)]) -> Self {
        let mut starts = vec![0_u32; rows.saturating_add(1)];
        for (row, _) in pairs {
            if let Some(count) = starts.get_mut((*row as usize).saturating_add(1)) {
                *count = count.saturating_add(1);
            }
        }
        let mut total = 0_u32;
        for start in &mut starts {
            total = total.saturating_add(*start);
            *start = total;
        }
        let mut next = starts.clone();
        let mut items = vec![0_u32; pairs.len()];
        for (row, item) in pairs {
            if let Some(place) = next.get_mut(*row as usize) {
                if let Some(cell) = items.get_mut(*place as usize) {
                    *cell = *item;
                }
                *place = place.saturating_add(1);
            }
        }
        Self { starts, items }
    }

    /// The items of one row; empty if there is no such row.
    #[must_use]
    pub fn row(&self, row: u32) -> &[u32] {
        let row = row as usize;
        let start = self.starts.get(row).copied().unwrap_or(0) as usize;
        let end = self.starts.get(row.saturating_add(1)).copied().unwrap_or(0) as usize;
        self.items.get(start..end).unwrap_or(&[])
    }
}

impl Plan {
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

impl Body {
    /// Runs as one attempt at a time, in a pod or process.
    #[must_use]
    pub fn leaf(&self) -> bool {
        matches!(self, Self::Container(_) | Self::Script(..))
    }

    /// The tasks of a dag or steps template, by slot.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        match self {
            Self::Dag(dag) => &dag.tasks,
            Self::Steps(steps) => &steps.steps,
            Self::Container(_) | Self::Script(..) | Self::Suspend(_) => &[],
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_each_rows_items_in_order() {
        let rows = Rows::from_pairs(4, &[(2, 7), (0, 1), (2, 5), (0, 3)]);
        assert_eq!(rows.row(0), [1, 3]);
        assert_eq!(rows.row(1), [0_u32; 0]);
        assert_eq!(rows.row(2), [7, 5]);
        assert_eq!(rows.row(9), [0_u32; 0]);
    }
}
