//! What pods read and write through API servers.

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Report, WorkOrder};
use flowforge_model::id::PodUid;
use flowforge_model::time::Timestamp;
use flowforge_ports::handover::{Order, Tidings};
use flowforge_ports::pods::{Asking, Begin, Cluster, Finish, Refusal};
use flowforge_ports::store::StoreError;
use uuid::Uuid;

use super::gangs::{self, Taken};
use super::{TELL, columns, columns_of_news, key};
use crate::gang::Passage;
use crate::postgres::bind::{binds, int};
use crate::postgres::codec::{self, get};
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

/// Locked to the end of the transaction, by a statement before the one that looks: of two that ask or tell at
/// the same time, one is the second, and sees what the first one did.
const LOCK: &str = "SELECT 1 FROM attempt WHERE workflow = $1 AND node = $2 AND number = $3 \
     FOR NO KEY UPDATE";

const OPEN: &str = "SELECT a.pod, a.stop, EXISTS (SELECT 1 FROM news n WHERE n.workflow = a.workflow \
     AND n.node = a.node AND n.number = a.number AND n.finished) \
     FROM attempt a WHERE a.workflow = $1 AND a.node = $2 AND a.number = $3 \
     AND coalesce(a.ended_at, -1) = -1";

/// The project, and that the attempt is of one of these clusters, or of none that is said.
const PROJECT: &str = "SELECT p.uid, NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = w.id \
     AND a.node = $2 AND a.number = $3 AND a.cluster <> ALL ($4)) \
     FROM workflow w JOIN project p ON p.id = w.project WHERE w.id = $1";

const BIND: &str = "UPDATE attempt SET pod = $4 WHERE workflow = $1 AND node = $2 AND number = $3";

const ORDER: &str = "SELECT body FROM work_order WHERE workflow = $1 AND node = $2 AND number = $3";

const OVER: &str = "SELECT u.workflow, u.node, u.number \
     FROM unnest($1::uuid[], $2::integer[], $3::integer[]) AS u (workflow, node, number) \
     WHERE NOT EXISTS (SELECT 1 FROM attempt a WHERE a.workflow = u.workflow AND a.node = u.node \
     AND a.number = u.number AND coalesce(a.ended_at, -1) = -1)";

const PUT_CLUSTER: &str = "INSERT INTO cluster (name, issuer, keys) VALUES ($1, $2, $3) \
     ON CONFLICT (name) DO UPDATE SET issuer = excluded.issuer, keys = excluded.keys \
     WHERE (cluster.issuer, cluster.keys) <> (excluded.issuer, excluded.keys)";

const CLUSTERS: &str = "SELECT name, issuer, keys FROM cluster ORDER BY name";

const SIGNING_KEY: &str = "SELECT key FROM installation";

const INSTALLATION: &str = "SELECT id FROM installation";

/// An attempt that has not ended.
struct Open {
    pod: Option<Uuid>,
    stop: bool,
    /// Its end is told, and not taken in yet.
    told: bool,
}

async fn open(tx: &mut Tx<'_>, key: AttemptKey) -> Result<Option<Open>, StoreError> {
    let place = || Ok::<_, StoreError>(binds![key.workflow.0, int(key.node.0)?, int(key.number)?]);
    tx.rows(LOCK, place()?).await?;
    let found = read(&tx.rows(OPEN, place()?).await?, |row| {
        Ok(Open { pod: get(row, 0)?, stop: get(row, 1)?, told: get(row, 2)? })
    })?;
    Ok(found.into_iter().next())
}

pub(super) async fn begin(
    mut tx: Tx<'_>,
    asking: Asking,
    key: AttemptKey,
    at: Timestamp,
) -> Result<Begin, StoreError> {
    if let Some(project) = asking.project {
        let clusters = asking.clusters.iter().map(|name| name.as_str().to_owned());
        let clusters: Vec<String> = clusters.collect();
        let values = binds![key.workflow.0, int(key.node.0)?, int(key.number)?, clusters];
        let rows = tx.rows(PROJECT, values).await?;
        let of: Vec<(Uuid, bool)> = read(&rows, |row| Ok((get(row, 0)?, get(row, 1)?)))?;
        if of != [(project.0, true)] {
            return Ok(Begin::Refused(Refusal::Over));
        }
    }
    let open = match open(&mut tx, key).await? {
        None | Some(Open { told: true, .. }) => return Ok(Begin::Refused(Refusal::Over)),
        Some(open) => open,
    };
    let order = order(&mut tx, key).await?;
    let answer = match order.gang() {
        Some(size) => gangs::ask(&mut tx, &asking, key, (size, open.stop)).await?,
        None => alone(&mut tx, &asking, key, &open).await?,
    };
    let passage = match answer {
        Ok(passage) => passage,
        Err(refusal) => return Ok(Begin::Refused(refusal)),
    };
    if passage.begins {
        let began = Tidings::Fact(Fact { key, kind: FactKind::Started(at) });
        tx.execute(TELL, columns_of_news(&[began])?).await?;
    }
    Ok(if passage.runs { Begin::Run(Box::new(order)) } else { Begin::Wait })
}

/// The only pod of an attempt asks.
async fn alone(
    tx: &mut Tx<'_>,
    Asking { pod, member, .. }: &Asking,
    key: AttemptKey,
    open: &Open,
) -> Result<Result<Passage, Refusal>, StoreError> {
    let begins = match open {
        _ if member.is_some() => return Ok(Err(Refusal::Over)),
        Open { pod: Some(other), .. } if *other != pod.0 => return Ok(Err(Refusal::Another)),
        Open { pod: Some(_), .. } => false,
        Open { stop: true, .. } => return Ok(Err(Refusal::Stopped)),
        Open { .. } => true,
    };
    if begins {
        let values = binds![key.workflow.0, int(key.node.0)?, int(key.number)?, pod.0];
        tx.execute(BIND, values).await?;
    }
    Ok(Ok(Passage { news: None, begins, runs: true }))
}

async fn order(tx: &mut Tx<'_>, key: AttemptKey) -> Result<WorkOrder, StoreError> {
    let at_key = binds![key.workflow.0, int(key.node.0)?, int(key.number)?];
    let orders = read(&tx.rows(ORDER, at_key).await?, |row| codec::json::<Order>(row, 0))?;
    let order = orders.into_iter().next().flatten().and_then(Result::ok);
    order.ok_or_else(|| codec::corrupt("a pod without a work order"))
}

pub(super) async fn finish(
    mut tx: Tx<'_>,
    pod: PodUid,
    key: AttemptKey,
    report: Report,
) -> Result<Finish, StoreError> {
    let report = match open(&mut tx, key).await? {
        Some(Open { pod: Some(by), told: false, .. }) if by == pod.0 => report,
        Some(Open { pod: None, told: false, .. }) => {
            let Some(size) = order(&mut tx, key).await?.gang() else { return Ok(Finish::Late) };
            match gangs::finish(&mut tx, pod, (key, size), report).await? {
                Taken::Late => return Ok(Finish::Late),
                Taken::Kept => return Ok(Finish::Taken),
                Taken::Last(report) => *report,
            }
        }
        Some(_) | None => return Ok(Finish::Late),
    };
    let ended = Tidings::Fact(Fact { key, kind: FactKind::Finished(Box::new(report)) });
    tx.execute(TELL, columns_of_news(&[ended])?).await?;
    Ok(Finish::Taken)
}

pub(super) async fn over(
    mut tx: Tx<'_>,
    keys: Vec<AttemptKey>,
) -> Result<Vec<AttemptKey>, StoreError> {
    let (workflows, nodes, numbers) = columns(&keys)?;
    read(&tx.rows(OVER, binds![workflows, nodes, numbers]).await?, |row| key(row, 0))
}

pub(super) async fn put_cluster(mut tx: Tx<'_>, cluster: Cluster) -> Result<(), StoreError> {
    let Cluster { name, issuer, keys } = cluster;
    tx.execute(PUT_CLUSTER, binds![name, issuer, keys]).await?;
    Ok(())
}

pub(super) async fn clusters(mut tx: Tx<'_>) -> Result<Vec<Cluster>, StoreError> {
    read(&tx.rows(CLUSTERS, binds![]).await?, |row| {
        Ok(Cluster { name: get(row, 0)?, issuer: get(row, 1)?, keys: get(row, 2)? })
    })
}

pub(super) async fn signing_key(mut tx: Tx<'_>) -> Result<[u8; 32], StoreError> {
    let keys: Vec<Vec<u8>> = read(&tx.rows(SIGNING_KEY, binds![]).await?, |row| get(row, 0))?;
    let key = keys.into_iter().next().and_then(|key| key.try_into().ok());
    key.ok_or_else(|| codec::corrupt("there is no signing key"))
}

pub(super) async fn installation(mut tx: Tx<'_>) -> Result<Uuid, StoreError> {
    let ids: Vec<Uuid> = read(&tx.rows(INSTALLATION, binds![]).await?, |row| get(row, 0))?;
    ids.into_iter().next().ok_or_else(|| codec::corrupt("the installation has no id"))
}
