//! Runs that are over and not kept.

use flowforge_cron::Schedule;
use flowforge_model::event::Command;
use flowforge_model::id::WorkflowId;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{ScheduleRun, Schedules};
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::Templates;

use crate::cron::Cron;

/// What the limits of the schedule leave no room for. As with Argo, those that ended last stay.
pub(crate) fn beyond(schedule: &Schedule, runs: &[ScheduleRun]) -> Vec<WorkflowId> {
    let over = |succeeded: bool, keep: u32| {
        let mut ended: Vec<&ScheduleRun> = runs
            .iter()
            .filter(|run| {
                run.status.is_some_and(|status| {
                    status.terminal() && (status == WorkflowStatus::Succeeded) == succeeded
                })
            })
            .collect();
        ended.sort_by_key(|run| std::cmp::Reverse((run.finished_at, run.at)));
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        ended.into_iter().skip(keep).map(|run| run.workflow).collect::<Vec<_>>()
    };
    let mut gone = over(true, schedule.successful_history);
    gone.extend(over(false, schedule.failed_history));
    gone
}

impl<S: Store + Schedules + Templates> Cron<S> {
    /// Asks for runs to be deleted; those that were retried meanwhile stay. Asking again while it
    /// waits changes nothing.
    pub(crate) async fn forget(
        &self,
        runs: &[WorkflowId],
        now: Timestamp,
    ) -> Result<Vec<WorkflowId>, StoreError> {
        let mut asked = Vec::new();
        for run in runs {
            match self.store.ask(*run, Command::Delete, now).await {
                Ok(()) => asked.push(*run),
                Err(StoreError::NotFound | StoreError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(asked)
    }
}
