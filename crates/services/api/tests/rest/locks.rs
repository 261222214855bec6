//! Locks: who holds them, who waits.

use flowforge_model::id::NodeIx;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{LockRow, LockWrite};
use serde_json::json;

use crate::server::{Server, get};

fn lock(node: u32, key: &str, held: bool) -> LockWrite {
    let row = LockRow {
        node: NodeIx(node),
        key: key.to_owned(),
        limit: 1,
        held,
        since: Timestamp(1_700_000_000_000),
    };
    LockWrite { node: NodeIx(node), rows: vec![row] }
}

#[tokio::test]
async fn a_lock_shows_its_holders_and_waiters() {
    let server = Server::new();
    let (one, two) = (server.workflow("one").await, server.workflow("two").await);
    server.advance(one, 0, 1, WorkflowStatus::Running).await;
    server.keep(one, vec![lock(1, "mutex/default/m", true)], Vec::new()).await;
    server.keep(two, vec![lock(0, "mutex/default/m", false)], Vec::new()).await;
    let page = server.send(get("/api/v1/locks")).await.json();
    assert_eq!(
        page,
        json!({"items": [{
            "key": "mutex/default/m", "limit": 1, "holding": 1, "waiting": 1,
            "holders": [{"workflow_id": one.to_string(), "workflow_name": "one", "task": "task-1(0:a/b)",
                "node": 1, "since": "2023-11-14T22:13:20.000Z"}],
            "waiters": [{"workflow_id": two.to_string(), "workflow_name": "two", "task": "",
                "node": 0, "since": "2023-11-14T22:13:20.000Z"}],
        }]})
    );
}

#[tokio::test]
async fn locks_come_in_pages_and_of_one_workflow() {
    let server = Server::new();
    let (one, two) = (server.workflow("one").await, server.workflow("two").await);
    let all = ["a", "b", "c"].into_iter().zip(0..);
    server.keep(one, all.map(|(key, node)| lock(node, key, true)).collect(), Vec::new()).await;
    server.keep(two, vec![lock(0, "b", false)], Vec::new()).await;
    let mut path = "/api/v1/locks?limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = server.send(get(&path)).await.json();
        for lock in page["items"].as_array().unwrap() {
            seen.push(lock["key"].as_str().unwrap().to_owned());
        }
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/api/v1/locks?limit=2&cursor={cursor}");
    }
    assert_eq!(seen, ["a", "b", "c"]);
    let page = server.send(get(&format!("/api/v1/locks?workflow_id={two}"))).await.json();
    assert_eq!(page["items"][0]["key"], "b");
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let bad = server.send(get("/api/v1/locks?workflow_id=two")).await;
    bad.is_problem(400, "bad_parameter");
}
