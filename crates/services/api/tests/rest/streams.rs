//! Following events and logs.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogLine, LogStore as _, Stream};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::server::{Server, get};

fn follow(path: &str, last: Option<&str>) -> Request<Body> {
    let mut request = get(path);
    let headers = request.headers_mut();
    headers.insert("accept", "text/event-stream".parse().unwrap());
    if let Some(last) = last {
        headers.insert("last-event-id", last.parse().unwrap());
    }
    request
}

/// Everything of a stream until it holds `until`, or is over.
async fn read(body: &mut Body, until: &str) -> String {
    let mut text = String::new();
    let mut whole = async || {
        while !text.contains(until) {
            let Some(frame) = body.frame().await else {
                return;
            };
            text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    };
    tokio::time::timeout(Duration::from_secs(20), whole()).await.expect("the stream stands still");
    text
}

fn ids(text: &str) -> Vec<u64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("id: "));
    lines.map(|id| id.parse().unwrap()).collect()
}

#[tokio::test]
async fn a_stream_of_events_has_no_gap_and_no_repeat_and_ends() {
    let server = Server::new();
    let id = server.workflow("a").await;
    let path = format!("/api/v1/workflows/{id}/events");
    let response = server.api.router().oneshot(follow(&path, None)).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let mut body = response.into_body();
    server.advance(id, 0, 3, WorkflowStatus::Running).await;
    let begun = read(&mut body, "id: 5\n").await;
    assert!(begun.starts_with("retry: "), "{begun}");
    assert_eq!(ids(&begun), [1, 2, 3, 4, 5]);
    drop(body);

    // The client comes back; meanwhile the workflow goes on.
    server.advance(id, 5, 3, WorkflowStatus::Succeeded).await;
    let response = server.api.router().oneshot(follow(&path, Some("3"))).await.unwrap();
    let rest = read(&mut response.into_body(), "never").await;
    assert_eq!(ids(&rest), [4, 5, 6, 7, 8, 9, 10]);
    assert!(rest.ends_with("event: end\ndata: {\"status\":\"SUCCEEDED\"}\n\n"), "{rest}");

    let response = server.api.router().oneshot(follow(&path, Some("10"))).await.unwrap();
    let nothing = read(&mut response.into_body(), "never").await;
    assert_eq!(ids(&nothing), [0_u64; 0]);
    assert!(nothing.contains("event: end"));
}

#[tokio::test]
async fn a_place_that_is_none_is_refused() {
    let server = Server::new();
    let id = server.workflow("a").await;
    let path = format!("/api/v1/workflows/{id}/events");
    for junk in ["-1", "1e3", "x", "", "99", "18446744073709551616", "0x1"] {
        let answer = server.send(follow(&path, Some(junk))).await;
        answer.is_problem(400, "bad_cursor");
    }
    let mut impossible = get(&path);
    impossible.headers_mut().insert("accept", "image/png".parse().unwrap());
    server.send(impossible).await.is_problem(406, "not_acceptable");
}

#[tokio::test]
async fn streams_are_counted_and_a_closed_one_makes_room() {
    let server = Server::with(|config| config.limits.streams = 2);
    let id = server.workflow("a").await;
    let path = format!("/api/v1/workflows/{id}/events");
    let open = async || server.api.router().oneshot(follow(&path, None)).await.unwrap();
    let first = open().await;
    let second = open().await;
    let third = server.send(follow(&path, None)).await;
    third.is_problem(429, "too_many_streams");
    assert_eq!(third.header("retry-after"), "2");
    drop(first);
    assert_eq!(open().await.status(), 200);
    drop(second);
}

#[tokio::test]
async fn quiet_streams_send_a_comment_now_and_then() {
    let server = Server::with(|config| config.limits.heartbeat = Duration::from_millis(5));
    let id = server.workflow("a").await;
    let path = format!("/api/v1/workflows/{id}/events");
    let response = server.api.router().oneshot(follow(&path, None)).await.unwrap();
    let text = read(&mut response.into_body(), ":\n\n").await;
    assert!(text.ends_with(":\n\n"), "{text}");
}

fn lines(from: u32, count: u32) -> Vec<LogLine> {
    let line = |n| LogLine {
        at: Timestamp(i64::from(n)),
        node: NodeIx(1 + n % 2),
        attempt: 1,
        stream: if n % 3 == 0 { Stream::Stderr } else { Stream::Stdout },
        text: format!("line {n} \u{1b}[31m"),
        cut: false,
    };
    (from..from + count).map(line).collect()
}

async fn with_lines(server: &Server, count: u32) -> (WorkflowId, String) {
    let id = server.workflow("a").await;
    server.advance(id, 0, 2, WorkflowStatus::Running).await;
    server.logs.append(id, &lines(1, count)).unwrap();
    (id, format!("/api/v1/workflows/{id}/logs"))
}

#[tokio::test]
async fn log_lines_come_in_pages_under_a_filter() {
    let server = Server::new();
    let (_, path) = with_lines(&server, 10).await;
    let page = server.send(get(&format!("{path}?limit=4&after=2"))).await.json();
    assert_eq!(page["items"][0]["cursor"], 3);
    assert_eq!(page["items"][0]["task"], "task-2(0:a/b)");
    assert_eq!(page["items"][0]["stream"], "stderr");
    assert_eq!((&page["next"], &page["end"]), (&6.into(), &false.into()));
    let page = server.send(get(&format!("{path}?task=task-1(0:a/b)&stream=stdout"))).await.json();
    let cursors: Vec<u64> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["cursor"].as_u64().unwrap())
        .collect();
    assert_eq!(cursors, [2, 4, 8, 10]);
    assert_eq!(page["end"], true);
    let page = server.send(get(&format!("{path}?contains=line%207"))).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let at = "since=1970-01-01T00:00:00.004Z&until=1970-01-01T00:00:00.005Z";
    let page = server.send(get(&format!("{path}?{at}"))).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    server.send(get(&format!("{path}?task=nope"))).await.is_problem(404, "not_found");
}

#[tokio::test]
async fn logs_can_be_had_as_text() {
    let server = Server::new();
    let (_, path) = with_lines(&server, 2500).await;
    let mut request = get(&path);
    request.headers_mut().insert("accept", "text/plain".parse().unwrap());
    let answer = server.send(request).await;
    assert_eq!(answer.text().lines().count(), 2500);
    assert!(answer.text().starts_with("task-2(0:a/b): line 1 \u{1b}[31m\n"));
}

#[tokio::test]
async fn a_stream_of_log_lines_follows_resumes_and_ends() {
    let server = Server::new();
    let (id, path) = with_lines(&server, 3).await;
    let response = server.api.router().oneshot(follow(&path, None)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(ids(&read(&mut body, "id: 3\n").await), [1, 2, 3]);
    server.logs.append(id, &lines(4, 2000)).unwrap();
    server.hub.logs_changed(id);
    let more = read(&mut body, "id: 2003\n").await;
    assert_eq!(ids(&more), (4..=2003).collect::<Vec<u64>>());
    drop(body);
    server.advance(id, 4, 2, WorkflowStatus::Failed).await;
    let response = server.api.router().oneshot(follow(&path, Some("3"))).await.unwrap();
    let rest = read(&mut response.into_body(), "never").await;
    assert_eq!(ids(&rest), (4..=2003).collect::<Vec<u64>>());
    assert!(rest.ends_with("event: end\ndata: {\"status\":\"FAILED\"}\n\n"));
}
