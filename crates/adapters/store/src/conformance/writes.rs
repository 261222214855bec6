//! Inserting, asking, fencing, numbering, ending and deleting.

use flowforge_model::event::{Command, Timer};
use flowforge_model::id::NodeIx;
use flowforge_model::shard::ShardSet;
use flowforge_model::status::{TaskStatus, WorkflowStatus};
use flowforge_model::time::Timestamp;
use flowforge_ports::store::{Commit, StoreError, TimerRow};

use super::fixture::{
    AT, Held, NOWHERE, instance, new_workflow, now, state, task, task_record, workflow,
    workflow_record,
};
use super::{Subject, cases};

cases! {
    a_workflow_is_inserted_with_the_intent_to_begin_it
    the_same_request_gives_the_same_workflow_and_another_one_is_refused
    an_unknown_project_and_a_second_workflow_of_an_id_are_refused
    asking_for_an_end_or_a_pause_closes_the_gate_at_once
    an_end_that_waits_is_not_asked_twice
    what_has_ended_can_only_be_retried_and_only_if_it_did_not_succeed
    a_takeover_fences_the_one_before
    a_commit_at_another_record_writes_nothing_of_any_workflow
    a_terminal_workflow_absorbs_until_the_next_generation
    a_task_that_succeeded_stays_so
    a_task_is_inserted_once_and_updated_only_if_it_is_there
    a_state_that_contradicts_itself_is_refused
    rows_read_back_as_they_were_written
    timers_are_forgotten_first_and_set_then
    timers_of_what_ended_come_by_time
    unfinished_workflows_come_in_pages
    intents_come_in_pages_and_their_numbers_rise_for_ever
    a_deleted_workflow_leaves_nothing
    a_missing_task_is_corrupt_and_a_missing_workflow_not_found
}

fn a_workflow_is_inserted_with_the_intent_to_begin_it(store: &impl Subject) {
    let new = new_workflow(workflow(1));
    let inserted = now(store.insert(new.clone())).unwrap();
    assert_eq!((inserted.id, inserted.replayed), (new.id, false));
    let run = now(store.load(new.id)).unwrap();
    assert_eq!(run.document, new.document);
    assert_eq!(run.parameters, new.parameters);
    assert_eq!(run.labels, new.labels);
    assert_eq!((run.name, run.project), (new.name, new.project));
    assert_eq!((run.priority, run.created_at), (new.priority, new.at));
    assert_eq!((run.seq, run.gate_closed), (0, false));
    assert_eq!(run.state, state(WorkflowStatus::Pending, 1));
    let intents = now(store.intents(ShardSet::ALL, 0, 10)).unwrap();
    assert_eq!(intents.len(), 1);
    assert_eq!((intents[0].workflow, &intents[0].command), (new.id, &None));
}

fn the_same_request_gives_the_same_workflow_and_another_one_is_refused(store: &impl Subject) {
    let mut new = new_workflow(workflow(1));
    new.idempotency = Some(("key".to_owned(), "digest".to_owned()));
    now(store.insert(new.clone())).unwrap();
    new.id = workflow(2);
    let again = now(store.insert(new.clone())).unwrap();
    assert_eq!((again.id, again.replayed), (workflow(1), true));
    assert!(matches!(now(store.load(workflow(2))), Err(StoreError::NotFound)));
    new.idempotency = Some(("key".to_owned(), "other".to_owned()));
    assert!(matches!(now(store.insert(new)), Err(StoreError::KeyReused)));
    assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap().len(), 1);
}

fn an_unknown_project_and_a_second_workflow_of_an_id_are_refused(store: &impl Subject) {
    let mut new = new_workflow(workflow(1));
    new.project = NOWHERE;
    assert!(
        matches!(now(store.insert(new)), Err(StoreError::Refused(why)) if why.contains(&NOWHERE.to_string()))
    );
    now(store.insert(new_workflow(workflow(1)))).unwrap();
    let again = now(store.insert(new_workflow(workflow(1))));
    assert!(matches!(again, Err(StoreError::Conflict(_))));
}

fn asking_for_an_end_or_a_pause_closes_the_gate_at_once(store: &impl Subject) {
    let commands = [Command::Cancel, Command::Stop, Command::Terminate, Command::Pause];
    for (number, command) in (0..).zip(commands) {
        let id = workflow(number);
        now(store.insert(new_workflow(id))).unwrap();
        now(store.ask(id, command, AT)).unwrap();
        assert!(now(store.load(id)).unwrap().gate_closed);
    }
    let id = workflow(9);
    now(store.insert(new_workflow(id))).unwrap();
    let resume = Command::Resume { task: Some("a.b".to_owned()), outputs: Vec::new() };
    now(store.ask(id, resume.clone(), AT)).unwrap();
    assert!(!now(store.load(id)).unwrap().gate_closed);
    let last = now(store.intents(ShardSet::ALL, 0, 100)).unwrap().pop().unwrap();
    assert_eq!(last.command, Some(resume));
}

fn an_end_that_waits_is_not_asked_twice(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    for command in [Command::Cancel, Command::Stop, Command::Cancel, Command::Pause, Command::Pause]
    {
        now(store.ask(held.id, command, AT)).unwrap();
    }
    let waiting = now(store.intents(ShardSet::ALL, 0, 10)).unwrap();
    let commands: Vec<_> = waiting.iter().filter_map(|intent| intent.command.clone()).collect();
    assert_eq!(commands, [Command::Cancel, Command::Stop, Command::Pause, Command::Pause]);
    // Once it is carried out, asking again is a new wish.
    let mut commit = held.commit();
    commit.intents_done = waiting.iter().map(|intent| intent.id).collect();
    held.write(commit).unwrap();
    now(store.ask(held.id, Command::Cancel, AT)).unwrap();
    assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap().len(), 1);
}

fn what_has_ended_can_only_be_retried_and_only_if_it_did_not_succeed(store: &impl Subject) {
    let ask = |id, command| now(store.ask(id, command, AT));
    assert!(matches!(ask(workflow(1), Command::Cancel), Err(StoreError::NotFound)));
    for (number, status, retried) in [
        (1, WorkflowStatus::Succeeded, false),
        (2, WorkflowStatus::Failed, true),
        (3, WorkflowStatus::Cancelled, true),
    ] {
        let mut held = Held::begin(store, number);
        assert!(matches!(ask(held.id, Command::Retry), Err(StoreError::Refused(_))));
        held.become_(status, 1).unwrap();
        let cancel = ask(held.id, Command::Cancel);
        assert!(matches!(cancel, Err(StoreError::Refused(why)) if why.contains(status.as_str())));
        assert_eq!(ask(held.id, Command::Retry).is_ok(), retried);
        assert!(!now(store.load(held.id)).unwrap().gate_closed);
    }
}

fn a_takeover_fences_the_one_before(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let before = now(store.load(held.id)).unwrap();
    let epoch = now(store.take_over(instance())).unwrap();
    assert_eq!(epoch, held.epoch + 1);
    assert!(matches!(held.become_(WorkflowStatus::Failed, 1), Err(StoreError::Fenced)));
    assert_eq!(now(store.load(held.id)).unwrap(), before);
    held.epoch = epoch;
    held.become_(WorkflowStatus::Failed, 1).unwrap();
}

fn a_commit_at_another_record_writes_nothing_of_any_workflow(store: &impl Subject) {
    let first = Held::begin(store, 1);
    let mut second = Held::begin(store, 2);
    let before = now(store.load(first.id)).unwrap();
    now(store.ask(first.id, Command::Resume { task: None, outputs: Vec::new() }, AT)).unwrap();
    for wrong in [second.seq - 1, second.seq + 1, u64::MAX] {
        let mut commit = second.commit();
        commit.runs.insert(0, first.changes());
        commit.runs[0].records.push(workflow_record(WorkflowStatus::Running, 1));
        commit.runs[0].tasks.push(task(0, TaskStatus::Pending, 0, true));
        commit.runs[1].seq_before = wrong;
        commit.intents_done = vec![now(store.intents(ShardSet::ALL, 0, 1)).unwrap()[0].id];
        assert!(matches!(second.write(commit), Err(StoreError::Conflict(_))));
        assert_eq!(now(store.load(first.id)).unwrap(), before);
        assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap().len(), 1);
    }
}

fn a_terminal_workflow_absorbs_until_the_next_generation(store: &impl Subject) {
    let mut failed = Held::begin(store, 1);
    failed.become_(WorkflowStatus::Failed, 1).unwrap();
    let other = failed.become_(WorkflowStatus::Succeeded, 1);
    assert!(matches!(other, Err(StoreError::Conflict(_))));
    let running = failed.become_(WorkflowStatus::Running, 1);
    assert!(matches!(running, Err(StoreError::Conflict(_))));
    failed.become_(WorkflowStatus::Failed, 1).unwrap();
    failed.become_(WorkflowStatus::Running, 2).unwrap();
    failed.become_(WorkflowStatus::Succeeded, 2).unwrap();
    let reopened = failed.become_(WorkflowStatus::Running, 3);
    assert!(matches!(reopened, Err(StoreError::Conflict(_))));
}

fn a_task_that_succeeded_stays_so(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    held.finish(0, 1);
    for status in TaskStatus::ALL {
        let mut commit = held.commit();
        commit.runs[0].tasks.push(task(0, status, 1, false));
        assert_eq!(held.write(commit).is_ok(), status == TaskStatus::Succeeded, "{status:?}");
    }
}

fn a_task_is_inserted_once_and_updated_only_if_it_is_there(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, false);
    for wrong in [task(0, TaskStatus::Pending, 0, true), task(1, TaskStatus::Pending, 0, false)] {
        let mut commit = held.commit();
        commit.runs[0].tasks.push(wrong);
        assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    }
}

fn a_state_that_contradicts_itself_is_refused(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let mut ended_without_a_time = held.commit();
    let mut wrong = state(WorkflowStatus::Failed, 1);
    wrong.finished_at = None;
    ended_without_a_time.runs[0].state = Some(wrong);
    let mut running_with_an_end = held.commit();
    let mut wrong = task(0, TaskStatus::Running, 1, true);
    wrong.state.finished_at = Some(AT);
    running_with_an_end.runs[0].tasks.push(wrong);
    let mut before_its_group = held.commit();
    let mut wrong = task(0, TaskStatus::Pending, 0, true);
    wrong.shape.as_mut().unwrap().parent = Some(NodeIx(0));
    before_its_group.runs[0].tasks.push(wrong);
    let of_nobody = Commit { runs: vec![Default::default()], ..held.commit() };
    for commit in [ended_without_a_time, running_with_an_end, before_its_group, of_nobody] {
        assert!(matches!(held.write(commit), Err(StoreError::Conflict(_))));
    }
}

fn rows_read_back_as_they_were_written(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    held.queue(0, 1, true);
    held.queue(1, 1, false);
    held.finish(0, 1);
    let mut commit = held.commit();
    commit.runs[0].timers_set = vec![(NodeIx(1), Timer::Timeout, AT), (NodeIx(0), Timer::Ttl, AT)];
    held.write(commit).unwrap();
    let run = now(store.load(held.id)).unwrap();
    assert_eq!(run.seq, 4);
    assert_eq!(run.tasks.len(), 2);
    assert_eq!(run.tasks[0].state, task(0, TaskStatus::Succeeded, 1, false).state);
    assert_eq!(Some(&run.tasks[1].shape), task(1, TaskStatus::Queued, 1, true).shape.as_ref());
    assert_eq!(run.runnable, [held.key(1, 1)]);
    assert_eq!(run.open, []);
    assert_eq!(run.timers.len(), 2);
    let history = store.history(held.id);
    let seqs: Vec<u64> = history.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert_eq!(history[0].record, workflow_record(WorkflowStatus::Running, 1));
    assert_eq!(history[3].record, task_record(0, TaskStatus::Succeeded, 1));
    assert_eq!(history[3].task_name.as_deref(), Some("task-0"));
}

fn timers_are_forgotten_first_and_set_then(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let later = Timestamp(AT.0 + 9);
    let mut commit = held.commit();
    commit.runs[0].timers_set = vec![(NodeIx(0), Timer::Retry, AT), (NodeIx(0), Timer::Ttl, AT)];
    held.write(commit).unwrap();
    let mut commit = held.commit();
    commit.runs[0].timers_set = vec![(NodeIx(0), Timer::Retry, later)];
    commit.runs[0].timers_cleared =
        vec![(NodeIx(0), Timer::Retry), (NodeIx(0), Timer::Ttl), (NodeIx(5), Timer::Suspend)];
    held.write(commit).unwrap();
    let timer = TimerRow { at: later, workflow: held.id, node: NodeIx(0), timer: Timer::Retry };
    assert_eq!(now(store.load(held.id)).unwrap().timers, [timer]);
}

fn timers_of_what_ended_come_by_time(store: &impl Subject) {
    let mut expected = Vec::new();
    for (number, at, ends) in [(1, 30, true), (2, 10, true), (3, 20, false)] {
        let mut held = Held::begin(store, number);
        let mut commit = held.commit();
        commit.runs[0].timers_set = vec![(NodeIx(0), Timer::Ttl, Timestamp(at))];
        held.write(commit).unwrap();
        if ends {
            held.become_(WorkflowStatus::Cancelled, 1).unwrap();
            expected.push((Timestamp(at), held.id));
        }
    }
    expected.reverse();
    let timers = now(store.ended_timers(ShardSet::ALL)).unwrap();
    let found: Vec<_> = timers.iter().map(|row| (row.at, row.workflow)).collect();
    assert_eq!(found, expected);
}

fn unfinished_workflows_come_in_pages(store: &impl Subject) {
    for number in 1..=5 {
        let mut held = Held::begin(store, number);
        if number == 3 {
            held.become_(WorkflowStatus::Failed, 1).unwrap();
        }
    }
    let page = |after: Option<u32>, limit| {
        now(store.unfinished(ShardSet::ALL, after.map(workflow), limit)).unwrap()
    };
    assert_eq!(page(None, 2), [workflow(1), workflow(2)]);
    assert_eq!(page(Some(2), 2), [workflow(4), workflow(5)]);
    assert_eq!(page(Some(5), 2), []);
}

fn intents_come_in_pages_and_their_numbers_rise_for_ever(store: &impl Subject) {
    let mut held = Held::begin(store, 1);
    let mut last = 0;
    for _ in 0..3 {
        for _ in 0..2 {
            now(store.ask(held.id, Command::Pause, AT)).unwrap();
        }
        let first = now(store.intents(ShardSet::ALL, last, 1)).unwrap();
        let rest = now(store.intents(ShardSet::ALL, first[0].id, 10)).unwrap();
        assert_eq!((first.len(), rest.len()), (1, 1));
        assert!(last < first[0].id && first[0].id < rest[0].id);
        last = rest[0].id;
        let mut commit = held.commit();
        commit.intents_done = vec![first[0].id, rest[0].id, last + 100];
        held.write(commit).unwrap();
        assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap(), []);
    }
}

fn a_deleted_workflow_leaves_nothing(store: &impl Subject) {
    let mut other = Held::begin(store, 2);
    let mut new = new_workflow(workflow(1));
    new.idempotency = Some(("key".to_owned(), "digest".to_owned()));
    now(store.insert(new.clone())).unwrap();
    now(store.ask(new.id, Command::Pause, AT)).unwrap();
    let mut held = Held { store, epoch: other.epoch, id: new.id, seq: 0 };
    held.queue(0, 1, false);
    let mut commit = held.commit();
    commit.runs[0].delete = true;
    commit.runs[0].seq_before = 0;
    assert!(matches!(held.write(commit.clone()), Err(StoreError::Conflict(_))));
    commit.runs[0].seq_before = held.seq;
    commit.admissions.push(held.key(0, 1));
    assert_eq!(held.write(commit).unwrap(), [held.key(0, 1)]);
    assert!(matches!(now(store.load(new.id)), Err(StoreError::NotFound)));
    assert_eq!(now(store.intents(ShardSet::ALL, 0, 10)).unwrap(), []);
    assert_eq!(store.history(new.id), []);
    let again = now(store.insert(new.clone())).unwrap();
    assert!(!again.replayed);
    let run = now(store.load(new.id)).unwrap();
    assert_eq!((run.seq, run.tasks.len(), run.runnable.len()), (0, 0, 0));
    other.queue(0, 1, true);
}

fn a_missing_task_is_corrupt_and_a_missing_workflow_not_found(store: &impl Subject) {
    assert!(matches!(now(store.load(workflow(7))), Err(StoreError::NotFound)));
    let mut held = Held::begin(store, 1);
    Held::begin(store, 2);
    held.epoch += 1;
    held.queue(1, 1, false);
    assert!(matches!(now(store.load(held.id)), Err(StoreError::Corrupt(_))));
    assert!(now(store.load(workflow(2))).is_ok());
}
