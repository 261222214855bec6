//! What a witness of pods reads and writes.

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, WorkOrder};
use flowforge_ports::handover::{Order, Tidings};
use flowforge_ports::store::StoreError;
use flowforge_ports::witness::{Awaited, Testimony};
use tokio_postgres::Row;
use uuid::Uuid;

use super::{columns, columns_of_news, key};
use crate::postgres::bind::{binds, int};
use crate::postgres::codec::{self, get};
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

/// Of an attempt `a` that is open: an executor has claimed it whose work outlives it, and nobody has told its end.
macro_rules! awaited {
    () => {
        "coalesce(a.ended_at, -1) = -1 AND a.instance IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM member m WHERE m.role = 'executor' AND m.instance = a.instance \
         AND NOT m.keeps) AND NOT EXISTS (SELECT 1 FROM news n WHERE n.workflow = a.workflow \
         AND n.node = a.node AND n.number = a.number AND n.finished)"
    };
}

const AWAITED: &str = concat!(
    "SELECT a.workflow, a.node, a.number, a.stop, o.body \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     JOIN attempt a USING (workflow, node, number) JOIN work_order o USING (workflow, node, number) WHERE ",
    awaited!(),
    " ORDER BY a.workflow, a.node, a.number"
);

/// Pods and executors tell ends too: whoever is second sees what the first one told.
const LOCK: &str = "SELECT 1 FROM attempt a \
     JOIN unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     USING (workflow, node, number) ORDER BY a.workflow, a.node, a.number FOR NO KEY UPDATE OF a";

/// Of an attempt that pods have begun, these are among those that were seen.
const TESTIFY: &str = concat!(
    "WITH seen AS (SELECT * FROM unnest($6::uuid[], $7::integer[], $8::integer[], $9::uuid[]) \
     AS s (workflow, node, number, pod)) \
     INSERT INTO news (workflow, node, number, finished, body) \
     SELECT u.* FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::boolean[], $5::text[]) \
     AS u (workflow, node, number, finished, body) JOIN attempt a USING (workflow, node, number) WHERE ",
    awaited!(),
    " AND NOT EXISTS (SELECT 1 FROM (SELECT a.pod UNION ALL SELECT b.pod FROM attempt_member b \
     WHERE b.workflow = a.workflow AND b.node = a.node AND b.number = a.number) began \
     WHERE began.pod IS NOT NULL AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.workflow = a.workflow \
     AND s.node = a.node AND s.number = a.number AND s.pod = began.pod)) \
     RETURNING workflow, node, number"
);

pub(super) async fn awaited(
    mut tx: Tx<'_>,
    keys: Vec<AttemptKey>,
) -> Result<Vec<Awaited>, StoreError> {
    let (workflows, nodes, numbers) = columns(&keys)?;
    let rows = tx.rows(AWAITED, binds![workflows, nodes, numbers]).await?;
    let found = read(&rows, |row| Ok(order(row)?.zip(get(row, 3)?)))?;
    Ok(found.into_iter().flatten().map(|(order, stop)| Awaited { order, stop }).collect())
}

/// None if there is none, or it says what this version cannot read: its executor tells that.
fn order(row: &Row) -> Result<Option<WorkOrder>, StoreError> {
    let key = key(row, 0)?;
    match codec::json::<Order>(row, 4) {
        Ok(order) => Ok(order.and_then(Result::ok)),
        Err(error) => {
            tracing::warn!(?key, %error, "a work order cannot be read");
            Ok(None)
        }
    }
}

pub(super) async fn testify(
    mut tx: Tx<'_>,
    ends: Vec<Testimony>,
) -> Result<Vec<AttemptKey>, StoreError> {
    let keys: Vec<AttemptKey> = ends.iter().map(|end| end.key).collect();
    let (mut workflows, mut nodes, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
    let mut pods: Vec<Uuid> = Vec::new();
    let mut news = Vec::new();
    for Testimony { key, pods: seen, report } in ends {
        for pod in seen {
            workflows.push(key.workflow.0);
            nodes.push(int(key.node.0)?);
            numbers.push(int(key.number)?);
            pods.push(pod.0);
        }
        news.push(Tidings::Fact(Fact { key, kind: FactKind::Finished(Box::new(report)) }));
    }
    let mut values = columns_of_news(&news)?;
    values.extend(binds![workflows, nodes, numbers, pods]);
    let (workflows, nodes, numbers) = columns(&keys)?;
    tx.rows(LOCK, binds![workflows, nodes, numbers]).await?;
    let mut kept = read(&tx.rows(TESTIFY, values).await?, |row| key(row, 0))?;
    kept.sort_unstable();
    Ok(kept)
}
