//! Members of gangs, as their pods ask and tell. The row of the attempt is locked: one asks or tells at a time. It
//! names no pod: no other than these may begin.

use flowforge_model::attempt::{AttemptKey, Report};
use flowforge_model::id::PodUid;
use flowforge_ports::pods::{Asking, Refusal};
use flowforge_ports::store::StoreError;
use uuid::Uuid;

use crate::gang::{Gathering, Passage, Told, kept, sum_up};
use crate::postgres::bind::{Bound, binds, int};
use crate::postgres::codec::{self, get};
use crate::postgres::load::read;
use crate::postgres::transaction::Tx;

const OWN: &str = "SELECT member, pod, ready, turn IS NOT NULL FROM attempt_member \
     WHERE workflow = $1 AND node = $2 AND number = $3 AND (member = $4 OR pod = $5)";

const COUNT: &str = "SELECT count(*) FILTER (WHERE ready), count(turn) FROM attempt_member \
     WHERE workflow = $1 AND node = $2 AND number = $3";

const BIND: &str = "INSERT INTO attempt_member (workflow, node, number, member, pod, ready) \
     VALUES ($1, $2, $3, $4, $5, $6) \
     ON CONFLICT (workflow, node, number, member) DO UPDATE SET ready = excluded.ready";

const TELL: &str = "UPDATE attempt_member SET turn = $5, report = $6 \
     WHERE workflow = $1 AND node = $2 AND number = $3 AND member = $4";

/// All have told.
const TAKE: &str = "DELETE FROM attempt_member WHERE workflow = $1 AND node = $2 AND number = $3 \
     RETURNING member, turn, report";

/// A row of a member.
struct Own {
    member: u32,
    pod: Uuid,
    ready: bool,
    told: bool,
}

/// A member of a gang of `size` asks.
pub(super) async fn ask(
    tx: &mut Tx<'_>,
    asking: &Asking,
    key: AttemptKey,
    (size, stop): (u32, bool),
) -> Result<Result<Passage, Refusal>, StoreError> {
    let own = own(tx, key, asking.member, asking.pod).await?;
    let member = match (asking.project, asking.member) {
        (Some(_), Some(member)) if member < size => member,
        // It has begun: it reads.
        (None, _) if own.iter().any(|own| own.pod == asking.pod.0) => {
            return Ok(Ok(Passage { news: None, begins: false, runs: true }));
        }
        _ => return Ok(Err(Refusal::Over)),
    };
    let (ready, _) = count(tx, key).await?;
    let own = own.into_iter().find(|own| own.member == member);
    let own = own.map(|own| (PodUid(own.pod), own.ready));
    let passage = match (Gathering { size, ready, own, stop }).ask(asking) {
        Ok(passage) => passage,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if let Some(ready) = passage.news {
        let mut values = at(key)?;
        values.extend(binds![int(member)?, asking.pod.0, ready]);
        tx.execute(BIND, values).await?;
    }
    Ok(Ok(passage))
}

/// What comes of a member's end.
pub(super) enum Taken {
    /// It is no member, or has told before.
    Late,
    /// Others have still to tell.
    Kept,
    /// It was the last: so the gang has ended.
    Last(Box<Report>),
}

/// A pod of a gang of `size` tells its end.
pub(super) async fn finish(
    tx: &mut Tx<'_>,
    pod: PodUid,
    (key, size): (AttemptKey, u32),
    report: Report,
) -> Result<Taken, StoreError> {
    let own = own(tx, key, None, pod).await?;
    let Some(Own { member, told: false, .. }) = own.into_iter().next() else {
        return Ok(Taken::Late);
    };
    let (_, turn) = count(tx, key).await?;
    let mut values = at(key)?;
    values.extend(binds![int(member)?, int(turn)?, codec::to_json(&kept(member, report))?]);
    tx.execute(TELL, values).await?;
    if turn.saturating_add(1) < size {
        return Ok(Taken::Kept);
    }
    let told = read(&tx.rows(TAKE, at(key)?).await?, |row| {
        let report = codec::json(row, 2)?.ok_or_else(|| codec::corrupt("a member told nothing"))?;
        Ok(Told { member: codec::number(row, 0)?, turn: codec::number(row, 1)?, report })
    })?;
    let report = sum_up(told).ok_or_else(|| codec::corrupt("a gang without members"))?;
    Ok(Taken::Last(Box::new(report)))
}

/// The rows of a member, or of a pod.
async fn own(
    tx: &mut Tx<'_>,
    key: AttemptKey,
    member: Option<u32>,
    pod: PodUid,
) -> Result<Vec<Own>, StoreError> {
    let mut values = at(key)?;
    values.extend(binds![member.map(int).transpose()?, pod.0]);
    read(&tx.rows(OWN, values).await?, |row| {
        Ok(Own {
            member: codec::number(row, 0)?,
            pod: get(row, 1)?,
            ready: get(row, 2)?,
            told: get(row, 3)?,
        })
    })
}

/// How many are ready, and how many have told their ends.
async fn count(tx: &mut Tx<'_>, key: AttemptKey) -> Result<(u32, u32), StoreError> {
    let counts = read(&tx.rows(COUNT, at(key)?).await?, |row| {
        let count = |place| {
            let count: i64 = get(row, place)?;
            u32::try_from(count).map_err(|_| codec::corrupt("members"))
        };
        Ok((count(0)?, count(1)?))
    })?;
    Ok(counts.into_iter().next().unwrap_or_default())
}

fn at<'a>(key: AttemptKey) -> Result<Vec<Bound<'a>>, StoreError> {
    Ok(binds![key.workflow.0, int(key.node.0)?, int(key.number)?])
}
