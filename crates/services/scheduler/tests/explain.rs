//! Questions from an API server to the scheduler that leads, over a socket.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on fails; clippy exempts test functions but not what they call"
)]

use std::net::SocketAddr;
use std::sync::Arc;

use flowforge_listen::Bounds;
use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, InstanceId, NodeIx, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::clock::SystemClock;
use flowforge_ports::explain::{Answer, ExplainError, Explains as _, Group, Question, Simulation};
use flowforge_ports::leases::{Attendance, Leases as _, Role};
use flowforge_ports::queue::ClusterName;
use flowforge_queue::LocalQueue;
use flowforge_store::MemoryStore;
use flowforge_svc_scheduler::{Desk, ExplainService, Route, Rules, Serve, desk};
use tokio::net::TcpListener;
use uuid::Uuid;

const TOKEN: &str = "the-token-of-all-servers";

fn usage() -> Question {
    Question::Usage(Vec::new())
}

/// A scheduler that leads, and where it answers.
async fn scheduler(store: &Arc<MemoryStore>) -> (Desk, String) {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (desk, questions) = desk();
    let service = ExplainService::new(desk.clone(), TOKEN.to_owned());
    tokio::spawn(service.serve(listener, Bounds::default(), std::future::pending()));
    let serve = Serve {
        store: Arc::clone(store),
        queue: LocalQueue::default(),
        cluster: ClusterName::default(),
        clock: SystemClock,
        instance: InstanceId(Uuid::from_u128(1)),
        ttl: Millis(60_000),
        questions,
        rules: Rules::default(),
        usage_every: None,
        url: Some(url.clone()),
    };
    tokio::spawn(serve.run(std::future::pending()));
    (desk, url)
}

/// Asks until it leads: it reads the store first.
async fn ask(route: &Arc<Route<MemoryStore>>, question: Question) -> Result<Answer, ExplainError> {
    let route = Arc::clone(route);
    tokio::task::spawn_blocking(move || route.ask(&question)).await.unwrap()
}

fn route(
    store: &Arc<MemoryStore>,
    here: Option<Desk>,
    token: Option<&str>,
) -> Arc<Route<MemoryStore>> {
    Arc::new(Route::new(Arc::clone(store), here, token.map(str::to_owned)))
}

#[track_caller]
fn away(answer: Result<Answer, ExplainError>, why: &str) {
    let error = answer.unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_that_leads_answers_those_who_carry_the_token() {
    let store = Arc::new(MemoryStore::new());
    store.set_clock(Timestamp(1_000));
    let right = route(&store, None, Some(TOKEN));
    away(ask(&right, usage()).await, "nobody leads");
    let (desk, _) = scheduler(&store).await;
    let answer = loop {
        match ask(&right, usage()).await {
            Ok(answer) => break answer,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    let Answer::Usage(rows) = &answer else { panic!("{answer:?}") };
    assert_eq!((rows.len(), rows[0].entity), (1, None), "the installation");
    let key = AttemptKey { workflow: WorkflowId(Uuid::now_v7()), node: NodeIx(1), number: 1 };
    assert_eq!(ask(&right, Question::Why(key)).await, Ok(Answer::Why(None)));
    let group = Group {
        project: EntityId::DEFAULT_PROJECT,
        count: 2,
        need: Amounts::ZERO.with(Dimension::Pods, 1),
        priority: 0,
        parallelism: None,
    };
    let simulate = |groups| {
        Question::Simulate(Box::new(Simulation { groups, slots: Some(1), ..Simulation::default() }))
    };
    let said = ask(&right, simulate(vec![group.clone()])).await.unwrap();
    let Answer::Simulate(Ok(said)) = said else { panic!("{said:?}") };
    assert_eq!(said.starts.len(), 1);
    assert_eq!(said.waits[0].as_ref().unwrap().code, "CAPACITY_FULL");
    away(ask(&right, simulate(vec![group; 101])).await, "422");
    let numbers = ask(&right, Question::Metrics).await.unwrap();
    assert!(matches!(numbers, Answer::Metrics(families) if !families.is_empty()));
    // Without a token the one in this process is asked, and nobody else.
    assert_eq!(ask(&route(&store, Some(desk), None), usage()).await, Ok(answer));
    away(ask(&route(&store, None, None), usage()).await, "set scheduler.token_file");
    away(ask(&route(&store, None, Some("another token")), usage()).await, "401");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_was_replaced_and_does_not_know_yet_answers_nothing() {
    let store = Arc::new(MemoryStore::new());
    store.set_clock(Timestamp(1_000));
    let (_, url) = scheduler(&store).await;
    let right = route(&store, None, Some(TOKEN));
    while ask(&right, usage()).await.is_err() {
        tokio::task::yield_now().await;
    }
    let next = InstanceId(Uuid::from_u128(2));
    let said = Attendance::new(Role::Scheduler, next, Millis(60_000));
    // Its lease runs out, and another one takes it: the URL leads to the old one.
    store.set_clock(Timestamp(120_000));
    let taken = store.attend(Attendance { url: Some(url), ..said.clone() }).await.unwrap();
    assert_eq!(taken.leases.len(), 1);
    away(ask(&right, usage()).await, "503");
    store.attend(said).await.unwrap();
    away(ask(&right, usage()).await, "does not listen");
}
