//! What would start, if, and how it goes; the scheduler is one that says what the test wants.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx};
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_ports::explain::{
    Answer, Family, FamilyKind, Group, Holding, Member, Question, Rival, Sample, Side, Simulated,
    Simulation,
};
use serde_json::{Value, json};

use crate::explain::{full, with};
use crate::server::{Server, get, post};

const PATH: &str = "/api/v1/simulate";

fn key(group: usize, node: u32) -> AttemptKey {
    AttemptKey { workflow: Simulation::workflow(group), node: NodeIx(node), number: 1 }
}

fn nothing() -> Answer {
    Answer::Simulate(Ok(Box::new(Simulated {
        starts: Vec::new(),
        complete: true,
        waits: Vec::new(),
    })))
}

async fn refused(server: &Server, body: &Value, code: &str, pointer: &str) -> Value {
    let status = if code == "invalid_request" { 400 } else { 422 };
    let problem = server.send(post(PATH, &body.to_string())).await.is_problem(status, code);
    let pointers: Vec<_> = problem["errors"].as_array().into_iter().flatten().collect();
    assert!(pointers.iter().any(|one| one["pointer"] == pointer), "{pointer}: {problem}");
    problem
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_quotas_are_asked_about_and_shown_in_order() {
    let (server, oracle) = with(None);
    let real = server.workflow("real").await;
    let waiting = AttemptKey { workflow: real, node: NodeIx(2), number: 1 };
    let mut why = full(key(1, 2));
    let priority = why.priority;
    let side = Side { entity: None, share: 0.0, priority };
    why.rival = Some(Rival { key: key(0, 1), common: None, ours: side, theirs: side });
    let workflow = Member::Workflow(Simulation::workflow(0));
    why.holders.push(Holding { who: workflow, used: 1 });
    *oracle.says.lock().unwrap() = Some(Answer::Simulate(Ok(Box::new(Simulated {
        starts: vec![key(0, 0), key(1, 0), key(1, 1), waiting, key(0, 1)],
        complete: true,
        waits: vec![None, Some(why)],
    }))));
    let body = json!({
        "tasks": [
            {"count": 2, "requests": {"cpu": "500m", "nvidia.com/gpu": 1}, "priority": 7},
            {"project_id": "default/default", "count": 5, "limits": {"memory": "1Gi"}, "parallelism": 3},
        ],
        "quotas": [{"level": "tenant", "id": "default", "max_concurrent_pods": 3}],
        "capacity": 9,
    });
    let answer = server.send(post(PATH, &body.to_string())).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json();
    assert_eq!(
        said["starts"],
        json!([
            {"group": 0, "count": 1},
            {"group": 1, "count": 2},
            {"workflow_id": real.to_string(), "task_id": real.task(NodeIx(2)).to_string(), "count": 1},
            {"group": 0, "count": 1},
        ])
    );
    let groups = &said["tasks"];
    assert_eq!((&groups[0]["starting"], &groups[0]["waiting"]), (&json!(2), &json!(0)));
    assert_eq!((&groups[1]["starting"], &groups[1]["waiting"]), (&json!(2), &json!(3)));
    assert_eq!(groups[0]["project"]["path"], "default/default");
    let why = &groups[1]["why"];
    assert_eq!(why["code"], "PARENT_FULL");
    assert!(why["text"].as_str().unwrap().starts_with("Tenant default has no room"), "{why}");
    assert_eq!(why["queue"]["rival"]["workflow_id"], "simulated-0");
    assert_eq!(why["queue"]["holders"][1]["workflow_id"], "simulated-0");

    let asked = oracle.asked.lock().unwrap().clone();
    let [Question::Simulate(asked)] = &*asked else { panic!("{asked:?}") };
    let need = Amounts::ZERO
        .with(Dimension::CpuRequest, 500)
        .with(Dimension::CpuLimit, 1000)
        .with(Dimension::MemoryRequest, 256 << 20)
        .with(Dimension::MemoryLimit, 1 << 30)
        .with(Dimension::Pods, 1);
    let first = need.with(Dimension::Gpu, 1);
    let second = need.with(Dimension::CpuRequest, 100).with(Dimension::MemoryRequest, 1 << 30);
    let project = EntityId::DEFAULT_PROJECT;
    assert_eq!(
        asked.groups,
        [
            Group { project, count: 2, need: first, priority: 7, parallelism: None },
            Group { project, count: 5, need: second, priority: 0, parallelism: Some(3) },
        ]
    );
    assert_eq!(asked.slots, Some(9));
    let [tenant] = &*asked.entities else { panic!("{asked:?}") };
    assert_eq!(tenant.id, EntityId::DEFAULT_TENANT);
    assert_eq!(tenant.quota.unwrap().limit(Dimension::Pods), Some(3));
    // Nothing was changed.
    let path = "/api/v1/tenants/default/quota";
    let quota = server.send(get(path)).await.json();
    assert_eq!(quota["max_concurrent_pods"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gang_needs_what_each_of_its_members_asks_for() {
    let (server, oracle) = with(Some(nothing()));
    let tasks = json!([{"count": 2, "replicas": 8, "requests": {"cpu": "250m"}}]);
    server.send(post(PATH, &json!({ "tasks": tasks }).to_string())).await;
    let asked = oracle.asked.lock().unwrap().clone();
    let [Question::Simulate(asked)] = &*asked else { panic!("{asked:?}") };
    let need = Amounts::ZERO
        .with(Dimension::CpuRequest, 8 * 250)
        .with(Dimension::CpuLimit, 8 * 1000)
        .with(Dimension::MemoryRequest, 8 * (256 << 20))
        .with(Dimension::MemoryLimit, 8 * (1 << 30))
        .with(Dimension::Pods, 8);
    let project = EntityId::DEFAULT_PROJECT;
    let group = Group { project, count: 2, need, priority: 0, parallelism: None };
    assert_eq!(asked.groups, [group]);
}

#[tokio::test(flavor = "multi_thread")]
async fn quotas_are_edited_by_the_rules_one_after_the_other() {
    let (server, oracle) = with(Some(nothing()));
    let quota = |level: &str, id: &str, pods: u64| json!({"level": level, "id": id, "max_concurrent_pods": pods});
    let both = json!({"quotas": [quota("tenant", "default", 3), quota("project", "default", 4)]});
    let pointer = "/quotas/1/max_concurrent_pods";
    let problem = refused(&server, &both, "limit_above_ancestor", pointer).await;
    assert!(problem["detail"].as_str().unwrap().contains("default"));
    let cut = json!({"quotas": [quota("project", "default", 4), quota("tenant", "default", 3)]});
    refused(&server, &cut, "limit_above_ancestor", pointer).await;
    assert!(oracle.asked.lock().unwrap().is_empty());
    let clamped = server.send(post(&format!("{PATH}?clamp=true"), &cut.to_string())).await;
    assert_eq!(clamped.status, 200, "{}", clamped.text());
    let asked = oracle.asked.lock().unwrap().clone();
    let [Question::Simulate(asked)] = &*asked else { panic!("{asked:?}") };
    let limits: Vec<_> =
        asked.entities.iter().map(|one| one.quota.unwrap().limit(Dimension::Pods)).collect();
    assert_eq!(limits, [Some(3), Some(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_whole_with_its_place() {
    let (server, oracle) = with(Some(nothing()));
    let tasks = |one: Value| json!({"tasks": [{"count": 1}, one]});
    for (body, pointer) in [
        (tasks(json!({"count": -1})), "/tasks/1/count"),
        (tasks(json!({"requests": {"cpu": "lots"}})), "/tasks/1/requests/cpu"),
        (tasks(json!({"requests": {"cpu": -1}})), "/tasks/1/requests/cpu"),
        (tasks(json!({"limits": {"nvidia.com/gpu": 0.5}})), "/tasks/1/limits/nvidia.com~1gpu"),
        (tasks(json!({"limits": {"disk": 1}})), "/tasks/1/limits/disk"),
        (tasks(json!({"requests": {"cpu": 2}, "limits": {"cpu": 1}})), "/tasks/1/requests"),
        (tasks(json!({"requests": []})), "/tasks/1/requests"),
        (tasks(json!({"priority": 1.5})), "/tasks/1/priority"),
        (tasks(json!({"pods": 1})), "/tasks/1/pods"),
        (tasks(json!({"replicas": 1})), "/tasks/1/replicas"),
        (tasks(json!({"replicas": 257})), "/tasks/1/replicas"),
        (tasks(json!(7)), "/tasks/1"),
        (json!({"tasks": {}}), "/tasks"),
        (json!({"tasks": vec![json!({}); 101]}), "/tasks"),
        (json!({"tasks": [{"count": 10_001}]}), "/tasks"),
        (json!({"tasks": vec![json!({"count": u32::MAX}); 100]}), "/tasks"),
        (json!({"capacity": -1}), "/capacity"),
        (json!({"quotas": [{"id": "default"}]}), "/quotas/0/level"),
        (json!({"quotas": [{"level": "tenant", "id": null}]}), "/quotas/0/id"),
        (json!({"quotas": [{"level": "team", "id": "x"}]}), "/quotas/0/level"),
        (json!({"quotas": [{"level": "tenant", "id": "default", "pods": 1}]}), "/quotas/0/pods"),
        (json!({"limits": []}), "/limits"),
    ] {
        refused(&server, &body, "invalid_request", pointer).await;
    }
    let line = "{\n \"tasks\": [\n  {\"count\": true}]}";
    let problem = server.send(post(PATH, line)).await.is_problem(400, "invalid_request");
    assert_eq!(
        (&problem["errors"][0]["line"], &problem["errors"][0]["column"]),
        (&json!(3), &json!(13))
    );
    let other = [
        (json!({"tasks": [{"project_id": "nope"}]}), "unknown_reference", "/tasks/0/project_id"),
        (json!({"quotas": [{"level": "group", "id": "x"}]}), "unknown_reference", "/quotas/0/id"),
        (
            json!({"quotas": [{"level": "tenant", "id": "default", "gpu_limit": -1}]}),
            "invalid_quota",
            "/quotas/0/gpu_limit",
        ),
    ];
    for (body, code, pointer) in other {
        refused(&server, &body, code, pointer).await;
    }
    assert!(oracle.asked.lock().unwrap().is_empty());
    // Nothing at all is asked about: what would start now anyway.
    assert_eq!(server.send(post(PATH, "{}")).await.status, 200);
    let (away, _) = with(None);
    away.send(post(PATH, "{}")).await.is_problem(503, "scheduler_unavailable");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_lines_for_those_who_carry_the_token() {
    let labels = vec![("level".to_owned(), "none".to_owned())];
    let samples = vec![Sample { suffix: String::new(), labels, value: 2.5 }];
    let (name, help, kind) = ("pending".to_owned(), "Who waits.".to_owned(), FamilyKind::Gauge);
    let says = Answer::Metrics(vec![Family { name, help, kind, samples }]);
    let (server, oracle) = with(Some(says));
    let answer = server.send(get("/metrics")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let lines = "# HELP pending Who waits.\n# TYPE pending gauge\npending{level=\"none\"} 2.5\n";
    assert_eq!(answer.text(), lines);
    assert_eq!(*oracle.asked.lock().unwrap(), [Question::Metrics]);
    let mut nobody = get("/metrics");
    nobody.headers_mut().remove("authorization");
    server.send(nobody).await.is_problem(401, "unauthorized");
    let (strange, _) = with(Some(nothing()));
    strange.send(get("/metrics")).await.is_problem(503, "scheduler_unavailable");
}
