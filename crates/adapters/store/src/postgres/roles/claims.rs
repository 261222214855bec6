//! What executors read and write.

use std::collections::BTreeSet;

use flowforge_model::attempt::{AttemptKey, Fact, FailureClass, Report};
use flowforge_model::id::InstanceId;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::claims::Claimed;
use flowforge_ports::handover::Tidings;
use flowforge_ports::store::StoreError;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{columns, columns_of_news, key};
use crate::postgres::bind::binds;
use crate::postgres::codec;
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

/// Fails for one that is buried. Held to the end of the transaction: whoever buries the executor waits for it.
const ALIVE: &str = "SELECT 1 / count(*) FROM (SELECT 1 FROM member \
     WHERE role = 'executor' AND instance = $1 AND NOT buried FOR SHARE) m";
/// The same for one that only reads.
const LIVING: &str =
    "SELECT 1 FROM member WHERE role = 'executor' AND instance = $1 AND NOT buried";

const GATES: &str = "SELECT 1 FROM gate WHERE workflow = ANY ($1) ORDER BY workflow FOR SHARE";

/// What nobody has claimed. The gates are locked by an earlier statement, so that this one sees what closed
/// them. Whoever asks for `ended_at IS NULL` is offered all of the index of open attempts, and takes it;
/// whoever joins the gates, all attempts of theirs. Those of other clusters are for others; executors of earlier
/// versions do not say where they are, and are sent what is theirs.
const CLAIM: &str = "UPDATE attempt a SET instance = $4 \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     LEFT JOIN work_order o USING (workflow, node, number) \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     AND coalesce(a.ended_at, -1) = -1 AND a.instance IS NULL AND NOT a.stop \
     AND NOT (SELECT g.closed FROM gate g WHERE g.workflow = a.workflow) \
     AND coalesce(a.cluster = (SELECT m.cluster FROM member m WHERE m.role = 'executor' \
     AND m.instance = $4), TRUE) \
     RETURNING a.workflow, a.node, a.number, o.body, FALSE";

/// Of the others, what was claimed by earlier transactions of the same executor whose answers may have been
/// lost, and what outlives a dead one of its kind, but for what is reported to have ended.
const CLAIM_AGAIN: &str = "UPDATE attempt a SET instance = $4 \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     JOIN attempt b USING (workflow, node, number) \
     LEFT JOIN work_order o USING (workflow, node, number) \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     AND coalesce(a.ended_at, -1) = -1 AND b.instance IS NOT NULL \
     AND (a.instance = $4 OR EXISTS (SELECT 1 FROM member d JOIN member m USING (role, keeps) \
     WHERE m.role = 'executor' AND m.instance = $4 AND m.keeps AND d.instance = a.instance \
     AND d.buried AND coalesce(a.cluster = m.cluster, TRUE))) AND NOT EXISTS (SELECT 1 FROM news n WHERE n.workflow = a.workflow \
     AND n.node = a.node AND n.number = a.number AND n.finished) \
     RETURNING a.workflow, a.node, a.number, o.body, b.instance <> $4";

/// Pods tell their ends too: whoever is second sees what the first one told. Nobody else tells the ends of
/// what processes do, and nothing is locked for them.
const LOCK: &str = "SELECT 1 FROM attempt a \
     JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     USING (workflow, node, number) WHERE (SELECT m.keeps FROM member m \
     WHERE m.role = 'executor' AND m.instance = $4) \
     ORDER BY a.workflow, a.node, a.number FOR NO KEY UPDATE OF a";

/// The first end that is told of an attempt counts: a pod may have told it before.
const REPORT: &str = "INSERT INTO news (workflow, node, number, finished, body) \
     SELECT u.* FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::boolean[], $5::text[]) \
     AS u (workflow, node, number, finished, body) JOIN attempt a USING (workflow, node, number) \
     WHERE a.instance = $6 AND coalesce(a.ended_at, -1) = -1 AND NOT (u.finished AND EXISTS (SELECT 1 \
     FROM news n WHERE n.workflow = a.workflow AND n.node = a.node AND n.number = a.number \
     AND n.finished))";

const STOPS: &str = "SELECT a.workflow, a.node, a.number FROM attempt a \
     WHERE a.instance = $1 AND a.ended_at IS NULL AND a.stop AND NOT EXISTS (SELECT 1 FROM news n \
     WHERE n.workflow = a.workflow AND n.node = a.node AND n.number = a.number AND n.finished) \
     ORDER BY a.workflow, a.node, a.number";

/// What nobody has claimed.
pub(super) async fn claim(
    mut tx: Tx<'_>,
    executor: InstanceId,
    at: Timestamp,
    keys: Vec<AttemptKey>,
) -> Result<Vec<Claimed>, StoreError> {
    let gates: BTreeSet<Uuid> = keys.iter().map(|key| key.workflow.0).collect();
    let (workflows, nodes, numbers) = columns(&keys)?;
    tx.send(ALIVE, binds![executor.0]).await;
    tx.send(GATES, binds![gates.into_iter().collect::<Vec<_>>()]).await;
    tx.send(CLAIM, binds![workflows, nodes, numbers, executor.0]).await;
    let commit = tx.commit();
    tx.answer().await?;
    tx.answer().await?;
    let rows = tx.answer().await?.rows;
    commit.done().await?;
    orders(&rows, at)
}

/// Of what [`claim`] has left, what is the executor's to carry on.
pub(super) async fn claim_again(
    mut tx: Tx<'_>,
    executor: InstanceId,
    at: Timestamp,
    keys: Vec<AttemptKey>,
) -> Result<Vec<Claimed>, StoreError> {
    let (workflows, nodes, numbers) = columns(&keys)?;
    tx.send(ALIVE, binds![executor.0]).await;
    tx.send(CLAIM_AGAIN, binds![workflows, nodes, numbers, executor.0]).await;
    let commit = tx.commit();
    tx.answer().await?;
    let rows = tx.answer().await?.rows;
    commit.done().await?;
    orders(&rows, at)
}

fn orders(rows: &[Row], at: Timestamp) -> Result<Vec<Claimed>, StoreError> {
    read(rows, |row| {
        let read = codec::json(row, 3).and_then(|order| order.ok_or_else(missing));
        // It ends here and is tried again, perhaps by an executor that can read it.
        let order = match read {
            Ok(order) => order,
            Err(why) => {
                let message = format!("the executor cannot read the work order: {why}");
                Err(Report::failed(at, FailureClass::Lost, Reason::Lost, message))
            }
        };
        Ok(Claimed { key: key(row, 0)?, order, outlived: codec::get(row, 4)? })
    })
}

fn missing() -> StoreError {
    codec::corrupt("there is none")
}

pub(super) async fn report(
    mut tx: Tx<'_>,
    executor: InstanceId,
    facts: Vec<Fact>,
) -> Result<(), StoreError> {
    let news: Vec<Tidings> = facts.into_iter().map(Tidings::Fact).collect();
    let mut values = columns_of_news(&news)?;
    values.extend(binds![executor.0]);
    let keys: Vec<AttemptKey> = news.iter().filter_map(about).collect();
    let (workflows, nodes, numbers) = columns(&keys)?;
    tx.send(ALIVE, binds![executor.0]).await;
    tx.send(LOCK, binds![workflows, nodes, numbers, executor.0]).await;
    tx.send(REPORT, values).await;
    let commit = tx.commit();
    for _ in 0..3 {
        tx.answer().await?;
    }
    commit.done().await
}

fn about(news: &Tidings) -> Option<AttemptKey> {
    match news {
        Tidings::Fact(fact) => Some(fact.key),
        Tidings::Granted { .. } | Tidings::Unread { .. } => None,
    }
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
