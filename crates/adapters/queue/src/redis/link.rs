//! Connections: made when they are needed, dropped when they are of no more use.
//!
//! Calls share one connection. Calls that wait for work have one each: a blocking read holds up
//! everything behind it, and the client's own limit of time (500 ms unless told otherwise) would
//! give up a read that the server goes on with, whose entry then nobody sees.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex as Plain, PoisonError};
use std::time::Duration;

use flowforge_ports::queue::QueueError;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, FromRedisValue, Pipeline, RedisFuture,
    Value,
};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use super::config::RedisConfig;
use super::fault::Fault;

/// After a failed connection others fail at once for this long: hundreds of calls at a time must
/// not each try a host that does not answer.
const PAUSE: Duration = Duration::from_millis(100);
/// Waiting connections kept open for the next call.
const SPARE: usize = 8;

pub(super) struct Link {
    clients: Vec<Client>,
    cluster: Option<ClusterClient>,
    /// Which of the clients is next.
    turn: AtomicUsize,
    shared: Mutex<Shared>,
    spare: Plain<Vec<Wire>>,
    waiting: Semaphore,
    connect_timeout: Duration,
    response_timeout: Duration,
}

#[derive(Default)]
struct Shared {
    wire: Option<Wire>,
    /// Rises with each new connection, so that a late failure of an old one is known as such.
    number: u64,
    failed: Option<(Instant, Fault)>,
}

/// A connection to a server or to a cluster.
#[derive(Clone)]
pub(super) enum Wire {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Wire {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(wire) => wire.req_packed_command(cmd),
            Self::Cluster(wire) => wire.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(wire) => wire.req_packed_commands(pipeline, offset, count),
            Self::Cluster(wire) => wire.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(wire) => wire.get_db(),
            Self::Cluster(wire) => wire.get_db(),
        }
    }
}

impl Link {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, QueueError> {
        let infos = config.infos()?;
        let cluster = if config.cluster { Some(cluster(config, &infos)?) } else { None };
        let clients = infos.into_iter().map(|info| client(config, info));
        Ok(Self {
            clients: clients.collect::<Result<_, _>>()?,
            cluster,
            turn: AtomicUsize::new(0),
            shared: Mutex::default(),
            spare: Plain::default(),
            waiting: Semaphore::new(config.pool_size.min(Semaphore::MAX_PERMITS)),
            connect_timeout: config.connect_timeout,
            response_timeout: config.response_timeout,
        })
    }

    /// Longest time until an answer.
    pub(super) fn patience(&self) -> Duration {
        self.response_timeout
    }

    /// Asks over the shared connection.
    pub(super) async fn ask<T: FromRedisValue>(&self, what: &Cmd) -> Result<T, Fault> {
        let (mut wire, number) = self.shared().await?;
        let answer = self.timed(self.response_timeout, what.query_async(&mut wire)).await;
        if answer.as_ref().is_err_and(|fault| fault.reconnect) {
            let mut shared = self.shared.lock().await;
            if shared.number == number {
                shared.wire = None;
            }
        }
        answer
    }

    /// A place among those that wait; none if all are taken for that long.
    pub(super) async fn place(&self, within: Duration) -> Option<SemaphorePermit<'_>> {
        timeout(within, self.waiting.acquire()).await.ok()?.ok()
    }

    /// Asks over a connection of its own, and lets the server take `wait` for its answer. If the
    /// call is dropped, so is the connection, and the server forgets the question. The caller has
    /// a place.
    pub(super) async fn wait<T: FromRedisValue>(
        &self,
        what: &Cmd,
        wait: Duration,
    ) -> Result<T, Fault> {
        let spare = self.spare().pop();
        let mut wire = match spare {
            Some(wire) => wire,
            None => self.connect().await?,
        };
        let answer = self.timed(wait + self.response_timeout, what.query_async(&mut wire)).await;
        let mut spare = self.spare();
        if answer.as_ref().is_err_and(|fault| fault.reconnect) {
            // What ended this one ended those as well.
            spare.clear();
        } else if spare.len() < SPARE {
            spare.push(wire);
        }
        drop(spare);
        answer
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Vec<Wire>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn shared(&self) -> Result<(Wire, u64), Fault> {
        let mut shared = self.shared.lock().await;
        if let Some(wire) = &shared.wire {
            return Ok((wire.clone(), shared.number));
        }
        if let Some((at, fault)) = &shared.failed
            && at.elapsed() < PAUSE
        {
            return Err(fault.clone());
        }
        match self.connect().await {
            Ok(wire) => {
                shared.number += 1;
                shared.failed = None;
                shared.wire = Some(wire.clone());
                Ok((wire, shared.number))
            }
            Err(fault) => {
                shared.failed = Some((Instant::now(), fault.clone()));
                Err(fault)
            }
        }
    }

    async fn timed<T>(
        &self,
        within: Duration,
        what: impl Future<Output = redis::RedisResult<T>>,
    ) -> Result<T, Fault> {
        let answer = timed(within, what).await;
        if self.cluster.is_some() { answer.map_err(Fault::in_cluster) } else { answer }
    }

    async fn connect(&self) -> Result<Wire, Fault> {
        if let Some(cluster) = &self.cluster {
            let within = self.connect_timeout + self.response_timeout;
            return timed(within, cluster.get_async_connection()).await.map(Wire::Cluster);
        }
        self.single().await.map(Wire::Single)
    }

    /// A connection to one server or node, whichever answers; limits of time are ours.
    pub(super) async fn single(&self) -> Result<MultiplexedConnection, Fault> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let mut last = Fault::late();
        for client in self.clients() {
            let wire = client.get_multiplexed_async_connection_with_config(&config);
            match timed(self.connect_timeout, wire).await {
                Ok(wire) => return Ok(wire),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// A connection that listens, to one server or node: each node of a cluster hears everything.
    pub(super) async fn listener(&self) -> Result<PubSub, Fault> {
        let mut last = Fault::late();
        for client in self.clients() {
            match timed(self.connect_timeout, client.get_async_pubsub()).await {
                Ok(wire) => return Ok(wire),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Each address once, beginning with another one each time.
    fn clients(&self) -> impl Iterator<Item = &Client> {
        let count = self.clients.len();
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count.max(1);
        self.clients.iter().cycle().skip(first).take(count)
    }
}

async fn timed<T>(
    within: Duration,
    what: impl Future<Output = redis::RedisResult<T>>,
) -> Result<T, Fault> {
    match timeout(within, what).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::late()),
    }
}

fn client(config: &RedisConfig, info: ConnectionInfo) -> Result<Client, QueueError> {
    #[cfg(feature = "tls")]
    if let Some(trust) = &config.trust
        && matches!(info.addr(), redis::ConnectionAddr::TcpTls { .. })
    {
        return Ok(Client::build_with_tls(info, trusted(trust)).map_err(Fault::from)?);
    }
    #[cfg(not(feature = "tls"))]
    let _ = config;
    Ok(Client::open(info).map_err(Fault::from)?)
}

fn cluster(config: &RedisConfig, infos: &[ConnectionInfo]) -> Result<ClusterClient, QueueError> {
    let builder = ClusterClient::builder(infos.to_vec())
        .connection_timeout(config.connect_timeout)
        // Ours decides, for a call with all its redirections. The client's own would be half a
        // second for each step and give up blocking reads.
        .overall_response_timeout(None)
        .retries(5)
        .min_retry_wait(20)
        .max_retry_wait(400);
    #[cfg(feature = "tls")]
    let builder = match &config.trust {
        Some(trust) => builder.certs(trusted(trust)),
        None => builder,
    };
    Ok(builder.build().map_err(Fault::from)?)
}

#[cfg(feature = "tls")]
fn trusted(trust: &[u8]) -> redis::TlsCertificates {
    redis::TlsCertificates { client_tls: None, root_cert: Some(trust.to_vec()) }
}
