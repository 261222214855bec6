//! Workflows that tasks start.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::Command;
use flowforge_model::id::WorkflowId;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::store::{Intent, NewWorkflow, Parent, StoreError};

use super::fixture::{AT, Held, new_workflow, now, state, workflow};
use super::{Subject, cases};

cases! {
    a_workflow_is_started_with_the_intent_to_begin_it_or_not_at_all
    what_goes_on_is_asked_and_its_gate_stays_as_it_is
    a_workflow_that_a_task_started_leaves_nothing
}

/// What an attempt starts.
pub(super) fn started(attempt: AttemptKey, root: Option<WorkflowId>) -> NewWorkflow {
    let parent = Some(Parent { attempt, root, depth: 3 });
    NewWorkflow { parent, ..new_workflow(attempt.child()) }
}

fn intents(store: &impl Subject) -> Vec<Intent> {
    now(store.intents(ShardSet::ALL, 0, 99)).unwrap()
}

/// A workflow with an open attempt, which has started another.
fn with_child<'s, S: Subject>(store: &'s S, root: Option<WorkflowId>) -> (Held<'s, S>, WorkflowId) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    let key = held.key(0, 1);
    let mut commit = held.commit();
    commit.runs[0].children.push(started(key, root));
    commit.runs[0].started.push((key, AT));
    held.write(commit).unwrap();
    (held, key.child())
}

fn a_workflow_is_started_with_the_intent_to_begin_it_or_not_at_all(store: &impl Subject) {
    let root = Some(workflow(7));
    let (held, id) = with_child(store, root);
    let new = started(held.key(0, 1), root);
    let run = now(store.load(id)).unwrap();
    assert_eq!((run.parent, &run.document), (new.parent, &new.document));
    assert_eq!((&run.parameters, &run.labels), (&new.parameters, &new.labels));
    assert_eq!((run.name, run.project, run.storage), (new.name, new.project, new.storage));
    assert_eq!((run.priority, run.created_at), (new.priority, new.at));
    assert_eq!((run.seq, run.gate_closed), (0, false));
    assert_eq!(run.state, state(WorkflowStatus::Pending, 1));
    let [Intent { workflow, command: None, .. }] = intents(store)[..] else { panic!() };
    assert_eq!(workflow, id);
    assert_eq!(store.attempts(held.id)[0].started, Some(id));
    assert_eq!(now(store.load(held.id)).unwrap().parent, None);
    // What is refused starts nothing.
    let mut commit = held.commit();
    commit.runs[0].seq_before += 1;
    commit.runs[0].children.push(started(held.key(0, 2), None));
    assert!(matches!(now(store.commit(commit)), Err(StoreError::Conflict(_))));
    assert!(matches!(now(store.load(held.key(0, 2).child())), Err(StoreError::NotFound)));
    // Nobody waits for this one.
    let mut commit = held.commit();
    commit.runs[0].children.push(started(held.key(0, 2), None));
    now(store.commit(commit)).unwrap();
    assert_eq!(now(store.load(held.key(0, 2).child())).unwrap().parent.unwrap().root, None);
}

fn what_goes_on_is_asked_and_its_gate_stays_as_it_is(store: &impl Subject) {
    let (mut held, id) = with_child(store, None);
    let gone = held.key(5, 5).child();
    let mut commit = held.commit();
    commit.intents_done = intents(store).iter().map(|intent| intent.id).collect();
    commit.runs[0].asks = vec![(id, Command::Cancel), (gone, Command::Cancel)];
    held.write(commit).unwrap();
    let [Intent { workflow, command: Some(Command::Cancel), .. }] = intents(store)[..] else {
        panic!()
    };
    assert_eq!(workflow, id);
    assert!(!now(store.load(id)).unwrap().gate_closed);
    // It has ended: it is not asked again.
    let mut child = Held { store, epoch: held.epoch, id, seq: 0 };
    child.become_(WorkflowStatus::Cancelled, 1).unwrap();
    let mut commit = held.commit();
    commit.runs[0].asks = vec![(id, Command::Stop)];
    held.write(commit).unwrap();
    assert_eq!(intents(store).len(), 1);
}

fn a_workflow_that_a_task_started_leaves_nothing(store: &impl Subject) {
    let (held, id) = with_child(store, None);
    let mut child = Held { store, epoch: held.epoch, id, seq: 0 };
    child.become_(WorkflowStatus::Succeeded, 1).unwrap();
    let mut commit = child.commit();
    commit.runs[0].delete = true;
    child.write(commit).unwrap();
    assert!(matches!(now(store.load(id)), Err(StoreError::NotFound)));
    assert!(intents(store).is_empty());
}
