//! Why something waits, and who uses what; the scheduler is one that says what the test wants.

use std::sync::{Arc, Mutex};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_model::usage::{Measured, Seen};
use flowforge_ports::explain::{
    Answer, Cure, ExplainError, Explains, Holding, Member, Points, Question, Raise, Rank, Rationed,
    Short, Tripped, Usage, Why,
};
use flowforge_ports::store::{Commit, LockRow, LockWrite, Store as _};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{Server, get};

/// Answers with what was put in, and keeps what it was asked.
#[derive(Clone, Default)]
pub(crate) struct Oracle {
    pub(crate) says: Arc<Mutex<Option<Answer>>>,
    pub(crate) asked: Arc<Mutex<Vec<Question>>>,
}

impl Explains for Oracle {
    fn ask(&self, question: &Question) -> Result<Answer, ExplainError> {
        self.asked.lock().unwrap().push(question.clone());
        let says = self.says.lock().unwrap().clone();
        says.ok_or_else(|| ExplainError::Away("secret details".to_owned()))
    }
}

pub(crate) fn with(says: Option<Answer>) -> (Server, Oracle) {
    let oracle = Oracle { says: Arc::new(Mutex::new(says)), asked: Arc::default() };
    let explains = Arc::new(oracle.clone());
    (Server::with(|config| config.explains = Some(explains)), oracle)
}

pub(crate) fn full(key: AttemptKey) -> Why {
    let tenant = Some(EntityId::DEFAULT_TENANT);
    Why {
        key,
        code: "PARENT_FULL".to_owned(),
        cluster: None,
        need: Amounts::ZERO.with(Dimension::Pods, 1).with(Dimension::MemoryLimit, 1 << 30),
        short: Some(Short {
            entity: tenant,
            dimension: Dimension::Pods,
            need: 1,
            used: 4,
            limit: 4,
        }),
        holders: vec![Holding { who: Member::Entity(EntityId::DEFAULT_PROJECT), used: 4 }],
        ranks: vec![Rank { below: None, ahead: 2, of: 3 }],
        rationed: None,
        tripped: None,
        rival: None,
        priority: Points { base: 1.0, weight: 20.0, waiting: 0.5, penalty: 5.0 },
        cures: vec![
            Cure::Raise(vec![Raise { entity: tenant, dimension: Dimension::Pods, by: 1 }]),
            Cure::End { project: EntityId::DEFAULT_PROJECT, attempts: 1, workflows: 0 },
        ],
    }
}

/// A running workflow with tasks `1` and `2` in the queue.
async fn queued(server: &Server) -> WorkflowId {
    let id = server.workflow("wide").await;
    server.advance(id, 0, 2, WorkflowStatus::Running).await;
    id
}

async fn why(server: &Server, id: WorkflowId, node: u32) -> Value {
    let path = format!("/api/v1/tasks/{}/why", id.task(NodeIx(node)));
    let answer = server.send(get(&path)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_in_the_queue_is_explained_by_the_scheduler() {
    let (server, oracle) = with(None);
    let id = queued(&server).await;
    let key = AttemptKey { workflow: id, node: NodeIx(2), number: 0 };
    *oracle.says.lock().unwrap() = Some(Answer::Why(Some(Box::new(full(key)))));
    let said = why(&server, id, 2).await;
    assert_eq!(*oracle.asked.lock().unwrap(), [Question::Why(key)]);
    assert_eq!((&said["code"], &said["status"]), (&json!("PARENT_FULL"), &json!("QUEUED")));
    let place =
        json!({"id": EntityId::DEFAULT_TENANT.to_string(), "level": "tenant", "path": "default"});
    assert_eq!(
        said["queue"]["short"],
        json!({"at": place, "dimension": "pods", "unit": "count", "need": 1, "used": 4, "limit": 4})
    );
    assert_eq!(said["queue"]["holders"][0]["entity"]["path"], "default/default");
    assert_eq!(said["queue"]["need"][0]["unit"], "bytes");
    assert_eq!(said["queue"]["priority"]["total"], 16.5);
    assert_eq!(
        said["text"],
        "Tenant default has no room for it: of pods 4 of 4 are used, and it needs 1."
    );
    let cures = said["queue"]["cures"].as_array().unwrap();
    assert_eq!(cures[0]["text"], "raise max_concurrent_pods of tenant default by 1");
    assert_eq!(cures[1]["text"], "1 task of project default/default to end");
    let by_name = format!("/api/v1/workflows/{id}/tasks/task-2(0:a%2Fb)/why");
    assert_eq!(server.send(get(&by_name)).await.json(), said);
    *oracle.says.lock().unwrap() = Some(Answer::Why(None));
    assert_eq!(why(&server, id, 2).await["code"], "ON_ITS_WAY");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_waits_for_its_tenants_budget_says_until_when() {
    let (server, oracle) = with(None);
    let id = queued(&server).await;
    let key = AttemptKey { workflow: id, node: NodeIx(2), number: 1 };
    let rationed = Rationed {
        tenant: EntityId::DEFAULT_TENANT,
        ahead: 1,
        per_second: 10,
        percent: 20,
        burst: 100,
        at: Timestamp(1500),
    };
    let (code, rationed) = ("RETRY_BUDGET".to_owned(), Some(rationed));
    let said = Why { code, rationed, short: None, cures: Vec::new(), ..full(key) };
    *oracle.says.lock().unwrap() = Some(Answer::Why(Some(Box::new(said))));
    let said = why(&server, id, 2).await;
    assert_eq!(
        (&said["code"], &said["until"]),
        (&json!("RETRY_BUDGET"), &json!("1970-01-01T00:00:01.500Z"))
    );
    assert_eq!(
        said["text"],
        "It is a retry, and tenant default may make no more retries yet: 1 other before it. 10 may start each \
         second, and 20 % of one more with each first attempt that succeeds."
    );
    let budget = &said["queue"]["retry_budget"];
    assert_eq!((&budget["tenant"]["path"], &budget["burst"]), (&json!("default"), &json!(100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_whose_template_breaks_again_and_again_says_when_the_next_one_tries() {
    let (server, oracle) = with(None);
    let id = queued(&server).await;
    let key = AttemptKey { workflow: id, node: NodeIx(2), number: 1 };
    let says = |at| {
        let (code, tripped) =
            ("CIRCUIT_OPEN".to_owned(), Some(Tripped { failures: 20, ahead: 1, at }));
        let said = Why { code, tripped, short: None, cures: Vec::new(), ..full(key) };
        *oracle.says.lock().unwrap() = Some(Answer::Why(Some(Box::new(said))));
    };
    says(Some(Timestamp(1500)));
    let said = why(&server, id, 2).await;
    let at = json!("1970-01-01T00:00:01.500Z");
    assert_eq!((&said["code"], &said["until"]), (&json!("CIRCUIT_OPEN"), &at));
    assert_eq!(
        said["text"],
        "It is a retry, and the last 20 attempts of template t in its project broke: its retries wait, and one of \
         them tries after a pause. 1 other before it."
    );
    let circuit = json!({"template": "t", "failures": 20, "ahead": 1, "at": at});
    assert_eq!(said["queue"]["circuit"], circuit);
    says(None);
    let said = why(&server, id, 2).await;
    assert_eq!((said.get("until"), said["queue"]["circuit"].get("at")), (None, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rows_say_needs_no_scheduler() {
    let (server, oracle) = with(None);
    let ended = server.workflow("ended").await;
    server.advance(ended, 0, 1, WorkflowStatus::Succeeded).await;
    assert_eq!(why(&server, ended, 1).await["code"], "ENDED");
    let paused = server.workflow("paused").await;
    server.advance(paused, 0, 1, WorkflowStatus::Paused).await;
    assert_eq!(why(&server, paused, 1).await["code"], "PAUSED");
    let waits = server.workflow("waits").await;
    server.suspend(waits, TaskStatus::Running).await;
    assert_eq!(why(&server, waits, 2).await["code"], "SUSPENDED");
    let whole = server.send(get(&format!("/api/v1/workflows/{paused}/why"))).await.json();
    assert_eq!(whole["groups"][0]["code"], "PAUSED");
    assert!(oracle.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_a_lock_is_told_who_holds_it() {
    let (server, oracle) = with(None);
    let lock = |held| {
        let key = "mutex/default/db".to_owned();
        let row = LockRow { node: NodeIx(1), key, limit: 1, held, since: Timestamp(5) };
        LockWrite { node: NodeIx(1), rows: vec![row] }
    };
    let holds = queued(&server).await;
    server.keep(holds, vec![lock(true)], Vec::new()).await;
    let waits = queued(&server).await;
    server.keep(waits, vec![lock(false)], Vec::new()).await;
    let said = why(&server, waits, 1).await;
    assert_eq!(said["code"], "LOCK");
    assert_eq!(said["locks"][0]["holders"][0]["workflow_id"], holds.to_string());
    assert!(said["text"].as_str().unwrap().contains("mutex/default/db (1 of 1)"), "{said}");
    assert!(oracle.asked.lock().unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_waits_for_others_names_those_that_have_not_ended() {
    let (server, _) = with(None);
    let document = r#"
version: "1.0"
entrypoint: t
templates:
  t:
    dag:
      tasks:
        - {name: zero, template: run}
        - {name: one, template: run}
        - {name: two, template: run, dependencies: [zero, one]}
  run: {container: {image: none, command: ["true"]}}
"#;
    let id = server.workflow_of(document).await;
    server.wait_in_dag(id).await;
    let said = why(&server, id, 3).await;
    assert_eq!((&said["code"], &said["waits_for"]), (&json!("DEPENDENCY"), &json!(["one"])));
    assert_eq!(said["text"], "It waits for one.");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_is_explained_by_what_its_tasks_wait_for() {
    let (server, oracle) = with(None);
    let id = queued(&server).await;
    let key = |node| AttemptKey { workflow: id, node: NodeIx(node), number: 0 };
    let says = Answer::WhyWorkflow(vec![full(key(1)), full(key(2))]);
    *oracle.says.lock().unwrap() = Some(says);
    let said = server.send(get(&format!("/api/v1/workflows/{id}/why"))).await.json();
    let full = &said["groups"].as_array().unwrap().iter().find(|one| one["code"] == "PARENT_FULL");
    let full = full.unwrap();
    assert_eq!((&full["count"], &full["first"]["node"]), (&json!(2), &json!(1)), "{said}");
    assert_eq!(full["tasks"], json!(["task-1(0:a/b)", "task-2(0:a/b)"]));
    assert_eq!(said["omitted"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_shown_with_limits_and_parts() {
    let mut limits = [None; Dimension::COUNT];
    limits[Dimension::Pods as usize] = Some(4);
    limits[Dimension::Gpu as usize] = Some(0);
    let usage = |entity, used| Usage {
        entity,
        used: Amounts::ZERO.with(Dimension::Pods, used),
        limits,
        waiting: 7,
        running: used,
    };
    let tenant = Some(EntityId::DEFAULT_TENANT);
    let says = Answer::Usage(vec![usage(None, 3), usage(tenant, 1)]);
    let (server, oracle) = with(Some(says));
    let all = server.send(get("/api/v1/usage")).await.json();
    assert_eq!((&all["of"]["level"], &all["waiting"]), (&json!("installation"), &json!(7)));
    let pods =
        json!({"dimension": "pods", "unit": "count", "used": 3, "limit": 4, "utilisation": 0.75});
    let gpu =
        json!({"dimension": "gpu", "unit": "count", "used": 0, "limit": 0, "utilisation": null});
    assert_eq!(all["dimensions"], json!([gpu, pods]));
    assert_eq!(all["below"][0]["of"]["path"], "default");
    assert_eq!(all["below"][0]["running"], 1);
    let of = server.send(get("/api/v1/tenants/default/usage")).await.json();
    assert_eq!((&of["of"]["path"], &of["running"]), (&json!("default"), &json!(1)));
    // The scheduler has not heard of the project yet.
    assert_eq!(
        (&of["below"][0]["of"]["path"], &of["below"][0]["running"]),
        (&json!("default/default"), &json!(0))
    );
    let asked = oracle.asked.lock().unwrap().clone();
    let both = vec![EntityId::DEFAULT_TENANT, EntityId::DEFAULT_PROJECT];
    assert_eq!(asked, [Question::Usage(vec![EntityId::DEFAULT_TENANT]), Question::Usage(both)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_scheduler_that_answers_it_is_503_and_never_a_guess() {
    let (away, _) = with(None);
    let nobody = Server::new();
    // It answers something else than it was asked.
    let (strange, _) = with(Some(Answer::WhyWorkflow(Vec::new())));
    for server in [&away, &nobody, &strange] {
        let id = queued(server).await;
        for path in [
            format!("/api/v1/tasks/{}/why", id.task(NodeIx(1))),
            "/api/v1/usage".to_owned(),
            "/api/v1/projects/default/usage".to_owned(),
        ] {
            let answer = server.send(get(&path)).await;
            let problem = answer.is_problem(503, "scheduler_unavailable");
            let detail = problem["detail"].as_str().unwrap();
            assert!(
                detail.contains("scheduler.token_file") && !detail.contains("secret"),
                "{detail}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_ids_are_not_found() {
    let (server, oracle) = with(Some(Answer::Why(None)));
    let id = queued(&server).await;
    let task = id.task(NodeIx(1)).to_string();
    let other = id.task(NodeIx(3)).to_string();
    for bad in [
        "nope",
        "%00",
        "..%2F..",
        "00000000-0000-0000-0000-000000000000",
        "ffffffff-ffff-ffff-ffff-ffffffffffff",
        "%7B01890a5d-ac96-774b-bcce-b302099a8057%7D",
        &task.to_uppercase(),
        &task.replace('-', ""),
        &id.to_string(),
        &other,
    ] {
        let path = format!("/api/v1/tasks/{bad}/why");
        server.send(get(&path)).await.is_problem(404, "not_found");
    }
    for bad in ["nope", "%00", "..%2F..", &id.to_string(), &other] {
        let path = format!("/api/v1/workflows/{id}/tasks/{bad}/why");
        server.send(get(&path)).await.is_problem(404, "not_found");
    }
    for bad in [&*task, "nope", "00000000-0000-0000-0000-000000000000"] {
        for path in ["workflows", "tenants", "departments", "groups", "projects"] {
            let of = if path == "workflows" { "why" } else { "usage" };
            let path = format!("/api/v1/{path}/{bad}/{of}");
            server.send(get(&path)).await.is_problem(404, "not_found");
        }
    }
    let path = format!("/api/v1/tasks/{task}/why?x=1");
    server.send(get(&path)).await.is_problem(400, "bad_parameter");
    assert!(oracle.asked.lock().unwrap().is_empty());
}

/// Some of a day, in intervals of five minutes.
fn measured(entity: Option<EntityId>, minute: i64, looks: u32, pods: Seen) -> Measured {
    let mut row = Measured::new(Timestamp(minute * 60_000), entity);
    row.looks = looks;
    row.waiting = Seen { sum: 3, most: 3 };
    row.used[Dimension::Pods as usize] = pods;
    row.limits[Dimension::Pods as usize] = Some(9);
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_usage_is_means_and_maxima_of_steps() {
    let server = Server::new();
    let project = Some(EntityId::DEFAULT_PROJECT);
    let none = Seen::default();
    let usage = vec![
        measured(None, 0, 30, none),
        measured(project, 0, 30, Seen { sum: 60, most: 4 }),
        measured(None, 5, 10, none),
        // Here it was idle.
        measured(None, 60, 20, none),
        measured(None, 65, 20, none),
        measured(project, 65, 20, Seen { sum: 1, most: 7 }),
        // And here nobody looked.
        measured(None, 180, 30, none),
        measured(None, 240, 30, none),
    ];
    let instance = InstanceId(Uuid::from_u128(1));
    let epoch = server.store.take_over(instance).await.unwrap();
    let commit = Commit { epoch, usage, ..Commit::default() };
    server.store.commit(commit).await.unwrap();
    let base = "/api/v1/projects/default/usage/history";
    let asked = "from=1970-01-01T00:10:00Z&to=1970-01-01T04:00:00Z&step=1h";
    let answer = server.send(get(&format!("{base}?{asked}"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let said = answer.json();
    assert_eq!(said["of"]["path"], "default/default");
    assert_eq!(
        (&said["from"], &said["step_seconds"]),
        (&json!("1970-01-01T00:00:00.000Z"), &json!(3600))
    );
    let pods = |mean: f64, max: u64, limit: Option<u64>| json!([{"dimension": "pods", "unit": "count", "mean": mean, "max": max, "limit": limit}]);
    let points = said["points"].as_array().unwrap();
    let times: Vec<_> = points.iter().map(|point| point["at"].as_str().unwrap()).collect();
    let hour = |hour: u32| format!("1970-01-01T{hour:02}:00:00.000Z");
    assert_eq!(times, [hour(0), hour(1), hour(3)], "a gap is a gap");
    assert_eq!(points[0]["dimensions"], pods(1.5, 4, Some(9)));
    assert_eq!(points[0]["waiting"], json!({"mean": 0.075, "max": 3}));
    assert_eq!(points[1]["dimensions"], pods(0.025, 7, Some(9)));
    assert_eq!(points[2]["dimensions"], pods(0.0, 0, None));
    let whole = server.send(get(&format!("/api/v1/usage/history?{asked}"))).await.json();
    assert_eq!(whole["of"]["level"], "installation");
    assert_eq!(whole["points"][2]["waiting"], json!({"mean": 0.1, "max": 3}));
    let answer = server.send(get(&format!("{base}?step=1m"))).await;
    let problem = answer.is_problem(400, "too_many_points");
    assert_eq!(problem["errors"][0]["pointer"], "?step");
    server.send(get(&format!("{base}?step=1s"))).await.is_problem(400, "bad_parameter");
    server.send(get("/api/v1/groups/none/usage/history")).await.is_problem(404, "not_found");
    let nothing = server.send(get(base)).await.json();
    assert_eq!(nothing["points"], json!([]));
}
