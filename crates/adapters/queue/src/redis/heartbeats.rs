//! Signs of life as keys that expire, with an index per role: Redis is shared with others, so
//! nothing here walks over all of its keys.

use std::time::Duration;

use flowforge_model::id::InstanceId;
use flowforge_ports::queue::{Beat, Heartbeats, QueueError, Role};
use redis::cmd;

use super::{RedisQueue, scripts};
use crate::bounds::check_body;

/// Values asked for at once.
const STEP: usize = 500;

impl Heartbeats for RedisQueue {
    async fn beat(
        &self,
        role: Role,
        id: InstanceId,
        body: &str,
        ttl: Duration,
    ) -> Result<(), QueueError> {
        check_body(body)?;
        let keys = &self.0.keys;
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).clamp(1, A_DAY);
        let mut eval = cmd("EVAL");
        eval.arg(scripts::BEAT).arg(2).arg(keys.heartbeat(role, id)).arg(keys.heartbeats(role));
        let _done: u64 = self.0.link.ask(eval.arg(id.to_string()).arg(body).arg(ttl)).await?;
        Ok(())
    }

    async fn alive(&self, role: Role) -> Result<Vec<Beat>, QueueError> {
        let keys = &self.0.keys;
        let mut range = cmd("ZRANGE");
        range.arg(keys.heartbeats(role)).arg(0).arg(-1);
        let known: Vec<String> = self.0.link.ask(&range).await?;
        let mut ids: Vec<InstanceId> = known.iter().filter_map(|id| id.parse().ok()).collect();
        ids.sort_unstable();
        let mut alive = Vec::with_capacity(ids.len());
        for some in ids.chunks(STEP) {
            let mut get = cmd("MGET");
            for id in some {
                get.arg(keys.heartbeat(role, *id));
            }
            // The keys decide; the index may name some that expired.
            let bodies: Vec<Option<Vec<u8>>> = self.0.link.ask(&get).await?;
            let live = some.iter().zip(bodies).filter_map(|(id, body)| Some((*id, body?)));
            alive.extend(
                live.map(|(id, body)| Beat {
                    id,
                    body: String::from_utf8_lossy(&body).into_owned(),
                }),
            );
        }
        Ok(alive)
    }
}

/// Longest time to live, in milliseconds.
const A_DAY: u64 = 24 * 3600 * 1000;
