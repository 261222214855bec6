use std::future::pending;

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// What a connection answers; nothing if it was closed.
async fn ask(socket: &mut TcpStream) -> String {
    // The other side may have closed it before.
    let _closed = socket.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.is_err();
    let mut answer = [0; 15];
    match socket.read_exact(&mut answer).await {
        Ok(_) => String::from_utf8_lossy(&answer).into_owned(),
        Err(_) => String::new(),
    }
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_others_when_it_has_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bounds = Bounds { of_one_address: 2, ..Bounds::default() };
    let router = Router::new().route("/", get(|| async { "here" }));
    tokio::spawn(serve(listener, router, (bounds, Closing::default()), pending()));
    let mut one = TcpStream::connect(address).await.unwrap();
    let mut two = TcpStream::connect(address).await.unwrap();
    assert_eq!(ask(&mut one).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&mut two).await, "HTTP/1.1 200 OK");
    assert_eq!(ask(&mut TcpStream::connect(address).await.unwrap()).await, "");
    drop(one);
    // It is let go when the server has seen that.
    while ask(&mut TcpStream::connect(address).await.unwrap()).await.is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(ask(&mut two).await.len(), 15);
}
