//! The accept loop: bounded connections, a time limit for heads, a drain at the end.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::linger::Lingering;

/// Bytes of a request's head; also the size of read buffers.
const HEAD_BYTES: usize = 64 * 1024;
/// Accepting fails when file descriptors run out: they come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Bounds of a server.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open connections; more wait to be accepted.
    pub connections: usize,
    /// Open connections from one address; more are closed at once, so that nobody holds all of them.
    pub of_one_address: usize,
    /// A request's head must arrive within this time, and a connection may be idle for as long.
    pub head_timeout: Duration,
    /// After a shutdown began, requests are taken for so long: whoever sends them learns meanwhile
    /// from [`Closing::leaving`] that this server is to be left alone.
    pub leave: Duration,
    /// Then requests under way have this long to end.
    pub drain: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            connections: 1024,
            of_one_address: usize::MAX,
            head_timeout: Duration::from_secs(10),
            leave: Duration::ZERO,
            drain: Duration::from_secs(30),
        }
    }
}

/// Whether a server is going down. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Closing {
    leaving: Arc<AtomicBool>,
    closed: watch::Sender<bool>,
}

impl Default for Closing {
    fn default() -> Self {
        Self { leaving: Arc::default(), closed: watch::Sender::new(false) }
    }
}

impl Closing {
    /// It takes requests for a short while yet, and says to whoever asks that it is not ready.
    #[must_use]
    pub fn leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    fn close(&self) {
        self.closed.send_replace(true);
    }

    /// It takes no more requests: to ask, and to wait.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.closed.subscribe()
    }
}

/// Serves `router` until `shutdown` is ready and for [`Bounds::leave`] longer, then lets requests under
/// way end: nothing is accepted. `closing` says both. What is left after [`Bounds::drain`] is cut.
///
/// # Errors
/// None at present; a broken connection ends alone.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    (bounds, closing): (Bounds, Closing),
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(bounds.connections));
    let peers = Arc::new(Peers::default());
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(async {
        shutdown.await;
        closing.leave();
        tokio::time::sleep(bounds.leave).await;
    });
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, permit) = next => match accepted {
                Ok((socket, peer)) => {
                    let Some(guest) = Guest::of(&peers, peer.ip(), bounds.of_one_address) else {
                        tracing::debug!(%peer, "closed a connection: its address has too many");
                        continue;
                    };
                    let one = connection(socket, router.clone(), bounds, closing.watch());
                    connections.spawn(async move {
                        one.await;
                        drop((guest, permit));
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    closing.close();
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(bounds.drain, drained).await.is_err() {
        tracing::warn!(left = connections.len(), "cut connections that did not end in time");
    }
    Ok(())
}

/// How many connections each address has open.
type Peers = Mutex<HashMap<IpAddr, usize>>;

/// A connection that is counted until it is dropped.
struct Guest {
    peers: Arc<Peers>,
    address: IpAddr,
}

impl Guest {
    /// None if its address has as many as it may have.
    fn of(peers: &Arc<Peers>, address: IpAddr, most: usize) -> Option<Self> {
        let mut counts = peers.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count = count.saturating_add(1);
        Some(Self { peers: Arc::clone(peers), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

async fn connection(
    socket: TcpStream,
    router: Router,
    bounds: Bounds,
    mut closing: watch::Receiver<bool>,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head_timeout)
        .max_buf_size(HEAD_BYTES);
    let mut connection =
        pin!(builder.serve_connection(TokioIo::new(Lingering::new(socket)), service));
    let early = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = closed(&mut closing) => None,
    };
    let result = match early {
        Some(result) => result,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Returns once the server is going down.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the server is gone altogether.
    let _gone = closing.wait_for(|closing| *closing).await.is_err();
}
