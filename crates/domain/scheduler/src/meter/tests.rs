use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, NodeIx, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension, Entity, Level, Quota};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_model::usage::{Measured, Seen};

use super::Meter;
use crate::{Candidate, FairShare, Settings};

const EVERY: Millis = Millis(300_000);
/// The beginning of an interval.
const AT: i64 = 3_000_000;

fn id(number: u32) -> EntityId {
    format!("01890a5d-ac96-774b-bcce-b3020{number:07x}").parse().unwrap()
}

fn entity(number: u32, parent: Option<u32>, pods: Option<u64>) -> Entity {
    let mut quota = Quota::default();
    quota.limits[Dimension::Pods as usize] = pods;
    let level = if parent.is_some() { Level::Project } else { Level::Tenant };
    let (name, parent) = (number.to_string(), parent.map(id));
    Entity { id: id(number), level, parent, name, quota: Some(quota), cluster: None }
}

fn key(node: u32) -> AttemptKey {
    let workflow: WorkflowId = "01890a5d-ac96-774b-bcce-c30200000001".parse().unwrap();
    AttemptKey { workflow, node: NodeIx(node), number: 1 }
}

fn task(node: u32) -> Candidate {
    Candidate {
        key: key(node),
        priority: 50,
        since: Timestamp(AT),
        parallelism: None,
        project: id(11),
        need: Amounts::ZERO.with(Dimension::Pods, 1).with(Dimension::CpuRequest, 500),
        root: key(0).workflow,
        storage: 0,
        called: false,
        lasts: None,
        retry: false,
        template: None,
    }
}

/// Room for two of three tasks; another tenant does nothing.
fn installation() -> FairShare {
    let mut fair = FairShare::new(8, Settings::default());
    fair.upsert(&entity(1, None, Some(2))).unwrap();
    fair.upsert(&entity(11, Some(1), None)).unwrap();
    fair.upsert(&entity(2, None, Some(5))).unwrap();
    for node in 0..3 {
        fair.offer(task(node));
    }
    fair
}

fn seen(sum: u64, most: u64) -> Seen {
    Seen { sum, most }
}

/// Looks whenever it wants to, until then.
fn until(meter: &mut Meter, fair: &mut FairShare, end: i64) -> Vec<Measured> {
    let mut over = Vec::new();
    while meter.next() < Timestamp(end) {
        let now = meter.next().max(Timestamp(AT));
        over.extend(meter.look(fair, now));
    }
    over
}

fn pods(row: &Measured) -> Seen {
    row.used[Dimension::Pods as usize]
}

#[test]
fn an_interval_says_the_mean_of_its_looks_and_the_most_there_was() {
    let (mut fair, mut meter) = (installation(), Meter::new(EVERY));
    assert!(until(&mut meter, &mut fair, AT + 150_000).is_empty());
    // Fifteen looks saw nothing run; two run for one look, and one for the other fourteen.
    assert_eq!(fair.admit(Timestamp(AT + 150_000), 9).len(), 2);
    assert!(until(&mut meter, &mut fair, AT + 160_000).is_empty());
    fair.release(key(0));
    fair.withdraw(key(2));
    let over = until(&mut meter, &mut fair, AT + 300_001);
    let whose: Vec<_> = over.iter().map(|row| (row.entity, row.level)).collect();
    let (tenant, project) = (Some(Level::Tenant), Some(Level::Project));
    assert_eq!(whose, [(None, None), (Some(id(1)), tenant), (Some(id(11)), project)]);
    for row in &over {
        assert_eq!((row.at, row.looks), (Timestamp(AT), 30));
        assert_eq!(pods(row), seen(2 + 14, 2));
        assert_eq!(row.used[Dimension::CpuRequest as usize], seen(500 * (2 + 14), 1000));
        assert_eq!(row.used[Dimension::Workflows as usize], seen(15, 1));
        assert_eq!((row.running, row.waiting), (seen(16, 2), seen(45 + 1, 3)));
    }
    assert_eq!(over[1].limits[Dimension::Pods as usize], Some(2));
    assert_eq!(over[2].limits, [None; Dimension::COUNT]);
}

#[test]
fn what_is_over_before_it_is_looked_at_is_the_most_all_the_same() {
    let (mut fair, mut meter) = (installation(), Meter::new(EVERY));
    meter.look(&mut fair, Timestamp(AT));
    let now = Timestamp(AT + 1);
    assert_eq!(fair.admit(now, 9).len(), 2);
    for node in 0..2 {
        fair.release(key(node));
    }
    fair.end_workflow(key(0).workflow);
    fair.withdraw(key(2));
    let over = until(&mut meter, &mut fair, AT + 300_001);
    assert_eq!(over.len(), 3);
    assert!(over.iter().all(|row| pods(row) == seen(0, 2)), "{over:?}");
    // It does not count for the next one.
    let over = until(&mut meter, &mut fair, AT + 600_001);
    assert_eq!(over.len(), 1, "the installation alone: {over:?}");
    assert_eq!((over[0].at, pods(&over[0])), (Timestamp(AT + 300_000), seen(0, 0)));
}

#[test]
fn intervals_nobody_looked_in_are_left_out_and_a_clock_may_be_set_back() {
    let (mut fair, mut meter) = (installation(), Meter::new(EVERY));
    meter.look(&mut fair, Timestamp(AT + 200_000));
    // Not yet time.
    assert!(meter.look(&mut fair, Timestamp(AT + 200_001)).is_empty());
    let over = meter.look(&mut fair, Timestamp(AT + 3 * 300_000 + 7));
    assert_eq!((over[0].at, over[0].looks), (Timestamp(AT), 1));
    let over = meter.look(&mut fair, Timestamp(AT + 1));
    assert_eq!((over[0].at, over[0].looks), (Timestamp(AT + 3 * 300_000), 1));
    assert!(meter.next() <= Timestamp(AT + 1 + 10_000));
}
