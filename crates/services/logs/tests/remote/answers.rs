//! What the service answers to those who may not, and to what is wrong.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use flowforge_logstore::{Aggregator, MemoryLogs, RemoteLogs};
use flowforge_model::id::InstanceId;
use flowforge_ports::logs::{Intake as _, LogCursor, LogQuery, LogStore, Shipment};
use uuid::Uuid;

use crate::conforms::{ALL, line, workflow};
use crate::{ROOMY, Served, TOKEN};

/// Status and body of the answer to a request over a connection of its own.
fn ask(served: &Served, method: &str, path: &str, token: &str, body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(served.address).unwrap();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

#[test]
fn everything_that_is_wrong_is_a_problem_with_a_code_and_stores_nothing() {
    let logs = Arc::new(MemoryLogs::new());
    let served = Served::start(Arc::<MemoryLogs>::clone(&logs));
    let id = workflow(1);
    let one = |seq: u64, text: &str| {
        format!(
            "{{\"workflow\":\"{id}\",\"seq\":{seq},\"lines\":[{}]}}",
            serde_json::to_string(&line(1, 0, text)).unwrap()
        )
    };
    let sent = |shipments: &[String]| {
        format!("{{\"source\":\"{id}\",\"shipments\":[{}]}}", shipments.join(","))
    };
    let good = sent(&[one(1, "good")]);
    let many: Vec<_> = (1..=1001).map(|seq| one(seq, "x")).collect();
    let ship = "/v1/shipments";
    let read = format!("/v1/workflows/{id}/read");
    let huge = "x".repeat(3 * 1024 * 1024);
    let cases: &[(&str, &str, &str, &str, u16, &str)] = &[
        ("POST", ship, "wrong", &good, 401, "unauthorized"),
        ("POST", ship, "", &good, 401, "unauthorized"),
        ("POST", &read, "wrong", "{}", 401, "unauthorized"),
        ("DELETE", "/v1/workflows/x", "wrong", "", 401, "unauthorized"),
        ("GET", "/v1/ready", "wrong", "", 401, "unauthorized"),
        ("DELETE", "/v1/workflows/x", TOKEN, "", 404, "not_found"),
        ("GET", "/v1/other", TOKEN, "", 404, "not_found"),
        ("POST", ship, TOKEN, "{", 422, "invalid_request"),
        ("POST", ship, TOKEN, "{}", 422, "invalid_request"),
        (
            "POST",
            &read,
            TOKEN,
            "{\"query\":{\"nodes\":1},\"after\":0,\"limit\":1}",
            422,
            "invalid_request",
        ),
        ("POST", ship, TOKEN, &sent(&many), 422, "invalid_request"),
        (
            "POST",
            ship,
            TOKEN,
            &sent(&[one(1, "fits"), one(2, &"x".repeat(16 * 1024 + 1))]),
            422,
            "invalid_request",
        ),
        ("POST", ship, TOKEN, &sent(&[one(0, "x")]), 422, "invalid_request"),
        ("POST", ship, TOKEN, &sent(&[one(u64::MAX, "x")]), 422, "invalid_request"),
        ("POST", ship, TOKEN, &huge, 413, "too_large"),
    ];
    for (method, path, token, body, status, code) in cases {
        let (found, answer) = ask(&served, method, path, token, body);
        assert_eq!(found, *status, "{method} {path}: {answer}");
        let problem: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(problem["code"], *code, "{method} {path}");
    }
    let page = logs.read(id, &LogQuery::default(), LogCursor(0), ALL).unwrap();
    assert!(page.lines.is_empty());
    assert_eq!(ask(&served, "GET", "/readyz", "", "").0, 200);
    assert_eq!(ask(&served, "POST", ship, TOKEN, &good).0, 200);
}

#[test]
fn a_page_is_bounded_in_lines_and_bytes_and_a_reader_gets_all() {
    let logs = Arc::new(MemoryLogs::new());
    let served = Served::start(Arc::<MemoryLogs>::clone(&logs));
    let worst = "\u{1}".repeat(16 * 1024);
    let lines: Vec<_> = (0..2500).map(|n| line(n, 0, if n < 300 { &worst } else { "x" })).collect();
    logs.append(workflow(1), &lines).unwrap();
    let remote = RemoteLogs::reader(served.aggregator());
    let page = remote.read(workflow(1), &LogQuery::default(), LogCursor(0), ALL).unwrap();
    assert!(page.end && page.lines.into_iter().map(|(_, line)| line).eq(lines));
    let page = remote.read(workflow(1), &LogQuery::default(), LogCursor(2), 7).unwrap();
    assert_eq!((page.lines.len(), page.next, page.end), (7, LogCursor(9), false));
    let body = "{\"query\":{},\"after\":0,\"limit\":5000}";
    let path = format!("/v1/workflows/{}/read", workflow(1));
    let (_, answer) = ask(&served, "POST", &path, TOKEN, body);
    assert!(answer.len() < 7 * 1024 * 1024, "{} bytes", answer.len());
}

#[test]
fn a_wrong_token_lets_nothing_through_and_loses_nothing() {
    let logs = Arc::new(MemoryLogs::new());
    let served = Served::start(Arc::<MemoryLogs>::clone(&logs));
    let spool = tempfile::tempdir().unwrap();
    let wrong = Aggregator::new(&format!("http://{}", served.address), "wrong");
    let remote = RemoteLogs::open(wrong, spool.path(), ROOMY).unwrap();
    remote.append(workflow(1), &[line(1, 0, "kept")]).unwrap();
    let refused = remote.read(workflow(1), &LogQuery::default(), LogCursor(0), 1).unwrap_err();
    assert!(refused.to_string().contains("logs.token_file"), "{refused}");
    assert!(remote.ready().is_err() && remote.delete(workflow(1)).is_err());
    assert!(!remote.settled(std::time::Duration::from_millis(300)));
    drop(remote);
    assert!(
        logs.read(workflow(1), &LogQuery::default(), LogCursor(0), 1).unwrap().lines.is_empty()
    );
    let right = RemoteLogs::open(served.aggregator(), spool.path(), ROOMY).unwrap();
    assert!(right.ready().is_ok() && right.settled(crate::PATIENCE));
    let page = right.read(workflow(1), &LogQuery::default(), LogCursor(0), 9).unwrap();
    assert_eq!(page.lines.len(), 1);
}

/// An API server hands on what a pod has numbered; it may do so twice.
#[test]
fn what_others_number_comes_through_once() {
    let logs = Arc::new(MemoryLogs::new());
    let served = Served::start(Arc::<MemoryLogs>::clone(&logs));
    let remote = RemoteLogs::reader(served.aggregator());
    let source = InstanceId(Uuid::from_u128(7));
    let shipment = |seq, texts: &[&str]| {
        let lines = texts.iter().map(|text| line(1, 0, text)).collect();
        Shipment { workflow: workflow(1), seq, lines }
    };
    remote.take_in(source, &shipment(1, &["a", "b"])).unwrap();
    remote.take_in(source, &shipment(1, &["a", "b"])).unwrap();
    remote.take_in(source, &shipment(2, &["b", "c"])).unwrap();
    let page = logs.read(workflow(1), &LogQuery::default(), LogCursor(0), ALL).unwrap();
    let texts: Vec<_> = page.lines.into_iter().map(|(_, line)| line.text).collect();
    assert_eq!(texts, ["a", "b", "c"]);
    let address = served.kill();
    let away = RemoteLogs::reader(Aggregator::new(&format!("http://{address}"), TOKEN));
    assert!(away.take_in(source, &shipment(4, &["d"])).is_err());
}
