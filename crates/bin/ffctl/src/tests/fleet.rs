//! `servers` and `dead-letter`.

use serde_json::json;

use super::{Fake, ID, Say, ffctl, problem};

#[test]
fn servers_are_shown_with_their_roles() {
    let row = json!({"id": ID, "role": "executor", "name": "host:7", "version": "0.1.0"});
    let server =
        Fake::new([Say::Json(200, json!({"items": [row]})), Say::Json(200, json!({"items": []}))]);
    let (exit, out, err) = ffctl(&server.url, "servers");
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("executor") && out.contains("host:7"), "{out}");
    let (exit, out, err) = ffctl(&server.url, "servers");
    assert_eq!((exit, &*out), (0, ""));
    assert!(err.contains("no server says"), "{err}");
}

#[test]
fn dead_letters_are_listed_shown_and_redriven() {
    let attempt =
        json!({"workflow_id": ID, "node": 3, "attempt": 2, "sent_at": "2023-11-14T22:13:20.000Z"});
    let letter = json!({"id": "17-0", "reason": "taken too often", "buried_at": "2023-11-14T22:13:20.000Z", "attempts": [attempt]});
    let outcome = json!({"workflow_id": ID, "node": 3, "attempt": 2, "outcome": "retried"});
    let server = Fake::new([
        Say::Json(200, json!({"items": [letter]})),
        Say::Json(200, letter),
        Say::Json(200, json!({"attempts": [outcome]})),
        problem(404, "not_found"),
    ]);
    let (exit, out, err) = ffctl(&server.url, "dead-letter list");
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("17-0") && out.contains("taken too often"), "{out}");
    let (_, out, _) = ffctl(&server.url, "dead-letter get 17-0");
    assert!(out.contains("taken too often") && out.contains(ID), "{out}");
    let (_, out, _) = ffctl(&server.url, "dead-letter redrive 17-0");
    assert!(out.contains("retried"), "{out}");
    assert_eq!(ffctl(&server.url, "dead-letter redrive 17/0").0, 3);
    let asked = server.asked();
    assert!(asked[2].line.starts_with("POST /api/v1/dead-letters/17-0/redrive "));
    assert!(asked[3].line.starts_with("POST /api/v1/dead-letters/17%2F0/redrive "));
}
