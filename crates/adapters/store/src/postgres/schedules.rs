//! Schedules and their runs.

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, ScheduleId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::schedules::{Firing, PutSchedule, ScheduleRow, ScheduleRun, Schedules};
use flowforge_ports::store::StoreError;
use tokio_postgres::Row;

use super::PostgresStore;
use super::bind::{binds, int, long, optional_text, text};
use super::codec::{self, Compressed, get};
use super::intake;
use super::load::read;
use super::transaction::{Mode, Tx};
use crate::rules;

/// The columns that [`schedule`] reads, in its order.
macro_rules! select {
    ($wanted:literal) => {
        concat!(
            "SELECT s.id, p.uid, s.name, s.bytes, s.zstd, s.suspended, s.state, s.next_at, \
             s.problem, s.version, s.created_at, s.updated_at, p.name FROM schedule s \
             JOIN project p ON p.id = s.project WHERE ",
            $wanted
        )
    };
}

const BY_ID: &str = select!("s.id = $1");
const BY_NAME: &str = select!("p.uid = $1 AND s.name = $2");
const PAGE: &str = select!(
    "($1::uuid IS NULL OR p.uid = $1) AND ($2::uuid IS NULL OR s.id > $2) ORDER BY s.id LIMIT $3"
);

const CREATE: &str = "INSERT INTO schedule (id, project, name, bytes, zstd, suspended, state, \
     next_at, version, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9) \
     ON CONFLICT DO NOTHING";

const REPLACE: &str = "UPDATE schedule SET bytes = $3, zstd = $4, suspended = $5, state = $6, \
     next_at = $7, updated_at = $8, version = version + 1 WHERE id = $1 AND version = $2";

const FIRE: &str = "UPDATE schedule SET state = $3, next_at = $4, problem = $5, \
     version = version + 1 WHERE id = $1 AND version = $2";

const FORGET: &str = "DELETE FROM schedule_run r WHERE r.schedule = $1 \
     AND NOT EXISTS (SELECT 1 FROM workflow w WHERE w.id = r.workflow)";

const RUN: &str = "INSERT INTO schedule_run (schedule, at, workflow) VALUES ($1, $2, $3) \
     ON CONFLICT DO NOTHING";

const RUNS: &str = "SELECT r.at, r.workflow, w.status, w.finished_at FROM schedule_run r \
     LEFT JOIN workflow w ON w.id = r.workflow \
     WHERE r.schedule = $1 ORDER BY r.at DESC LIMIT $2";

impl Schedules for PostgresStore {
    async fn put_schedule(&self, put: PutSchedule) -> Result<ScheduleRow, StoreError> {
        let document = codec::compress(&put.document)?;
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                write(&mut tx, &put, &document).await?;
                by_id(&mut tx, put.id).await
            })
        })
        .await
    }

    async fn schedule_named(
        &self,
        project: EntityId,
        name: String,
    ) -> Result<ScheduleRow, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let rows = tx.rows(BY_NAME, binds![project.0, text(&name)]).await?;
                schedule(rows.first().ok_or(StoreError::NotFound)?)
            })
        })
        .await
    }

    async fn schedule(&self, id: ScheduleId) -> Result<ScheduleRow, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                by_id(&mut tx, id).await
            })
        })
        .await
    }

    async fn schedules(
        &self,
        project: Option<EntityId>,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let after = after.map(|id| id.0);
                let values = binds![project.map(|id| id.0), after, i64::from(limit)];
                read(&tx.rows(PAGE, values).await?, schedule)
            })
        })
        .await
    }

    async fn delete_schedule(&self, id: ScheduleId) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                tx.execute("DELETE FROM schedule_run WHERE schedule = $1", binds![id.0]).await?;
                match tx.execute("DELETE FROM schedule WHERE id = $1", binds![id.0]).await? {
                    0 => Err(StoreError::NotFound),
                    _ => Ok(()),
                }
            })
        })
        .await
    }

    async fn fire(&self, firing: Firing) -> Result<u64, StoreError> {
        let documents: Result<Vec<Compressed>, _> =
            firing.runs.iter().map(|(_, run)| codec::compress(&run.document)).collect();
        let documents = documents?;
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                fire(&mut tx, &firing, &documents).await
            })
        })
        .await
    }

    async fn schedule_runs(
        &self,
        id: ScheduleId,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        self.read(Mode::Fresh, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                read(&tx.rows(RUNS, binds![id.0, i64::from(limit)]).await?, |row| {
                    Ok(ScheduleRun {
                        at: codec::time(row, 0)?,
                        workflow: codec::workflow_id(row, 1)?,
                        status: codec::optional_word(row, 2, WorkflowStatus::parse)?,
                        finished_at: codec::optional_time(row, 3)?,
                    })
                })
            })
        })
        .await
    }
}

async fn write<'a>(
    tx: &mut Tx<'a>,
    put: &'a PutSchedule,
    document: &'a Compressed,
) -> Result<(), StoreError> {
    let bytes = int(u32::try_from(document.bytes).unwrap_or(u32::MAX))?;
    let (id, zstd, next_at) = (put.id.0, document.zstd.as_slice(), put.next_at.map(|at| at.0));
    let state = text(&put.state);
    match put.replaces {
        None => {
            let project = intake::open_project(tx, put.project).await?;
            let mut values = binds![id, project, text(&put.name), bytes, zstd, put.suspended];
            values.extend(binds![state, next_at, put.at.0]);
            match tx.execute(CREATE, values).await? {
                0 => Err(rules::schedule_exists(&put.name)),
                _ => Ok(()),
            }
        }
        Some(version) => {
            let mut values = binds![id, long(version)?, bytes, zstd, put.suspended, state];
            values.extend(binds![next_at, put.at.0]);
            match tx.execute(REPLACE, values).await? {
                0 => Err(rules::schedule_changed()),
                _ => Ok(()),
            }
        }
    }
}

async fn fire<'a>(
    tx: &mut Tx<'a>,
    firing: &'a Firing,
    documents: &'a [Compressed],
) -> Result<u64, StoreError> {
    let id = firing.schedule;
    let next_at = firing.next_at.map(|at| at.0);
    let problem = optional_text(firing.problem.as_ref());
    let values = binds![id.0, long(firing.version)?, text(&firing.state), next_at, problem];
    if tx.execute(FIRE, values).await? == 0 {
        by_id(tx, id).await?;
        return Err(rules::schedule_changed());
    }
    tx.execute(FORGET, binds![id.0]).await?;
    // In the order of ids, as everybody locks gates.
    let mut stop: Vec<WorkflowId> = firing.stop.clone();
    stop.sort_unstable();
    for run in stop {
        match intake::ask(tx, run, &Command::Terminate, firing.at).await {
            // It has ended, or is deleted: as wanted.
            Ok(()) | Err(StoreError::Refused(_) | StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    for ((at, run), document) in firing.runs.iter().zip(documents) {
        let new = tx.execute(RUN, binds![id.0, at.0, run.id.0]).await? > 0;
        if !new || intake::insert(tx, run, document).await?.replayed {
            return Err(rules::already_fired(*at));
        }
    }
    Ok(firing.version.saturating_add(1))
}

async fn by_id(tx: &mut Tx<'_>, id: ScheduleId) -> Result<ScheduleRow, StoreError> {
    schedule(tx.rows(BY_ID, binds![id.0]).await?.first().ok_or(StoreError::NotFound)?)
}

fn schedule(row: &Row) -> Result<ScheduleRow, StoreError> {
    Ok(ScheduleRow {
        id: ScheduleId(get(row, 0)?),
        project: EntityId(get(row, 1)?),
        namespace: get(row, 12)?,
        name: get(row, 2)?,
        document: codec::document(row, 3)?,
        suspended: get(row, 5)?,
        state: get(row, 6)?,
        next_at: codec::optional_time(row, 7)?,
        problem: get(row, 8)?,
        version: codec::count(row, 9)?,
        created_at: codec::time(row, 10)?,
        updated_at: codec::time(row, 11)?,
    })
}
