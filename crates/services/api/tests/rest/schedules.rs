//! Schedules over HTTP.

use flowforge_model::id::EntityId;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use flowforge_ports::schedules::{Firing, Schedules as _};

use crate::server::{Server, get, request};

const CRON: &str = "\
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly, labels: {team: data}}
spec:
  schedules: ['0 2 * * *']
  timezone: Europe/Berlin
  concurrencyPolicy: Forbid
  workflowSpec:
    entrypoint: main
    templates:
      - name: main
        container: {image: busybox, command: ['true']}
";

async fn apply(server: &Server, document: &str) -> crate::server::Answer {
    let kind = Some("application/yaml");
    server.send(request(Method::POST, "/api/v1/schedules", kind, document)).await
}

async fn put(server: &Server, path: &str) -> crate::server::Answer {
    server.send(request(Method::PUT, path, None, "")).await
}

#[tokio::test]
async fn a_schedule_is_created_shown_and_replaced() {
    let changed = Arc::new(Mutex::new(0));
    let count = Arc::clone(&changed);
    let server = Server::with(|config| {
        config.schedule_changed = Arc::new(move |_| *count.lock().unwrap() += 1);
    });
    let answer = apply(&server, CRON).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let made = answer.json();
    assert_eq!(
        answer.header("location"),
        format!("/api/v1/schedules/{}", made["id"].as_str().unwrap())
    );
    assert_eq!((&made["name"], &made["status"]), (&"nightly".into(), &"ACTIVE".into()));
    assert_eq!(
        (&made["concurrency"], &made["timezone"]),
        (&"forbid".into(), &"Europe/Berlin".into())
    );
    assert_eq!(made["cron"], serde_json::json!(["0 2 * * *"]));
    assert_eq!(made["labels"]["team"], "data");
    assert_eq!(made["upcoming"].as_array().unwrap().len(), 10);
    assert_eq!(made["next_at"], made["upcoming"][0]);
    for which in ["nightly", made["id"].as_str().unwrap()] {
        let shown = server.send(get(&format!("/api/v1/schedules/{which}"))).await.json();
        assert_eq!(shown["id"], made["id"]);
    }
    let answer = apply(&server, &CRON.replace("0 2", "0 3")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["id"], made["id"]);
    assert_eq!(answer.json()["cron"], serde_json::json!(["0 3 * * *"]));
    assert_eq!(answer.json()["created_at"], made["created_at"]);
    let document = server.send(get("/api/v1/schedules/nightly/document")).await;
    assert_eq!(document.text(), CRON.replace("0 2", "0 3"));
    assert_eq!(*changed.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_wrong_document_is_refused_with_places_and_nothing_is_stored() {
    let server = Server::new();
    let wrong =
        CRON.replace("0 2 * * *", "0 0 2 * * *").replace("entrypoint: main", "entrypoint: x");
    let problem = apply(&server, &wrong).await.is_problem(422, "invalid_workflow");
    let places: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|one| &one["pointer"]).collect();
    assert_eq!(places, ["/spec/schedules/0", "/spec/workflowSpec/entrypoint"]);
    assert_eq!(problem["errors"][0]["line"], 5);
    server.send(get("/api/v1/schedules/nightly")).await.is_problem(404, "not_found");
    let elsewhere = request(
        Method::POST,
        "/api/v1/schedules?project_id=nowhere",
        Some("application/yaml"),
        CRON,
    );
    server.send(elsewhere).await.is_problem(400, "bad_parameter");
}

#[tokio::test]
async fn a_schedule_is_suspended_until_resumed_also_across_a_new_document() {
    let server = Server::new();
    apply(&server, CRON).await;
    let held = put(&server, "/api/v1/schedules/nightly/suspend").await.json();
    assert_eq!((&held["status"], held.get("next_at")), (&"SUSPENDED".into(), None));
    assert_eq!(held.get("upcoming"), None);
    let again = put(&server, "/api/v1/schedules/nightly/suspend").await;
    assert_eq!(again.status, 200);
    let replaced = apply(&server, &CRON.replace("0 2", "0 3")).await.json();
    assert_eq!(replaced["status"], "SUSPENDED", "the document says nothing new of it");
    let resumed = put(&server, "/api/v1/schedules/nightly/resume").await.json();
    assert_eq!(resumed["status"], "ACTIVE");
    let said = CRON.replace("  timezone", "  suspend: true\n  timezone");
    assert_eq!(apply(&server, &said).await.json()["status"], "SUSPENDED");
    put(&server, "/api/v1/schedules/absent/resume").await.is_problem(404, "not_found");
}

#[tokio::test]
async fn schedules_are_listed_in_pages_and_deleted() {
    let server = Server::new();
    for name in ["a", "b", "c"] {
        apply(&server, &CRON.replace("nightly", name)).await;
    }
    let page = server.send(get("/api/v1/schedules?limit=2")).await.json();
    let names = |page: &serde_json::Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|one| one["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page), ["a", "b"]);
    let next = page["next_cursor"].as_str().unwrap();
    let rest = server.send(get(&format!("/api/v1/schedules?limit=2&cursor={next}"))).await.json();
    assert_eq!((names(&rest), rest.get("next_cursor")), (vec!["c".to_owned()], None));
    let gone = server.send(request(Method::DELETE, "/api/v1/schedules/b", None, "")).await;
    assert_eq!(gone.status, 204);
    let left = server.send(get("/api/v1/schedules?project_id=default")).await.json();
    assert_eq!(names(&left), ["a", "c"]);
    let again = server.send(request(Method::DELETE, "/api/v1/schedules/b", None, "")).await;
    again.is_problem(404, "not_found");
}

#[tokio::test]
async fn a_writer_that_comes_second_tries_again() {
    let server = Server::new();
    let made = apply(&server, CRON).await.json();
    let row =
        server.store.schedule_named(EntityId::DEFAULT_PROJECT, "nightly".to_owned()).await.unwrap();
    assert_eq!(row.id.to_string(), made["id"]);
    let firing = Firing {
        schedule: row.id,
        version: row.version,
        state: row.state,
        next_at: row.next_at,
        problem: Some("2026-01-01T00:00:00.000Z: it was missed".to_owned()),
        stop: Vec::new(),
        runs: Vec::new(),
        at: row.created_at,
    };
    server.store.fire(firing).await.unwrap();
    let held = put(&server, "/api/v1/schedules/nightly/suspend").await.json();
    assert_eq!(held["status"], "SUSPENDED");
    assert_eq!(held["problem"], "2026-01-01T00:00:00.000Z: it was missed");
}
