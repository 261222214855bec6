//! What the scheduler reads and writes.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, TemplateKey};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::resources::{Bytes, MilliCpu, ResourceList};
use flowforge_model::shard::{Shard, ShardSet};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::Measured;
use flowforge_ports::admission::{LockRequest, Ready, Slot, SlotChanges};
use flowforge_ports::handover::{Entry, Tidings};
use flowforge_ports::reservations::{Placed, Reserved, Snapshot};
use flowforge_ports::store::StoreError;
use tokio_postgres::Row;
use uuid::Uuid;

use super::{TELL, columns, columns_of_news, key};
use crate::organization::cluster;
use crate::postgres::bind::{binds, int, long};
use crate::postgres::codec::{self, get};
use crate::postgres::commit;
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;
use crate::postgres::usage;
use crate::rules;

/// The fence of the scheduler: fails for another epoch. Held to the end of the transaction.
const LEAD: &str = "SELECT 1 / count(*) FROM (SELECT 1 FROM lease \
     WHERE role = 'scheduler' AND slot = 0 AND epoch = $1 FOR SHARE) l";
/// The same for one that only reads: in its snapshot this epoch is the last.
const LED: &str = "SELECT epoch FROM lease WHERE role = 'scheduler' AND slot = 0 AND epoch = $1";

// The task is looked up by its key, once for each order: joined, all tasks there ever were might be read.
macro_rules! ready {
    () => {
        "SELECT o.workflow, o.node, o.number, o.priority, o.since, o.parallelism, \
         o.cpu, o.memory, o.gpu, o.cpu_limit, o.memory_limit, p.uid, o.lasts, \
         coalesce(t.retry, FALSE), o.pods, t.template, coalesce(w.storage, 0), \
         c.root IS NOT NULL"
    };
}
macro_rules! beside {
    () => {
        " LEFT JOIN LATERAL (SELECT t.failures > 0 AS retry, t.template FROM task t \
         WHERE t.workflow = o.workflow AND t.node = o.node OFFSET 0) t ON TRUE \
         LEFT JOIN workflow w ON w.id = o.workflow LEFT JOIN project p ON p.id = w.project \
         LEFT JOIN child c ON c.workflow = o.workflow "
    };
}

const READY: &str = concat!(
    ready!(),
    " FROM work_order o",
    beside!(),
    "WHERE NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = o.workflow AND a.node = o.node \
     AND a.number = o.number)"
);
const OPEN: &str = concat!(
    ready!(),
    " FROM attempt a JOIN work_order o USING (workflow, node, number)",
    beside!(),
    "WHERE a.ended_at IS NULL"
);
/// Those that schedulers of earlier versions admitted are where the scheduler is.
const PLACED: &str = "SELECT workflow, node, number, cluster FROM attempt \
     WHERE ended_at IS NULL AND cluster IS NOT NULL";
/// What has ended is forgotten later. Tasks are looked at of those only that hold a slot.
const SLOTS: &str = "SELECT s.workflow, p.uid, EXISTS (SELECT 1 FROM task t \
     WHERE t.workflow = s.workflow AND t.kind = 'suspend' AND t.status = 'RUNNING'), \
     coalesce(w.storage, 0), EXISTS (SELECT 1 FROM child c WHERE c.workflow = s.workflow \
     AND c.root IS NOT NULL) \
     FROM slot s JOIN workflow w ON w.id = s.workflow JOIN project p ON p.id = w.project \
     WHERE w.finished_at IS NULL ORDER BY 1";
const GATED: &str = "SELECT g.workflow FROM gate g JOIN workflow w ON w.id = g.workflow \
     WHERE g.closed AND w.finished_at IS NULL ORDER BY 1";
const LOCKS: &str = "SELECT l.workflow, l.node, l.key, l.capacity, l.held, l.since, w.priority, \
     w.created_at, p.uid, coalesce(w.storage, 0), EXISTS (SELECT 1 FROM child c \
     WHERE c.workflow = l.workflow AND c.root IS NOT NULL) FROM lock l JOIN workflow w ON w.id = l.workflow \
     JOIN project p ON p.id = w.project \
     ORDER BY l.workflow, l.node, l.key";
const SEEN: &str = "SELECT shard, last FROM call_log WHERE last > 0 ORDER BY shard";

/// Behind what was seen of each shard, and no further than the limit, for there are no gaps: neither
/// what is not forgotten yet nor a long backlog is looked at.
const CALLS: &str = "SELECT c.shard, c.seq, c.body \
     FROM unnest($1::smallint[], $2::bigint[]) AS u (shard, seen) CROSS JOIN LATERAL \
     (SELECT * FROM call c WHERE c.shard = u.shard AND c.seq > u.seen AND c.seq <= u.seen + $3 \
     OFFSET 0) AS c ORDER BY c.shard, c.seq LIMIT $3";

const FORGET: &str = "DELETE FROM call c USING unnest($1::smallint[], $2::bigint[]) \
     AS u (shard, seen) WHERE c.shard = u.shard AND c.seq <= u.seen";

/// In the order of ids, as everybody does. A cancel that closes one waits for this commit, or this
/// one sees it closed.
const GATES: &str =
    "SELECT workflow, closed FROM gate WHERE workflow = ANY ($1) ORDER BY workflow FOR SHARE";

/// Whoever takes an order back locks the gate alone, whoever admits locks it with others, both by an earlier
/// statement: this one sees what closed it and what was taken back.
const RESERVE: &str = "INSERT INTO attempt (workflow, node, number, admitted_at, cluster) \
     SELECT o.workflow, o.node, o.number, $4, u.cluster \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[], $5::text[]) \
     AS u (workflow, node, number, cluster) \
     JOIN work_order o USING (workflow, node, number) \
     WHERE NOT (SELECT g.closed FROM gate g WHERE g.workflow = o.workflow) \
     AND NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = o.workflow AND a.node = o.node \
     AND a.number = o.number) RETURNING workflow, node, number";

const HOLD: &str = "UPDATE lock l SET held = TRUE \
     FROM unnest($1::uuid[], $2::integer[]) AS u (workflow, node) \
     WHERE l.workflow = u.workflow AND l.node = u.node AND NOT l.held \
     RETURNING l.workflow, l.node, l.key";
const HOLDERS: &str = "SELECT key, count(*), max(capacity) FROM lock \
     WHERE key = ANY ($1) AND held GROUP BY key";

/// One that nobody claims and that has started is its controller's. What outlives a dead executor is to be claimed also if it is to be stopped: somebody has to do that.
const UNCLAIMED: &str = "SELECT workflow, node, number, cluster FROM attempt \
     WHERE ended_at IS NULL AND admitted_at < $1 AND (cluster IS NULL OR cluster = ANY ($3)) AND ((instance IS NULL AND NOT stop AND started_at IS NULL) \
     OR instance IN (SELECT instance FROM member WHERE role = 'executor' AND buried AND keeps)) \
     ORDER BY admitted_at, workflow, node, number LIMIT $2";

/// What is not open is runnable while it has its order. In the order of keys, and nobody is waited for: whoever has a row
/// locked claims it, stops it or ends it.
const GIVE_BACK: &str = "DELETE FROM attempt a USING (SELECT workflow, node, number FROM attempt \
     WHERE ended_at IS NULL AND instance IS NULL AND NOT stop AND cluster IS NOT NULL AND cluster <> ALL ($1) \
     ORDER BY workflow, node, number LIMIT $2 FOR UPDATE SKIP LOCKED) AS u \
     WHERE a.workflow = u.workflow AND a.node = u.node AND a.number = u.number \
     RETURNING a.workflow, a.node, a.number";

/// Refuses everybody but the scheduler of this epoch.
pub(super) async fn lead(tx: &mut Tx<'_>, epoch: u64) -> Result<(), StoreError> {
    tx.rows(LEAD, binds![long(epoch)?]).await.map(drop)
}

pub(super) async fn snapshot(mut tx: Tx<'_>) -> Result<Snapshot, StoreError> {
    let ready = in_order(&tx.rows(READY, binds![]).await?)?;
    let open = in_order(&tx.rows(OPEN, binds![]).await?)?;
    let placed =
        read(&tx.rows(PLACED, binds![]).await?, |row| Ok((key(row, 0)?, cluster(get(row, 3)?)?)))?;
    let clusters = placed.into_iter().filter_map(|(key, name)| Some((key, name?))).collect();
    let slots = read(&tx.rows(SLOTS, binds![]).await?, |row| {
        Ok(Slot {
            workflow: codec::workflow_id(row, 0)?,
            project: EntityId(get(row, 1)?),
            suspended: get(row, 2)?,
            storage: Bytes(codec::count(row, 3)?),
            called: get(row, 4)?,
        })
    })?;
    let gated = read(&tx.rows(GATED, binds![]).await?, |row| codec::workflow_id(row, 0))?;
    let (holding, waiting) = locks(&tx.rows(LOCKS, binds![]).await?)?;
    let seen =
        read(&tx.rows(SEEN, binds![]).await?, |row| Ok((shard(row, 0)?, codec::count(row, 1)?)))?;
    Ok(Snapshot { ready, open, clusters, slots, gated, holding, waiting, seen })
}

/// By their keys. The database would sort whole rows, and those of a long backlog on its disk.
fn in_order(rows: &[Row]) -> Result<Vec<Ready>, StoreError> {
    let mut all = read(rows, ready)?;
    all.sort_unstable_by_key(|ready| ready.key);
    Ok(all)
}

fn ready(row: &Row) -> Result<Ready, StoreError> {
    let parallelism: Option<i64> = get(row, 5)?;
    let small = |value: u64| u32::try_from(value).map_err(|_| codec::corrupt("a number"));
    let requests = ResourceList {
        cpu: MilliCpu(codec::count(row, 6)?),
        memory: Bytes(codec::count(row, 7)?),
        gpu: small(codec::count(row, 8)?)?,
    };
    let or = |at, asked: u64| match get::<Option<i64>>(row, at)? {
        None => Ok(asked),
        Some(_) => codec::count(row, at),
    };
    let limits = ResourceList {
        cpu: MilliCpu(or(9, requests.cpu.0)?),
        memory: Bytes(or(10, requests.memory.0)?),
        gpu: requests.gpu,
    };
    Ok(Ready {
        key: key(row, 0)?,
        priority: get(row, 3)?,
        since: codec::time(row, 4)?,
        project: get::<Option<Uuid>>(row, 11)?.map_or(EntityId::DEFAULT_PROJECT, EntityId),
        requests,
        limits,
        pods: small(codec::count(row, 14)?)?,
        storage: Bytes(codec::count(row, 16)?),
        parallelism: match parallelism {
            None => None,
            Some(_) => Some(small(codec::count(row, 5)?)?),
        },
        lasts: match get::<Option<i64>>(row, 12)? {
            None => None,
            Some(_) => Some(Millis(codec::count(row, 12)?)),
        },
        retry: get(row, 13)?,
        template: get::<Option<String>>(row, 15)?.as_deref().map(TemplateKey::of),
        called: get(row, 17)?,
    })
}

/// Those who hold their locks, and those who wait for them.
fn locks(rows: &[Row]) -> Result<(Vec<LockRequest>, Vec<LockRequest>), StoreError> {
    let mut all: BTreeMap<(WorkflowId, NodeIx), (LockRequest, bool)> = BTreeMap::new();
    for row in rows {
        let (workflow, node) = (codec::workflow_id(row, 0)?, codec::node(row, 1)?);
        let (priority, created_at) = (get(row, 6)?, codec::time(row, 7)?);
        let (since, project) = (codec::time(row, 5)?, EntityId(get(row, 8)?));
        let (storage, called, locks) = (Bytes(codec::count(row, 9)?), get(row, 10)?, Vec::new());
        let new = LockRequest {
            workflow,
            node,
            project,
            storage,
            priority,
            created_at,
            since,
            locks,
            called,
        };
        let (request, held) = all.entry((workflow, node)).or_insert((new, true));
        let limit = u32::try_from(codec::count(row, 3)?).map_err(|_| codec::corrupt("capacity"))?;
        request.locks.push((get(row, 2)?, limit));
        *held &= get::<bool>(row, 4)?;
    }
    let (held, waiting): (Vec<_>, Vec<_>) = all.into_values().partition(|(_, held)| *held);
    let requests = |list: Vec<(LockRequest, bool)>| list.into_iter().map(|(one, _)| one).collect();
    Ok((requests(held), requests(waiting)))
}

fn shard(row: &Row, at: usize) -> Result<Shard, StoreError> {
    let number = u8::try_from(get::<i16>(row, at)?).ok();
    number.and_then(Shard::new).ok_or_else(|| codec::corrupt("shard"))
}

fn positions(
    seen: impl IntoIterator<Item = (Shard, u64)>,
) -> Result<(Vec<i16>, Vec<i64>), StoreError> {
    let (mut shards, mut numbers) = (Vec::new(), Vec::new());
    for (shard, seq) in seen {
        shards.push(i16::from(shard.number()));
        numbers.push(long(seq)?);
    }
    Ok((shards, numbers))
}

pub(super) async fn calls(
    mut tx: Tx<'_>,
    epoch: u64,
    seen: Vec<(Shard, u64)>,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let mut all: BTreeMap<Shard, u64> = ShardSet::ALL.iter().map(|shard| (shard, 0)).collect();
    all.extend(seen);
    let (shards, numbers) = positions(all)?;
    tx.send(LED, binds![long(epoch)?]).await;
    tx.send(CALLS, binds![shards, numbers, i64::from(limit)]).await;
    let led = tx.answer().await?;
    let calls = tx.answer().await?;
    if led.rows.is_empty() {
        return Err(StoreError::Fenced);
    }
    read(&calls.rows, |row| {
        let calls = codec::json(row, 2)?.ok_or_else(|| codec::corrupt("calls"))?;
        Ok(Entry { shard: shard(row, 0)?, seq: codec::count(row, 1)?, calls })
    })
}

pub(super) async fn forget_calls(
    mut tx: Tx<'_>,
    epoch: u64,
    seen: Vec<(Shard, u64)>,
) -> Result<(), StoreError> {
    lead(&mut tx, epoch).await?;
    let (shards, numbers) = positions(seen)?;
    tx.execute(FORGET, binds![shards, numbers]).await?;
    Ok(())
}

pub(super) async fn reserve(
    mut tx: Tx<'_>,
    epoch: u64,
    at: Timestamp,
    placed: Vec<Placed>,
    slots: SlotChanges,
) -> Result<Reserved, StoreError> {
    let mut steps = Vec::new();
    commit::slots(&mut steps, &slots);
    let written = steps.len();
    // In the order of the other columns.
    let in_order: BTreeMap<AttemptKey, Option<&ClusterName>> =
        placed.iter().map(|one| (one.key, one.cluster.as_ref())).collect();
    let names: Vec<Option<String>> =
        in_order.values().map(|name| name.map(|name| name.as_str().to_owned())).collect();
    let keys: Vec<AttemptKey> = placed.iter().map(|one| one.key).collect();
    let gates: BTreeSet<Uuid> = keys.iter().map(|key| key.workflow.0).collect();
    let (workflows, nodes, numbers) = columns(&keys)?;
    tx.send(LEAD, binds![long(epoch)?]).await;
    tx.send(GATES, binds![gates.into_iter().collect::<Vec<_>>()]).await;
    tx.send(RESERVE, binds![workflows, nodes, numbers, at.0, names]).await;
    for step in steps {
        step.send(&mut tx).await;
    }
    let commit = tx.commit();
    tx.answer().await?;
    let gates = tx.answer().await?;
    let admitted = tx.answer().await?;
    for _ in 0..written {
        tx.answer().await?;
    }
    commit.done().await?;
    let mut closed: BTreeMap<WorkflowId, bool> = BTreeMap::new();
    for row in &gates.rows {
        closed.insert(codec::workflow_id(row, 0)?, get(row, 1)?);
    }
    let admitted: BTreeSet<AttemptKey> =
        read(&admitted.rows, |row| key(row, 0))?.into_iter().collect();
    let mut done = Reserved::default();
    for key in keys {
        let place = match closed.get(&key.workflow) {
            Some(true) => &mut done.gated,
            Some(false) if admitted.contains(&key) => &mut done.admitted,
            Some(false) | None => &mut done.gone,
        };
        place.push(key);
    }
    Ok(done)
}

/// Tells controllers that what they carry out themselves has begun.
pub(super) async fn begin(
    mut tx: Tx<'_>,
    epoch: u64,
    at: Timestamp,
    keys: Vec<AttemptKey>,
) -> Result<(), StoreError> {
    lead(&mut tx, epoch).await?;
    let begun = |key| Tidings::Fact(Fact { key, kind: FactKind::Started(at) });
    let news: Vec<Tidings> = keys.into_iter().map(begun).collect();
    tx.execute(TELL, columns_of_news(&news)?).await?;
    Ok(())
}

pub(super) async fn grant(
    mut tx: Tx<'_>,
    epoch: u64,
    holders: Vec<(WorkflowId, NodeIx)>,
) -> Result<Vec<(WorkflowId, NodeIx)>, StoreError> {
    lead(&mut tx, epoch).await?;
    let (mut workflows, mut nodes) = (Vec::new(), Vec::new());
    for (workflow, node) in &holders {
        workflows.push(workflow.0);
        nodes.push(int(node.0)?);
    }
    let held = tx.rows(HOLD, binds![workflows, nodes]).await?;
    let mut granted: BTreeSet<(WorkflowId, NodeIx)> = BTreeSet::new();
    let mut keys: BTreeSet<String> = BTreeSet::new();
    for row in &held {
        granted.insert((codec::workflow_id(row, 0)?, codec::node(row, 1)?));
        keys.insert(get(row, 2)?);
    }
    if !granted.is_empty() {
        let keys: Vec<String> = keys.into_iter().collect();
        for row in &tx.rows(HOLDERS, binds![keys]).await? {
            let (holders, limit) = (codec::count(row, 1)?, codec::count(row, 2)?);
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            rules::lock_overfull(get(row, 0)?, holders, limit)?;
        }
        let tell = |(workflow, node): &(WorkflowId, NodeIx)| Tidings::Granted {
            workflow: *workflow,
            node: *node,
        };
        let news: Vec<Tidings> = granted.iter().map(tell).collect();
        tx.execute(TELL, columns_of_news(&news)?).await?;
    }
    Ok(holders.into_iter().filter(|holder| !granted.contains(holder)).collect())
}

pub(super) async fn record(
    mut tx: Tx<'_>,
    epoch: u64,
    measured: Vec<Measured>,
) -> Result<(), StoreError> {
    lead(&mut tx, epoch).await?;
    let mut steps = Vec::new();
    usage::record(&mut steps, &measured)?;
    for step in steps {
        step.send(&mut tx).await;
        tx.answer().await?;
    }
    Ok(())
}

pub(super) async fn unclaimed(
    mut tx: Tx<'_>,
    before: Timestamp,
    clusters: Vec<String>,
    limit: u32,
) -> Result<Vec<Placed>, StoreError> {
    let values = binds![before.0, i64::from(limit), clusters];
    let rows = tx.rows(UNCLAIMED, values).await?;
    read(&rows, |row| Ok(Placed { key: key(row, 0)?, cluster: cluster(get(row, 3)?)? }))
}

pub(super) async fn give_back(
    mut tx: Tx<'_>,
    epoch: u64,
    spared: Vec<String>,
    limit: u32,
) -> Result<Vec<AttemptKey>, StoreError> {
    lead(&mut tx, epoch).await?;
    let rows = tx.rows(GIVE_BACK, binds![spared, i64::from(limit)]).await?;
    let mut keys = read(&rows, |row| key(row, 0))?;
    keys.sort_unstable();
    Ok(keys)
}
