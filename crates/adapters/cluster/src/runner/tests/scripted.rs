//! A server that answers as it is told: what real clusters do rarely.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::*;

/// Method (`WATCH` is one of ours), path and body to status and body; nothing is said to a watch whose
/// answer is null.
type Answers = dyn FnMut(&str, &str, Value) -> (u16, Value) + Send;

/// Pairs of a path and a name.
type Names = Vec<(String, String)>;

pub(super) struct Scripted {
    pub(super) kubeconfig: tempfile::NamedTempFile,
    /// All requests that change something: method and path.
    pub(super) changes: Arc<Mutex<Vec<String>>>,
    /// The path of every request, and in whose name it came; empty is the executor's own.
    pub(super) names: Arc<Mutex<Names>>,
    address: std::net::SocketAddr,
    over: Arc<AtomicBool>,
}

impl Scripted {
    pub(super) fn new(
        answers: impl FnMut(&str, &str, Value) -> (u16, Value) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let changes = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let answers: Arc<Mutex<Box<Answers>>> = Arc::new(Mutex::new(Box::new(answers)));
        let names = Arc::new(Mutex::new(Vec::new()));
        let logs = (Arc::clone(&changes), Arc::clone(&names));
        let done = Arc::clone(&over);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if done.load(Ordering::Acquire) {
                    break;
                }
                let (answers, logs) = (Arc::clone(&answers), logs.clone());
                let stream = stream.expect("a connection");
                std::thread::spawn(move || serve(&stream, &answers, (&logs.0, &logs.1)));
            }
        });
        let kubeconfig = kubeconfig(address);
        Self { kubeconfig, changes, names, address, over }
    }

    /// How often something was changed below a path that ends so.
    pub(super) fn count(&self, method: &str, path: &str) -> usize {
        let changes = self.changes.lock().expect("changes");
        let fits = |change: &&String| change.starts_with(method) && change.ends_with(path);
        changes.iter().filter(fits).count()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    stream: &TcpStream,
    answers: &Mutex<Box<Answers>>,
    (log, names): (&Mutex<Vec<String>>, &Mutex<Names>),
) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    while reader.read_line(&mut first).is_ok_and(|bytes| bytes > 0) {
        let (mut length, mut account) = (0, String::new());
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            if let Some((_, value)) = line.to_lowercase().split_once("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if let Some((_, value)) = line.to_lowercase().split_once("impersonate-user:") {
                account = value.trim().to_owned();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let body = serde_json::from_slice(&body).unwrap_or_default();
        let mut words = first.split(' ');
        let (method, target) = (words.next().expect("a method"), words.next().expect("a path"));
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        names.lock().expect("names").push((path.to_owned(), account));
        let watches = query.contains("watch=");
        let method = if watches { "WATCH" } else { method };
        if !["GET", "WATCH"].contains(&method) {
            log.lock().expect("changes").push(format!("{method} {path}"));
        }
        let (code, answer) = (*answers.lock().expect("answers"))(method, path, body);
        if watches && answer.is_null() {
            // Says nothing, for as long as the other side likes.
            let mut writer = stream;
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            writer.write_all(head).expect("a head");
            drop(reader.read_to_end(&mut Vec::new()));
            return;
        }
        let text = answer.to_string();
        let head = format!(
            "HTTP/1.1 {code} Any\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        let mut writer = stream;
        writer.write_all(format!("{head}{text}").as_bytes()).expect("an answer");
        first.clear();
    }
}

/// Leads to a server without credentials.
pub(super) fn kubeconfig(address: std::net::SocketAddr) -> tempfile::NamedTempFile {
    let mut kubeconfig = tempfile::NamedTempFile::new().expect("a file");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
        "users": [{ "name": "u", "user": {} }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }],
    });
    kubeconfig.write_all(text.to_string().as_bytes()).expect("a file");
    kubeconfig
}

/// A refusal as clusters write it.
pub(super) fn status(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let body = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message });
    (code, body)
}

/// The pod that was asked for, as it is made.
pub(super) fn made(mut pod: Value) -> Value {
    pod["metadata"]["uid"] = json!("01970000-0000-7000-8000-00000000aaaa");
    pod["metadata"]["resourceVersion"] = json!("2");
    pod
}

/// All pods.
pub(super) fn list(pods: &[Value]) -> (u16, Value) {
    (200, json!({ "metadata": { "resourceVersion": "9" }, "items": pods }))
}

/// The pod that was asked for, ended.
pub(super) fn ended(pod: Value) -> Value {
    let mut pod = made(pod);
    pod["status"] = json!({ "phase": "Succeeded", "containerStatuses": [{
        "name": "main", "ready": false, "restartCount": 0, "image": "", "imageID": "",
        "state": { "terminated": { "exitCode": 0, "message": "reported" } } }] });
    pod
}
