//! Roles that are servers of their own: leases, what the scheduler does, what executors do.

mod claims;
mod gangs;
pub(super) mod handover;
mod leases;
mod pods;
mod reservations;
mod witness;

use std::collections::BTreeSet;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{InstanceId, NodeIx, PodUid, WorkflowId};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_model::usage::Measured;
use flowforge_ports::admission::SlotChanges;
use flowforge_ports::claims::{Claimed, Claims};
use flowforge_ports::handover::{Entry, News, Tidings};
use flowforge_ports::leases::{Attendance, Attended, Leader, Leaders, Leases, Role};
use flowforge_ports::pods::{Asking, Begin, Cluster, Finish, Pods};
use flowforge_ports::reservations::{Placed, Reservations, Reserved, Snapshot};
use flowforge_ports::store::StoreError;
use flowforge_ports::witness::{Awaited, Testimony, Witness};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::bind::{Bound, binds, int};
use super::codec::{self, get};
use super::load::{numbers, read};
use super::transaction::{Mode, Tx};
use crate::rules;

const NEWS: &str =
    "SELECT id, body, workflow FROM news WHERE shard = ANY ($1) ORDER BY id LIMIT $2";

/// News, each with the columns that it is found by.
const TELL: &str = "INSERT INTO news (workflow, node, number, finished, body) \
     SELECT * FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::boolean[], $5::text[])";

/// What other roles told controllers.
pub(super) async fn news(
    mut tx: Tx<'_>,
    shards: ShardSet,
    limit: u32,
) -> Result<Vec<News>, StoreError> {
    read(&tx.rows(NEWS, binds![numbers(shards), i64::from(limit)]).await?, |row| {
        let what = codec::json(row, 1).and_then(|what| what.ok_or_else(|| codec::corrupt("news")));
        let workflow = codec::workflow_id(row, 2)?;
        // What cannot be read concerns its workflow, and no other.
        let what = what.unwrap_or_else(|why| Tidings::Unread { workflow, why: why.to_string() });
        Ok(News { id: get(row, 0)?, what })
    })
}

/// Columns of news: workflow, node, number, finished, body.
fn columns_of_news<'a>(all: &[Tidings]) -> Result<Vec<Bound<'a>>, StoreError> {
    let (mut workflows, mut nodes, mut attempts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut finished, mut bodies) = (Vec::new(), Vec::new());
    for what in all {
        let (node, number, over) = match what {
            Tidings::Fact(Fact { key, kind }) => {
                (key.node, key.number, matches!(kind, FactKind::Finished(_)))
            }
            Tidings::Granted { node, .. } => (*node, 0, false),
            Tidings::Unread { .. } => return Err(codec::corrupt("news that could not be read")),
        };
        workflows.push(what.workflow().0);
        nodes.push(int(node.0)?);
        attempts.push(int(number)?);
        finished.push(over);
        bodies.push(codec::to_json(what)?);
    }
    Ok(binds![workflows, nodes, attempts, finished, bodies])
}

/// The end of an attempt that no executor reports.
fn ended(key: AttemptKey, at: Timestamp, class: FailureClass, message: &str) -> Tidings {
    let reason = if class == FailureClass::Lost { Reason::Lost } else { Reason::Stopped };
    let report = Report::failed(at, class, reason, message.to_owned());
    Tidings::Fact(Fact { key, kind: FactKind::Finished(Box::new(report)) })
}

/// Tells controllers that attempts are lost, whose executors are gone.
pub(super) async fn lose(
    tx: &mut Tx<'_>,
    ran: &[AttemptKey],
    at: Timestamp,
) -> Result<(), StoreError> {
    let lost = |key: &AttemptKey| ended(*key, at, FailureClass::Lost, rules::EXECUTOR_LOST);
    let news: Vec<Tidings> = ran.iter().map(lost).collect();
    tx.execute(TELL, columns_of_news(&news)?).await?;
    Ok(())
}

type Columns = (Vec<Uuid>, Vec<i32>, Vec<i32>);

/// Keys of attempts as arrays, in their order: rows are locked in this order.
fn columns(keys: &[AttemptKey]) -> Result<Columns, StoreError> {
    let mut sorted = keys.to_vec();
    sorted.sort_unstable();
    let mut columns = Columns::default();
    for key in sorted {
        columns.0.push(key.workflow.0);
        columns.1.push(int(key.node.0)?);
        columns.2.push(int(key.number)?);
    }
    Ok(columns)
}

fn names(clusters: &[ClusterName]) -> Vec<String> {
    clusters.iter().map(|name| name.as_str().to_owned()).collect()
}

/// An attempt key from three columns.
fn key(row: &Row, at: usize) -> Result<AttemptKey, StoreError> {
    Ok(AttemptKey {
        workflow: codec::workflow_id(row, at)?,
        node: codec::node(row, at + 1)?,
        number: codec::number(row, at + 2)?,
    })
}

impl Leases for PostgresStore {
    async fn attend(&self, attendance: Attendance) -> Result<Attended, StoreError> {
        self.write(move |tx| Box::pin(leases::attend(tx, attendance))).await
    }
}

impl Leaders for PostgresStore {
    async fn leader(&self, role: Role) -> Result<Option<Leader>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(leases::leader(tx, role))).await
    }
}

impl Reservations for PostgresStore {
    async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.read(Mode::Snapshot, |tx| Box::pin(reservations::snapshot(tx))).await
    }

    async fn calls(
        &self,
        epoch: u64,
        seen: &[(Shard, u64)],
        limit: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        let seen = seen.to_vec();
        self.find(Mode::Snapshot, move |tx| Box::pin(reservations::calls(tx, epoch, seen, limit)))
            .await
    }

    async fn forget_calls(&self, epoch: u64, seen: &[(Shard, u64)]) -> Result<(), StoreError> {
        let seen = seen.to_vec();
        self.write(move |tx| Box::pin(reservations::forget_calls(tx, epoch, seen))).await
    }

    async fn reserve(
        &self,
        epoch: u64,
        at: Timestamp,
        placed: &[Placed],
        slots: &SlotChanges,
    ) -> Result<Reserved, StoreError> {
        let (placed, slots) = (placed.to_vec(), slots.clone());
        self.write(move |tx| Box::pin(reservations::reserve(tx, epoch, at, placed, slots))).await
    }

    async fn begin_own(
        &self,
        epoch: u64,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.write(move |tx| Box::pin(reservations::begin(tx, epoch, at, keys))).await
    }

    async fn grant(
        &self,
        epoch: u64,
        holders: &[(WorkflowId, NodeIx)],
    ) -> Result<Vec<(WorkflowId, NodeIx)>, StoreError> {
        let holders = holders.to_vec();
        self.write(move |tx| Box::pin(reservations::grant(tx, epoch, holders))).await
    }

    async fn record(&self, epoch: u64, usage: &[Measured]) -> Result<(), StoreError> {
        let usage = usage.to_vec();
        self.write(move |tx| Box::pin(reservations::record(tx, epoch, usage))).await
    }

    async fn unclaimed(
        &self,
        before: Timestamp,
        clusters: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<Placed>, StoreError> {
        let clusters = names(clusters);
        self.read(Mode::Fresh, move |tx| {
            Box::pin(reservations::unclaimed(tx, before, clusters, limit))
        })
        .await
    }

    async fn give_back(
        &self,
        epoch: u64,
        spared: &[ClusterName],
        limit: u32,
    ) -> Result<Vec<AttemptKey>, StoreError> {
        let spared = names(spared);
        self.write(move |tx| Box::pin(reservations::give_back(tx, epoch, spared, limit))).await
    }

    async fn bury(&self, epoch: u64, at: Timestamp) -> Result<Vec<InstanceId>, StoreError> {
        self.write(move |tx| Box::pin(leases::bury(tx, epoch, at))).await
    }
}

impl Claims for PostgresStore {
    async fn claim(
        &self,
        executor: InstanceId,
        at: Timestamp,
        keys: &[AttemptKey],
    ) -> Result<Vec<Claimed>, StoreError> {
        let keys = keys.to_vec();
        let mut others = keys.clone();
        let mut claimed =
            self.write(move |tx| Box::pin(claims::claim(tx, executor, at, keys))).await?;
        let new: BTreeSet<AttemptKey> = claimed.iter().map(|one| one.key).collect();
        others.retain(|key| !new.contains(key));
        if !others.is_empty() {
            // If this fails, the first ones are among those that were claimed before when it is asked again.
            let rest = self
                .write(move |tx| Box::pin(claims::claim_again(tx, executor, at, others)))
                .await?;
            claimed.extend(rest);
        }
        claimed.sort_by_key(|one| one.key);
        Ok(claimed)
    }

    async fn report(&self, executor: InstanceId, facts: &[Fact]) -> Result<(), StoreError> {
        let facts = facts.to_vec();
        self.write(move |tx| Box::pin(claims::report(tx, executor, facts))).await
    }

    async fn stops(&self, executor: InstanceId) -> Result<Vec<AttemptKey>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(claims::stops(tx, executor))).await
    }
}

impl Pods for PostgresStore {
    async fn begin(
        &self,
        asking: Asking,
        key: AttemptKey,
        at: Timestamp,
    ) -> Result<Begin, StoreError> {
        self.write(move |tx| Box::pin(pods::begin(tx, asking, key, at))).await
    }

    async fn finish(
        &self,
        pod: PodUid,
        key: AttemptKey,
        report: Report,
    ) -> Result<Finish, StoreError> {
        self.write(move |tx| Box::pin(pods::finish(tx, pod, key, report))).await
    }

    async fn over(&self, keys: &[AttemptKey]) -> Result<Vec<AttemptKey>, StoreError> {
        let keys = keys.to_vec();
        self.read(Mode::Fresh, move |tx| Box::pin(pods::over(tx, keys))).await
    }

    async fn put_cluster(&self, cluster: Cluster) -> Result<(), StoreError> {
        self.write(move |tx| Box::pin(pods::put_cluster(tx, cluster))).await
    }

    async fn clusters(&self) -> Result<Vec<Cluster>, StoreError> {
        self.read(Mode::Fresh, |tx| Box::pin(pods::clusters(tx))).await
    }

    async fn installation(&self) -> Result<InstanceId, StoreError> {
        self.read(Mode::Fresh, |tx| Box::pin(pods::installation(tx))).await.map(InstanceId)
    }

    async fn signing_key(&self) -> Result<[u8; 32], StoreError> {
        self.read(Mode::Fresh, |tx| Box::pin(pods::signing_key(tx))).await
    }
}

impl Witness for PostgresStore {
    async fn awaited(&self, keys: &[AttemptKey]) -> Result<Vec<Awaited>, StoreError> {
        let keys = keys.to_vec();
        self.read(Mode::Fresh, move |tx| Box::pin(witness::awaited(tx, keys))).await
    }

    async fn testify(&self, ends: &[Testimony]) -> Result<Vec<AttemptKey>, StoreError> {
        let ends = ends.to_vec();
        self.write(move |tx| Box::pin(witness::testify(tx, ends))).await
    }
}
