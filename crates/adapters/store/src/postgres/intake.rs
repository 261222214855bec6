//! What the api writes: workflows and intents.

use flowforge_model::event::Command;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Inserted, NewWorkflow, StoreError};

use super::bind::{binds, int, text};
use super::codec::{self, Compressed};
use super::organization::SUBMITTING;
use super::transaction::Tx;
use crate::rules;

pub(super) const PROJECT: &str =
    "SELECT id, tenant, draining, name FROM project WHERE uid = $1 AND deleted_at IS NULL";

const EARLIER: &str = "SELECT w.id, w.idempotency_digest FROM workflow w \
     JOIN project p ON p.tenant = w.tenant \
     WHERE p.uid = $1 AND w.idempotency_key = $2";

const INSERT: &str = "INSERT INTO workflow (id, tenant, project, name, description, parameters, \
     labels, priority, submitted_by, resubmitted_from, created_at, idempotency_key, \
     idempotency_digest, storage) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";

const GATE: &str = "INSERT INTO gate (workflow, closed) VALUES ($1, FALSE)";
const DOCUMENT: &str = "INSERT INTO document (workflow, bytes, zstd) VALUES ($1, $2, $3)";
const INTENT: &str =
    "INSERT INTO intent (workflow, command, closes, asked_at) VALUES ($1, $2, $3, $4)";

/// The name of the project of a workflow, if it takes nothing new.
const LEFT: &str = "SELECT p.name FROM workflow w JOIN project p ON p.id = w.project \
     WHERE w.id = $1 AND (p.draining OR p.deleted_at IS NOT NULL)";

/// Waits for the commit that moves the workflow or its gate, and makes the next one wait.
const OWN_GATE: &str = "SELECT 1 FROM gate WHERE workflow = $1 FOR NO KEY UPDATE";
/// Statements after the lock, so that they see what the commit before it wrote.
const STATUS: &str = "SELECT status FROM workflow WHERE id = $1";
const WAITS: &str = "SELECT EXISTS (SELECT 1 FROM intent WHERE workflow = $1 AND command = $2)";
const CLOSE: &str = "UPDATE gate SET closed = TRUE WHERE workflow = $1 AND NOT closed";

/// Workflow, gate, document and the intent to begin it.
pub(super) async fn insert<'a>(
    tx: &mut Tx<'a>,
    new: &'a NewWorkflow,
    document: &'a Compressed,
) -> Result<Inserted, StoreError> {
    tx.send(SUBMITTING, Vec::new()).await;
    tx.send(PROJECT, binds![new.project.0]).await;
    if let Some((key, _)) = &new.idempotency {
        tx.send(EARLIER, binds![new.project.0, text(key)]).await;
    }
    tx.answer().await?;
    let projects = tx.answer().await?.rows;
    let earlier = match &new.idempotency {
        Some((_, digest)) => earlier(&tx.answer().await?.rows, digest)?,
        None => None,
    };
    let project = projects.first().ok_or_else(|| rules::no_project(new.project))?;
    if let Some(replayed) = earlier {
        return Ok(replayed);
    }
    takes_work(project)?;
    insert_row(tx, (codec::get(project, 0)?, codec::get(project, 1)?), new).await?;
    let id = new.id.0;
    let bytes = int(u32::try_from(document.bytes).unwrap_or(u32::MAX))?;
    tx.send(GATE, binds![id]).await;
    tx.send(DOCUMENT, binds![id, bytes, document.zstd.as_slice()]).await;
    tx.send(INTENT, binds![id, None::<String>, false, new.at.0]).await;
    for _ in 0..4 {
        tx.answer().await?;
    }
    Ok(Inserted { id: new.id, replayed: false })
}

/// Id and tenant of a project.
pub(super) async fn project(tx: &mut Tx<'_>, id: EntityId) -> Result<(i64, i64), StoreError> {
    let rows = tx.rows(PROJECT, binds![id.0]).await?;
    let row = rows.first().ok_or_else(|| rules::no_project(id))?;
    Ok((codec::get(row, 0)?, codec::get(row, 1)?))
}

/// Id of a project that takes something new, for as long as this transaction lasts.
pub(super) async fn open_project(tx: &mut Tx<'_>, id: EntityId) -> Result<i64, StoreError> {
    tx.send(SUBMITTING, Vec::new()).await;
    tx.send(PROJECT, binds![id.0]).await;
    tx.answer().await?;
    let rows = tx.answer().await?.rows;
    let row = rows.first().ok_or_else(|| rules::no_project(id))?;
    takes_work(row)?;
    codec::get(row, 0)
}

/// Reads [`PROJECT`].
fn takes_work(project: &tokio_postgres::Row) -> Result<(), StoreError> {
    if codec::get(project, 2)? { Err(rules::draining(codec::get(project, 3)?)) } else { Ok(()) }
}

/// The workflow that the same request created before.
fn earlier(rows: &[tokio_postgres::Row], digest: &str) -> Result<Option<Inserted>, StoreError> {
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if codec::get::<&str>(row, 1)? != digest {
        return Err(StoreError::KeyReused);
    }
    Ok(Some(Inserted { id: codec::workflow_id(row, 0)?, replayed: true }))
}

async fn insert_row<'a>(
    tx: &mut Tx<'a>,
    (project, tenant): (i64, i64),
    new: &'a NewWorkflow,
) -> Result<(), StoreError> {
    let idempotency = new.idempotency.as_ref();
    let values = binds![
        new.id.0,
        tenant,
        project,
        text(&new.name),
        text(&new.description),
        codec::to_json(&new.parameters)?,
        codec::to_json(&new.labels)?,
        new.priority,
        text(&new.submitted_by),
        new.resubmitted_from.map(|id| id.0),
        new.at.0,
        idempotency.map(|(key, _)| text(key)),
        idempotency.map(|(_, digest)| text(digest)),
        i64::try_from(new.storage.0).unwrap_or(i64::MAX),
    ];
    tx.send(INSERT, values).await;
    Ok(())
}

/// An intent, after the gate is closed where it has to be.
pub(super) async fn ask<'a>(
    tx: &mut Tx<'a>,
    workflow: WorkflowId,
    command: &'a Command,
    at: Timestamp,
) -> Result<(), StoreError> {
    let id = workflow.0;
    let json = codec::to_json(command)?;
    if *command == Command::Retry {
        tx.rows(SUBMITTING, Vec::new()).await?;
        let rows = tx.rows(LEFT, binds![id]).await?;
        if let Some(row) = rows.first() {
            return Err(rules::draining(codec::get(row, 0)?));
        }
    }
    tx.send(OWN_GATE, binds![id]).await;
    tx.send(STATUS, binds![id]).await;
    tx.send(WAITS, binds![id, json.clone()]).await;
    tx.answer().await?;
    let status = tx.answer().await?.rows;
    let waits = tx.answer().await?.rows;
    let status = status.first().ok_or(StoreError::NotFound)?;
    if let Some(why) = rules::refusal(codec::word(status, 0, WorkflowStatus::parse)?, command) {
        return Err(StoreError::Refused(why));
    }
    let closes = rules::closes_gate(command);
    if closes {
        tx.execute(CLOSE, binds![id]).await?;
    }
    let waits: bool = waits.first().map_or(Ok(false), |row| codec::get(row, 0))?;
    if rules::collapses(command) && waits {
        return Ok(());
    }
    tx.execute(INTENT, binds![id, json, closes, at.0]).await?;
    Ok(())
}
