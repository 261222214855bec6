//! One workflow that breaks does not stop the others (INV-19).

use flowforge_model::event::Command;
use flowforge_model::status::{Reason, WorkflowStatus};

use flowforge_ports::store::Store;

use super::fixture::{DIAMOND, World, dag, nudge};

#[tokio::test]
async fn a_document_that_does_not_compile_any_more_is_set_aside() {
    let mut world = World::new(2).await;
    let bad = world.insert(1, "version: \"0.1\"").await;
    let good = world.insert(2, &dag(DIAMOND)).await;
    world.crash().await;
    world.finish().await;
    assert_eq!(world.status(good).await, WorkflowStatus::Succeeded);
    let state = world.stored(bad).await.state;
    assert_eq!(state.status, WorkflowStatus::Failed);
    assert_eq!(state.reason, Some(Reason::Quarantined));
    let message = state.message.unwrap();
    assert!(message.starts_with("its document does not compile any more"), "{message}");
    world.at_rest(bad).await;
    let intents =
        Store::intents(&*world.store, flowforge_model::shard::ShardSet::ALL, 0, 10).await.unwrap();
    assert_eq!(intents, [], "nothing looks at it again");
}

/// Of the bad workflow one task has ended, one runs and one waits for a slot.
#[tokio::test]
async fn a_workflow_whose_writes_conflict_is_set_aside_alone() {
    let mut world = World::new(3).await;
    let bad = world.submit(1, &dag(&[("x", &[]), ("y", &[]), ("after-x", &["x"])])).await;
    let good = world.submit(2, &dag(DIAMOND)).await;
    let waits = world.submit(3, &dag(DIAMOND)).await;
    *world.store.poisoned.lock().unwrap() = Some(bad);
    let facts = vec![world.end("x", world.success()), world.end("a", world.success())];
    let error = world.turn(facts).await.unwrap_err();
    assert!(error.conflict());
    world.reload(true).await;
    // Both are open in the store: the end of x was never committed.
    assert_eq!(world.stopped.len(), 2);
    assert!(!world.began.contains(&"after-x".to_owned()));
    assert_eq!(world.stored(bad).await.state.reason, Some(Reason::Quarantined));
    world.finish().await;
    for id in [good, waits] {
        assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
        world.at_rest(id).await;
    }
    world.at_rest(bad).await;
}

#[tokio::test]
async fn nothing_of_a_workflow_that_is_set_aside_stays_on_the_queue() {
    let mut world = World::new(1).await;
    let bad = world.submit(1, &dag(&[("x", &[]), ("y", &[])])).await;
    let good = world.submit(2, &dag(DIAMOND)).await;
    *world.store.poisoned.lock().unwrap() = Some(bad);
    let fact = world.end("x", world.success());
    assert!(world.turn(vec![fact]).await.is_err());
    world.reload(true).await;
    world.at_rest(bad).await;
    world.finish().await;
    assert_eq!(world.status(good).await, WorkflowStatus::Succeeded);
    assert!(!world.began.contains(&"y".to_owned()));
}

#[tokio::test]
async fn a_task_that_cannot_be_prepared_fails_with_its_reason() {
    let mut world = World::new(2).await;
    let long = "x".repeat(70 * 1024);
    let document = format!(
        "version: \"1.0\"\nentrypoint: main\narguments: {{parameters: [{{name: p, value: {long}}}]}}\n\
         templates:\n  main:\n    container: {{image: busybox, command: [echo, \
         \"{{{{workflow.parameters.p}}}}{{{{workflow.parameters.p}}}}\"]}}\n"
    );
    let id = world.submit(1, &document).await;
    assert!(world.began.is_empty());
    let stored = world.stored(id).await;
    assert_eq!(stored.state.status, WorkflowStatus::Failed);
    let reasons: Vec<_> = stored.tasks.iter().filter_map(|task| task.state.reason).collect();
    assert!(reasons.contains(&Reason::ArgumentTooLong), "{reasons:?}");
    world.at_rest(id).await;
}

#[tokio::test]
async fn a_controller_that_was_taken_over_commits_nothing_more() {
    let mut world = World::new(2).await;
    let id = world.insert(1, &dag(DIAMOND)).await;
    let instance = flowforge_model::id::InstanceId(uuid::Uuid::from_u128(99));
    let taken = Store::take_over(&*world.store, instance);
    taken.await.unwrap();
    let error = world.turn(vec![nudge(id)]).await.unwrap_err();
    assert!(error.fatal());
    assert_eq!(world.stored(id).await.seq, 0);
}

/// A controller that commits one by one does what any other does: the gate that the stop closed
/// opens for the exit handler, which begins in the turn that carries the stop out.
#[tokio::test]
async fn a_gate_opens_also_when_workflows_are_committed_one_by_one() {
    let mut world = World::new(1).await;
    let other = world.submit(1, &dag(&[("x", &[])])).await;
    let exit = dag(&[("y", &[])]).replace("entrypoint: main", "entrypoint: main\nonExit: sh");
    let stopped = world.submit(2, &exit).await;
    world.reload(true).await;
    world.ask(stopped, Command::Stop).await;
    assert!(!world.stored(stopped).await.gate_closed);
    world.finish().await;
    assert_eq!(world.began, ["x", "onExit"]);
    for id in [other, stopped] {
        world.at_rest(id).await;
    }
}
