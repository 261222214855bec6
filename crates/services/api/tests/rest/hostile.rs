//! Hostile requests: a problem with a stable code, nothing stored, nothing executed.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures_util::stream;

use crate::server::{Server, get, post, request};

const JSON: Option<&str> = Some("application/json");

/// Content type, body, status and code of the answer.
type Row<'a> = (Option<&'a str>, &'a str, u16, &'a str);

const BODIES: &[Row<'static>] = &[
    // H9
    (None, "{}", 415, "unsupported_media_type"),
    (Some("text/xml"), "<a/>", 415, "unsupported_media_type"),
    (Some("application/x-www-form-urlencoded"), "{}", 415, "unsupported_media_type"),
    (Some("application/json; charset=utf-7"), "{}", 415, "unsupported_media_type"),
    (JSON, "\u{feff}{}", 400, "malformed_json"),
    // H17
    (JSON, r#"{"dag_spec":"\ud800"}"#, 400, "malformed_json"),
    (JSON, r#"{"dag_spec":"a\u0000b"}"#, 400, "malformed_json"),
    // H18
    (JSON, r#"{"dag_spec":{},"dag_spec":{}}"#, 400, "malformed_json"),
    (JSON, r#"{"dag_spec":{"a":1,"a":2}}"#, 400, "malformed_json"),
    (JSON, r#"{"dag_spec":{}} x"#, 400, "malformed_json"),
    (JSON, "// x\n{}", 400, "malformed_json"),
    (JSON, "", 400, "malformed_json"),
    // H19
    (JSON, r#"{"dag_spec":{},"priority":1e999}"#, 400, "malformed_json"),
    (JSON, r#"{"dag_spec":{},"priority":NaN}"#, 400, "malformed_json"),
    (JSON, r#"{"dag_spec":{},"priority":0x10}"#, 400, "malformed_json"),
    (JSON, r#"{"dag_spec":{},"priority":1.0}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"priority":4294967296}"#, 400, "invalid_request"),
    // H20, H21
    (JSON, "[]", 400, "invalid_request"),
    (JSON, "null", 400, "invalid_request"),
    (JSON, r#"{"dag_spec":null}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":7}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"name":[]}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"labels":{"a":1}}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"parameters":{"a":{}}}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"tenant_id":"x"}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"status":"SUCCEEDED"}"#, 400, "invalid_request"),
    (JSON, r#"{"dag_spec":{},"submitted_by":"root"}"#, 400, "invalid_request"),
    // H30
    (JSON, r#"{"dag_spec":{},"name":"a\nb"}"#, 422, "invalid_workflow"),
    (JSON, "{\"dag_spec\":{},\"name\":\"a\u{202e}b\"}", 422, "invalid_workflow"),
];

#[tokio::test]
async fn hostile_bodies_are_refused_and_nothing_is_stored() {
    let server = Server::new();
    let deep = format!("{{\"dag_spec\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let keys = (0..100_000).map(|n| format!("\"k{n}\":1,")).collect::<String>();
    let many = format!("{{{keys}\"dag_spec\":{{}}}}");
    let large: &[Row<'_>] =
        &[(JSON, &deep, 400, "malformed_json"), (JSON, &many, 400, "malformed_json")];
    for route in ["/api/v1/workflows", "/api/v1/lint"] {
        for &(kind, body, status, code) in BODIES.iter().chain(large) {
            let answer = server.send(request(Method::POST, route, kind, body)).await;
            if route.ends_with("lint") && status != 415 {
                assert_eq!(answer.status, 200);
                assert_eq!(answer.json()["ok"], false);
            } else {
                answer.is_problem(status, code);
            }
        }
    }
    let list = server.send(get("/api/v1/workflows")).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 0);
    assert!(server.nudged.lock().unwrap().is_empty());
}

#[tokio::test]
async fn bytes_that_are_not_utf_8_are_refused() {
    let server = Server::new();
    for kind in ["application/json", "application/yaml"] {
        let mut request = request(Method::POST, "/api/v1/workflows", Some(kind), "");
        *request.body_mut() = Body::from(&b"{\"dag_spec\": \"\xff\"}"[..]);
        server.send(request).await.is_problem(400, "bad_request");
    }
}

#[tokio::test]
async fn compressed_bodies_are_refused_unread() {
    let server = Server::new();
    for encoding in ["gzip", "br", "zstd", "gzip, gzip", "nope"] {
        let mut request = post("/api/v1/workflows", "{}");
        request.headers_mut().insert("content-encoding", encoding.parse().unwrap());
        server.send(request).await.is_problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_not_read_on() {
    let server = Server::new();
    let pulled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&pulled);
    let piece = Bytes::from(vec![b' '; 64 * 1024]);
    let endless = stream::repeat_with(move || {
        count.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(piece.clone())
    });
    let mut chunked = post("/api/v1/workflows", "");
    *chunked.body_mut() = Body::from_stream(endless);
    server.send(chunked).await.is_problem(413, "too_large");
    assert_eq!(pulled.load(Ordering::Relaxed), 16 * 16 + 1);

    let mut announced = post("/api/v1/workflows", "");
    announced.headers_mut().insert("content-length", "10000000000".parse().unwrap());
    *announced.body_mut() = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    server.send(announced).await.is_problem(413, "too_large");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let server = Server::with(|config| {
        config.limits.body_timeout = std::time::Duration::from_millis(10);
    });
    let mut request = post("/api/v1/workflows", "");
    *request.body_mut() = Body::from_stream(stream::pending::<Result<Bytes, Infallible>>());
    server.send(request).await.is_problem(408, "request_timeout");
}

#[tokio::test]
async fn ids_are_read_strictly() {
    let server = Server::new();
    let id = server.workflow("a").await;
    for bad in [
        id.to_string().to_uppercase(),
        id.0.simple().to_string(),
        format!("{{{id}}}").replace('{', "%7B").replace('}', "%7D"),
        format!("{id}%00"),
        "%ff".to_owned(),
        "x".repeat(10_000),
        "1".to_owned(),
    ] {
        let path = format!("/api/v1/workflows/{bad}");
        server.send(get(&path)).await.is_problem(404, "not_found");
    }
}

#[tokio::test]
async fn pages_and_filters_are_read_strictly() {
    let server = Server::new();
    let id = server.workflow("a").await;
    for query in [
        "limit=0",
        "limit=-1",
        "limit=1001",
        "limit=1e3",
        "limit=NaN",
        "limit=%D9%A3",
        "limit=",
        "status=DONE",
        "status=failed",
        "label=x",
        "name=a&name=b",
        "name=%00",
        "limit=5&limit=6",
    ] {
        let answer = server.send(get(&format!("/api/v1/workflows?{query}"))).await;
        let problem = answer.is_problem(400, "bad_parameter");
        let name = query.split('=').next().unwrap();
        assert_eq!(problem["errors"][0]["pointer"], format!("?{name}"));
    }
    for query in [
        "attempt=0",
        "attempt=-1",
        "stream=std",
        "since=yesterday",
        "after=-1",
        "since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
    ] {
        let answer = server.send(get(&format!("/api/v1/workflows/{id}/logs?{query}"))).await;
        answer.is_problem(400, "bad_parameter");
    }
}

#[tokio::test]
async fn idempotency_keys_are_short_and_visible() {
    let server = Server::new();
    for bad in ["", " ", "a b", &"x".repeat(256), "é"] {
        let mut request = post("/api/v1/workflows", "{}");
        let value = axum::http::HeaderValue::from_bytes(bad.as_bytes()).unwrap();
        request.headers_mut().insert("idempotency-key", value);
        server.send(request).await.is_problem(400, "bad_idempotency_key");
    }
}
