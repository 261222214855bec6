//! Over real sockets: heads that do not come, panics, drains.

use std::time::Duration;

use flowforge_model::status::WorkflowStatus;
use flowforge_svc_api::serve;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::server::{Server, TOKEN};

struct Running {
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn run(server: &Server) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async move { drop(stopped.await) };
    let task = tokio::spawn(serve(listener, server.api.clone(), shutdown));
    Running { address, stop, task }
}

/// Sends bytes and reads until the server closes.
async fn talk(address: std::net::SocketAddr, bytes: &str) -> String {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(bytes.as_bytes()).await.unwrap();
    let mut text = Vec::new();
    let end = socket.read_to_end(&mut text);
    let end = tokio::time::timeout(Duration::from_secs(20), end).await;
    // A reset is an end as well.
    drop(end.expect("the server does not close"));
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_oversized_and_broken_heads_end_their_connection_only() {
    let server = Server::with(|config| config.limits.head_timeout = Duration::from_millis(50));
    let running = run(&server).await;
    let slow = talk(running.address, "GET /health HTTP/1.1\r\nHost: x\r\nX-A: ").await;
    assert!(slow.is_empty() || slow.starts_with("HTTP/1.1 408"), "{slow}");
    let idle = talk(running.address, "").await;
    assert!(idle.is_empty() || idle.starts_with("HTTP/1.1 408"), "{idle}");
    let headers = "X-A: b\r\n".repeat(1000);
    let many =
        talk(running.address, &format!("GET /health HTTP/1.1\r\nHost: x\r\n{headers}\r\n")).await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let long = talk(running.address, &long).await;
    assert!(long.starts_with("HTTP/1.1 4"), "{long}");
    for smuggled in [
        "POST /api/v1/lint HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "GET / HTTP/1.1\r\nHost: x\r\nX\0: y\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ] {
        let answer = talk(running.address, smuggled).await;
        assert!(
            answer.is_empty()
                || answer.starts_with("HTTP/1.1 400")
                || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
    }
    let fine =
        talk(running.address, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(fine.ends_with("{\"status\":\"ok\"}"), "{fine}");
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_sends_too_much_still_reads_why() {
    let server = Server::new();
    let running = run(&server).await;
    let size = 20 * 1024 * 1024;
    let head = format!(
        "POST /api/v1/lint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/yaml\r\nContent-Length: {size}\r\n\r\n"
    );
    let answer = talk(running.address, &(head + &" ".repeat(size))).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("too_large"), "{answer}");
    running.stop.send(()).unwrap();
    running.task.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_ends_streams_politely_and_then_returns() {
    let server = Server::new();
    let id = server.workflow("a").await;
    server.advance(id, 0, 1, WorkflowStatus::Running).await;
    let running = run(&server).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    let head = format!(
        "GET /api/v1/workflows/{id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\nAccept: text/event-stream\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains("id: 3") {
        let count = socket.read(&mut buffer).await.unwrap();
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    running.stop.send(()).unwrap();
    let mut rest = String::new();
    socket.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("retry: "), "{rest}");
    assert!(!rest.contains("event: end"), "{rest}");
    let ended = tokio::time::timeout(Duration::from_secs(20), running.task).await;
    ended.expect("the drain does not end").unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_inside_answers_500_and_the_server_lives() {
    struct Broken;
    impl flowforge_ports::clock::Clock for Broken {
        fn now(&self) -> flowforge_model::time::Timestamp {
            panic!("a broken clock")
        }
    }
    let server = Server::with(|config| config.clock = std::sync::Arc::new(Broken));
    let id = server.workflow("a").await;
    // Here the clock is read on a blocking thread ...
    let answer =
        server.send(crate::server::post(&format!("/api/v1/workflows/{id}/pause"), "")).await;
    answer.is_problem(500, "internal");
    // ... and here in the handler itself.
    let answer = server.send(crate::server::post("/api/v1/projects", r#"{"name":"x"}"#)).await;
    answer.is_problem(500, "internal");
    assert_eq!(server.send(crate::server::get("/api/v1/workflows")).await.status, 200);
}
