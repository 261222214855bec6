//! Locks with those who hold them and those who wait for them.

use flowforge_ports::catalog::{LockFilter, LockUser, LockView};
use flowforge_ports::store::StoreError;
use rusqlite::{Transaction, params, params_from_iter};

use crate::sqlite::codec::{self, get};
use crate::sqlite::load::{Bound, rows};

/// Locks by key.
pub(super) fn page(
    tx: &Transaction<'_>,
    filter: &LockFilter,
    limit: u32,
    users: u32,
) -> Result<Vec<LockView>, StoreError> {
    let mut sql =
        "SELECT key, max(capacity), sum(held), sum(1 - held) FROM lock WHERE 1".to_owned();
    let mut bound: Vec<Bound> = Vec::new();
    if !filter.keys.is_empty() {
        let marks = vec!["?"; filter.keys.len()].join(", ");
        sql.push_str(&format!(" AND key IN ({marks})"));
        bound.extend(filter.keys.iter().map(|key| Box::new(key.clone()) as Bound));
    }
    if let Some(workflow) = filter.workflow {
        sql.push_str(" AND key IN (SELECT key FROM lock WHERE workflow = ?)");
        bound.push(Box::new(workflow.0));
    }
    if let Some(after) = &filter.after {
        sql.push_str(" AND key > ?");
        bound.push(Box::new(after.clone()));
    }
    sql.push_str(" GROUP BY key ORDER BY key LIMIT ?");
    bound.push(Box::new(limit));
    let mut locks = rows(tx, &sql, params_from_iter(bound), |row| {
        Ok(LockView {
            key: get(row, 0)?,
            limit: get(row, 1)?,
            holding: get(row, 2)?,
            waiting: get(row, 3)?,
            holders: Vec::new(),
            waiters: Vec::new(),
        })
    })?;
    for lock in &mut locks {
        lock.holders = users_of(tx, &lock.key, true, users)?;
        lock.waiters = users_of(tx, &lock.key, false, users)?;
    }
    Ok(locks)
}

/// In the order of the queue: priority, age of the workflow, time waited.
fn users_of(
    tx: &Transaction<'_>,
    key: &str,
    held: bool,
    limit: u32,
) -> Result<Vec<LockUser>, StoreError> {
    rows(
        tx,
        "SELECT l.workflow, w.name, l.node, t.name, l.since FROM lock l \
         JOIN workflow w ON w.id = l.workflow \
         LEFT JOIN task t ON t.workflow = l.workflow AND t.node = l.node \
         WHERE l.key = ?1 AND l.held = ?2 \
         ORDER BY w.priority DESC, w.created_at, l.since, l.workflow, l.node LIMIT ?3",
        params![key, held, limit],
        |row| {
            Ok(LockUser {
                workflow: codec::workflow_id(row, 0)?,
                workflow_name: get(row, 1)?,
                node: codec::node(row, 2)?,
                task_name: get(row, 3)?,
                since: codec::time(row, 4)?,
            })
        },
    )
}
