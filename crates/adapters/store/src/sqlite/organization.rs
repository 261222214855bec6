//! Tenants, departments, groups, projects, quotas.

use std::sync::Arc;

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::Level;
use flowforge_model::time::Timestamp;
use flowforge_organization::{Change, Edit, NamedQuota, Node, Organization, decide, finished};
use flowforge_ports::organization::{Edited, Organizations};
use flowforge_ports::store::StoreError;
use rusqlite::{Transaction, params};
use uuid::Uuid;

use super::SqliteStore;
use super::codec::{self, get};
use super::error::from_sqlite;
use super::load::rows;
use crate::organization::{self as shared, Busy};

impl Organizations for SqliteStore {
    async fn organization(&self) -> Result<Arc<Organization>, StoreError> {
        self.read(|tx| self.current(tx))
    }

    async fn organization_version(&self) -> Result<u64, StoreError> {
        self.read(version)
    }

    async fn edit(&self, edit: Edit, at: Timestamp) -> Result<Edited, StoreError> {
        self.write(|tx| {
            let organization = self.current(tx)?;
            let busy = match edit.concerns(&organization).is_empty() {
                true => Busy::new(),
                false => busy(tx)?,
            };
            match decide(&organization, &edit, &busy, at) {
                Err(refusal) => Ok(Err(refusal)),
                Ok(decision) => {
                    write(tx, &decision.changes, at)?;
                    Ok(Ok(decision))
                }
            }
        })
    }

    async fn reap(&self, at: Timestamp) -> Result<Vec<EntityId>, StoreError> {
        if !shared::drains(&*self.read(|tx| self.current(tx))?) {
            return Ok(Vec::new());
        }
        self.write(|tx| {
            let changes = finished(&*self.current(tx)?, &busy(tx)?);
            write(tx, &changes, at)?;
            Ok(shared::gone_of(&changes))
        })
    }
}

impl SqliteStore {
    /// As this transaction sees it.
    fn current(&self, tx: &Transaction<'_>) -> Result<Arc<Organization>, StoreError> {
        let version = version(tx)?;
        if let Some(known) = self.shared.organization.of(version) {
            return Ok(known);
        }
        let nodes = rows(tx, shared::NODES, [], |row| {
            Ok(Node {
                level: codec::word(row, 0, shared::level)?,
                id: EntityId(codec::uuid(row, 1)?),
                parent: optional_uuid(row, 2)?.map(EntityId),
                tenant: EntityId(codec::uuid(row, 3)?),
                name: get(row, 4)?,
                quota: optional_uuid(row, 5)?.map(QuotaId),
                draining: get(row, 6)?,
                created_at: codec::time(row, 7)?,
                version: get(row, 8)?,
                cluster: shared::cluster(get(row, 9)?)?,
            })
        })?;
        let quotas = rows(tx, shared::QUOTAS, [], |row| {
            let mut columns = [None; _];
            for (at, column) in (3..).zip(&mut columns) {
                *column = get(row, at)?;
            }
            Ok(NamedQuota {
                id: QuotaId(codec::uuid(row, 0)?),
                tenant: EntityId(codec::uuid(row, 1)?),
                name: get(row, 2)?,
                quota: shared::quota(columns, get(row, 11)?)?,
                created_at: codec::time(row, 12)?,
                version: get(row, 13)?,
            })
        })?;
        let read = Arc::new(Organization::new(version, nodes, quotas));
        self.shared.organization.keep(&read);
        Ok(read)
    }
}

fn version(tx: &Transaction<'_>) -> Result<u64, StoreError> {
    let found = rows(tx, shared::VERSION, [], |row| get(row, 0))?;
    found.first().copied().ok_or_else(|| codec::corrupt("the organization has no version"))
}

fn optional_uuid(row: &rusqlite::Row<'_>, at: usize) -> Result<Option<Uuid>, StoreError> {
    Ok(get::<Option<[u8; 16]>>(row, at)?.map(Uuid::from_bytes))
}

fn busy(tx: &Transaction<'_>) -> Result<Busy, StoreError> {
    let found = rows(tx, shared::BUSY, [], |row| codec::uuid(row, 0).map(EntityId))?;
    Ok(found.into_iter().collect())
}

fn write(tx: &Transaction<'_>, changes: &[Change], at: Timestamp) -> Result<(), StoreError> {
    let execute = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
        tx.prepare_cached(sql).and_then(|mut put| put.execute(values)).map_err(from_sqlite)
    };
    for change in changes {
        match change {
            Change::Node(node) => {
                let quota = node.quota.map(|id| id.0);
                let (tenant, parent) = (node.tenant.0, shared::parent_row(node));
                let created = node.created_at.0;
                let cluster = node.cluster.as_ref().map(ClusterName::as_str);
                let values = params![
                    node.id.0,
                    node.name,
                    quota,
                    node.draining,
                    created,
                    node.version,
                    tenant,
                    parent,
                    cluster
                ];
                let of = match node.level {
                    Level::Tenant => values.get(..6),
                    Level::Department | Level::Group => values.get(..8),
                    Level::Project => Some(values),
                };
                execute(shared::put(node.level), of.unwrap_or_default())?;
                if node.draining && node.level == Level::Project {
                    execute(shared::RUNS_GONE, params![node.id.0])?;
                    execute(shared::SCHEDULES_GONE, params![node.id.0])?;
                }
            }
            Change::NodeGone(id, level) => {
                execute(shared::gone(*level), params![at.0, id.0])?;
            }
            Change::Quota(row) => {
                let [a, b, c, d, e, f, g, h] = shared::columns(row)?;
                let (weight, created) = (row.quota.weight.get(), row.created_at.0);
                let (id, tenant) = (row.id.0, row.tenant.0);
                let values = params![
                    id,
                    tenant,
                    row.name,
                    a,
                    b,
                    c,
                    d,
                    e,
                    f,
                    g,
                    h,
                    weight,
                    created,
                    row.version
                ];
                execute(shared::PUT_QUOTA, values)?;
            }
            Change::QuotaGone(id) => {
                execute(shared::QUOTA_GONE, params![at.0, id.0])?;
            }
        }
    }
    Ok(())
}
