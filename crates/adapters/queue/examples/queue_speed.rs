//! What the queue adds to bare Redis: `queue_speed [DISPATCHES]` sends, receives and acknowledges
//! through the queue, fifty to an entry and one to an entry, and does the same with plain pipelined
//! XADD, XREADGROUP, XACK of entries of the same size on one connection: in turns, on a
//! `redis-server` of its own on a Unix socket without an append-only file.

#![expect(clippy::print_stdout, reason = "prints its result")]

use std::error::Error;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{InstanceId, NodeIx, WorkflowId};
use flowforge_model::time::Timestamp;
use flowforge_ports::queue::{ClusterName, Dispatch, Dispatches};
use flowforge_queue::{LocalQueue, RedisConfig, RedisQueue};
use redis::aio::MultiplexedConnection;
use uuid::Uuid;

type Outcome<T> = Result<T, Box<dyn Error>>;
type Read = Option<Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>>;

const ROUNDS: u32 = 3;
/// Entries in one call, here and there.
const CALL: usize = 200;
const WAIT: Duration = Duration::from_secs(5);

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let dispatches: u32 = std::env::args().nth(1).map_or(Ok(500_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("redis.sock");
    let _server = start(directory.path(), &socket).await?;
    let addresses = vec![format!("unix:{}", socket.display())];
    let queue = RedisQueue::new(&RedisConfig { addresses, ..RedisConfig::default() })?;
    let client = redis::Client::open(format!("unix://{}", socket.display()))?;
    let mut bare = client.get_multiplexed_async_connection().await?;
    let (packed, single) = (dispatches as usize, dispatches as usize / 10);
    for round in 1..=ROUNDS {
        println!("round {round}, dispatches a second:");
        show("bare, 50 to an entry", packed, raw(&mut bare, packed / 50, 1217).await?);
        show("queue, 50 to an entry", packed, ours(&queue, packed, false).await?);
        show("bare, 1 to an entry", single, raw(&mut bare, single, 41).await?);
        show("queue, 1 to an entry", single, ours(&queue, single, true).await?);
        show(
            "in process, 50 to an entry",
            packed,
            ours(&LocalQueue::default(), packed, false).await?,
        );
    }
    let hop = one_by_one(&queue).await?;
    println!("one alone, from send to acknowledged: {} us, the median", hop.as_micros());
    Ok(())
}

fn show(what: &str, dispatches: usize, took: Duration) {
    let rate = u128::try_from(dispatches).unwrap_or(0) * 1_000_000 / took.as_micros().max(1);
    println!("  {what:<28} {rate:>10}");
}

async fn start(directory: &Path, socket: &Path) -> Outcome<Server> {
    let program = std::env::var_os("FLOWFORGE_TEST_REDIS").unwrap_or("redis-server".into());
    let child = Command::new(program)
        .args(["--port", "0", "--save", "", "--appendonly", "no", "--dir"])
        .arg(directory)
        .arg("--unixsocket")
        .arg(socket)
        .stdout(Stdio::null())
        .spawn()?;
    let server = Server(child);
    let until = Instant::now() + WAIT;
    while !socket.exists() {
        if Instant::now() > until {
            return Err("redis-server did not start".into());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(server)
}

/// Ten calls' worth is sent, then received and acknowledged, until all is done.
async fn ours(queue: &impl Dispatches, count: usize, alone: bool) -> Outcome<Duration> {
    let cluster = ClusterName::parse("speed")?;
    let consumer = InstanceId(Uuid::from_u128(1));
    let of_one = |n: usize| {
        let n = u32::try_from(n).unwrap_or(0);
        let key = AttemptKey { workflow: WorkflowId(Uuid::nil()), node: NodeIx(n), number: 1 };
        let at = if alone { i64::from(n) } else { 0 };
        Dispatch { key, epoch: 1, sent_at: Timestamp(at) }
    };
    let all: Vec<Dispatch> = (0..count).map(of_one).collect();
    let begun = Instant::now();
    for some in all.chunks(if alone { CALL } else { CALL * 50 } * 10) {
        queue.send(&cluster, some).await?;
        let mut left = some.len();
        while left > 0 {
            let came = queue.receive(&cluster, consumer, CALL, WAIT).await?;
            left -= came.iter().map(|delivery| delivery.dispatches.len()).sum::<usize>();
            let receipts: Vec<_> = came.into_iter().map(|delivery| delivery.receipt).collect();
            queue.acknowledge(&cluster, &receipts).await?;
        }
    }
    Ok(begun.elapsed())
}

/// The same calls without anything around them. Acknowledged entries are not even deleted, and the
/// stream is thrown away at the end.
async fn raw(wire: &mut MultiplexedConnection, entries: usize, bytes: usize) -> Outcome<Duration> {
    let body = vec![b'x'; bytes];
    redis::cmd("DEL").arg("bare").exec_async(wire).await?;
    let mut make = redis::cmd("XGROUP");
    make.arg("CREATE").arg("bare").arg("g").arg("0").arg("MKSTREAM").exec_async(wire).await?;
    let begun = Instant::now();
    let mut done = 0;
    while done < entries {
        let some = (entries - done).min(CALL * 10);
        for _ in 0..some.div_ceil(CALL) {
            let mut add = redis::pipe();
            for _ in 0..CALL.min(some) {
                add.cmd("XADD").arg("bare").arg("*").arg("d").arg(&body).ignore();
            }
            add.exec_async(wire).await?;
        }
        let mut left = some;
        while left > 0 {
            let mut read = redis::cmd("XREADGROUP");
            read.arg("GROUP").arg("g").arg("c").arg("COUNT").arg(CALL).arg("STREAMS");
            let came: Read = read.arg("bare").arg(">").query_async(wire).await?;
            let mut acknowledge = redis::cmd("XACK");
            acknowledge.arg("bare").arg("g");
            let (_, came) = came.and_then(|mut streams| streams.pop()).ok_or("nothing came")?;
            for (id, _) in &came {
                acknowledge.arg(id);
            }
            acknowledge.exec_async(wire).await?;
            left = left.saturating_sub(came.len());
        }
        done += some;
    }
    let took = begun.elapsed();
    redis::cmd("DEL").arg("bare").exec_async(wire).await?;
    Ok(took)
}

/// An executor waits, one dispatch is sent, it is acknowledged.
async fn one_by_one(queue: &RedisQueue) -> Outcome<Duration> {
    let cluster = ClusterName::parse("hop")?;
    let consumer = InstanceId(Uuid::from_u128(1));
    let key = AttemptKey { workflow: WorkflowId(Uuid::nil()), node: NodeIx(1), number: 1 };
    let dispatch = Dispatch { key, epoch: 1, sent_at: Timestamp(0) };
    let mut took = Vec::new();
    for _ in 0..1001 {
        let begun = Instant::now();
        let wait = queue.receive(&cluster, consumer, 1, WAIT);
        let (came, sent) =
            tokio::join!(wait, queue.send(&cluster, std::slice::from_ref(&dispatch)));
        sent?;
        let receipts: Vec<_> = came?.into_iter().map(|delivery| delivery.receipt).collect();
        queue.acknowledge(&cluster, &receipts).await?;
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    took.get(took.len() / 2).copied().ok_or_else(|| "nothing was measured".into())
}
