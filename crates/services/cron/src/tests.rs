//! The loop over a real store, with a clock of its own.

mod crashes;
mod fixture;

use flowforge_cron::Phase;
use flowforge_model::event::Command;
use flowforge_model::id::EntityId;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::WorkflowStatus;
use flowforge_model::time::Timestamp;
use flowforge_ports::schedules::{PutSchedule, Schedules};
use flowforge_ports::store::{Store, StoreError};
use flowforge_ports::templates::{NewTemplate, TemplateId, TemplateKind, Templates};
use flowforge_store::{MemoryStore, SqliteStore};

use crate::News;
use fixture::{DOCUMENT, START, World};

fn seconds(n: i64) -> Timestamp {
    Timestamp(START.0 + n * 1000)
}

#[tokio::test]
async fn a_run_is_what_the_document_says_with_the_labels_of_its_fire_time() {
    let mut world = World::new(MemoryStore::new(), DOCUMENT).await;
    let turned = world.turn(seconds(0)).await;
    assert_eq!(turned.next_at, Some(seconds(60)));
    assert_eq!(turned.asked, []);
    let turned = world.turn(Timestamp(seconds(60).0 + 7)).await;
    let id = world.id.run(seconds(60));
    assert_eq!(turned.asked, [id]);
    assert_eq!(turned.next_at, Some(seconds(120)));
    let run = world.store.load(id).await.unwrap();
    assert_eq!(run.name, format!("nightly-{}", seconds(60).0 / 1000));
    assert_eq!(run.created_at.0, seconds(60).0 + 7);
    assert_eq!(run.priority, 4);
    let label = |key: &str| {
        let found = run.labels.iter().find(|(of, _)| of == key);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    assert_eq!(label("flowforge.io/schedule"), "nightly");
    assert_eq!(label("flowforge.io/scheduled-at"), "2023-11-14T22:14:00Z");
    assert_eq!(label("workflows.argoproj.io/cron-workflow"), "nightly");
    assert_eq!(label("team"), "data");
    assert!(run.document.contains("name: nightly\nentrypoint: main\n"), "{}", run.document);
}

#[tokio::test]
async fn stored_templates_are_those_of_the_fire_time() {
    const REFERS: &str = "apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: nightly}
spec:
  schedules: [\"* * * * *\"]
  workflowSpec:
    workflowTemplateRef: {name: job}
";
    let template = |text: &str| NewTemplate {
        id: TemplateId::new(TemplateKind::WorkflowTemplate, EntityId::DEFAULT_PROJECT, "job"),
        document: format!(
            "apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: job}}
spec:
  entrypoint: main
  templates:
  - name: main
    container: {{image: busybox, command: [echo, {text}]}}
"
        ),
        labels: Vec::new(),
        by: "me".to_owned(),
        at: START,
    };
    let mut world = World::new(MemoryStore::new(), REFERS).await;
    world.turn(seconds(0)).await;
    assert!(world.turn(seconds(60)).await.asked.is_empty());
    let problem = world.row().await.problem.unwrap();
    assert!(problem.contains("there is no WorkflowTemplate"), "{problem}");
    for (minute, text) in [(2, "first"), (3, "second")] {
        world.store.put(vec![template(text)]).await.unwrap();
        let at = seconds(minute * 60);
        world.news(vec![News::Changed(world.id)], at).await;
        let run = world.store.load(world.id.run(at)).await.unwrap();
        assert!(run.document.contains(text), "{}", run.document);
    }
}

#[tokio::test]
async fn nothing_is_written_while_nothing_is_due() {
    let mut world = World::new(MemoryStore::new(), DOCUMENT).await;
    world.turn(seconds(0)).await;
    let version = world.row().await.version;
    for second in 1..59 {
        world.news(vec![News::Changed(world.id)], seconds(second)).await;
    }
    assert_eq!(world.row().await.version, version);
}

#[tokio::test]
async fn ends_are_counted_and_the_history_is_kept_short() {
    let mut world = World::new(MemoryStore::new(), DOCUMENT).await;
    for minute in 1..=6_i64 {
        world.turn(seconds(60 * minute)).await;
        let id = world.id.run(seconds(60 * minute));
        let failed = minute % 3 == 0;
        let status = if failed { WorkflowStatus::Failed } else { WorkflowStatus::Succeeded };
        world.end(id, status, seconds(60 * minute + 5)).await;
        world.news(vec![News::Ended(id)], seconds(60 * minute + 5)).await;
    }
    let state = world.state().await;
    assert_eq!((state.succeeded, state.failed), (4, 2));
    assert_eq!(state.active.len(), 0);
    // Two that succeeded and one that failed are kept: of minutes 4, 5 and 6.
    let deleted: Vec<_> = world.deleted().await;
    let of = |minute: i64| world.id.run(seconds(60 * minute));
    assert_eq!(deleted, [of(1), of(2), of(3)]);
}

#[tokio::test]
async fn forbid_waits_and_replace_stops_what_still_runs() {
    let forbid = DOCUMENT.replace("concurrency: allow", "concurrency: forbid");
    let mut world = World::new(MemoryStore::new(), &forbid).await;
    world.turn(seconds(60)).await;
    assert_eq!(world.turn(seconds(120)).await.asked, []);
    let problem = world.row().await.problem.unwrap();
    assert!(
        problem.starts_with("2023-11-14T22:15:00.000Z: an earlier run is not over"),
        "{problem}"
    );
    world.end(world.id.run(seconds(60)), WorkflowStatus::Succeeded, seconds(130)).await;
    assert_eq!(world.turn(seconds(180)).await.asked, [world.id.run(seconds(180))]);
    assert_eq!(world.row().await.problem, None);

    let replace = DOCUMENT.replace("concurrency: allow", "concurrency: replace");
    let mut world = World::new(MemoryStore::new(), &replace).await;
    world.turn(seconds(60)).await;
    let (first, second) = (world.id.run(seconds(60)), world.id.run(seconds(120)));
    assert_eq!(world.turn(seconds(120)).await.asked, [first, second]);
    let intents = world.store.intents(ShardSet::ALL, 0, 10).await.unwrap();
    let stopped = intents.iter().find(|one| one.command.is_some()).unwrap();
    assert_eq!((stopped.workflow, &stopped.command), (first, &Some(Command::Terminate)));
}

#[tokio::test]
async fn a_suspended_schedule_waits_for_news() {
    let mut world = World::new(MemoryStore::new(), DOCUMENT).await;
    world.turn(seconds(0)).await;
    world.put(|put| put.suspended = true).await;
    let turned = world.news(vec![News::Changed(world.id)], seconds(30)).await;
    assert_eq!((turned.next_at, turned.asked.len()), (None, 0));
    assert_eq!(world.turn(seconds(600)).await.asked, []);
    world.put(|put| put.suspended = false).await;
    let turned = world.news(vec![News::Changed(world.id)], seconds(630)).await;
    assert_eq!(turned.next_at, Some(seconds(660)));
}

#[tokio::test]
async fn a_schedule_that_stopped_starts_nothing_more() {
    let stop = DOCUMENT.replace("concurrency: allow", "stopWhen: cronworkflow.failed >= 1");
    let mut world = World::new(MemoryStore::new(), &stop).await;
    world.turn(seconds(60)).await;
    let id = world.id.run(seconds(60));
    world.end(id, WorkflowStatus::Failed, seconds(61)).await;
    let turned = world.news(vec![News::Ended(id)], seconds(61)).await;
    assert_eq!(turned.next_at, None);
    assert_eq!(world.state().await.phase, Phase::Stopped);
    assert_eq!(world.turn(seconds(120)).await.asked, []);
}

#[tokio::test]
async fn a_document_that_cannot_be_read_says_so_and_is_tried_again() {
    let mut world = World::new(MemoryStore::new(), DOCUMENT).await;
    world.put(|put| put.document = "nonsense: 1".into()).await;
    let turned = world.turn(seconds(60)).await;
    assert_eq!(turned.next_at, Some(seconds(120)));
    let problem = world.row().await.problem.unwrap();
    assert!(problem.starts_with("its document: "), "{problem}");
    let again = PutSchedule { document: DOCUMENT.into(), ..world.as_put().await };
    world.store.put_schedule(again).await.unwrap();
    let turned = world.turn(seconds(120)).await;
    assert_eq!(turned.asked.len(), 1);
}

#[tokio::test]
async fn a_deleted_schedule_is_forgotten() {
    let mut world = World::new(MemoryStore::new(), DOCUMENT).await;
    world.turn(seconds(0)).await;
    world.store.delete_schedule(world.id).await.unwrap();
    let turned = world.turn(seconds(60)).await;
    assert_eq!(turned, crate::Turned::default());
    let gone = world.store.load(world.id.run(seconds(60))).await;
    assert!(matches!(gone, Err(StoreError::NotFound)));
}

#[tokio::test]
async fn a_start_finds_what_ended_and_what_came_due_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flowforge.db");
    let mut world = World::new(SqliteStore::open(&path).unwrap(), DOCUMENT).await;
    world.turn(seconds(60)).await;
    let id = world.id.run(seconds(60));
    world.end(id, WorkflowStatus::Succeeded, seconds(70)).await;
    world.restart(SqliteStore::open(&path).unwrap()).await;
    let turned = world.turn(seconds(125)).await;
    assert_eq!(turned.asked, [world.id.run(seconds(120))]);
    assert_eq!(world.state().await.succeeded, 1);
}
