//! Tenants, departments, groups, projects, quotas.

use clap::Parser as _;
use serde_json::{Value, json};

use crate::args::Args;

use super::{Asked, Fake, ID, Say, ffctl, problem};

fn entity(level: &str, path: &str) -> Value {
    json!({
        "id": ID, "level": level, "name": path.rsplit('/').next().unwrap(), "path": path,
        "tenant_id": ID, "parent_id": null, "quota_id": if level == "tenant" { Value::Null } else { json!("q") },
        "status": "ACTIVE", "created_at": "2026-01-31T12:00:00.000Z", "version": 1,
    })
}

fn quota() -> Value {
    json!({
        "id": "q", "tenant_id": ID, "name": "small", "cpu_limit": 1500, "cpu_request": null,
        "memory_limit": 8192, "memory_request": 512, "gpu_limit": 0, "max_concurrent_pods": 10,
        "max_concurrent_workflows": null, "storage_limit": 100, "priority_weight": 7,
        "created_at": null, "version": 2,
        "clamped": [{"entity_id": ID, "path": "a/b\u{1b}[2J", "field": "cpu_limit", "from": 4000, "to": 1500}],
    })
}

fn body(asked: &Asked) -> Value {
    serde_json::from_str(&asked.body).unwrap()
}

fn page(items: &[Value]) -> Say {
    Say::Json(200, json!({"items": items}))
}

#[test]
fn every_level_has_the_same_commands() {
    for level in ["tenant", "department", "group", "project"] {
        let one = || Say::Json(200, entity(level, "a/b"));
        let server = Fake::new([
            one(),
            page(&[entity(level, "a/b")]),
            one(),
            one(),
            one(),
            Say::Json(202, entity(level, "a/b")),
        ]);
        let run = |line: &str| {
            let (exit, out, err) = ffctl(&server.url, &format!("{level} {line}"));
            assert_eq!(exit, 0, "{line}: {err}");
            out
        };
        assert_eq!(run("create b --parent a --quota a/q"), format!("{level} a/b created\n"));
        assert!(run("list --parent a --name b").contains("a/b    ACTIVE"));
        assert!(run("get a/b").contains("quota "));
        assert_eq!(
            run("update a/b --name c --quota none --clamp"),
            format!("{level} a/b changed\n")
        );
        assert_eq!(run("move a/b x/y"), format!("{level} a/b moved\n"));
        assert_eq!(run("delete a/b --drain"), format!("{level} a/b drains\n"));
        let asked = server.asked();
        let line = |at: usize| asked[at].line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(line(0), format!("POST /api/v1/{level}s"));
        assert_eq!(body(&asked[0]), json!({"name":"b","parent_id":"a","quota_id":"a/q"}));
        assert_eq!(line(1), format!("GET /api/v1/{level}s?limit=1000&parent_id=a&name=b"));
        assert_eq!(line(2), format!("GET /api/v1/{level}s/a%2Fb"));
        assert_eq!(line(3), format!("PATCH /api/v1/{level}s/a%2Fb?clamp=true"));
        assert_eq!(body(&asked[3]), json!({"name":"c","quota_id":null}));
        assert_eq!(body(&asked[4]), json!({"parent_id":"x/y"}));
        assert_eq!(line(5), format!("DELETE /api/v1/{level}s/a%2Fb?drain=true"));
    }
}

#[test]
fn nothing_to_change_is_wrong_usage() {
    for line in ["tenant update a", "quota set a", "quota update q"] {
        assert_eq!(ffctl("http://127.0.0.1:9", line).0, 2, "{line}");
    }
    for line in ["--priority-weight 0", "--max-concurrent-pods x", "--gpu-limit=-1", ""] {
        let line = format!("ffctl quota create {line}");
        assert!(Args::try_parse_from(line.split_whitespace()).is_err(), "{line}");
    }
}

#[test]
fn a_quota_is_set_where_its_entity_is_found() {
    let server = Fake::new([
        problem(404, "not_found"),
        Say::Json(200, entity("department", "a/b")),
        Say::Json(200, quota()),
    ]);
    let line = "quota set a/b --cpu-limit 1500m --memory-limit 8Gi --max-concurrent-workflows none \
                --gpu-limit 0 --clamp";
    let (exit, out, err) = ffctl(&server.url, line);
    assert_eq!(exit, 0, "{err}");
    insta::assert_snapshot!(out, @r"
    CPU     CPU REQ   MEMORY   MEM REQ   GPU   PODS   WORKFLOWS   STORAGE   WEIGHT
    1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    lowered cpu_limit of a/b\u{1b}[2J from 4000 to 1500
    ");
    let asked = server.asked();
    assert!(asked[2].line.starts_with(&format!("PUT /api/v1/departments/{ID}/quota?clamp=true ")));
    let expected = json!({"cpu_limit": "1500m", "memory_limit": "8Gi", "gpu_limit": 0, "max_concurrent_workflows": null});
    assert_eq!(body(&asked[2]), expected);
}

#[test]
fn the_organization_is_a_tree() {
    let server = Fake::new([
        page(&[entity("tenant", "b"), entity("tenant", "a"), entity("tenant", "a-b")]),
        page(&[entity("department", "a/d"), entity("department", "a/d/e")]),
        page(&[entity("group", "a/d/e/g"), entity("group", "a/f")]),
        page(&[entity("project", "a/d/e/g/p"), entity("project", "b/p")]),
        page(&[quota()]),
    ]);
    let (exit, out, err) = ffctl(&server.url, "org");
    assert_eq!(exit, 0, "{err}");
    insta::assert_snapshot!(out, @r"
    NAME            LEVEL        STATUS   CPU     CPU REQ   MEMORY   MEM REQ   GPU   PODS   WORKFLOWS   STORAGE   WEIGHT
    a               tenant       ACTIVE   -       -         -        -         -     -      -           -         -
    ├─ d            department   ACTIVE   1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    │  └─ e         department   ACTIVE   1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    │     └─ g      group        ACTIVE   1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    │        └─ p   project      ACTIVE   1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    └─ f            group        ACTIVE   1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    a-b             tenant       ACTIVE   -       -         -        -         -     -      -           -         -
    b               tenant       ACTIVE   -       -         -        -         -     -      -           -         -
    └─ p            project      ACTIVE   1500m   -         8Gi      512Mi     0     10     -           100Gi     7
    ");
}

#[test]
fn refusals_name_every_offender() {
    let errors: Vec<Value> = ["a/b", "a/c"]
        .iter()
        .map(|path| json!({"pointer": "/cpu_limit", "detail": format!("`cpu_limit` of {path} is 5"), "code": "limit_above_ancestor"}))
        .collect();
    let body = json!({
        "type": "x", "title": "T", "status": 422, "detail": "d", "code": "limit_above_ancestor",
        "request_id": "r", "errors": errors,
    });
    let server = Fake::new([Say::Json(200, entity("tenant", "a")), Say::Json(422, body)]);
    let (exit, _, err) = ffctl(&server.url, "quota set a --cpu-limit 1");
    assert_eq!(exit, 2);
    assert!(err.contains("of a/b is 5") && err.contains("of a/c is 5"), "{err}");
}
