//! What executors read and write.

use std::collections::BTreeSet;

use flowforge_model::attempt::{AttemptKey, Fact};
use flowforge_model::id::InstanceId;
use flowforge_ports::handover::{Order, Tidings};
use flowforge_ports::store::StoreError;
use uuid::Uuid;

use super::{columns, columns_of_news, key};
use crate::postgres::bind::binds;
use crate::postgres::codec;
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

/// Held to the end of the transaction: whoever buries the executor waits for it.
const ALIVE: &str = "SELECT 1 FROM member \
     WHERE role = 'executor' AND instance = $1 AND NOT buried FOR SHARE";
/// The same for one that only reads.
const LIVING: &str =
    "SELECT 1 FROM member WHERE role = 'executor' AND instance = $1 AND NOT buried";

const GATES: &str = "SELECT 1 FROM gate WHERE workflow = ANY ($1) ORDER BY workflow FOR SHARE";

/// The gates are locked by an earlier statement, so that this one sees what closed them.
const CLAIM: &str = "UPDATE attempt a SET instance = $4 \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     JOIN gate g ON g.workflow = u.workflow \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     AND a.ended_at IS NULL AND a.instance IS NULL AND NOT a.stop AND NOT g.closed";

/// What was claimed by this transaction, and by earlier ones of the same executor whose answers may
/// have been lost; not what it has reported the end of.
const MINE: &str = "SELECT a.workflow, a.node, a.number, o.body FROM attempt a \
     JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     USING (workflow, node, number) LEFT JOIN work_order o USING (workflow, node, number) \
     WHERE a.instance = $4 AND a.ended_at IS NULL AND NOT EXISTS (SELECT 1 FROM news n \
     WHERE n.workflow = a.workflow AND n.node = a.node AND n.number = a.number AND n.finished) \
     ORDER BY a.workflow, a.node";

const REPORT: &str = "INSERT INTO news (workflow, node, number, finished, body) \
     SELECT u.* FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::boolean[], $5::text[]) \
     AS u (workflow, node, number, finished, body) JOIN attempt a USING (workflow, node, number) \
     WHERE a.instance = $6 AND a.ended_at IS NULL";

const STOPS: &str = "SELECT a.workflow, a.node, a.number FROM attempt a \
     WHERE a.instance = $1 AND a.ended_at IS NULL AND a.stop AND NOT EXISTS (SELECT 1 FROM news n \
     WHERE n.workflow = a.workflow AND n.node = a.node AND n.number = a.number AND n.finished) \
     ORDER BY a.workflow, a.node, a.number";

pub(super) async fn claim(
    mut tx: Tx<'_>,
    executor: InstanceId,
    keys: Vec<AttemptKey>,
) -> Result<Vec<(AttemptKey, Order)>, StoreError> {
    let gates: BTreeSet<Uuid> = keys.iter().map(|key| key.workflow.0).collect();
    let (workflows, nodes, numbers) = columns(&keys)?;
    tx.send(ALIVE, binds![executor.0]).await;
    tx.send(GATES, binds![gates.into_iter().collect::<Vec<_>>()]).await;
    let all = (workflows.clone(), nodes.clone(), numbers.clone());
    tx.send(CLAIM, binds![workflows, nodes, numbers, executor.0]).await;
    tx.send(MINE, binds![all.0, all.1, all.2, executor.0]).await;
    let alive = tx.answer().await?;
    tx.answer().await?;
    tx.answer().await?;
    let mine = tx.answer().await?;
    if alive.rows.is_empty() {
        return Err(StoreError::Fenced);
    }
    read(&mine.rows, |row| {
        let order = codec::json(row, 3)?.ok_or_else(|| codec::corrupt("work order"))?;
        Ok((key(row, 0)?, order))
    })
}

pub(super) async fn report(
    mut tx: Tx<'_>,
    executor: InstanceId,
    facts: Vec<Fact>,
) -> Result<(), StoreError> {
    let news: Vec<Tidings> = facts.into_iter().map(Tidings::Fact).collect();
    let mut values = columns_of_news(&news)?;
    values.extend(binds![executor.0]);
    tx.send(ALIVE, binds![executor.0]).await;
    tx.send(REPORT, values).await;
    let alive = tx.answer().await?;
    tx.answer().await?;
    if alive.rows.is_empty() { Err(StoreError::Fenced) } else { Ok(()) }
}

pub(super) async fn stops(
    mut tx: Tx<'_>,
    executor: InstanceId,
) -> Result<Vec<AttemptKey>, StoreError> {
    tx.send(LIVING, binds![executor.0]).await;
    tx.send(STOPS, binds![executor.0]).await;
    let alive = tx.answer().await?;
    let stops = tx.answer().await?;
    if alive.rows.is_empty() {
        return Err(StoreError::Fenced);
    }
    read(&stops.rows, |row| key(row, 0))
}
