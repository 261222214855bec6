//! Schedules as JSON.

use flowforge_cron::{CatchUp, Concurrency, Phase, Schedule as Compiled, ScheduleState};
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{ScheduleRow, ScheduleRun as RunRow};
use flowforge_ports::store::StoreError;
use flowforge_wire::{Schedule, ScheduleRun, Time};

use crate::backend::Backend;
use crate::problem::Failure;

/// Runs that are shown with a schedule.
const RUNS: u32 = 100;
/// Fire times that are shown with a schedule.
const UPCOMING: usize = 10;

/// The schedule of a row.
pub(super) fn compiled(row: &ScheduleRow) -> Result<Compiled, Failure> {
    flowforge_spec::schedule(&row.document).map_err(|problems| {
        let why = problems.list.first().map(ToString::to_string).unwrap_or_default();
        StoreError::Corrupt(format!("document of schedule {}: {why}", row.id)).into()
    })
}

/// The state of a row.
pub(super) fn state(row: &ScheduleRow) -> Result<ScheduleState, Failure> {
    serde_json::from_str(&row.state).map_err(|error| {
        StoreError::Corrupt(format!("state of schedule {}: {error}", row.id)).into()
    })
}

/// A state as it is kept.
pub(super) fn to_json(state: &ScheduleState) -> Result<String, Failure> {
    serde_json::to_string(state)
        .map_err(|error| StoreError::Corrupt(format!("state of a schedule: {error}")).into())
}

/// A schedule as lists show it. One whose document cannot be read any more is shown without what
/// it says.
pub(super) fn listed(row: ScheduleRow) -> Result<Schedule, Failure> {
    let state = state(&row)?;
    let said = compiled(&row).ok();
    let status = match (state.phase, row.suspended) {
        (Phase::Stopped, _) => "STOPPED",
        (Phase::Active, true) => "SUSPENDED",
        (Phase::Active, false) => "ACTIVE",
    };
    let definition = said.as_ref().map(|said| said.definition().clone()).unwrap_or_default();
    Ok(Schedule {
        id: row.id.to_string(),
        name: row.name,
        project_id: row.project.to_string(),
        status: status.to_owned(),
        cron: definition.schedules,
        timezone: said.as_ref().map_or("", |said| said.zone().name()).to_owned(),
        concurrency: match definition.concurrency {
            Concurrency::Allow => "allow",
            Concurrency::Forbid => "forbid",
            Concurrency::Replace => "replace",
        }
        .to_owned(),
        catch_up: match said.map(|said| said.catch_up).unwrap_or_default() {
            CatchUp::None => "none",
            CatchUp::Last => "last",
            CatchUp::All => "all",
        }
        .to_owned(),
        labels: definition.labels,
        next_at: row.next_at.map(Time),
        last_scheduled_at: state.last_scheduled_at.map(Time),
        active: u64::try_from(state.active.len()).unwrap_or(u64::MAX),
        succeeded: state.succeeded,
        failed: state.failed,
        problem: row.problem,
        created_at: Time(row.created_at),
        updated_at: Time(row.updated_at),
        upcoming: Vec::new(),
        runs: Vec::new(),
        warnings: Vec::new(),
    })
}

/// A schedule in full.
pub(super) fn whole(
    backend: &dyn Backend,
    row: ScheduleRow,
    now: Timestamp,
) -> Result<Schedule, Failure> {
    let runs = backend.schedule_runs(row.id, RUNS)?;
    let upcoming = if row.next_at.is_some() { upcoming(&row, now)? } else { Vec::new() };
    Ok(Schedule { upcoming, runs: runs.into_iter().filter_map(run).collect(), ..listed(row)? })
}

fn upcoming(row: &ScheduleRow, now: Timestamp) -> Result<Vec<Time>, Failure> {
    let (schedule, state) = (compiled(row)?, state(row)?);
    let mut after = state.considered_to.max(now);
    let mut times = Vec::new();
    while times.len() < UPCOMING
        && let Some(next) = schedule.next_after(state.anchor, after)
    {
        times.push(Time(next));
        after = next;
    }
    Ok(times)
}

/// A run that is still kept.
fn run(row: RunRow) -> Option<ScheduleRun> {
    Some(ScheduleRun {
        scheduled_at: Time(row.at),
        workflow_id: row.workflow.to_string(),
        status: row.status?.as_str().to_owned(),
        finished_at: row.finished_at.map(Time),
    })
}
