//! Tenants, departments, groups, projects, quotas.

use std::sync::Arc;

use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::Level;
use flowforge_model::time::Timestamp;
use flowforge_organization::{Change, Edit, NamedQuota, Node, Organization, decide, finished};
use flowforge_ports::organization::{Edited, Organizations};
use flowforge_ports::store::StoreError;
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::bind::{binds, long};
use super::codec::{self, get};
use super::load::read;
use super::transaction::{Mode, Tx};
use crate::organization::{self as shared, Busy, Copied};

/// Edits come one after another.
const TURN: &str = "SELECT version FROM organization FOR UPDATE";

/// Whoever inserts below a project holds this in share mode, without a row that would have to be
/// locked; a deletion waits for those under way, and those that come later see that it drains.
pub(super) const SUBMITTING: &str = "SELECT pg_advisory_xact_lock_shared(x'464f5247'::bigint)";
const DRAINING: &str = "SELECT pg_advisory_xact_lock(x'464f5247'::bigint)";

impl Organizations for PostgresStore {
    async fn organization(&self) -> Result<Arc<Organization>, StoreError> {
        let copied = self.copied();
        let known = copied.of(self.organization_version().await?);
        if let Some(known) = known {
            return Ok(known);
        }
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let rows = tx.rows(shared::VERSION, Vec::new()).await?;
                current(&mut tx, &copied, version(&rows)?).await
            })
        })
        .await
    }

    async fn organization_version(&self) -> Result<u64, StoreError> {
        self.read(Mode::Fresh, |tx| {
            Box::pin(async move {
                let mut tx = tx;
                version(&tx.rows(shared::VERSION, Vec::new()).await?)
            })
        })
        .await
    }

    async fn edit(&self, edit: Edit, at: Timestamp) -> Result<Edited, StoreError> {
        let copied = self.copied();
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let rows = tx.rows(TURN, Vec::new()).await?;
                let organization = current(&mut tx, &copied, version(&rows)?).await?;
                let deletes = matches!(edit, Edit::Delete { .. });
                let busy = if deletes { busy(&mut tx).await? } else { Busy::new() };
                match decide(&organization, &edit, &busy, at) {
                    Err(refusal) => Ok(Err(refusal)),
                    Ok(decision) => {
                        if deletes {
                            tx.rows(DRAINING, Vec::new()).await?;
                        }
                        write(&mut tx, &decision.changes, at).await?;
                        Ok(Ok(decision))
                    }
                }
            })
        })
        .await
    }

    async fn reap(&self, at: Timestamp) -> Result<Vec<EntityId>, StoreError> {
        if !shared::drains(&*self.organization().await?) {
            return Ok(Vec::new());
        }
        let copied = self.copied();
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;
                let rows = tx.rows(TURN, Vec::new()).await?;
                let organization = current(&mut tx, &copied, version(&rows)?).await?;
                let changes = finished(&organization, &busy(&mut tx).await?);
                write(&mut tx, &changes, at).await?;
                Ok(shared::gone_of(&changes))
            })
        })
        .await
    }
}

impl PostgresStore {
    fn copied(&self) -> Arc<Copied> {
        Arc::clone(&self.shared.organization)
    }
}

fn version(rows: &[Row]) -> Result<u64, StoreError> {
    let row = rows.first().ok_or_else(|| codec::corrupt("the organization has no version"))?;
    codec::count(row, 0)
}

/// As of this version, which the transaction has read from its snapshot, or holds locked.
async fn current(
    tx: &mut Tx<'_>,
    copied: &Copied,
    version: u64,
) -> Result<Arc<Organization>, StoreError> {
    if let Some(known) = copied.of(version) {
        return Ok(known);
    }
    tx.send(shared::NODES, Vec::new()).await;
    tx.send(shared::QUOTAS, Vec::new()).await;
    let nodes = tx.answer().await?.rows;
    let quotas = tx.answer().await?.rows;
    let nodes = read(&nodes, |row| {
        Ok(Node {
            level: codec::word(row, 0, shared::level)?,
            id: EntityId(get(row, 1)?),
            parent: get::<Option<Uuid>>(row, 2)?.map(EntityId),
            tenant: EntityId(get(row, 3)?),
            name: get(row, 4)?,
            quota: get::<Option<Uuid>>(row, 5)?.map(QuotaId),
            draining: get(row, 6)?,
            created_at: codec::time(row, 7)?,
            version: codec::count(row, 8)?,
            cluster: shared::cluster(get(row, 9)?)?,
        })
    })?;
    let quotas = read(&quotas, |row| {
        let mut columns = [None; _];
        for (at, column) in (3..).zip(&mut columns) {
            *column = get(row, at)?;
        }
        Ok(NamedQuota {
            id: QuotaId(get(row, 0)?),
            tenant: EntityId(get(row, 1)?),
            name: get(row, 2)?,
            quota: shared::quota(columns, get(row, 11)?)?,
            created_at: codec::time(row, 12)?,
            version: codec::count(row, 13)?,
        })
    })?;
    let read = Arc::new(Organization::new(version, nodes, quotas));
    copied.keep(&read);
    Ok(read)
}

async fn busy(tx: &mut Tx<'_>) -> Result<Busy, StoreError> {
    let found = tx.rows(shared::BUSY, Vec::new()).await?;
    Ok(read(&found, |row| get(row, 0).map(EntityId))?.into_iter().collect())
}

async fn write(tx: &mut Tx<'_>, changes: &[Change], at: Timestamp) -> Result<(), StoreError> {
    for change in changes {
        match change {
            Change::Node(node) => {
                let version = long(node.version)?;
                let quota = node.quota.map(|id| id.0);
                let created = node.created_at.0;
                let mut values =
                    binds![node.id.0, node.name.clone(), quota, node.draining, created, version];
                if node.parent.is_some() {
                    values.extend(binds![node.tenant.0, shared::parent_row(node)]);
                }
                if node.level == Level::Project {
                    let cluster = node.cluster.as_ref().map(|name| name.as_str().to_owned());
                    values.extend(binds![cluster]);
                }
                tx.execute(shared::put(node.level), values).await?;
                if node.draining && node.level == Level::Project {
                    tx.execute(shared::RUNS_GONE, binds![node.id.0]).await?;
                    tx.execute(shared::SCHEDULES_GONE, binds![node.id.0]).await?;
                }
            }
            Change::NodeGone(id, level) => {
                tx.execute(shared::gone(*level), binds![at.0, id.0]).await?;
            }
            Change::Quota(row) => {
                let mut values = binds![row.id.0, row.tenant.0, row.name.clone()];
                for column in shared::columns(row)? {
                    values.extend(binds![column]);
                }
                let weight = i64::from(row.quota.weight.get());
                values.extend(binds![weight, row.created_at.0, long(row.version)?]);
                tx.execute(shared::PUT_QUOTA, values).await?;
            }
            Change::QuotaGone(id) => {
                tx.execute(shared::QUOTA_GONE, binds![at.0, id.0]).await?;
            }
        }
    }
    Ok(())
}
