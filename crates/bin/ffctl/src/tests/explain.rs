//! `why`, `usage` and `simulate`.

use serde_json::{Value, json};

use super::{Fake, ID, Say, ffctl, problem};

const TASK: &str = "01890a5d-ac96-7aaa-8bce-b302099a8057";

fn place(level: &str, path: &str) -> Value {
    json!({"id": ID, "level": level, "path": path})
}

fn why() -> Value {
    let points =
        json!({"total": 31.25, "base": 10.0, "weight": 20.0, "waiting": 1.25, "penalty": 0.0});
    let side = |path: &str, share: f64| json!({"entity": place("tenant", path), "share": share, "priority": points});
    json!({
        "workflow_id": ID, "workflow_name": "wide", "task_id": TASK, "node": 3, "task": "a\u{1b}[2J",
        "status": "QUEUED", "code": "PARENT_FULL", "text": "Tenant acme has no room for it.",
        "since": "2026-01-31T12:00:00.000Z", "later": 1,
        "queue": {
            "short": {"at": place("tenant", "acme"), "dimension": "memory_limit", "unit": "bytes",
                "need": 1 << 30, "used": 3 << 29, "limit": 2_u64 << 30},
            "holders": [
                {"entity": place("project", "acme/etl"), "used": 1 << 30},
                {"workflow_id": ID, "used": 1 << 29},
            ],
            "need": [{"dimension": "cpu_limit", "unit": "millicores", "amount": 1500}],
            "ranks": [{"below": {"level": "installation", "path": ""}, "ahead": 2, "of": 5}],
            "rival": {"workflow_id": ID, "task_id": TASK, "common": {"level": "installation", "path": ""},
                "ours": side("acme", 0.5), "theirs": side("other", 0.25)},
            "priority": points,
            "cures": [{"kind": "RAISE_LIMIT", "text": "raise memory_limit of tenant acme by 512 MiB"},
                {"kind": "WAIT_FOR_OTHERS", "text": "1 task of project acme/etl to end"}],
        },
    })
}

#[test]
fn a_task_is_explained_with_all_numbers() {
    let server = Fake::new([problem(404, "not_found"), Say::Json(200, why())]);
    let (exit, out, err) = ffctl(&server.url, &format!("why {TASK}"));
    assert_eq!(exit, 0, "{err}");
    assert!(
        out.starts_with("a\\u{1b}[2J of wide: PARENT_FULL\n  Tenant acme has no room"),
        "{out}"
    );
    for line in [
        "  needs       cpu_limit 1.5\n",
        "  blocked at  tenant acme: memory_limit 1.5 GiB/2 GiB\n",
        &format!("  held by     acme/etl (1 GiB), workflow {ID} (512 MiB)\n"),
        "  goes first  other: a share of 0.25 against 0.50 of acme\n",
        "  place       3 of 5 in installation\n",
        "  priority    31.2 (10 base + 20.0 weight + 1.2 waiting - 0.0 use)\n",
        "  would help  raise memory_limit of tenant acme by 512 MiB\n",
        "  or          1 task of project acme/etl to end\n",
    ] {
        assert!(out.contains(line), "{line} in {out}");
    }
    let asked = server.asked();
    assert!(asked[1].line.starts_with(&format!("GET /api/v1/tasks/{TASK}/why ")));
}

#[test]
fn a_workflow_is_explained_by_groups() {
    let workflow = super::workflow("RUNNING");
    let whole = json!({
        "workflow_id": ID, "workflow_name": "wide", "status": "RUNNING", "omitted": 7,
        "groups": [
            {"code": "PARENT_FULL", "count": 12, "tasks": ["a", "b"], "first": why()},
            {"code": "DEPENDENCY", "count": 1, "tasks": ["late"]},
        ],
    });
    let server = Fake::new([Say::Json(200, workflow.clone()), Say::Json(200, whole.clone())]);
    let (exit, out, err) = ffctl(&server.url, &format!("why {ID}"));
    assert_eq!(exit, 0, "{err}");
    assert!(out.contains("PARENT_FULL: 12 tasks (a, b and 10 more)\n"), "{out}");
    assert!(out.contains("DEPENDENCY: 1 task (late)\n"), "{out}");
    assert!(out.ends_with("7 more tasks are in the queue\n"), "{out}");
    let server = Fake::new([Say::Json(200, workflow), Say::Json(200, whole)]);
    let (_, out, _) = ffctl(&server.url, &format!("why {ID} -o json"));
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(said["groups"][0]["first"]["queue"]["short"]["limit"], 2_u64 << 30);
}

#[test]
fn usage_is_a_table_and_says_when_nobody_can_be_asked() {
    let one = |place: Value| {
        json!({"of": place, "waiting": 2, "running": 1, "dimensions": [
            {"dimension": "cpu_limit", "unit": "millicores", "used": 1500, "limit": 2000, "utilisation": 0.75},
            {"dimension": "pods", "unit": "count", "used": 1, "limit": null, "utilisation": null},
        ]})
    };
    let mut report = one(json!({"level": "installation", "path": ""}));
    report["below"] = json!([one(place("tenant", "acme"))]);
    report["omitted"] = json!(0);
    let server = Fake::new([Say::Json(200, report), problem(503, "scheduler_unavailable")]);
    let (exit, out, err) = ffctl(&server.url, "usage");
    assert_eq!(exit, 0, "{err}");
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[1], ["installation", "2", "1", "cpu_limit", "1.5", "2", "75", "%"]);
    assert_eq!(words[2], ["pods", "1", "-"]);
    assert_eq!(words[3][0], "acme");
    let (exit, out, err) = ffctl(&server.url, "usage");
    assert_eq!((exit, &*out), (8, ""), "{err}");
}

#[test]
fn usage_of_the_past_is_a_table_and_each_step_on_request() {
    let point = |minute: u32, mean: f64, max: u64| {
        json!({"at": format!("2026-01-31T12:{minute:02}:00.000Z"),
            "waiting": {"mean": 0.5, "max": 3}, "running": {"mean": mean, "max": max},
            "dimensions": [{"dimension": "cpu_request", "unit": "millicores", "mean": mean * 500.0,
                "max": max * 500, "limit": if minute == 0 { Some(4000) } else { None }}]})
    };
    let entity = json!({
        "id": ID, "level": "tenant", "name": "acme", "path": "acme", "tenant_id": ID,
        "parent_id": null, "quota_id": null, "status": "ACTIVE",
        "created_at": "2026-01-31T12:00:00.000Z", "version": 1,
    });
    let said = |points: Value| {
        json!({"of": place("tenant", "acme"), "from": "2026-01-31T12:00:00.000Z",
            "to": "2026-01-31T12:20:00.000Z", "step_seconds": 300, "points": points})
    };
    let two = said(json!([point(0, 1.0, 2), point(5, 2.0, 6)]));
    let server = Fake::new([
        Say::Json(200, entity.clone()),
        Say::Json(200, two.clone()),
        Say::Json(200, two.clone()),
        Say::Json(200, two.clone()),
        Say::Json(200, said(json!([]))),
    ]);
    let (exit, out, err) =
        ffctl(&server.url, "usage acme --history --since 2026-01-31T12:00:00Z --step 5m");
    assert_eq!(exit, 0, "{err}");
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["NAME", "OF", "MEAN", "MOST", "LIMIT"], "no bars into a pipe");
    assert_eq!(words[1], ["acme", "waiting", "0.5", "3", "-"]);
    assert_eq!(words[2], ["running", "1.5", "6", "-"]);
    assert_eq!(words[3], ["cpu_request", "0.75", "3", "4"]);
    let asked = &server.asked()[1].line;
    let path = format!(
        "GET /api/v1/tenants/{ID}/usage/history?from=2026-01-31T12%3A00%3A00.000Z&step=5m "
    );
    assert!(asked.starts_with(&path), "{asked}");
    let (_, out, _) = ffctl(&server.url, "usage --history -o wide");
    let words: Vec<Vec<&str>> = out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[4], ["2026-01-31T12:05:00.000Z", "waiting", "0.5", "3", "-"]);
    assert_eq!(words.len(), 7);
    let (_, out, _) = ffctl(&server.url, "usage --history -o json");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap(), two);
    let (exit, out, err) = ffctl(&server.url, "usage --history");
    assert_eq!((exit, &*out, &*err), (0, "", "nothing was measured then\n"));
}

#[test]
fn a_simulation_says_what_starts_in_which_order_and_why_the_rest_waits() {
    let said = json!({
        "starts": [{"group": 0, "count": 2}, {"workflow_id": ID, "task_id": TASK, "count": 1}],
        "complete": false,
        "tasks": [{
            "project": place("project", "acme/etl"), "starting": 2, "waiting": 8,
            "why": {"code": "PARENT_FULL", "text": "Tenant acme has no room for it.", "queue": why()["queue"]},
        }],
    });
    let entity = json!({
        "id": ID, "level": "tenant", "name": "acme", "path": "acme", "tenant_id": ID,
        "parent_id": null, "quota_id": null, "status": "ACTIVE",
        "created_at": "2026-01-31T12:00:00.000Z", "version": 1,
    });
    let server = Fake::new([Say::Json(200, entity), Say::Json(200, said.clone())]);
    let line = "simulate --count 10 --project acme/etl --cpu 500m --gpu 1 --priority -3 --quota-of acme \
                --max-concurrent-pods none --capacity 7 --clamp";
    let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let (exit, out, err) = ffctl(&server.url, &line);
    assert_eq!(exit, 0, "{err}");
    assert!(out.starts_with("3 tasks would start now, and more after them\n"), "{out}");
    for part in [
        "0       acme/etl   2          8         PARENT_FULL\n",
        "group 0: Tenant acme has no room for it.",
        "blocked at",
        "  2 of group 0\n",
        &format!("  task {TASK} of workflow {ID}, which waits\n"),
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
    let asked = server.asked();
    assert!(asked[1].line.starts_with("POST /api/v1/simulate?clamp=true "), "{}", asked[1].line);
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    let tasks = json!([{"project_id": "acme/etl", "count": 10, "priority": -3,
        "requests": {"cpu": "500m", "nvidia.com/gpu": "1"}}]);
    let quotas = json!([{"level": "tenant", "id": ID, "max_concurrent_pods": null}]);
    assert_eq!(body, json!({"tasks": tasks, "quotas": quotas, "capacity": 7}));

    let (exit, _, err) = ffctl("http://127.0.0.1:1", "simulate --gpu-limit 3");
    assert_eq!(exit, 2);
    assert!(err.contains("--quota-of"), "{err}");
}
