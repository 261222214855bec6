//! One look at one schedule: read, decide, commit.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_cron::{Decision, Ended, Schedule, ScheduleState, due};
use flowforge_model::id::{ScheduleId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::schedules::{Firing, ScheduleRow, ScheduleRun, Schedules};
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::{TemplateId, TemplateKind, Templates};
use flowforge_spec::{Bundle, CronDocument, Options};

use crate::cron::Cron;
use crate::{history, run};

/// A user and the loop may write at the same moment; whoever comes second looks again.
const TRIES: u32 = 5;
/// Runs of a schedule that are read: those under way, those kept and some to be deleted.
const RUNS: u32 = 4000;
/// When a document is read again that could be read when it came: what it refers to may be back.
const UNREADABLE: Millis = Millis::from_secs(60);

/// What a look leaves to be done.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) active: BTreeSet<WorkflowId>,
    /// Workflows with a new intent.
    pub(crate) asked: Vec<WorkflowId>,
}

impl<S: Store + Schedules + Templates> Cron<S> {
    /// # Errors
    /// `NotFound` if there is no such schedule any more; whatever the store cannot do.
    pub(crate) async fn look(&self, id: ScheduleId, now: Timestamp) -> Result<Looked, StoreError> {
        let mut tries = TRIES;
        loop {
            match self.try_look(id, now).await {
                Err(StoreError::Conflict(_)) if tries > 0 => tries -= 1,
                other => return other,
            }
        }
    }

    async fn try_look(&self, id: ScheduleId, now: Timestamp) -> Result<Looked, StoreError> {
        let row = self.store.schedule(id).await?;
        let state: ScheduleState = serde_json::from_str(&row.state)
            .map_err(|error| StoreError::Corrupt(format!("state of schedule {id}: {error}")))?;
        let options =
            Options { default_retry: self.config.default_retry.clone(), ..Options::default() };
        let text = self.complete(&row).await?;
        let document = match flowforge_spec::cron(&text, &options) {
            Ok(document) => document,
            Err(problems) => {
                let why = problems.list.first().map(ToString::to_string).unwrap_or_default();
                return self.set_aside(&row, state, format!("its document: {why}"), now).await;
            }
        };
        let mut schedule = document.schedule.clone().in_namespace(&row.namespace);
        schedule.suspend = row.suspended;
        let runs = self.store.schedule_runs(id, RUNS).await?;
        let seen = absorb(&schedule, &state, &runs, now);
        let decision = due(id, &schedule, &seen, now);
        let next_at = decision.next_at;
        let active = decision.state.active.clone();
        let mut asked: Vec<WorkflowId> = decision.stop.clone();
        asked.extend(decision.fires.iter().map(|(_, run)| *run));
        if worth_writing(&row, &state, &decision) {
            log(&row, &decision);
            self.store.fire(firing(&row, &document, decision, now)?).await?;
        }
        asked.extend(self.forget(&history::beyond(&schedule, &runs), now).await?);
        Ok(Looked { next_at, active, asked })
    }

    /// The document with what is stored now and it refers to.
    async fn complete(&self, row: &ScheduleRow) -> Result<String, StoreError> {
        let mut bundle = Bundle::new(row.document.clone());
        loop {
            let missing = bundle.missing();
            if missing.is_empty() {
                return Ok(bundle.into_text());
            }
            for one in missing {
                let Some(kind) = TemplateKind::of_manifest(one.kind.name()) else {
                    bundle.absent(one);
                    continue;
                };
                let id = TemplateId::new(kind, row.project, &one.name);
                match self.store.template(id, None).await {
                    Ok(found) => bundle.add(found.view.to_string(), &found.document),
                    Err(StoreError::NotFound) => bundle.absent(one),
                    Err(other) => return Err(other),
                }
            }
        }
    }

    /// A schedule whose document cannot be read starts nothing, and says why.
    async fn set_aside(
        &self,
        row: &ScheduleRow,
        state: ScheduleState,
        problem: String,
        now: Timestamp,
    ) -> Result<Looked, StoreError> {
        tracing::warn!(schedule = row.name, problem, "schedule cannot be read");
        if row.problem.as_ref() != Some(&problem) {
            let firing = Firing {
                schedule: row.id,
                version: row.version,
                state: row.state.clone(),
                next_at: row.next_at,
                problem: Some(problem),
                stop: Vec::new(),
                runs: Vec::new(),
                at: now,
            };
            self.store.fire(firing).await?;
        }
        let next_at = Some(now.plus(UNREADABLE));
        Ok(Looked { next_at, active: state.active, asked: Vec::new() })
    }
}

/// The state after the ends that were not known yet.
fn absorb(
    schedule: &Schedule,
    state: &ScheduleState,
    runs: &[ScheduleRun],
    now: Timestamp,
) -> ScheduleState {
    let status: BTreeMap<WorkflowId, Option<WorkflowStatus>> =
        runs.iter().map(|run| (run.workflow, run.status)).collect();
    let mut seen = state.clone();
    for run in &state.active {
        let how = match status.get(run).copied().flatten() {
            None => Ended::Deleted,
            Some(WorkflowStatus::Succeeded) => Ended::Succeeded,
            Some(WorkflowStatus::Failed | WorkflowStatus::Cancelled) => Ended::Failed,
            Some(WorkflowStatus::Pending | WorkflowStatus::Running | WorkflowStatus::Paused) => {
                continue;
            }
        };
        seen = seen.ended(schedule, (*run, how), now);
    }
    seen
}

/// Whether a look changes anything that has to be remembered. That time went by is not: no fire
/// time lies between, or it would be among the fires or the skipped.
fn worth_writing(row: &ScheduleRow, before: &ScheduleState, decision: &Decision) -> bool {
    let mut after = decision.state.clone();
    after.considered_to = before.considered_to;
    after != *before
        || decision.next_at != row.next_at
        || !(decision.fires.is_empty() && decision.skipped.is_empty())
}

fn firing(
    row: &ScheduleRow,
    document: &CronDocument,
    decision: Decision,
    now: Timestamp,
) -> Result<Firing, StoreError> {
    let state = serde_json::to_string(&decision.state)
        .map_err(|error| StoreError::Corrupt(format!("state of a schedule: {error}")))?;
    let problem = if decision.fires.is_empty() {
        let skip = decision.skipped.last();
        skip.map(|skip| format!("{}: {}", skip.at.rfc3339(), skip.reason)).or(row.problem.clone())
    } else {
        None
    };
    let runs = decision.fires.iter().map(|(at, id)| (*at, run::of(row, document, (*at, *id), now)));
    Ok(Firing {
        schedule: row.id,
        version: row.version,
        state,
        next_at: decision.next_at,
        problem,
        runs: runs.collect(),
        stop: decision.stop,
        at: now,
    })
}

fn log(row: &ScheduleRow, decision: &Decision) {
    for (at, workflow) in &decision.fires {
        tracing::info!(schedule = row.name, at = at.rfc3339(), %workflow, "schedule fires");
    }
    for skip in &decision.skipped {
        let (at, reason) = (skip.at.rfc3339(), &skip.reason);
        tracing::info!(schedule = row.name, at, %reason, "schedule does not fire");
    }
}
