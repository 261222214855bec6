//! A workflow in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_engine::{Context, Run, StepError};
use flowforge_model::attempt::{AttemptKey, TemplateKey};
use flowforge_model::id::{EntityId, NodeIx};
use flowforge_model::plan::{Plan, RetryStrategy};
use flowforge_model::resources::{Bytes, Resources};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::admission::Ready;
use flowforge_ports::store::{LockRow, Parent, StoredRun};
use flowforge_spec::Options;

use crate::guard::guarded;

/// A workflow that has something to do.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) plan: Arc<Plan>,
    pub(crate) run: Run,
    /// Its project.
    pub(crate) project: EntityId,
    /// What its claims ask for together.
    pub(crate) storage: Bytes,
    /// What started it, if that is a task.
    pub(crate) parent: Option<Parent>,
    /// Number of its last committed record.
    pub(crate) seq: u64,
    /// Attempts that were admitted and have not ended.
    pub(crate) open: BTreeSet<AttemptKey>,
    /// Locks that its nodes hold or wait for.
    pub(crate) locks: BTreeMap<NodeIx, Vec<LockRow>>,
    /// The scheduler was told that it waits for something outside.
    pub(crate) suspended: bool,
}

impl Live {
    /// Builds a workflow from what the store keeps of it. `plan` spares compiling the document.
    ///
    /// # Errors
    /// Why it cannot be carried on with, for people.
    pub(crate) fn restore(
        stored: StoredRun,
        plan: Option<Arc<Plan>>,
        default_retry: Option<&RetryStrategy>,
    ) -> Result<Self, String> {
        let plan = match plan {
            Some(plan) => plan,
            None => Arc::new(compile(&stored, default_retry)?),
        };
        let (project, storage, parent) = (stored.project, stored.storage, stored.parent);
        let context = Context {
            id: stored.id,
            name: stored.name,
            project_id: project,
            project: stored.namespace,
            lock_name: stored.lock_name,
            labels: stored.labels,
            priority: stored.priority,
            created_at: stored.created_at,
        };
        let run = if stored.seq == 0 && stored.tasks.is_empty() {
            Run::new(context)
        } else {
            let (state, tasks) = (stored.state, stored.tasks);
            guarded(|| Run::restore(&plan, context, state, tasks))
                .unwrap_or(Err(StepError::Bug("panicked while it was restored")))
                .map_err(|error| error.to_string())?
        };
        Ok(Self {
            project,
            storage,
            parent,
            suspended: run.suspended(),
            plan,
            run,
            seq: stored.seq,
            open: stored.open.into_iter().map(|(key, _)| key).collect(),
            locks: BTreeMap::new(),
        })
    }

    /// What the scheduler needs to know of an attempt.
    pub(crate) fn ready(&self, key: AttemptKey, since: Timestamp) -> Ready {
        let Resources { requests, limits } = self.run.resources(&self.plan, key.node);
        Ready {
            key,
            priority: self.run.context().priority,
            since,
            project: self.project,
            requests,
            limits,
            pods: self.run.pods(&self.plan, key.node),
            storage: self.storage,
            parallelism: self.plan.parallelism,
            lasts: self.run.lasts(&self.plan, key.node),
            retry: self.run.retries_node(key.node),
            template: self.run.template_name(&self.plan, key.node).map(TemplateKey::of),
            called: self.called(),
        }
    }

    /// It runs in the slot of another workflow.
    pub(crate) fn called(&self) -> bool {
        self.parent.is_some_and(|parent| parent.root.is_some())
    }

    /// Nobody has asked the attempt to stop: it is the current one of a task that has not ended
    /// and has not run out of time, and the workflow is not ending around it.
    pub(crate) fn wants(&self, key: AttemptKey) -> bool {
        let task = flowforge_engine::task_write(&self.plan, &self.run, key.node, false);
        let Some(task) = task.map(|task| task.state) else {
            return false;
        };
        let current = task.attempt == key.number && !task.status.terminal();
        let out_of_time = task.reason == Some(Reason::Timeout);
        let ending = self.run.ends_around(&self.plan, key.node);
        current && !out_of_time && !ending && !self.run.state().status.terminal()
    }

    /// Nothing is left to do, and nothing of it runs.
    pub(crate) fn idle(&self) -> bool {
        self.run.state().status.terminal() && self.open.is_empty()
    }
}

/// When an attempt that was found in the store became ready.
pub(crate) fn queued_at(stored: &StoredRun, node: NodeIx) -> Timestamp {
    stored
        .tasks
        .get(node.index())
        .and_then(|task| task.state.queued_at)
        .unwrap_or(stored.created_at)
}

fn compile(stored: &StoredRun, default_retry: Option<&RetryStrategy>) -> Result<Plan, String> {
    let options =
        Options { parameters: stored.parameters.clone(), default_retry: default_retry.cloned() };
    match guarded(|| flowforge_spec::compile(&stored.document, &options)) {
        Some(Ok(compiled)) => Ok(compiled.plan),
        Some(Err(problems)) => Err(problems.list.first().map_or_else(
            || "its document does not compile any more".to_owned(),
            |problem| format!("its document does not compile any more: {problem}"),
        )),
        None => Err("panicked while its document was compiled".to_owned()),
    }
}
