//! Schedules and their runs.

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, ScheduleId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::schedules::{Firing, PutSchedule, ScheduleRow, ScheduleRun, Schedules};
use flowforge_ports::store::StoreError;
use rusqlite::{Row, Transaction, params};

use super::SqliteStore;
use super::codec::{self, Compressed, get};
use super::error::from_sqlite;
use super::intake;
use crate::rules;

impl Schedules for SqliteStore {
    async fn put_schedule(&self, put: PutSchedule) -> Result<ScheduleRow, StoreError> {
        let document = codec::compress(&put.document)?;
        self.write(|tx| {
            match put.replaces {
                None => create(tx, &put, &document)?,
                Some(version) => replace(tx, &put, version, &document)?,
            }
            by_id(tx, put.id)
        })
    }

    async fn schedule_named(
        &self,
        project: EntityId,
        name: String,
    ) -> Result<ScheduleRow, StoreError> {
        let wanted = "p.uid = ?1 AND s.name = ?2";
        self.read(|tx| one(tx, wanted, params![project.0, name]))
    }

    async fn schedule(&self, id: ScheduleId) -> Result<ScheduleRow, StoreError> {
        self.read(|tx| by_id(tx, id))
    }

    async fn schedules(
        &self,
        project: Option<EntityId>,
        after: Option<ScheduleId>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        let wanted = "(?1 IS NULL OR p.uid = ?1) AND (?2 IS NULL OR s.id > ?2) \
                      ORDER BY s.id LIMIT ?3";
        self.read(|tx| {
            select(tx, wanted, params![project.map(|id| id.0), after.map(|id| id.0), limit])
        })
    }

    async fn delete_schedule(&self, id: ScheduleId) -> Result<(), StoreError> {
        self.write(|tx| {
            execute(tx, "DELETE FROM schedule_run WHERE schedule = ?1", params![id.0])?;
            match execute(tx, "DELETE FROM schedule WHERE id = ?1", params![id.0])? {
                0 => Err(StoreError::NotFound),
                _ => Ok(()),
            }
        })
    }

    async fn fire(&self, firing: Firing) -> Result<u64, StoreError> {
        let documents: Result<Vec<Compressed>, _> =
            firing.runs.iter().map(|(_, run)| codec::compress(&run.document)).collect();
        let documents = documents?;
        self.write(|tx| fire(tx, &firing, &documents))
    }

    async fn schedule_runs(
        &self,
        id: ScheduleId,
        limit: u32,
    ) -> Result<Vec<ScheduleRun>, StoreError> {
        self.read(|tx| runs(tx, id, limit))
    }
}

fn create(
    tx: &Transaction<'_>,
    put: &PutSchedule,
    document: &Compressed,
) -> Result<(), StoreError> {
    let (project, _) = intake::project(tx, put.project)?;
    intake::takes_work(tx, project)?;
    let sql = "INSERT INTO schedule (id, project, name, bytes, zstd, suspended, state, next_at, \
               version, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 1, ?9, ?9) \
               ON CONFLICT DO NOTHING";
    let written = execute(
        tx,
        sql,
        params![
            put.id.0,
            project,
            put.name,
            document.bytes,
            document.zstd,
            put.suspended,
            put.state,
            put.next_at.map(|at| at.0),
            put.at.0
        ],
    )?;
    if written == 0 { Err(rules::schedule_exists(&put.name)) } else { Ok(()) }
}

fn replace(
    tx: &Transaction<'_>,
    put: &PutSchedule,
    version: u64,
    document: &Compressed,
) -> Result<(), StoreError> {
    let sql = "UPDATE schedule SET bytes = ?3, zstd = ?4, suspended = ?5, state = ?6, \
               next_at = ?7, updated_at = ?8, version = version + 1 \
               WHERE id = ?1 AND version = ?2";
    let written = execute(
        tx,
        sql,
        params![
            put.id.0,
            version,
            document.bytes,
            document.zstd,
            put.suspended,
            put.state,
            put.next_at.map(|at| at.0),
            put.at.0
        ],
    )?;
    if written == 0 { Err(rules::schedule_changed()) } else { Ok(()) }
}

fn fire(
    tx: &Transaction<'_>,
    firing: &Firing,
    documents: &[Compressed],
) -> Result<u64, StoreError> {
    let id = firing.schedule;
    let sql = "UPDATE schedule SET state = ?3, next_at = ?4, problem = ?5, version = version + 1 \
               WHERE id = ?1 AND version = ?2";
    let next_at = firing.next_at.map(|at| at.0);
    let values = params![id.0, firing.version, firing.state, next_at, firing.problem];
    if execute(tx, sql, values)? == 0 {
        by_id(tx, id)?;
        return Err(rules::schedule_changed());
    }
    let forget = "DELETE FROM schedule_run WHERE schedule = ?1 \
                  AND NOT EXISTS (SELECT 1 FROM workflow w WHERE w.id = schedule_run.workflow)";
    execute(tx, forget, params![id.0])?;
    for run in &firing.stop {
        match intake::ask(tx, *run, &Command::Terminate, firing.at) {
            // It has ended, or is deleted: as wanted.
            Ok(()) | Err(StoreError::Refused(_) | StoreError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    for ((at, run), document) in firing.runs.iter().zip(documents) {
        let insert = "INSERT INTO schedule_run (schedule, at, workflow) VALUES (?1, ?2, ?3) \
                      ON CONFLICT DO NOTHING";
        let new = execute(tx, insert, params![id.0, at.0, run.id.0])? > 0;
        if !new || intake::insert(tx, run, document)?.replayed {
            return Err(rules::already_fired(*at));
        }
    }
    Ok(firing.version.saturating_add(1))
}

fn runs(tx: &Transaction<'_>, id: ScheduleId, limit: u32) -> Result<Vec<ScheduleRun>, StoreError> {
    let sql = "SELECT r.at, r.workflow, w.status, w.finished_at FROM schedule_run r \
               LEFT JOIN workflow w ON w.id = r.workflow \
               WHERE r.schedule = ?1 ORDER BY r.at DESC LIMIT ?2";
    let mut select = tx.prepare_cached(sql).map_err(from_sqlite)?;
    let mut rows = select.query(params![id.0, limit]).map_err(from_sqlite)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        out.push(ScheduleRun {
            at: codec::time(row, 0)?,
            workflow: WorkflowId(get(row, 1)?),
            status: codec::optional_word(row, 2, WorkflowStatus::parse)?,
            finished_at: codec::optional_time(row, 3)?,
        });
    }
    Ok(out)
}

fn by_id(tx: &Transaction<'_>, id: ScheduleId) -> Result<ScheduleRow, StoreError> {
    one(tx, "s.id = ?1", params![id.0])
}

fn one(
    tx: &Transaction<'_>,
    wanted: &str,
    values: impl rusqlite::Params,
) -> Result<ScheduleRow, StoreError> {
    select(tx, wanted, values)?.pop().ok_or(StoreError::NotFound)
}

fn select(
    tx: &Transaction<'_>,
    wanted: &str,
    values: impl rusqlite::Params,
) -> Result<Vec<ScheduleRow>, StoreError> {
    let sql = format!(
        "SELECT s.id, p.uid, s.name, s.bytes, s.zstd, s.suspended, s.state, s.next_at, s.problem, \
         s.version, s.created_at, s.updated_at, p.name FROM schedule s JOIN project p ON p.id = s.project \
         WHERE {wanted}"
    );
    let mut select = tx.prepare_cached(&sql).map_err(from_sqlite)?;
    let mut rows = select.query(values).map_err(from_sqlite)?;
    let mut out = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        out.push(schedule(row)?);
    }
    Ok(out)
}

fn schedule(row: &Row<'_>) -> Result<ScheduleRow, StoreError> {
    let zstd: Vec<u8> = get(row, 4)?;
    Ok(ScheduleRow {
        id: ScheduleId(get(row, 0)?),
        project: EntityId(codec::uuid(row, 1)?),
        namespace: get(row, 12)?,
        name: get(row, 2)?,
        document: codec::decompress(get(row, 3)?, &zstd)?,
        suspended: get(row, 5)?,
        state: get(row, 6)?,
        next_at: codec::optional_time(row, 7)?,
        problem: get(row, 8)?,
        version: get(row, 9)?,
        created_at: codec::time(row, 10)?,
        updated_at: codec::time(row, 11)?,
    })
}

fn execute(
    tx: &Transaction<'_>,
    sql: &str,
    values: impl rusqlite::Params,
) -> Result<usize, StoreError> {
    tx.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).map_err(from_sqlite)
}
