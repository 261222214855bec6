//! What those ask who look after a server that serves nobody: whether it lives, is ready, and its numbers.

use std::sync::Arc;
use std::{fmt, io};

use axum::Router;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::serve::{Bounds, Closing, serve};

/// Connections of those who collect numbers and look after servers.
const CONNECTIONS: usize = 64;
/// The text format of Prometheus.
const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers, made anew for every question. Must not block.
#[derive(Clone)]
pub struct Probes {
    /// Whether it can do what it is there for.
    pub ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Its numbers, in the text format 0.0.4 of Prometheus.
    pub numbers: Arc<dyn Fn() -> String + Send + Sync>,
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Probes").finish_non_exhaustive()
    }
}

/// Answers `/health`, `/livez`, `/readyz` and `/metrics` to whoever asks until `shutdown` is ready.
///
/// # Errors
/// None at present; a broken connection ends alone.
pub async fn serve_probes(
    listener: TcpListener,
    probes: Probes,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let bounds = Bounds { connections: CONNECTIONS, ..Bounds::default() };
    serve(listener, router(probes), (bounds, Closing::default()), shutdown).await
}

fn router(Probes { ready, numbers }: Probes) -> Router {
    let lives = async || "ok\n";
    let ready = async move || match ready() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "unavailable\n"),
    };
    let numbers = async move || ([(CONTENT_TYPE, KIND)], numbers());
    Router::new()
        .route("/health", get(lives))
        .route("/livez", get(lives))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn readiness_and_numbers_are_those_of_the_moment() {
        let is_ready = Arc::new(AtomicBool::new(false));
        let ready = Arc::clone(&is_ready);
        let probes = Probes {
            ready: Arc::new(move || ready.load(Ordering::Relaxed)),
            numbers: Arc::new(|| "n 1\n".to_owned()),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(serve_probes(listener, probes, async { drop(stopped.await) }));
        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            (head.split(' ').nth(1).unwrap().to_owned(), body.to_owned())
        };
        let row = |code: &str, body: &str| (code.to_owned(), body.to_owned());
        assert_eq!(ask("/readyz").await, row("503", "unavailable\n"));
        is_ready.store(true, Ordering::Relaxed);
        assert_eq!(ask("/readyz").await, row("200", "ok\n"));
        assert_eq!(ask("/livez").await, row("200", "ok\n"));
        assert_eq!(ask("/metrics").await, row("200", "n 1\n"));
        assert_eq!(ask("/else").await.0, "404");
        drop(stop);
        serving.await.unwrap().unwrap();
    }
}
