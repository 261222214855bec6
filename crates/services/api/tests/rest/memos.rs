//! Remembered outputs.

use axum::http::Method;
use flowforge_model::artifact::{Archive, Artifact, Location};
use flowforge_model::event::Outputs;
use flowforge_ports::store::MemoWrite;
use serde_json::json;

use crate::server::{Server, get, request};

fn memo(cache: &str, key: &str) -> MemoWrite {
    let location = Location::Repository { key: "a/b".to_owned() };
    let artifact = Artifact { location, archive: Archive::TarGz, sub_path: None };
    MemoWrite {
        cache: cache.to_owned(),
        key: key.to_owned(),
        outputs: Outputs {
            parameters: vec![("rows".to_owned(), "9".to_owned())],
            artifacts: vec![("data".to_owned(), artifact)],
            ..Outputs::default()
        },
    }
}

#[tokio::test]
async fn caches_and_what_they_remember_are_shown() {
    let server = Server::new();
    let id = server.workflow("one").await;
    let memos = vec![memo("c", "x"), memo("c", "y z/\u{e4}"), memo("d e", "x")];
    server.keep(id, Vec::new(), memos).await;
    let page = server.send(get("/api/v1/memos?limit=1")).await.json();
    assert_eq!((&page["items"][0]["name"], &page["items"][0]["memos"]), (&json!("c"), &json!(2)));
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = server.send(get(&format!("/api/v1/memos?limit=1&cursor={cursor}"))).await.json();
    assert_eq!(page["items"][0]["name"], "d e");
    let page = server.send(get("/api/v1/memos/c?limit=1")).await.json();
    assert_eq!(
        page["items"][0],
        json!({
            "key": "x", "at": "1970-01-01T00:00:03.000Z", "workflow_id": id.to_string(),
            "outputs": {"rows": "9"},
            "artifacts": [
                {"name": "data", "store": "repository", "key": "a/b", "archive": "tar_gz"}],
        })
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let page = server.send(get(&format!("/api/v1/memos/c?limit=1&cursor={cursor}"))).await.json();
    assert_eq!(page["items"][0]["key"], "y z/\u{e4}");
    assert_eq!(page["next_cursor"], json!(null));
    assert_eq!(server.send(get("/api/v1/memos/d%20e")).await.json()["items"][0]["key"], "x");
    assert_eq!(server.send(get("/api/v1/memos/nope")).await.json()["items"], json!([]));
}

#[tokio::test]
async fn one_key_or_a_whole_cache_is_forgotten() {
    let server = Server::new();
    let id = server.workflow("one").await;
    let memos = vec![memo("c", "x y"), memo("c", "y"), memo("c", "z"), memo("d", "x")];
    server.keep(id, Vec::new(), memos).await;
    let forget = async |path: &str| {
        let answer = server.send(request(Method::DELETE, path, None, "")).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["forgotten"].as_u64().unwrap()
    };
    assert_eq!(forget("/api/v1/memos/c?key=x%20y").await, 1);
    assert_eq!(forget("/api/v1/memos/c?key=x%20y").await, 0);
    assert_eq!(forget("/api/v1/memos/c").await, 2);
    let page = server.send(get("/api/v1/memos")).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let other = server.send(request(Method::DELETE, "/api/v1/memos/d?project_id=no", None, ""));
    other.await.is_problem(400, "bad_parameter");
}
