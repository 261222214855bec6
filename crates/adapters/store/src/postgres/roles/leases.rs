//! Who lives, and who holds what.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::InstanceId;
use flowforge_model::time::Timestamp;
use flowforge_ports::leases::{Attendance, Attended, Leader, Lease, Role};
use flowforge_ports::store::StoreError;
use uuid::Uuid;

use super::reservations::lead;
use super::{key, lose};
use crate::organization::cluster;
use crate::postgres::bind::{binds, optional_text};
use crate::postgres::codec::{self, get};
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

/// Slots of a role are shared out by one server at a time. The second half of the lock is the role.
const ONE_BY_ONE: &str = "SELECT pg_advisory_xact_lock(1179406423, hashtext($1))";

const LIVES: &str = "INSERT INTO member (role, instance, until, capacity, url, keeps, cluster) \
     VALUES ($1, $2, now() + $3 * interval '1 millisecond', $4, $5, $6, $7) \
     ON CONFLICT (role, instance) DO UPDATE SET until = excluded.until, capacity = excluded.capacity, \
     url = excluded.url, keeps = excluded.keeps, cluster = excluded.cluster WHERE NOT member.buried";

/// Waits for claims under way, which hold the row in share mode, and ends all later ones.
const LEAVING: &str = "UPDATE member SET until = now() \
     WHERE role = $1 AND instance = $2 AND NOT buried";
/// An executor that has something is buried with it: nobody else would ever be sent that.
const LEAVES: &str = "DELETE FROM member WHERE role = $1 AND instance = $2 AND NOT buried \
     AND NOT ($1 = 'executor' AND EXISTS (SELECT 1 FROM attempt \
     WHERE ended_at IS NULL AND instance = $2))";

/// Executors are buried, with what they ran; of those the rows stay for a day, or until others have
/// what outlives them. Others are just gone.
const FORGET: &str = "DELETE FROM member m WHERE (role <> 'executor' AND until <= now()) \
     OR (buried AND until <= now() - interval '1 day' AND NOT (keeps AND EXISTS (SELECT 1 \
     FROM attempt a WHERE a.ended_at IS NULL AND a.instance = m.instance)))";

const COUNT: &str = "SELECT count(*) FILTER (WHERE role = $1), \
     coalesce(sum(capacity) FILTER (WHERE role = 'executor'), 0)::bigint \
     FROM member WHERE until > now() AND NOT buried";

const CLUSTERS: &str = "SELECT cluster, sum(capacity)::bigint FROM member \
     WHERE role = 'executor' AND cluster IS NOT NULL AND until > now() AND NOT buried GROUP BY cluster";

const GIVE_BACK: &str = "UPDATE holding SET holder = NULL, until = NULL \
     WHERE role = $1 AND holder = $2 AND ($3 OR slot = ANY ($4))";

const RENEW: &str = "UPDATE holding SET until = now() + $3 * interval '1 millisecond' \
     WHERE role = $1 AND holder = $2";

const TAKE: &str = "UPDATE holding SET holder = $2, until = now() + $3 * interval '1 millisecond' \
     WHERE role = $1 AND slot IN (SELECT slot FROM holding WHERE role = $1 \
     AND (holder IS NULL OR (holder <> $2 AND until <= now())) AND slot <> ALL ($4) \
     ORDER BY slot LIMIT $5) \
     RETURNING slot";

/// Waits for the writes under way, which hold the rows in share mode, and fences all later ones.
const RAISE: &str = "UPDATE lease SET epoch = epoch + 1 WHERE role = $1 AND slot = ANY ($2)";

/// A controller of the whole store is one of several no more.
const FENCE_WHOLE: &str = "UPDATE controller SET epoch = epoch + 1";

const HELD: &str = "SELECT l.slot, l.epoch FROM holding h JOIN lease l USING (role, slot) \
     WHERE h.role = $1 AND h.holder = $2 ORDER BY l.slot";

const LEADER: &str = "SELECT l.epoch, m.url FROM holding h JOIN lease l USING (role, slot) \
     LEFT JOIN member m ON m.role = h.role AND m.instance = h.holder \
     WHERE h.role = $1 AND h.slot = 0 AND h.holder IS NOT NULL AND h.until > now()";

const DEAD: &str = "UPDATE member SET buried = TRUE \
     WHERE role = 'executor' AND NOT buried AND until <= now() RETURNING instance, keeps";

const RAN: &str = "SELECT workflow, node, number FROM attempt \
     WHERE ended_at IS NULL AND instance = ANY ($1) ORDER BY workflow, node";

pub(super) async fn attend(mut tx: Tx<'_>, said: Attendance) -> Result<Attended, StoreError> {
    let role = said.role.as_str();
    let ttl = i64::try_from(said.ttl.0).unwrap_or(i64::MAX);
    if said.role.slots() > 0 {
        tx.rows(ONE_BY_ONE, binds![role]).await?;
    }
    if said.leaving {
        // Two statements: the second one sees what was claimed before the first one had the row.
        tx.execute(LEAVING, binds![role, said.holder.0]).await?;
        tx.execute(LEAVES, binds![role, said.holder.0]).await?;
    } else {
        let url = optional_text(said.url.as_ref()).map(Cow::into_owned);
        let cluster = said.cluster.as_ref().map(|name| name.as_str().to_owned());
        let capacity = i64::from(said.capacity);
        let values = binds![role, said.holder.0, ttl, capacity, url, said.keeps, cluster];
        if tx.execute(LIVES, values).await? == 0 {
            return Err(StoreError::Fenced);
        }
    }
    if said.role.slots() > 0 {
        tx.execute(FORGET, binds![]).await?;
    }
    let counted = tx.rows(COUNT, binds![role]).await?;
    let row = counted.first().ok_or_else(|| codec::corrupt("nobody was counted"))?;
    let living = u32::try_from(codec::count(row, 0)?).unwrap_or(u32::MAX);
    let capacity = codec::count(row, 1)?;
    if said.role.slots() == 0 {
        return Ok(Attended { capacity, ..Attended::default() });
    }
    // Whoever decides what starts asks for them; nobody else does.
    let clusters = match said.role {
        Role::Scheduler => clusters(&mut tx).await?,
        Role::Controller | Role::Executor => BTreeMap::new(),
    };
    let share = u32::from(said.role.slots()).div_ceil(living.max(1));
    let leases = distribute(&mut tx, &said, ttl, share).await?;
    let held = u32::try_from(leases.len()).unwrap_or(u32::MAX);
    Ok(Attended { leases, excess: held.saturating_sub(share), capacity, clusters })
}

async fn clusters(tx: &mut Tx<'_>) -> Result<BTreeMap<ClusterName, u64>, StoreError> {
    let rows = tx.rows(CLUSTERS, binds![]).await?;
    let each: Vec<_> = read(&rows, |row| Ok((cluster(get(row, 0)?)?, codec::count(row, 1)?)))?;
    Ok(each.into_iter().filter_map(|(name, slots)| Some((name?, slots))).collect())
}

async fn distribute(
    tx: &mut Tx<'_>,
    said: &Attendance,
    ttl: i64,
    share: u32,
) -> Result<Vec<Lease>, StoreError> {
    let (role, holder) = (said.role.as_str(), said.holder.0);
    let back: Vec<i16> = said.give_back.iter().map(|slot| i16::from(*slot)).collect();
    if said.leaving || !back.is_empty() {
        tx.execute(GIVE_BACK, binds![role, holder, said.leaving, back.clone()]).await?;
    }
    let mut held = 0;
    if !said.leaving {
        held = tx.execute(RENEW, binds![role, holder, ttl]).await?;
    }
    let missing = u64::from(share).saturating_sub(held);
    if !said.leaving && missing > 0 {
        let most = i64::try_from(missing).unwrap_or(i64::MAX);
        let taken = tx.rows(TAKE, binds![role, holder, ttl, back, most]).await?;
        let taken: Vec<i16> = read(&taken, |row| get(row, 0))?;
        if !taken.is_empty() {
            tx.execute(RAISE, binds![role, taken]).await?;
            if said.role == Role::Controller {
                tx.execute(FENCE_WHOLE, binds![]).await?;
            }
        }
    }
    read(&tx.rows(HELD, binds![role, holder]).await?, |row| {
        let slot = u8::try_from(get::<i16>(row, 0)?).map_err(|_| codec::corrupt("slot"))?;
        Ok(Lease { slot, epoch: codec::count(row, 1)? })
    })
}

pub(super) async fn leader(mut tx: Tx<'_>, role: Role) -> Result<Option<Leader>, StoreError> {
    let rows = tx.rows(LEADER, binds![role.as_str()]).await?;
    let led = |row| Ok(Leader { epoch: codec::count(row, 0)?, url: get(row, 1)? });
    rows.first().map(led).transpose()
}

/// Executors that did not attend in time are dead, and what they ran is lost unless it outlives them.
pub(super) async fn bury(
    mut tx: Tx<'_>,
    epoch: u64,
    at: Timestamp,
) -> Result<Vec<InstanceId>, StoreError> {
    lead(&mut tx, epoch).await?;
    let dead: Vec<(Uuid, bool)> =
        read(&tx.rows(DEAD, binds![]).await?, |row| Ok((get(row, 0)?, get(row, 1)?)))?;
    let with_all: Vec<Uuid> = dead.iter().filter(|(_, keeps)| !keeps).map(|(id, _)| *id).collect();
    if !with_all.is_empty() {
        let ran: Vec<AttemptKey> = read(&tx.rows(RAN, binds![with_all]).await?, |row| key(row, 0))?;
        lose(&mut tx, &ran, at).await?;
    }
    Ok(dead.into_iter().map(|(id, _)| InstanceId(id)).collect())
}
