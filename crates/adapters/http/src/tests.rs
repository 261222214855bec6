//! What the tests share: a server that answers as it is told, and a runner that asks it.

mod lists;
mod redirects;
#[cfg(feature = "tls")]
mod secure;
mod tasks;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request as it came: head and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Came {
    pub(super) head: String,
    pub(super) body: String,
}

impl Came {
    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then(|| value.to_owned())
        })
    }
}

/// Answers each request with what `answer` makes of it.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) came: Arc<Mutex<Vec<Came>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn new(answer: impl Fn(&Came) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let came = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let (seen, ends) = (Arc::clone(&came), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                let mut stream = stream.unwrap();
                let Some(request) = read(&mut stream) else {
                    continue;
                };
                seen.lock().unwrap().push(request.clone());
                stream.write_all(answer(&request).as_bytes()).ok();
            }
        });
        Self { address, came, over, thread: Some(thread) }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(super) fn requests(&self) -> Vec<Came> {
        self.came.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<Came> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let came = Came { head: head.to_owned(), body: body.to_owned() };
            let length = came.header("content-length").map_or(0, |n| n.parse().unwrap());
            if body.len() >= length {
                return Some(came);
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend(&chunk[..count]),
        }
    }
}

/// An answer that ends its connection.
pub(super) fn reply(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// One secret, `api`, with one key, `token`.
pub(super) struct OneSecret;

impl flowforge_ports::secrets::Secrets for OneSecret {
    fn secret(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
        let keys = || BTreeMap::from([("token".to_owned(), b"hunter2\n".to_vec())]);
        (name == "api").then(keys)
    }
}

/// Holds an answer back until it is dropped.
pub(super) fn held() -> (Sender<()>, Receiver<()>) {
    channel()
}
