//! Locks with those who hold them and those who wait for them.

use flowforge_ports::catalog::{LockFilter, LockUser, LockView};
use flowforge_ports::store::StoreError;
use tokio_postgres::Row;

use crate::postgres::bind::{binds, optional_text, text};
use crate::postgres::codec::{self, get};
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

const PAGE: &str = "SELECT key, max(capacity), count(*) FILTER (WHERE held), \
     count(*) FILTER (WHERE NOT held) FROM lock \
     WHERE (cardinality($1::text[]) = 0 OR key = ANY ($1)) \
     AND ($2::uuid IS NULL OR key IN (SELECT key FROM lock WHERE workflow = $2)) \
     AND ($3::text IS NULL OR key > $3) GROUP BY key ORDER BY key LIMIT $4";

/// In the order of the queue: priority, age of the workflow, time waited.
const USERS: &str = "SELECT l.workflow, w.name, l.node, t.name, l.since FROM lock l \
     JOIN workflow w ON w.id = l.workflow \
     LEFT JOIN task t ON t.workflow = l.workflow AND t.node = l.node \
     WHERE l.key = $1 AND l.held = $2 \
     ORDER BY w.priority DESC, w.created_at, l.since, l.workflow, l.node LIMIT $3";

/// Locks by key.
pub(super) async fn page<'a>(
    mut tx: Tx<'a>,
    filter: &'a LockFilter,
    limit: u32,
    users: u32,
) -> Result<Vec<LockView>, StoreError> {
    let keys: Vec<_> = filter.keys.iter().map(|key| text(key)).collect();
    let after = optional_text(filter.after.as_ref());
    let workflow = filter.workflow.map(|id| id.0);
    let rows = tx.rows(PAGE, binds![keys, workflow, after, i64::from(limit)]).await?;
    let mut locks = read(&rows, |row| {
        Ok(LockView {
            key: get(row, 0)?,
            limit: u32::try_from(codec::count(row, 1)?).map_err(|_| codec::corrupt("capacity"))?,
            holding: codec::count(row, 2)?,
            waiting: codec::count(row, 3)?,
            holders: Vec::new(),
            waiters: Vec::new(),
        })
    })?;
    for lock in &locks {
        for held in [true, false] {
            tx.send(USERS, binds![lock.key.clone(), held, i64::from(users)]).await;
        }
    }
    for lock in &mut locks {
        lock.holders = read(&tx.answer().await?.rows, user)?;
        lock.waiters = read(&tx.answer().await?.rows, user)?;
    }
    Ok(locks)
}

fn user(row: &Row) -> Result<LockUser, StoreError> {
    Ok(LockUser {
        workflow: codec::workflow_id(row, 0)?,
        workflow_name: get(row, 1)?,
        node: codec::node(row, 2)?,
        task_name: get(row, 3)?,
        since: codec::time(row, 4)?,
    })
}
