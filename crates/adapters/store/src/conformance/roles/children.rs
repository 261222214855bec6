//! Attempts that start workflows: no executor has to do with them.

use flowforge_model::attempt::{Fact, FactKind};
use flowforge_ports::admission::Ready;
use flowforge_ports::handover::{Call, Tidings};

use super::super::children::started;
use super::super::shared_cases;
use super::{
    AT, Fleet, Shared, StoreError, TaskStatus, Timestamp, WorkflowStatus, now, ready, report,
    state, task, task_record, unclaimed, workflow_record,
};

shared_cases! {
    an_attempt_without_a_pod_is_admitted_and_its_controller_told
    the_end_of_a_workflow_is_news_for_whoever_waits_for_it
}

fn an_attempt_without_a_pod_is_admitted_and_its_controller_told(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let own = Ready { pods: 0, ..ready(fleet.key(0, 1)) };
    let mut commit = fleet.commit();
    commit.runs[0].tasks.push(task(0, TaskStatus::Queued, 1, true));
    commit.runs[0].records.push(task_record(0, TaskStatus::Queued, 1));
    commit.runs[0].runnable.push(own.key);
    commit.handover.as_deref_mut().unwrap().calls.push(Call::Offer(own));
    fleet.write(commit).unwrap();
    assert_eq!(now(store.snapshot()).unwrap().ready, [own]);
    assert_eq!(fleet.reserve(&[own.key]).admitted, [own.key]);
    let snapshot = now(store.snapshot()).unwrap();
    assert_eq!((snapshot.ready, snapshot.open), (vec![], vec![own]));
    let later = Timestamp(AT.0 + 1);
    assert_eq!(unclaimed(store, later), [own.key]);
    let other = now(store.begin_own(fleet.epoch + 1, AT, &[own.key]));
    assert!(matches!(other, Err(StoreError::Fenced)));
    assert!(fleet.news().is_empty());
    now(store.begin_own(fleet.epoch, AT, &[own.key])).unwrap();
    let begun = Fact { key: own.key, kind: FactKind::Started(AT) };
    assert_eq!(fleet.news(), [Tidings::Fact(begun)]);
    // Its controller has begun with it: nobody is told again.
    let mut commit = fleet.commit();
    commit.runs[0].children.push(started(own.key, Some(fleet.id)));
    commit.runs[0].started.push((own.key, AT));
    fleet.write(commit).unwrap();
    assert!(unclaimed(store, later).is_empty());
}

fn the_end_of_a_workflow_is_news_for_whoever_waits_for_it(store: &impl Shared) {
    let mut fleet = Fleet::begin(store);
    let key = fleet.claimed_by_controller();
    let mut child = Fleet { store, id: key.child(), seq: 0, leases: fleet.leases.clone(), ..fleet };
    // It runs in the slot of its caller, and so do its attempts and locks.
    let called = Ready { called: true, ..ready(child.key(0, 1)) };
    let mut commit = child.commit();
    commit.runs[0].state = Some(state(WorkflowStatus::Running, 1));
    commit.runs[0].records.push(workflow_record(WorkflowStatus::Running, 1));
    commit.runs[0].tasks.push(task(0, TaskStatus::Queued, 1, true));
    commit.runs[0].runnable.push(called.key);
    let handover = commit.handover.as_deref_mut().unwrap();
    handover.calls.push(Call::Offer(called));
    handover.orders.push((called.key, Ok(super::order(called.key))));
    child.write(commit).unwrap();
    assert_eq!(now(store.snapshot()).unwrap().ready, [called]);
    child.reserve(&[called.key]);
    let slots = [(child.id, true)].into();
    now(store.reserve(child.epoch, AT, &[], &slots)).unwrap();
    let slots = now(store.snapshot()).unwrap().slots;
    assert!(slots.iter().any(|slot| slot.workflow == child.id && slot.called), "{slots:?}");
    // The end.
    let fact = Fact { key, kind: FactKind::Finished(Box::new(report(None))) };
    let mut commit = child.commit();
    commit.runs[0].state = Some(state(WorkflowStatus::Succeeded, 1));
    commit.runs[0].records.push(workflow_record(WorkflowStatus::Succeeded, 1));
    commit.runs[0].ended.push((called.key, report(None)));
    commit.runs[0].tells.push(fact.clone());
    child.write(commit).unwrap();
    assert_eq!(child.news(), [Tidings::Fact(fact)]);
}
