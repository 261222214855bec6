//! Workflows that tasks start, across crashes.

use flowforge_model::event::Command;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};
use flowforge_ports::store::{Store as _, StoreError};

use super::fixture::{World, nudge};
use super::flaky::Fault;

/// A workflow with one task, which starts the workflow of this manifest; with these lines below `resource`.
fn caller(manifest: &str, more: &str) -> String {
    let indented = manifest.replace('\n', "\n        ");
    format!(
        "version: \"1.0\"\nentrypoint: call\ntemplates:\n  call:\n    resource:\n      action: create\n\
         {more}      manifest: |\n        {indented}\n"
    )
}

const AWAITED: &str = "      successCondition: status.phase == Succeeded\n      \
    failureCondition: status.phase in (Failed, Error)\n";

/// A workflow with one task that runs.
const LEAF: &str = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: leaf-}\n\
    spec:\n  entrypoint: main\n  templates:\n  - {name: main, container: {image: busybox, command: [\"true\"]}}";

fn child(id: WorkflowId) -> WorkflowId {
    id.child(NodeIx(0), 1)
}

async fn task(world: &World, id: WorkflowId) -> (TaskStatus, Option<Reason>) {
    let state = world.stored(id).await.tasks[0].state.clone();
    (state.status, state.reason)
}

#[tokio::test]
async fn a_task_ends_as_the_workflow_that_it_starts() {
    for (good, status) in [(true, WorkflowStatus::Succeeded), (false, WorkflowStatus::Failed)] {
        let mut world = World::new(4).await;
        let id = world.submit(1, &caller(LEAF, AWAITED)).await;
        assert_eq!(world.began, ["main"]);
        assert_eq!(task(&world, id).await.0, TaskStatus::Running);
        let stored = world.stored(child(id)).await;
        let parent = stored.parent.unwrap();
        assert_eq!((parent.attempt.workflow, parent.root, parent.depth), (id, Some(id), 1));
        assert!(stored.name.starts_with("leaf-") && stored.name.len() == 10, "{}", stored.name);
        let mut report = world.success();
        if !good {
            report = flowforge_model::attempt::Report::failed(
                world.now,
                flowforge_model::attempt::FailureClass::User,
                Reason::ExitCode,
                "exit code 1".to_owned(),
            );
        }
        let end = world.end("main", report);
        world.turn(vec![end]).await.unwrap();
        assert_eq!(world.status(child(id)).await, status);
        assert_eq!(world.status(id).await, status);
        if !good {
            let stored = world.stored(id).await;
            assert_eq!(stored.tasks[0].state.reason, Some(Reason::ChildFailed));
            let message = stored.tasks[0].state.message.clone().unwrap();
            assert!(message.contains("leaf-") && message.contains("ended FAILED"), "{message}");
        }
        world.at_rest(id).await;
        world.at_rest(child(id)).await;
    }
}

#[tokio::test]
async fn a_task_without_conditions_does_not_wait_and_its_workflow_has_a_slot_of_its_own() {
    let mut world = World::new(4).await;
    let id = world.submit(1, &caller(LEAF, "")).await;
    assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
    world.at_rest(id).await;
    let parent = world.stored(child(id)).await.parent.unwrap();
    assert_eq!((parent.root, parent.depth), (None, 1));
    assert_eq!(world.status(child(id)).await, WorkflowStatus::Running);
    world.finish().await;
    assert_eq!(world.status(child(id)).await, WorkflowStatus::Succeeded);
}

/// The server dies between any two turns, or learns nothing of a commit: there is one workflow for the attempt,
/// and its end is seen.
#[tokio::test]
async fn a_crash_between_any_two_turns_loses_no_workflow_and_starts_none_twice() {
    let short = LEAF.replace("spec:\n", "spec:\n  ttlStrategy: {secondsAfterCompletion: 0}\n");
    for (crashes_after, document) in (0..9).flat_map(|turns| [(turns, LEAF), (turns, &*short)]) {
        for fault in [None, Some(Fault::AnswerLost), Some(Fault::Lost)] {
            let mut world = World::new(4).await;
            let id = world.insert(1, &caller(document, AWAITED)).await;
            let mut inbox = vec![nudge(id)];
            for _ in 0..crashes_after {
                let Ok(turned) = world.bare_turn(std::mem::take(&mut inbox)).await else { break };
                world.hand_out(turned);
                if let Some(key) = world.running.keys().next().copied() {
                    let success = world.success();
                    inbox.push(world.end_attempt(key, success));
                }
            }
            if let Some(fault) = fault {
                world.store.faults.lock().unwrap().push_back(fault);
                let _lost = world.bare_turn(inbox).await;
                world.store.faults.lock().unwrap().clear();
            }
            world.crash().await;
            world.finish().await;
            let what = format!("after {crashes_after} turns, {fault:?}");
            assert_eq!(world.status(id).await, WorkflowStatus::Succeeded, "{what}");
            if document == LEAF {
                assert_eq!(world.status(child(id)).await, WorkflowStatus::Succeeded, "{what}");
            }
            let second = world.store.load(id.child(NodeIx(0), 2)).await;
            assert!(matches!(second, Err(StoreError::NotFound)), "{what}");
            world.at_rest(id).await;
        }
    }
}

#[tokio::test]
async fn whoever_ends_a_workflow_ends_those_that_it_started() {
    let nested = caller(LEAF, AWAITED);
    let rows = [
        (Command::Cancel, WorkflowStatus::Cancelled),
        (Command::Stop, WorkflowStatus::Failed),
        (Command::Terminate, WorkflowStatus::Failed),
    ];
    for (command, status) in rows {
        let mut world = World::new(4).await;
        let id = world.submit(1, &caller(&nested, AWAITED)).await;
        let inner = child(child(id));
        let parent = world.stored(inner).await.parent.unwrap();
        assert_eq!((parent.root, parent.depth), (Some(id), 2));
        world.ask(id, command).await;
        let [key] = world.stopped[..] else { panic!("{:?}", world.stopped) };
        assert_eq!(key.workflow, inner);
        assert_eq!(world.status(id).await, WorkflowStatus::Running);
        let stopped = flowforge_model::attempt::Report::failed(
            world.now,
            flowforge_model::attempt::FailureClass::Stopped,
            Reason::Stopped,
            "stopped".to_owned(),
        );
        let fact = world.end_attempt(key, stopped);
        world.turn(vec![fact]).await.unwrap();
        for one in [id, child(id), inner] {
            assert_eq!(world.status(one).await, status);
            world.at_rest(one).await;
        }
    }
}

#[tokio::test]
async fn a_workflow_that_waits_for_room_is_ended_before_it_begins() {
    let mut world = World::new(0).await;
    let id = world.submit(1, &caller(LEAF, AWAITED)).await;
    assert_eq!(task(&world, id).await.0, TaskStatus::Queued);
    world.ask(id, Command::Cancel).await;
    assert_eq!(world.status(id).await, WorkflowStatus::Cancelled);
    assert!(matches!(world.store.load(child(id)).await, Err(StoreError::NotFound)));
    world.at_rest(id).await;
}

#[tokio::test]
async fn what_is_no_workflow_fails_the_task_and_says_why() {
    let broken = LEAF.replace("entrypoint: main", "entrypoint: mian");
    let mut world = World::new(4).await;
    let id = world.submit(1, &caller(&broken, AWAITED)).await;
    let state = world.stored(id).await.tasks[0].state.clone();
    assert_eq!(state.reason, Some(Reason::ChildInvalid));
    let message = state.message.unwrap();
    assert!(message.contains("/spec/entrypoint") && message.contains("mian"), "{message}");
    assert_eq!(world.status(id).await, WorkflowStatus::Failed);
    world.at_rest(id).await;
}

/// Each is written into the one before it: the last may not start another.
#[tokio::test]
async fn only_so_many_workflows_may_start_one_another() {
    let mut document = caller(LEAF, AWAITED);
    for _ in 0..flowforge_model::limits::CHILD_DEPTH {
        document = caller(&document, AWAITED);
    }
    let mut world = World::new(40).await;
    let id = world.submit(1, &document).await;
    let mut last = id;
    for _ in 0..flowforge_model::limits::CHILD_DEPTH {
        last = child(last);
    }
    assert_eq!(task(&world, last).await, (TaskStatus::Failed, Some(Reason::DepthLimit)));
    assert_eq!(world.status(id).await, WorkflowStatus::Failed);
    assert!(world.began.is_empty());
    world.at_rest(id).await;
}

/// A retry of the task starts another workflow; the one before it has no say any more.
#[tokio::test]
async fn a_retry_starts_another_workflow() {
    let retried = format!("{}    retryStrategy: {{limit: 1}}\n", caller(LEAF, AWAITED));
    let mut world = World::new(4).await;
    let id = world.submit(1, &retried).await;
    world.ask(child(id), Command::Cancel).await;
    let key = world.stopped[0];
    let success = world.success();
    let fact = world.end_attempt(key, success);
    world.turn(vec![fact]).await.unwrap();
    assert_eq!(world.status(child(id)).await, WorkflowStatus::Cancelled);
    let second = id.child(NodeIx(0), 2);
    assert_eq!(world.status(second).await, WorkflowStatus::Running);
    world.ask(child(id), Command::Retry).await;
    world.finish().await;
    assert_eq!(world.status(child(id)).await, WorkflowStatus::Succeeded);
    assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
    assert_eq!(world.stored(id).await.tasks[0].state.attempt, 2);
}

/// The caller is set aside: nobody waits for its workflow any more, and it is ended.
#[tokio::test]
async fn a_workflow_whose_caller_is_set_aside_is_cancelled() {
    let call = caller(LEAF, AWAITED);
    let body = call.split_once("templates:\n").unwrap().1;
    let both = format!(
        "version: \"1.0\"\nentrypoint: both\ntemplates:\n  both:\n    dag:\n      tasks:\n\
         \x20     - {{name: one, template: call}}\n      - {{name: two, template: sh}}\n{body}\
         \x20 sh:\n    container: {{image: busybox, command: [\"true\"]}}\n"
    );
    let mut world = World::new(4).await;
    let id = world.submit(1, &both).await;
    assert_eq!(world.began, ["two", "main"]);
    let child = id.child(NodeIx(1), 1);
    world.store.poisoned.lock().unwrap().replace(id);
    let success = world.success();
    let end = world.end("two", success);
    assert!(world.turn(vec![end]).await.is_err());
    world.reload(true).await;
    assert_eq!(world.status(id).await, WorkflowStatus::Failed);
    let key = *world.stopped.last().unwrap();
    assert_eq!(key.workflow, child);
    let success = world.success();
    let fact = world.end_attempt(key, success);
    world.turn(vec![fact]).await.unwrap();
    assert_eq!(world.status(child).await, WorkflowStatus::Cancelled);
    world.at_rest(child).await;
}

/// The child is set aside: whoever waits for it is told.
#[tokio::test]
async fn a_workflow_that_is_set_aside_has_failed_for_its_caller() {
    let mut world = World::new(4).await;
    let id = world.submit(1, &caller(LEAF, AWAITED)).await;
    world.store.poisoned.lock().unwrap().replace(child(id));
    let success = world.success();
    let end = world.end("main", success);
    assert!(world.turn(vec![end]).await.is_err());
    world.reload(true).await;
    assert_eq!(world.status(child(id)).await, WorkflowStatus::Failed);
    assert_eq!(task(&world, id).await, (TaskStatus::Failed, Some(Reason::ChildFailed)));
    assert_eq!(world.status(id).await, WorkflowStatus::Failed);
}
