//! Work in streams: one group of consumers per cluster, entries deleted when acknowledged, so that
//! the length of a stream is what is not done, and nothing is ever trimmed.

use std::time::Duration;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::InstanceId;
use flowforge_model::limits::{
    DEAD_LETTERS, DISPATCH_TAKES, DISPATCHES_PER_ENTRY, PAGE_ROWS, QUEUE_ENTRIES, RECEIVE_ENTRIES,
};
use flowforge_ports::queue::{
    ClusterName, DeadLetter, DeadLetterId, Delivery, Depth, Dispatch, Dispatches, QueueError,
    Receipt,
};
use redis::{Cmd, cmd};
use tokio::time::Instant;

use super::entries::{Fields, Read, dead_letter, entry_time, field, parts, receipt};
use super::fault::{Fault, Sign};
use super::keys::Lane;
use super::{RedisQueue, scripts};
use crate::bounds::{LONGEST_WAIT, cut, no_dead_letter, worn_out};
use crate::pack::{self, packs};

/// All executors of a cluster are one group: each entry goes to one of them.
const GROUP: &str = "executors";
/// Entries sent or acknowledged by one script: the server does nothing else meanwhile, some 1 ms.
const STEP: usize = 200;
/// A consumer that did not ask for this long is forgotten. It comes back by asking.
const FORGET: Duration = Duration::from_secs(3600);
/// Times in one call that the group is made anew, should somebody clear Redis in a loop.
const TRIES: u32 = 10;

impl Dispatches for RedisQueue {
    async fn send(
        &self,
        cluster: &ClusterName,
        dispatches: &[Dispatch],
    ) -> Result<usize, QueueError> {
        let lane = self.0.keys.lane(cluster);
        let packs: Vec<&[Dispatch]> = packs(dispatches).collect();
        let mut sent = 0;
        for some in packs.chunks(STEP) {
            let mut script = script(scripts::SEND, &[&lane.stream, &lane.count]);
            script.arg(QUEUE_ENTRIES);
            carry(&mut script, some.iter().copied());
            let taken: usize = self.0.link.ask(&script).await?;
            sent += taken;
            if taken < some.iter().map(|pack| pack.len()).sum() {
                break;
            }
        }
        Ok(sent)
    }

    async fn receive(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let lane = self.0.keys.lane(cluster);
        let wait = wait.min(LONGEST_WAIT);
        let until = Instant::now() + wait;
        let place = if wait.is_zero() { None } else { self.0.link.place(wait).await };
        if place.is_none() && !wait.is_zero() {
            return Ok(Vec::new());
        }
        for _ in 0..TRIES {
            let left = until.saturating_duration_since(Instant::now());
            match self.read(&lane, consumer, limit.min(RECEIVE_ENTRIES), left).await {
                Ok(read) => {
                    let nothing = read.is_none();
                    let came = self.deliveries(&lane, read).await?;
                    if nothing || !came.is_empty() || left.is_zero() {
                        return Ok(came);
                    }
                }
                Err(fault) if fault.sign == Some(Sign::NoGroup) => self.make_group(&lane).await?,
                Err(fault) => return Err(fault.error),
            }
        }
        Ok(Vec::new())
    }

    async fn acknowledge(
        &self,
        cluster: &ClusterName,
        receipts: &[Receipt],
    ) -> Result<(), QueueError> {
        let lane = self.0.keys.lane(cluster);
        let parts: Vec<(&str, usize)> = receipts.iter().filter_map(parts).collect();
        for some in parts.chunks(STEP) {
            let mut script = script(scripts::ACKNOWLEDGE, &[&lane.stream, &lane.count]);
            script.arg(GROUP);
            for (id, dispatches) in some {
                script.arg(id).arg(dispatches);
            }
            let _gone: u64 = self.0.link.ask(&script).await?;
        }
        Ok(())
    }

    async fn put_back(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        rest: &[Dispatch],
    ) -> Result<(), QueueError> {
        let Some((id, dispatches)) = parts(receipt) else { return Ok(()) };
        let lane = self.0.keys.lane(cluster);
        let mut script = script(scripts::PUT_BACK, &[&lane.stream, &lane.count]);
        script.arg(GROUP).arg(id).arg(dispatches);
        carry(&mut script, packs(rest));
        let _done: u64 = self.0.link.ask(&script).await?;
        Ok(())
    }

    async fn reclaim(
        &self,
        cluster: &ClusterName,
        consumer: InstanceId,
        idle_for: Duration,
        limit: usize,
    ) -> Result<Vec<Delivery>, QueueError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let lane = self.0.keys.lane(cluster);
        let mut script = script(scripts::RECLAIM, &[&lane.stream]);
        script
            .arg(GROUP)
            .arg(consumer.to_string())
            .arg(millis(idle_for))
            .arg(limit.min(RECEIVE_ENTRIES))
            .arg(millis(FORGET));
        let taken: Vec<(String, Fields, u32)> = self.0.link.ask(&script).await?;
        let mut came = Vec::new();
        for (id, fields, taken) in taken {
            let Some(delivery) = self.delivery(&lane, &id, &fields, taken).await? else { continue };
            if taken > DISPATCH_TAKES {
                self.give_up(&lane, &delivery.receipt, &worn_out(taken)).await?;
            } else {
                came.push(delivery);
            }
        }
        Ok(came)
    }

    async fn depth(&self, cluster: &ClusterName) -> Result<Depth, QueueError> {
        let lane = self.0.keys.lane(cluster);
        let mut script = script(scripts::DEPTH, &[&lane.stream, &lane.count]);
        let (dispatches, entries, taken): (i64, u64, u64) =
            self.0.link.ask(script.arg(GROUP)).await?;
        let most = entries.saturating_mul(u64::try_from(DISPATCHES_PER_ENTRY).unwrap_or(u64::MAX));
        let dispatches = u64::try_from(dispatches).unwrap_or(0).clamp(entries, most);
        Ok(Depth { dispatches, entries, taken })
    }

    async fn bury(
        &self,
        cluster: &ClusterName,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<(), QueueError> {
        self.give_up(&self.0.keys.lane(cluster), receipt, reason).await
    }

    async fn dead_letters(
        &self,
        cluster: &ClusterName,
        after: Option<&DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, QueueError> {
        let from = match after {
            Some(id) => format!("({}", known(id)?),
            None => "-".to_owned(),
        };
        let mut range = cmd("XRANGE");
        let limit = limit.min(PAGE_ROWS as usize);
        range.arg(self.0.keys.lane(cluster).dead).arg(from).arg("+").arg("COUNT").arg(limit);
        let found: Option<Vec<(String, Fields)>> = self.0.link.ask(&range).await?;
        let found = found.unwrap_or_default();
        Ok(found.into_iter().map(|(id, fields)| dead_letter(id, &fields)).collect())
    }

    async fn redrive(
        &self,
        cluster: &ClusterName,
        ids: &[DeadLetterId],
    ) -> Result<Vec<AttemptKey>, QueueError> {
        let mut script = script(scripts::REDRIVE, &[&self.0.keys.lane(cluster).dead]);
        for id in ids {
            script.arg(known(id)?);
        }
        let bytes: Vec<Vec<u8>> = self.0.link.ask(&script).await?;
        let dispatches = bytes.iter().filter_map(|bytes| pack::decode(bytes)).flatten();
        Ok(dispatches.map(|dispatch| dispatch.key).collect())
    }
}

impl RedisQueue {
    /// Entries that nobody took; waits for the first one, on a connection that may be waited on.
    async fn read(
        &self,
        lane: &Lane,
        consumer: InstanceId,
        limit: usize,
        wait: Duration,
    ) -> Result<Read, Fault> {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(GROUP).arg(consumer.to_string()).arg("COUNT").arg(limit);
        // To the server `BLOCK 0` is for ever.
        let block = millis(wait);
        if block > 0 {
            read.arg("BLOCK").arg(block);
        }
        read.arg("STREAMS").arg(&lane.stream).arg(">");
        if block > 0 { self.0.link.wait(&read, wait).await } else { self.0.link.ask(&read).await }
    }

    /// From the beginning of the stream: after a loss of the group alone all of it comes again.
    async fn make_group(&self, lane: &Lane) -> Result<(), QueueError> {
        let mut create = cmd("XGROUP");
        create.arg("CREATE").arg(&lane.stream).arg(GROUP).arg("0").arg("MKSTREAM");
        match self.0.link.ask::<()>(&create).await {
            // Another consumer was first.
            Err(fault) if fault.sign == Some(Sign::GroupExists) => Ok(()),
            done => Ok(done?),
        }
    }

    async fn deliveries(&self, lane: &Lane, read: Read) -> Result<Vec<Delivery>, QueueError> {
        let mut came = Vec::new();
        for (id, fields) in read.into_iter().flatten().flat_map(|(_, entries)| entries) {
            came.extend(self.delivery(lane, &id, &fields, 1).await?);
        }
        Ok(came)
    }

    /// What an entry carries. One that is not ours goes to the dead letters, so that it neither
    /// comes again nor hides.
    async fn delivery(
        &self,
        lane: &Lane,
        id: &str,
        fields: &Fields,
        taken: u32,
    ) -> Result<Option<Delivery>, QueueError> {
        if let Some(dispatches) = field(fields, b"d").and_then(pack::decode) {
            return Ok(Some(Delivery {
                receipt: receipt(id, dispatches.len()),
                dispatches,
                taken,
            }));
        }
        tracing::warn!(stream = lane.stream, entry = id, "buried an entry that cannot be read");
        self.give_up(lane, &receipt(id, 0), "this version cannot read it").await?;
        Ok(None)
    }

    async fn give_up(
        &self,
        lane: &Lane,
        receipt: &Receipt,
        reason: &str,
    ) -> Result<(), QueueError> {
        let Some((id, dispatches)) = parts(receipt) else { return Ok(()) };
        let mut script = script(scripts::BURY, &[&lane.stream, &lane.count, &lane.dead]);
        script.arg(GROUP).arg(id).arg(dispatches).arg(DEAD_LETTERS).arg(cut(reason));
        let _done: u64 = self.0.link.ask(&script).await?;
        Ok(())
    }
}

fn script(text: &str, keys: &[&str]) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(text).arg(keys.len()).arg(keys);
    eval
}

fn carry<'a>(script: &mut Cmd, packs: impl Iterator<Item = &'a [Dispatch]>) {
    for pack in packs {
        script.arg(pack.len()).arg(pack::encode(pack));
    }
}

fn known(id: &DeadLetterId) -> Result<&str, QueueError> {
    entry_time(&id.0).map(|_| id.0.as_str()).ok_or_else(|| no_dead_letter(id))
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
