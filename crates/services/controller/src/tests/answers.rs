use flowforge_model::event::Command;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};

use super::fixture::World;

const LOCKED: &str = r#"{"version": "1.0", "entrypoint": "a", "templates": {"a": {
    "synchronization": {"mutexes": [{"name": "m"}]},
    "container": {"image": "busybox", "command": ["true"]}}}}"#;

const REMEMBERED: &str = r#"{"version": "1.0", "entrypoint": "a", "templates": {"a": {
    "memoize": {"key": "k", "maxAge": "1h", "cache": {"configMap": {"name": "c"}}},
    "container": {"image": "busybox", "command": ["true"]}}}}"#;

#[tokio::test]
async fn a_lock_goes_from_one_workflow_to_the_next_in_one_commit_even_across_a_crash() {
    let mut world = World::new(4).await;
    let first = world.submit(1, LOCKED).await;
    let second = world.submit(2, LOCKED).await;
    assert_eq!(world.running.len(), 1);
    let waiting = world.stored(second).await;
    assert_eq!(waiting.tasks[0].state.reason, Some(Reason::Lock));
    assert!(!waiting.locks[0].held && world.stored(first).await.locks[0].held);

    // The attempt that held it is lost; its task holds it still.
    world.crash().await;
    assert_eq!(world.running.len(), 1);
    assert_eq!(world.running.keys().next().unwrap().workflow, first);
    let commits = world.store.commits.lock().unwrap().len();
    let fact = world.end("a", world.success());
    world.turn(vec![fact]).await.unwrap();
    assert_eq!(world.store.commits.lock().unwrap().len(), commits + 1);
    assert!(world.stored(first).await.locks.is_empty());
    assert!(world.stored(second).await.locks[0].held);
    world.finish().await;
    assert_eq!(world.stored(second).await.state.status, WorkflowStatus::Succeeded);
    assert!(world.stored(second).await.locks.is_empty());
}

#[tokio::test]
async fn a_lock_is_given_on_in_two_commits_while_they_are_made_one_by_one() {
    let mut world = World::new(4).await;
    // Written later, released first: in one turn the order of the workflows would matter.
    let second = world.submit(2, LOCKED).await;
    let first = world.submit(1, LOCKED).await;
    world.reload(true).await;
    world.finish().await;
    for id in [first, second] {
        assert_eq!(world.stored(id).await.state.status, WorkflowStatus::Succeeded);
    }
}

#[tokio::test]
async fn whoever_is_cancelled_while_it_waits_for_a_lock_does_not_get_it() {
    let mut world = World::new(4).await;
    let first = world.submit(1, LOCKED).await;
    let second = world.submit(2, LOCKED).await;
    world.ask(second, Command::Cancel).await;
    assert_eq!(world.stored(second).await.state.status, WorkflowStatus::Cancelled);
    assert!(world.stored(second).await.locks.is_empty());
    world.finish().await;
    assert_eq!(world.stored(first).await.state.status, WorkflowStatus::Succeeded);
}

#[tokio::test]
async fn outputs_are_remembered_for_the_next_workflow_until_they_are_too_old() {
    let mut world = World::new(4).await;
    let first = world.submit(1, REMEMBERED).await;
    world.finish().await;
    let second = world.submit(2, REMEMBERED).await;
    assert!(world.running.is_empty());
    let (first, second) = (world.stored(first).await, world.stored(second).await);
    assert_eq!(first.tasks[0].state.reason, None);
    assert_eq!(second.tasks[0].state.status, TaskStatus::Succeeded);
    assert_eq!(second.tasks[0].state.reason, Some(Reason::Memoized));
    world.now.0 += 3_600_000;
    world.submit(3, REMEMBERED).await;
    assert_eq!(world.running.len(), 1);
}
