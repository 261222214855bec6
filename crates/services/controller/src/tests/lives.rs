//! What workflows live through, with and without crashes.

use flowforge_model::attempt::{FailureClass, Report};
use flowforge_model::event::Command;
use flowforge_model::status::{Reason, TaskStatus, WorkflowStatus};

use super::fixture::{DIAMOND, World, dag, nudge};
use super::flaky::Fault;

#[tokio::test]
async fn a_diamond_runs_in_order_with_one_commit_for_each_edge() {
    let mut world = World::new(8).await;
    let id = world.submit(1, &dag(DIAMOND)).await;
    assert_eq!(world.began, ["a"]);
    world.finish().await;
    assert_eq!(world.began, ["a", "b", "c", "d"]);
    assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
    world.at_rest(id).await;
    // One to begin, one for each end; what becomes ready is admitted by the same commit.
    assert_eq!(world.store.commits.lock().unwrap().len(), 5);
}

#[tokio::test]
async fn one_slot_runs_one_task_at_a_time() {
    let mut world = World::new(1).await;
    let id = world.submit(1, &dag(DIAMOND)).await;
    let fact = world.end("a", world.success());
    world.turn(vec![fact]).await.unwrap();
    assert_eq!(world.running.len(), 1);
    assert_eq!(world.stored(id).await.runnable.len(), 1, "the other one waits");
    world.finish().await;
    world.at_rest(id).await;
}

/// The server dies after the n-th turn, before or after its effects got out.
#[tokio::test]
async fn a_crash_between_any_two_turns_changes_nothing_but_attempts() {
    for turns in 0..5 {
        for effects_out in [false, true] {
            let mut world = World::new(2).await;
            let id = world.insert(1, &dag(DIAMOND)).await;
            let mut inbox = vec![nudge(id)];
            for _ in 0..turns {
                let turned = world.bare_turn(std::mem::take(&mut inbox)).await.unwrap();
                if effects_out {
                    world.hand_out(turned);
                }
                if let Some(key) = world.running.keys().next().copied() {
                    inbox.push(world.end_attempt(key, world.success()));
                }
            }
            let succeeded = succeeded(&world, id).await;
            world.began.clear();
            world.crash().await;
            world.finish().await;
            assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
            world.at_rest(id).await;
            for name in &succeeded {
                assert!(!world.began.contains(name), "{name} ran after its success");
            }
        }
    }
}

async fn succeeded(world: &World, id: flowforge_model::id::WorkflowId) -> Vec<String> {
    let stored = world.stored(id).await;
    let done = stored.tasks.iter().filter(|task| task.state.status == TaskStatus::Succeeded);
    done.map(|task| task.shape.name.clone()).collect()
}

/// An unknown outcome is resolved by reading (INV-22): whether the commit happened or not, each
/// task runs exactly once.
#[tokio::test]
async fn a_lost_answer_to_any_commit_loses_and_repeats_nothing() {
    for fault in [Fault::Lost, Fault::AnswerLost] {
        for before in 0..5 {
            let mut world = World::new(2).await;
            let mut faults = vec![Fault::None; before];
            faults.push(fault);
            *world.store.faults.lock().unwrap() = faults.into();
            let id = world.insert(1, &dag(DIAMOND)).await;
            let mut inbox = vec![nudge(id)];
            loop {
                if world.turn(std::mem::take(&mut inbox)).await.is_err() {
                    world.reload(false).await;
                }
                let Some(key) = world.running.keys().next().copied() else {
                    break;
                };
                inbox.push(world.end_attempt(key, world.success()));
            }
            assert_eq!(world.began, ["a", "b", "c", "d"], "{fault:?} after {before}");
            assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
            world.at_rest(id).await;
        }
    }
}

#[tokio::test]
async fn a_cancel_takes_back_what_waits_and_stops_what_runs() {
    let mut world = World::new(1).await;
    let id = world.submit(1, &dag(&[("a", &[]), ("b", &[]), ("c", &["a"])])).await;
    world.ask(id, Command::Cancel).await;
    assert_eq!(world.stopped.len(), 1);
    assert_eq!(world.stored(id).await.runnable, []);
    let report =
        Report::failed(world.now, FailureClass::Stopped, Reason::Stopped, "stopped".to_owned());
    let fact = world.end_attempt(world.stopped[0], report);
    world.turn(vec![fact]).await.unwrap();
    assert_eq!(world.status(id).await, WorkflowStatus::Cancelled);
    assert_eq!(world.began, ["a"]);
    world.at_rest(id).await;
}

/// A stop that did not get out before the controller lost its memory is sent again.
#[tokio::test]
async fn a_stop_is_not_forgotten_when_the_controller_starts_again() {
    let mut world = World::new(1).await;
    let id = world.submit(1, &dag(&[("a", &[])])).await;
    world.store.faults.lock().unwrap().push_back(Fault::AnswerLost);
    let asked = flowforge_ports::store::Store::ask(&*world.store, id, Command::Cancel, world.now);
    asked.await.unwrap();
    assert!(world.turn(vec![nudge(id)]).await.is_err());
    assert!(world.stopped.is_empty());
    world.reload(false).await;
    assert_eq!(world.stopped.len(), 1);
    assert_eq!(world.began, ["a"]);
}

/// The gate is closed while a turn is under way: the store refuses the admission.
#[tokio::test]
async fn nothing_is_admitted_after_a_pause_is_acknowledged() {
    let mut world = World::new(1).await;
    let id = world.submit(1, &dag(DIAMOND)).await;
    let asked = flowforge_ports::store::Store::ask(&*world.store, id, Command::Pause, world.now);
    asked.await.unwrap();
    let fact = world.end("a", world.success());
    world.turn(vec![fact]).await.unwrap();
    assert_eq!(world.began, ["a"]);
    world.turn(vec![nudge(id)]).await.unwrap();
    assert_eq!(world.status(id).await, WorkflowStatus::Paused);
    let other = world.submit(2, &dag(&[("other", &[])])).await;
    assert_eq!(world.began, ["a", "other"], "what is refused holds no slot");
    world.finish().await;
    world.at_rest(other).await;
    let before = world.admissions();
    world.crash().await;
    world.turn(Vec::new()).await.unwrap();
    assert_eq!(world.admissions(), before, "the gate is known after a crash");
    let resume = Command::Resume { task: None, outputs: Vec::new() };
    world.ask(id, resume).await;
    world.finish().await;
    assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
    world.at_rest(id).await;
}

#[tokio::test]
async fn a_duplicate_end_is_acknowledged_and_changes_nothing() {
    let mut world = World::new(1).await;
    let id = world.submit(1, &dag(DIAMOND)).await;
    let fact = world.end("a", world.success());
    world.turn(vec![fact.clone()]).await.unwrap();
    let seq = world.stored(id).await.seq;
    let turned = world.bare_turn(vec![fact.clone(), fact]).await.unwrap();
    assert_eq!(turned.acknowledged.len(), 2);
    assert_eq!(world.stored(id).await.seq, seq);
}

#[tokio::test]
async fn a_retry_waits_for_its_timer_even_across_a_crash() {
    let mut world = World::new(1).await;
    let document = dag(&[("a", &[])]).replace(
        "command: [\"true\"]}",
        "command: [\"true\"]}\n    retryStrategy: {limit: 1, backoff: {duration: 10s}}",
    );
    let id = world.submit(1, &document).await;
    let failed =
        Report::failed(world.now, FailureClass::User, Reason::ExitCode, "exit code 1".to_owned());
    let fact = world.end("a", failed);
    world.turn(vec![fact]).await.unwrap();
    world.crash().await;
    assert!(world.running.is_empty());
    world.now = world.next_timer.unwrap();
    world.turn(Vec::new()).await.unwrap();
    assert_eq!(world.began, ["a", "a"]);
    world.finish().await;
    world.at_rest(id).await;
}

#[tokio::test]
async fn what_is_reserved_for_each_try_is_what_its_order_asks_for() {
    let mut world = World::new(1).await;
    let patch = r#"{"containers":[{"name":"main","resources":{"limits":{"memory":"{{=asInt(retries) + 1}}Mi"}}}]}"#;
    let document = dag(&[("a", &[])]).replace(
        "command: [\"true\"]}",
        &format!(
            "command: [\"true\"]}}\n    retryStrategy: {{limit: 1}}\n    podSpecPatch: '{patch}'"
        ),
    );
    let id = world.submit(1, &document).await;
    let mut mebibytes = Vec::new();
    for end in ["fails", "dies", "succeeds"] {
        let (key, order) = world.running.first_key_value().unwrap();
        let reserved = world.reserved(*key);
        assert_eq!(reserved, order.resources);
        assert_eq!(reserved.requests.memory, reserved.limits.memory);
        mebibytes.push(reserved.limits.memory.0 >> 20);
        match end {
            "fails" => {
                let message = "exit code 137".to_owned();
                let failed =
                    Report::failed(world.now, FailureClass::User, Reason::ExitCode, message);
                let fact = world.end("a", failed);
                world.turn(vec![fact]).await.unwrap();
            }
            // What dies with its server is repeated, and that is no retry.
            "dies" => world.crash().await,
            _ => world.finish().await,
        }
    }
    assert_eq!(mebibytes, [1, 2, 2]);
    assert_eq!(world.status(id).await, WorkflowStatus::Succeeded);
    world.at_rest(id).await;
}

#[tokio::test]
async fn a_workflow_is_deleted_when_its_time_to_live_ends() {
    let mut world = World::new(1).await;
    let document = format!("{}ttlStrategy: {{secondsAfterCompletion: 60}}\n", dag(&[("a", &[])]));
    let id = world.submit(1, &document).await;
    world.finish().await;
    world.crash().await;
    world.now = world.next_timer.unwrap();
    let turned = world.bare_turn(Vec::new()).await.unwrap();
    assert_eq!(turned.deleted, [id]);
    let gone = flowforge_ports::store::Store::load(&*world.store, id).await;
    assert!(gone.is_err());
}

#[tokio::test]
async fn an_ended_workflow_is_deleted_when_a_user_asks() {
    let mut world = World::new(1).await;
    let id = world.submit(1, &dag(&[("a", &[])])).await;
    world.finish().await;
    world.crash().await;
    world.ask(id, Command::Delete).await;
    let gone = flowforge_ports::store::Store::load(&*world.store, id).await;
    assert!(gone.is_err());
    let left = flowforge_ports::store::Store::intents(
        &*world.store,
        flowforge_model::shard::ShardSet::ALL,
        0,
        10,
    )
    .await;
    assert_eq!(left.unwrap(), []);
}
