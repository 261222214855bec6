//! The accept loop: bounded connections, a time limit for heads, a drain at the end.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::Api;
use crate::linger::Lingering;

/// Bytes of a request's head; also the size of read buffers.
const HEAD_BYTES: usize = 64 * 1024;
/// Accepting fails when file descriptors run out: they come back as connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves the API until `shutdown` is ready, then lets requests under way end: not ready any
/// more, nothing accepted, streams told to come back. What is left after `Limits::drain` is cut.
///
/// # Errors
/// None at present; a broken connection ends alone.
pub async fn serve(
    listener: TcpListener,
    api: Api,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(api.limits().connections));
    let router = api.router();
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let next = async {
            let permit = Arc::clone(&room).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (accepted, permit) = next => match accepted {
                Ok((socket, _)) => {
                    let one = connection(socket, router.clone(), api.clone());
                    connections.spawn(async move {
                        one.await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    api.close();
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(api.limits().drain, drained).await.is_err() {
        tracing::warn!(left = connections.len(), "cut connections that did not end in time");
    }
    Ok(())
}

async fn connection(socket: TcpStream, router: Router, api: Api) {
    let mut closing = api.closing();
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(api.limits().head_timeout)
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
