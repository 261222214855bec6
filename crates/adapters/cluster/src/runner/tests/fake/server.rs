//! Requests and their answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use super::super::scripted::status;
use super::faults::{Fate, When};
use super::{NAMESPACES, Shared, State, node, selects};

/// A watch from which an event was kept ends when there has been none for this long: servers end each sooner or
/// later.
const QUIET: Duration = Duration::from_millis(100);

pub(super) fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.lock().over {
            break;
        }
        let shared = Arc::clone(shared);
        let stream = stream.expect("a connection");
        // A client that goes away in the middle is none of our business.
        std::thread::spawn(move || drop(converse(&stream, &shared)));
    }
}

struct Request {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    body: Value,
}

impl Request {
    fn of(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(name, _)| name == key).map(|(_, value)| &**value)
    }

    fn number(&self, key: &str) -> Option<usize> {
        self.of(key)?.parse().ok()
    }

    /// The collection in the words of a URL, and the name in it.
    fn place(&self) -> (String, Option<String>) {
        let parts: Vec<&str> = self.path.trim_start_matches('/').split('/').collect();
        let depth = match parts.iter().position(|part| *part == "namespaces") {
            Some(at) if parts.len() > at + 2 => at + 3,
            Some(at) => at + 1,
            None => return (self.path.clone(), None),
        };
        let collection = format!("/{}", parts[..depth].join("/"));
        (collection, parts.get(depth).map(|name| (*name).to_owned()))
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> Option<Request> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|bytes| *bytes > 0)?;
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
        if let Some((_, value)) = line.to_lowercase().split_once("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let mut words = first.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?);
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |part: &str| part.split_once('=').map(|(a, b)| (a.to_owned(), decoded(b)));
    Some(Request {
        method,
        path: path.to_owned(),
        query: query.split('&').filter_map(pair).collect(),
        body: serde_json::from_slice(&body).unwrap_or_default(),
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|one| char::from(one).to_digit(16)).unwrap_or(0);
        bytes.push(match byte {
            b'%' => u8::try_from(digit() * 16 + digit()).expect("a byte"),
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).expect("a text")
}

fn converse(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        let mut state = shared.lock();
        let watches = request.of("watch").is_some();
        let fate = state.course.next();
        if fate == Fate::Cut(When::Before) {
            shared.crashed.send_replace(true);
            return Ok(());
        }
        if watches {
            match fate {
                Fate::Done => {
                    drop(state);
                    return tell(stream, shared, &request);
                }
                Fate::Cut(_) => {
                    shared.crashed.send_replace(true);
                    return Ok(());
                }
                Fate::Refused(_) => {}
            }
        }
        let answer = match fate {
            Fate::Refused(When::Before) => None,
            _ if watches => None,
            _ => Some(state.answer(&request)),
        };
        drop(state);
        shared.changed.notify_all();
        if matches!(fate, Fate::Cut(_)) {
            shared.crashed.send_replace(true);
            return Ok(());
        }
        let refused = matches!(fate, Fate::Refused(_));
        let ill = || status(503, "ServiceUnavailable", "not now");
        let (code, body) = answer.filter(|_| !refused).unwrap_or_else(ill);
        let body = body.to_string();
        let mut writer = stream;
        write!(
            writer,
            "HTTP/1.1 {code} Any\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
    Ok(())
}

/// Tells a watch what happened since the version that it knows.
fn tell(stream: &TcpStream, shared: &Shared, request: &Request) -> std::io::Result<()> {
    let mut writer = stream;
    writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    let mut chunk = |event: &Value| {
        let line = format!("{event}\n");
        write!(writer, "{:x}\r\n{line}\r\n", line.len())
    };
    let selector = request.of("labelSelector").unwrap_or_default();
    let mut known = request.number("resourceVersion").unwrap_or(0) as u64;
    let (mut told, mut kept) = (0, false);
    let mut last = Instant::now();
    let mut state = shared.lock();
    loop {
        if state.over || state.course.dead {
            return Ok(());
        }
        if known < state.forgotten {
            let (_, gone) = status(410, "Expired", "too old resource version");
            chunk(&json!({ "type": "ERROR", "object": gone }))?;
            break;
        }
        let next = state.history.iter().find(|change| change.version > known);
        if let Some(change) = next {
            known = change.version;
            if !selects(selector, &change.pod) {
                continue;
            }
            let event = json!({ "type": change.kind, "object": change.pod });
            let copies = state.course.copies();
            kept |= copies == 0;
            for _ in 0..copies {
                chunk(&event)?;
            }
            (told, last) = (told + 1, Instant::now());
            if state.course.faults.restless.is_some_and(|most| told >= most) {
                state.forgotten = known;
                break;
            }
            continue;
        }
        if kept && last.elapsed() >= QUIET {
            break;
        }
        let wait = if kept { QUIET } else { Duration::from_secs(3600) };
        (state, _) = shared.changed.wait_timeout(state, wait).expect("a state");
    }
    drop(state);
    writer.write_all(b"0\r\n\r\n")
}

impl State {
    fn answer(&mut self, request: &Request) -> (u16, Value) {
        let (collection, name) = request.place();
        self.writes += u64::from(request.method != "GET");
        match (request.method.as_str(), name) {
            ("GET", None) if collection.starts_with("/.well-known/") => {
                (200, json!({ "issuer": "https://fake.invalid" }))
            }
            ("GET", None) if collection == "/openid/v1/jwks" => {
                (200, json!({ "keys": [{ "kid": "1" }] }))
            }
            ("GET", None) => (200, self.list(request, &collection)),
            ("GET", Some(name)) => match self.objects.get(&(collection.clone(), name.clone())) {
                Some(object) => (200, object.clone()),
                None => missing(&collection, &name),
            },
            ("POST", None) => self.create(&collection, request.body.clone()),
            ("PATCH", Some(name)) => (200, self.apply(&(collection, name), request.body.clone())),
            ("DELETE", Some(name)) => self.delete(&(collection, name), &request.body),
            (method, _) => panic!("{method} {}", request.path),
        }
    }

    fn list(&mut self, request: &Request, collection: &str) -> Value {
        let plural = collection.trim_start_matches("/api/v1/");
        let ours = |at: &str| at == collection || at.ends_with(&format!("/{plural}"));
        let (mut version, mut all) = (self.version, Vec::new());
        let behind = if plural == "pods" { self.course.behind() } else { 0 };
        let past = self.history.len().checked_sub(1 + behind).map(|at| &self.history[at]);
        if let Some(past) = past.filter(|_| behind > 0) {
            self.course.erred = true;
            version = past.version;
            all.clone_from(&past.after);
        } else {
            let now = self.objects.iter().filter(|(at, _)| ours(&at.0));
            all.extend(now.map(|(_, object)| object.clone()));
        }
        all.retain(|object| selects(request.of("labelSelector").unwrap_or_default(), object));
        let from = request.number("continue").unwrap_or(0);
        let most = request.number("limit").unwrap_or(usize::MAX);
        let next = from.saturating_add(most);
        let token = if next < all.len() { next.to_string() } else { String::new() };
        let page: Vec<Value> = all.into_iter().skip(from).take(most).collect();
        json!({ "metadata": { "resourceVersion": version.to_string(), "continue": token },
            "items": page })
    }

    fn create(&mut self, collection: &str, mut object: Value) -> (u16, Value) {
        let namespace = collection.strip_prefix(NAMESPACES).and_then(|rest| rest.split('/').nth(1));
        let namespace = namespace.unwrap_or_default().to_owned();
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if !self.objects.contains_key(&(NAMESPACES.to_owned(), namespace.clone())) {
            return missing(NAMESPACES, &namespace);
        }
        let at = (collection.to_owned(), name.clone());
        if self.objects.contains_key(&at) {
            return status(409, "AlreadyExists", &format!("{name} already exists"));
        }
        if Self::is_pod(&at) {
            if let Some(full) = self.full(collection, &namespace) {
                return full;
            }
            let id = object["metadata"]["labels"]["flowforge.io/attempt-id"].as_str();
            *self.made.entry(id.unwrap_or_default().to_owned()).or_default() += 1;
            object["status"] = json!({ "phase": "Pending" });
        }
        begin(&mut object);
        object["metadata"]["namespace"] = json!(namespace);
        (201, self.put(&at, object, "ADDED"))
    }

    /// What a namespace answers whose quota has no room for a pod.
    fn full(&self, collection: &str, namespace: &str) -> Option<(u16, Value)> {
        let quotas = format!("{NAMESPACES}/{namespace}/resourcequotas");
        let quota = self.objects.iter().find(|(at, _)| at.0 == quotas)?.1;
        let most: usize = quota["spec"]["hard"]["pods"].as_str()?.parse().ok()?;
        let ended = |pod: &Value| {
            ["Failed", "Succeeded"].contains(&pod["status"]["phase"].as_str().unwrap_or(""))
        };
        let pods = self.objects.iter().filter(|(at, pod)| at.0 == collection && !ended(pod));
        (pods.count() >= most).then(|| {
            status(
                403,
                "Forbidden",
                "pods \"x\" is forbidden: exceeded quota: flowforge, requested: pods=1",
            )
        })
    }

    /// Server-side apply by the only one who does so.
    fn apply(&mut self, at: &(String, String), mut object: Value) -> Value {
        match self.objects.get(at) {
            Some(before) => object["metadata"]["uid"] = before["metadata"]["uid"].clone(),
            None => begin(&mut object),
        }
        self.put(at, object, "MODIFIED")
    }

    fn delete(&mut self, at: &(String, String), how: &Value) -> (u16, Value) {
        let Some(object) = self.objects.get(at).cloned() else { return missing(&at.0, &at.1) };
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default();
        if let Some(wanted) = how["preconditions"]["uid"].as_str().filter(|wanted| *wanted != uid) {
            let why = format!(
                "Precondition failed: UID in precondition: {wanted}, UID in object meta: {uid}"
            );
            return status(409, "Conflict", &why);
        }
        if at.0 == NAMESPACES {
            let inside = format!("{NAMESPACES}/{}/", at.1);
            let all: Vec<_> =
                self.objects.keys().filter(|at| at.0.starts_with(&inside)).cloned().collect();
            all.iter().for_each(|at| self.take(at));
        }
        if !Self::is_pod(at) {
            self.take(at);
            return (200, object);
        }
        let mut pod = object;
        if pod["metadata"]["deletionTimestamp"].is_null() {
            pod["metadata"]["deletionTimestamp"] = node::now();
            pod = self.put(at, pod, "MODIFIED");
        }
        (200, pod)
    }
}

fn begin(object: &mut Value) {
    object["metadata"]["uid"] = json!(Uuid::now_v7().to_string());
    object["metadata"]["creationTimestamp"] = node::now();
}

fn missing(collection: &str, name: &str) -> (u16, Value) {
    let plural = collection.rsplit('/').next().unwrap_or_default();
    let (code, mut body) = status(404, "NotFound", &format!("{plural} \"{name}\" not found"));
    body["details"] = json!({ "kind": plural, "name": name });
    (code, body)
}
