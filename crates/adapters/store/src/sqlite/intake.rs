//! What the api writes: workflows and intents.

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Inserted, NewWorkflow, Parent, RunChanges, StoreError};
use rusqlite::{OptionalExtension, Transaction, params};

use super::codec::{self, Compressed};
use super::error::from_sqlite;
use crate::rules;

/// Workflow, document and the intent to begin it.
pub(super) fn insert(
    tx: &Transaction<'_>,
    new: &NewWorkflow,
    document: &Compressed,
) -> Result<Inserted, StoreError> {
    let (project, tenant) = project(tx, new.project)?;
    if let Some(replayed) = earlier(tx, tenant, new)? {
        return Ok(replayed);
    }
    takes_work(tx, project)?;
    insert_row(tx, (project, tenant), new)?;
    insert_document(tx, new.id, document)?;
    insert_intent(tx, new.id, None, new.at)?;
    Ok(Inserted { id: new.id, replayed: false })
}

/// Id and tenant of a project.
pub(super) fn project(tx: &Transaction<'_>, id: EntityId) -> Result<(i64, i64), StoreError> {
    tx.prepare_cached("SELECT id, tenant FROM project WHERE uid = ?1 AND deleted_at IS NULL")
        .and_then(|mut select| {
            select.query_row([id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()
        })
        .map_err(from_sqlite)?
        .ok_or_else(|| rules::no_project(id))
}

/// Refused if the project takes nothing new.
pub(super) fn takes_work(tx: &Transaction<'_>, project: i64) -> Result<(), StoreError> {
    let left = tx
        .prepare_cached(
            "SELECT name FROM project WHERE id = ?1 AND (draining OR deleted_at IS NOT NULL)",
        )
        .and_then(|mut select| select.query_row([project], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
    left.map_or(Ok(()), |name: String| Err(rules::draining(&name)))
}

/// The workflow that the same request created before.
fn earlier(
    tx: &Transaction<'_>,
    tenant: i64,
    new: &NewWorkflow,
) -> Result<Option<Inserted>, StoreError> {
    let Some((key, digest)) = &new.idempotency else {
        return Ok(None);
    };
    let found = tx
        .prepare_cached(
            "SELECT id, idempotency_digest FROM workflow WHERE tenant = ?1 AND idempotency_key = ?2",
        )
        .and_then(|mut select| {
            select
                .query_row(params![tenant, key], |row| {
                    Ok((row.get(0)?, row.get::<_, String>(1)?))
                })
                .optional()
        })
        .map_err(from_sqlite)?;
    match found {
        None => Ok(None),
        Some((id, of)) if of == *digest => {
            Ok(Some(Inserted { id: WorkflowId(id), replayed: true }))
        }
        Some(_) => Err(StoreError::KeyReused),
    }
}

fn insert_row(
    tx: &Transaction<'_>,
    (project, tenant): (i64, i64),
    new: &NewWorkflow,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO workflow (id, tenant, project, name, description, parameters, labels, \
         priority, submitted_by, resubmitted_from, created_at, idempotency_key, \
         idempotency_digest, storage) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )
    .map_err(from_sqlite)?
    .execute(params![
        new.id.0,
        tenant,
        project,
        new.name,
        new.description,
        codec::to_json(&new.parameters)?,
        codec::to_json(&new.labels)?,
        new.priority,
        new.submitted_by,
        new.resubmitted_from.map(|id| id.0),
        new.at.0,
        new.idempotency.as_ref().map(|(key, _)| key),
        new.idempotency.as_ref().map(|(_, digest)| digest),
        i64::try_from(new.storage.0).unwrap_or(i64::MAX),
    ])
    .map_err(from_sqlite)?;
    let Some(Parent { attempt, root, depth }) = new.parent else {
        return Ok(());
    };
    tx.prepare_cached(
        "INSERT INTO child (workflow, parent, node, number, root, depth) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            new.id.0,
            attempt.workflow.0,
            attempt.node.0,
            attempt.number,
            root.map(|id| id.0),
            depth
        ])
    })
    .map(drop)
    .map_err(from_sqlite)
}

/// Workflows that tasks start, and what is asked of those that they started.
pub(super) fn children(
    tx: &Transaction<'_>,
    run: &RunChanges,
    at: Timestamp,
) -> Result<(), StoreError> {
    for new in &run.children {
        let document = codec::compress(&new.document)?;
        let place = project(tx, new.project)?;
        insert_row(tx, place, new)?;
        insert_document(tx, new.id, &document)?;
        insert_intent(tx, new.id, None, new.at)?;
    }
    for (id, command) in &run.asks {
        let goes_on: bool = tx
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM workflow WHERE id = ?1 AND finished_at IS NULL)",
            )
            .and_then(|mut select| select.query_row([id.0], |row| row.get(0)))
            .map_err(from_sqlite)?;
        if goes_on {
            write_intent(tx, *id, (Some(command), false), at)?;
        }
    }
    Ok(())
}

fn insert_document(
    tx: &Transaction<'_>,
    id: WorkflowId,
    document: &Compressed,
) -> Result<(), StoreError> {
    tx.prepare_cached("INSERT INTO document (workflow, bytes, zstd) VALUES (?1, ?2, ?3)")
        .and_then(|mut insert| insert.execute(params![id.0, document.bytes, document.zstd]))
        .map(drop)
        .map_err(from_sqlite)
}

/// An intent, after the gate is closed where it has to be.
pub(super) fn ask(
    tx: &Transaction<'_>,
    workflow: WorkflowId,
    command: &Command,
    at: Timestamp,
) -> Result<(), StoreError> {
    if *command == Command::Retry {
        let left = tx
            .prepare_cached("SELECT project FROM workflow WHERE id = ?1")
            .and_then(|mut select| select.query_row([workflow.0], |row| row.get(0)).optional())
            .map_err(from_sqlite)?;
        left.map_or(Ok(()), |project| takes_work(tx, project))?;
    }
    let status = {
        let mut select =
            tx.prepare_cached("SELECT status FROM workflow WHERE id = ?1").map_err(from_sqlite)?;
        let mut rows = select.query([workflow.0]).map_err(from_sqlite)?;
        match rows.next().map_err(from_sqlite)? {
            None => return Err(StoreError::NotFound),
            Some(row) => codec::word(row, 0, WorkflowStatus::parse)?,
        }
    };
    if let Some(why) = rules::refusal(status, command) {
        return Err(StoreError::Refused(why));
    }
    if rules::closes_gate(command) {
        tx.prepare_cached("UPDATE workflow SET gate_closed = 1 WHERE id = ?1")
            .and_then(|mut update| update.execute([workflow.0]))
            .map_err(from_sqlite)?;
    }
    if rules::collapses(command) && waits(tx, workflow, command)? {
        return Ok(());
    }
    insert_intent(tx, workflow, Some(command), at)
}

/// The same is asked already.
fn waits(
    tx: &Transaction<'_>,
    workflow: WorkflowId,
    command: &Command,
) -> Result<bool, StoreError> {
    tx.prepare_cached("SELECT EXISTS (SELECT 1 FROM intent WHERE workflow = ?1 AND command = ?2)")
        .map_err(from_sqlite)?
        .query_row(params![workflow.0, codec::to_json(command)?], |row| row.get(0))
        .map_err(from_sqlite)
}

fn insert_intent(
    tx: &Transaction<'_>,
    workflow: WorkflowId,
    command: Option<&Command>,
    at: Timestamp,
) -> Result<(), StoreError> {
    write_intent(tx, workflow, (command, command.is_some_and(rules::closes_gate)), at)
}

/// An intent, and whether it has closed the gate.
fn write_intent(
    tx: &Transaction<'_>,
    workflow: WorkflowId,
    (command, closes): (Option<&Command>, bool),
    at: Timestamp,
) -> Result<(), StoreError> {
    tx.prepare_cached(
        "INSERT INTO intent (workflow, command, closes, asked_at) VALUES (?1, ?2, ?3, ?4)",
    )
    .map_err(from_sqlite)?
    .execute(params![workflow.0, command.map(codec::to_json).transpose()?, closes, at.0])
    .map_err(from_sqlite)?;
    Ok(())
}
