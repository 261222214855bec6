//! Commands against a server of a few lines that gives canned answers.

mod cron;
mod explain;
mod files;
mod fleet;
mod kept;
mod organization;

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use clap::Parser as _;
use serde_json::{Value, json};

use crate::args::Args;
use crate::endpoint::{Environment, Place};
use crate::output::{Context, Sink};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// What the server says, in the order in which it is asked.
#[derive(Clone)]
enum Say {
    /// A status and a body.
    Json(u16, Value),
    /// A text of this kind.
    Text(&'static str, String),
    /// A stream that ends with its text.
    Stream(String),
    /// Nothing: the connection is closed.
    HangUp,
}

/// A request as it came: its first line, its headers in lower case, its body.
#[derive(Clone, Debug)]
struct Asked {
    line: String,
    headers: Vec<String>,
    body: String,
}

struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Fake {
    fn new(answers: impl IntoIterator<Item = Say>) -> Self {
        Self::start(answers, false)
    }

    /// If `hanging`, streams of events are never answered, and are not counted as asked.
    fn start(answers: impl IntoIterator<Item = Say>, hanging: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<Say> = answers.into_iter().collect();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut held = Vec::new();
            while let Ok((mut socket, _)) = listener.accept() {
                let Some(asked) = read(&socket) else {
                    return;
                };
                if hanging && asked.line.contains("/events") {
                    held.push(socket);
                    continue;
                }
                log.lock().unwrap().push(asked);
                let Some(say) = answers.pop_front() else {
                    return;
                };
                answer(&mut socket, say);
            }
        });
        Self { url, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(socket: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let (mut headers, mut length) = (Vec::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length: ") {
            length = value.parse().ok()?;
        }
        headers.push(header);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { line: line.trim().to_owned(), headers, body: String::from_utf8(body).ok()? })
}

/// One answer per connection: their order is that of the requests.
fn answer(socket: &mut TcpStream, say: Say) {
    let (status, kind, body) = match say {
        Say::Json(status, value) => (status, "application/json", value.to_string()),
        Say::Text(kind, text) => (200, kind, text),
        Say::Stream(text) => (200, "text/event-stream", text),
        Say::HangUp => return,
    };
    let head = format!("HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
    socket.write_all((head + &body).as_bytes()).unwrap();
}

/// Exit code, standard output and standard error of a command line.
fn ffctl(server: &str, line: &str) -> (u8, String, String) {
    let words = ["ffctl", "--server", server, "--token", "secret"];
    let args = Args::try_parse_from(words.into_iter().chain(line.split(' '))).unwrap();
    let (out, stdout) = Sink::memory();
    let (err, stderr) = Sink::memory();
    let mut context = Context {
        place: Place::choose(&args.global, &Environment::default()),
        global: args.global,
        out,
        err,
    };
    let exit = crate::execute(&mut context, &args.command);
    (exit.code(), stdout.take(), stderr.take())
}

fn workflow(status: &str) -> Value {
    json!({
        "id": ID, "name": "demo", "project_id": "p", "status": status, "generation": 1,
        "priority": 0, "submitted_by": "me", "created_at": "2026-01-31T12:00:00.000Z", "seq": 7,
        "started_at": "2026-01-31T12:00:00.000Z", "finished_at": "2026-01-31T12:00:01.500Z",
        "outputs": {"answer": "42"}, "future_field": true,
    })
}

fn task(name: &str, status: &str) -> Value {
    json!({
        "id": "t", "node": 1, "name": name, "kind": "leaf", "template": "x", "status": status,
        "attempt": 1, "exit_code": 0, "outputs": {"result": "r"},
        "attempts": [{"number": 1, "started_at": null, "finished_at": null, "exit_code": 0}],
    })
}

fn problem(status: u16, code: &str) -> Say {
    let body = json!({
        "type": format!("/problems/{code}"), "title": "T", "status": status, "detail": "why \u{1b}[2J",
        "code": code, "request_id": "r",
    });
    Say::Json(status, body)
}

fn document() -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.yaml");
    std::fs::write(&path, "version: '1.0'\nentrypoint: nowhere\n").unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

#[test]
fn errors_of_the_server_become_the_documented_exit_codes() {
    for (status, code, exit) in [
        (401, "unauthorized", 4),
        (404, "not_found", 3),
        (409, "refused", 5),
        (422, "invalid_request", 2),
        (429, "too_many_streams", 7),
        (500, "internal", 8),
        (503, "unavailable", 8),
    ] {
        let server = Fake::new([problem(status, code)]);
        let (got, out, err) = ffctl(&server.url, &format!("get {ID}"));
        assert_eq!((got, &*out), (exit, ""), "{status}");
        assert_eq!(err, format!("error: why \\u{{1b}}[2J [{code}]\n"));
    }
    let server = Fake::new([Say::Json(502, json!("proxy"))]);
    assert_eq!(ffctl(&server.url, &format!("get {ID}")).0, 8);
    let server = Fake::new([Say::Json(200, json!({"hello": 1}))]);
    assert_eq!(ffctl(&server.url, &format!("get {ID}")).0, 8);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (exit, _, err) = ffctl(&format!("http://{closed}"), "list");
    assert_eq!(exit, 8);
    assert!(err.contains("hint: start one with `flowforge dev`"), "{err}");
}

#[test]
fn submit_and_wait_prints_one_object_and_exits_with_the_result() {
    for (status, exit) in [("SUCCEEDED", 0), ("FAILED", 1), ("CANCELLED", 1)] {
        let server = Fake::new([
            Say::Json(201, workflow("PENDING")),
            Say::Stream(": x\n\nevent: end\ndata: {}\n\n".to_owned()),
            Say::Json(200, workflow(status)),
            Say::Json(200, json!({"items": [task("a(0:x)", status)]})),
        ]);
        let (_dir, path) = document();
        let (got, out, err) = ffctl(&server.url, &format!("-o json submit {path} -p k=v --wait"));
        assert_eq!((got, &*err), (exit, ""));
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["status"], status);
        assert_eq!(value["reason"], Value::Null);
        assert_eq!(value["outputs"]["answer"], "42");
        assert_eq!(value["tasks"][0]["name"], "a(0:x)");
        assert_eq!(value["tasks"][0]["outputs"], json!({"result": "r"}));
        assert_eq!(value["tasks"][0]["attempts"][0]["number"], 1);
        let asked = server.asked();
        let body: Value = serde_json::from_str(&asked[0].body).unwrap();
        assert_eq!(body["parameters"], json!({"k": "v"}));
        assert!(body["dag_spec"].as_str().unwrap().contains("entrypoint"));
        assert!(asked[0].headers.iter().any(|h| h.starts_with("idempotency-key: ")));
        // Only what comes after the state we know.
        assert!(asked[1].headers.contains(&"last-event-id: 7".to_owned()));
        assert!(
            asked
                .iter()
                .all(|one| one.headers.contains(&"authorization: bearer secret".to_owned()))
        );
    }
}

#[test]
fn a_submission_that_broke_off_is_repeated_with_the_same_key() {
    let server =
        Fake::new([Say::HangUp, problem(503, "unavailable"), Say::Json(200, workflow("PENDING"))]);
    let (_dir, path) = document();
    let (exit, out, _) = ffctl(&server.url, &format!("submit {path}"));
    assert_eq!((exit, &*out), (0, &*format!("{ID}  demo  submitted\n")));
    let keys: Vec<_> = server
        .asked()
        .into_iter()
        .flat_map(|one| one.headers.into_iter().filter(|h| h.starts_with("idempotency-key")))
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.windows(2).all(|two| two[0] == two[1]), "{keys:?}");
}

#[test]
fn an_invalid_workflow_is_explained_in_the_file() {
    let Say::Json(_, mut body) = problem(422, "invalid_workflow") else { unreachable!() };
    body["errors"] = json!([{
        "pointer": "/entrypoint", "detail": "there is no template `nowhere`", "line": 2,
        "column": 13, "code": "unknown_template", "hint": "name a template",
    }]);
    let server = Fake::new([Say::Json(422, body)]);
    let (_dir, path) = document();
    let (exit, out, err) = ffctl(&server.url, &format!("submit {path} --wait"));
    assert_eq!((exit, &*out), (2, ""));
    insta::assert_snapshot!(err.replace(&path, "w.yaml"), @r"
    w.yaml:2:13: error: there is no template `nowhere` [unknown_template]
        2 | entrypoint: nowhere
          |             ^
            hint: name a template
    ");
}

#[test]
fn a_stream_that_is_cut_goes_on_behind_what_was_seen() {
    let event = |seq: u32, task: &str, status: &str| {
        let event = json!({
            "seq": seq, "at": "2026-01-31T12:00:00.000Z", "type": "task", "status": status,
            "task": task, "node": 1, "attempt": 1,
        });
        format!("event: task\nid: {seq}\ndata: {event}\n\n")
    };
    let first = event(1, "a", "PENDING") + &event(2, "a", "RUNNING") + "id: 3\ndata: {\"cut";
    let second = event(3, "a", "SUCCEEDED") + "event: end\ndata: {}\n\n";
    let server = Fake::new([
        Say::Json(200, workflow("RUNNING")),
        Say::Stream(first),
        Say::HangUp,
        problem(503, "unavailable"),
        Say::Stream(second),
        Say::Json(200, workflow("SUCCEEDED")),
    ]);
    let (exit, out, err) = ffctl(&server.url, &format!("watch {ID}"));
    assert_eq!(exit, 0, "{err}");
    insta::assert_snapshot!(out, @r"
    2026-01-31T12:00:00.000Z  RUNNING    a
    2026-01-31T12:00:00.000Z  SUCCEEDED  a
    ");
    assert_eq!(err.matches("trying again").count(), 1);
    let asked = server.asked();
    assert!(asked[2].headers.contains(&"last-event-id: 2".to_owned()));
    assert!(asked[4].headers.contains(&"last-event-id: 2".to_owned()));
}

#[test]
fn waiting_ends_when_the_time_is_up_and_the_workflow_goes_on() {
    let mut running = workflow("RUNNING");
    running["finished_at"] = Value::Null;
    let server = Fake::start([Say::Json(201, workflow("PENDING")), Say::Json(200, running)], true);
    let (_dir, path) = document();
    let (exit, out, err) = ffctl(&server.url, &format!("submit {path} --timeout 1ms"));
    assert_eq!((exit, &*out), (124, ""));
    assert!(err.starts_with("still RUNNING; the workflow goes on"), "{err}");
    assert!(server.asked().iter().all(|one| !one.line.contains("cancel")));
}

#[test]
fn a_workflow_that_ends_as_the_time_does_has_its_own_result() {
    let server = Fake::start(
        [
            Say::Json(201, workflow("PENDING")),
            Say::Json(200, workflow("FAILED")),
            Say::Json(200, json!({"items": []})),
        ],
        true,
    );
    let (_dir, path) = document();
    let (exit, out, err) = ffctl(&server.url, &format!("submit {path} --timeout 1ms"));
    assert_eq!((exit, &*err), (1, ""));
    assert!(out.contains("FAILED"), "{out}");
}

#[test]
fn names_and_beginnings_of_ids_are_resolved() {
    let row = |id: &str, name: &str| {
        let mut row = workflow("RUNNING");
        row["id"] = id.into();
        row["name"] = name.into();
        row
    };
    let rows = json!({"items": [row("aaaa-1", "x"), row("aaaa-2", "y"), row("ab00-3", "z")]});
    let one = |text: &str, answers: Vec<Say>| {
        let server = Fake::new(answers);
        let (exit, out, err) = ffctl(&server.url, &format!("-o name get {text}"));
        (exit, out + &err, server.asked().pop().unwrap().line)
    };
    let found = vec![
        Say::Json(200, rows.clone()),
        Say::Json(200, row("ab00-3", "z")),
        Say::Json(200, json!({"items": []})),
    ];
    assert_eq!(one("AB", found).1, "ab00-3\n");
    let (exit, text, _) = one("aaa", vec![Say::Json(200, rows)]);
    assert_eq!(exit, 2);
    assert!(text.contains("aaaa-1 (x), aaaa-2 (y)"), "{text}");
    let (exit, _, line) = one("@latest", vec![Say::Json(200, json!({"items": []}))]);
    assert_eq!(exit, 3);
    assert_eq!(line, "GET /api/v1/workflows?limit=1 HTTP/1.1");
    // The server filters by beginnings; what is wanted is the newest of exactly this name.
    let rows = json!({"items": [row("1", "demo-2"), row("2", "demo"), row("3", "demo")]});
    let tasks = Say::Json(200, json!({"items": []}));
    let found = vec![Say::Json(200, rows), Say::Json(200, row("2", "demo")), tasks];
    let (exit, text, line) = one("demo", found);
    assert_eq!((exit, &*text), (0, "2\n"));
    assert_eq!(line, "GET /api/v1/workflows/2/tasks?limit=1000 HTTP/1.1");
}

#[test]
fn lists_are_read_page_by_page_and_hostile_names_stay_in_their_cell() {
    let mut evil = workflow("FAILED");
    evil["name"] = "a\u{1b}[31m\nb".into();
    let server = Fake::new([
        Say::Json(200, json!({"items": [workflow("RUNNING")], "next_cursor": "c1"})),
        Say::Json(200, json!({"items": [evil]})),
    ]);
    let (exit, out, _) = ffctl(&server.url, "list --all --label a=b --status failed,running");
    assert_eq!(exit, 0);
    assert_eq!(out.lines().count(), 3, "{out}");
    assert!(out.contains("a\\u{1b}[31m\\nb"), "{out}");
    let lines: Vec<_> = server.asked().into_iter().map(|one| one.line).collect();
    let query = "GET /api/v1/workflows?limit=1000&status=FAILED%2CRUNNING&label=a%3Db";
    assert_eq!(lines[0], format!("{query} HTTP/1.1"));
    assert_eq!(lines[1], format!("{query}&cursor=c1 HTTP/1.1"));
}

#[test]
fn one_workflow_that_cannot_be_cancelled_does_not_stop_the_others() {
    let server = Fake::new([
        problem(404, "not_found"),
        Say::Json(200, workflow("RUNNING")),
        Say::Json(202, workflow("RUNNING")),
    ]);
    let (exit, out, err) = ffctl(&server.url, &format!("cancel {ID} {ID}"));
    assert_eq!(exit, 3);
    assert_eq!(out, format!("{ID}  demo  cancel requested\n"));
    assert!(err.contains("not_found"));
    assert_eq!(server.asked()[2].line, format!("POST /api/v1/workflows/{ID}/cancel HTTP/1.1"));
}

#[test]
fn the_tail_of_a_log_is_its_last_lines_over_all_pages() {
    let line = |n: u64| {
        json!({"cursor": n, "at": "2026-01-31T12:00:00.000Z", "task": "a", "attempt": 1,
            "stream": "stdout", "text": format!("line {n}")})
    };
    let server = Fake::new([
        Say::Json(200, workflow("SUCCEEDED")),
        Say::Json(200, json!({"items": [line(1), line(2)], "next": 2, "end": false})),
        Say::Json(200, json!({"items": [line(3)], "next": 3, "end": true})),
    ]);
    let (exit, out, _) = ffctl(&server.url, &format!("logs {ID} --tail 2 --grep line"));
    assert_eq!((exit, &*out), (0, "[a] line 2\n[a] line 3\n"));
    let lines: Vec<_> = server.asked().into_iter().map(|one| one.line).collect();
    let path = format!("GET /api/v1/workflows/{ID}/logs?contains=line&limit=1000");
    assert_eq!(lines[2], format!("{path}&after=2 HTTP/1.1"));
}

#[test]
fn lint_needs_no_server_and_ends_with_2_if_any_file_is_invalid() {
    let (_dir, path) = document();
    let (exit, out, err) = ffctl("http://127.0.0.1:1", &format!("lint {path}"));
    assert_eq!((exit, &*err), (2, ""));
    assert!(out.starts_with(&format!("{path}:")), "{out}");
    let good =
        "version: '1.0'\nentrypoint: a\ntemplates: {a: {container: {image: x, command: [ls]}}}\n";
    std::fs::write(&path, good).unwrap();
    let (exit, out, _) = ffctl("http://127.0.0.1:1", &format!("lint {path}"));
    assert_eq!((exit, out), (0, format!("{path}: valid\n")));
    let (exit, out, _) = ffctl("http://127.0.0.1:1", &format!("-o json lint {path}"));
    let value: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((exit, &value[0]["ok"]), (0, &json!(true)));
}
