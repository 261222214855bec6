//! Several clusters: quotas are of all together, slots of each alone.

use std::collections::BTreeMap;

use super::*;
use crate::why::Code;

/// Tenant 1 with project 5 at home and 6 in the cluster `west`.
fn two() -> FairShare {
    let mut fair = FairShare::new(0, Settings::default());
    fair.upsert(&entity(1, None, 100)).unwrap();
    fair.upsert(&entity(5, Some(1), 100)).unwrap();
    fair.upsert(&Entity { cluster: Some(west()), ..entity(6, Some(1), 100) }).unwrap();
    fair
}

fn west() -> ClusterName {
    ClusterName::parse("west").unwrap()
}

fn slots(home: u64, there: u64) -> BTreeMap<ClusterName, u64> {
    BTreeMap::from([(ClusterName::default(), home), (west(), there)])
}

fn only_home(slots: u64) -> BTreeMap<ClusterName, u64> {
    BTreeMap::from([(ClusterName::default(), slots)])
}

fn at(now: i64) -> Timestamp {
    Timestamp(1_000_000 + now)
}

#[test]
fn a_cluster_that_is_down_degrades_its_own_tasks_only() {
    let mut fair = two();
    fair.resize_each(&only_home(3));
    // Those of the other cluster are first by any order.
    for node in 0..50 {
        fair.offer(Candidate { priority: 90, ..candidate(1, node, 6) });
    }
    for node in 0..3 {
        fair.offer(Candidate { priority: 10, since: at(5), ..candidate(2, node, 5) });
    }
    assert_eq!(fair.admit(at(10), 9), [key(2, 0), key(2, 1), key(2, 2)]);
    let why = fair.why(key(1, 0), at(10)).unwrap();
    assert_eq!((why.code, &why.cluster), (Code::ClusterDown, &west()));
    // Nor do they claim anything, however long they wait.
    fair.end(key(2, 0), Some(Outcome::Succeeded));
    assert_eq!(fair.admit(at(7_200_000), 9), []);
    assert_eq!(fair.claims().count(), 0);
    sound(&fair);
    fair.resize_each(&slots(3, 2));
    assert_eq!(fair.admit(at(7_200_001), 9), [key(1, 0), key(1, 1)]);
    let why = fair.why(key(1, 2), at(7_200_002)).unwrap();
    let short = why.short.unwrap();
    assert_eq!((why.code, why.cluster), (Code::CapacityFull, west()));
    assert_eq!((short.used, short.limit, short.entity), (2, 2, None));
    sound(&fair);
}

/// What runs in a cluster that is gone counts against quotas, and not against the slots of others.
#[test]
fn what_runs_where_nobody_lives_takes_no_slots_elsewhere() {
    let mut fair = two();
    fair.upsert(&limit(entity(1, None, 100), Dimension::Pods, 5)).unwrap();
    fair.resize_each(&slots(4, 4));
    for node in 0..4 {
        fair.offer(candidate(1, node, 6));
    }
    assert_eq!(fair.admit(at(0), 9).len(), 4);
    fair.resize_each(&only_home(4));
    for node in 0..4 {
        fair.offer(candidate(2, node, 5));
    }
    assert_eq!(fair.admit(at(1), 9), [key(2, 0)], "the tenant may run five");
    assert_eq!(fair.why(key(2, 1), at(1)).unwrap().code, Code::ParentFull);
    fair.end(key(1, 0), None);
    assert_eq!(fair.admit(at(2), 9), [key(2, 1)]);
    sound(&fair);
}

#[test]
fn a_project_that_moves_takes_along_what_waits() {
    let mut fair = two();
    fair.resize_each(&slots(2, 1));
    for node in 0..3 {
        fair.offer(candidate(1, node, 6));
    }
    assert_eq!(fair.admit(at(0), 9), [key(1, 0)]);
    fair.upsert(&entity(6, Some(1), 100)).unwrap();
    sound(&fair);
    assert_eq!(fair.cluster(key(1, 0)), Some(west()), "it runs where it was admitted");
    assert_eq!(fair.cluster(key(1, 1)), Some(ClusterName::default()));
    assert_eq!(fair.admit(at(1), 9), [key(1, 1), key(1, 2)]);
    assert_eq!(fair.clusters.used(), [2, 1]);
    // What comes to nothing waits for the cluster that its project is in now.
    fair.roll_back(key(1, 0));
    assert_eq!(fair.cluster(key(1, 0)), Some(ClusterName::default()));
    sound(&fair);
}

/// What nobody began in a cluster that went waits with its place and its age, and is admitted again where its project is
/// by then, or nowhere.
#[test]
fn what_nobody_began_waits_again_where_its_project_is() {
    let mut fair = two();
    let in_cluster =
        |cluster| Entity { cluster, ..limit(entity(6, Some(1), 100), Dimension::Workflows, 1) };
    fair.upsert(&in_cluster(Some(west()))).unwrap();
    fair.resize_each(&slots(2, 1));
    fair.offer(candidate(1, 0, 6));
    assert_eq!(fair.admit(at(0), 9), [key(1, 0)]);
    assert_eq!(fair.why(key(1, 0), at(0)).unwrap().short, None);
    fair.resize_each(&only_home(2));
    let why = fair.why(key(1, 0), at(0)).unwrap();
    assert_eq!((why.code, &why.cluster), (Code::Running, &west()));
    assert_eq!(why.short.unwrap().limit, 0, "nobody is there");
    fair.take_back(key(1, 0));
    sound(&fair);
    assert_eq!(fair.clusters.used(), [0, 0]);
    assert_eq!(fair.admit(at(1), 9), [], "nobody lives there");
    assert_eq!(fair.why(key(1, 0), at(1)).unwrap().code, Code::ClusterDown);
    fair.offer(candidate(2, 0, 6));
    fair.offer(candidate(1, 1, 6));
    fair.upsert(&in_cluster(None)).unwrap();
    assert_eq!(fair.admit(at(2), 9), [key(1, 0), key(1, 1)], "its workflow has kept its slot");
    fair.take_back(key(1, 0));
    fair.take_back(key(1, 0));
    fair.take_back(key(2, 0));
    assert_eq!((fair.held(), fair.waiting()), (1, 2));
    sound(&fair);
}

#[test]
fn what_is_found_running_holds_slots_where_it_runs() {
    let mut fair = two();
    fair.resize_each(&slots(1, 1));
    fair.adopt_in(candidate(1, 0, 5), Some(&west()));
    fair.adopt(candidate(1, 1, 6));
    assert_eq!(fair.clusters.used(), [0, 2]);
    // Without a pod it is nowhere.
    fair.adopt_in(Candidate { need: Amounts::ZERO, ..candidate(1, 2, 6) }, Some(&west()));
    fair.offer(candidate(2, 0, 6));
    fair.offer(candidate(2, 1, 5));
    assert_eq!(fair.admit(at(0), 9), [key(2, 1)]);
    sound(&fair);
}

/// A gang claims slots of its own cluster: those of others go on to start.
#[test]
fn a_claim_keeps_slots_of_its_cluster_only() {
    let mut fair = two();
    fair.upsert(&entity(2, None, 100)).unwrap();
    fair.upsert(&Entity { cluster: Some(west()), ..entity(7, Some(2), 100) }).unwrap();
    fair.resize_each(&slots(4, 4));
    for node in 0..4 {
        fair.offer(candidate(1, node, 6));
    }
    assert_eq!(fair.admit(at(0), 9).len(), 4);
    fair.offer(Candidate { need: pods(4), priority: 100, ..candidate(2, 0, 6) });
    fair.offer(Candidate { since: at(690_000), ..candidate(3, 0, 7) });
    let mut now = 700_000;
    for _ in 0..200 {
        fair.admit(at(now), 0);
        now += 1000;
    }
    assert_eq!(fair.claims().map(|claim| claim.key).collect::<Vec<_>>(), [key(2, 0)]);
    fair.end(key(1, 0), Some(Outcome::Succeeded));
    for node in 0..2 {
        fair.offer(candidate(4, node, 5));
    }
    sound(&fair);
    let started = fair.admit(at(now), 9);
    assert!(started.contains(&key(4, 0)) && started.contains(&key(4, 1)), "{started:?}");
    assert!(!started.contains(&key(2, 0)));
    sound(&fair);
    // Nobody lives there any more: nothing is kept.
    fair.resize_each(&only_home(4));
    assert_eq!(fair.claims().count(), 0);
    sound(&fair);
}

/// A class of several needs is of one cluster: of a class only the first is tried.
#[test]
fn thousands_of_needs_of_a_cluster_that_is_down_stand_in_nobodys_way() {
    let mut fair = two();
    fair.resize_each(&only_home(100));
    for node in 0..500_u32 {
        let need = |cpu: u32| pods(1).with(Dimension::CpuRequest, u64::from(cpu) * 3 + 1);
        fair.offer(Candidate { need: need(node), priority: 99, ..candidate(1, node, 6) });
        fair.offer(Candidate { need: need(node + 7), ..candidate(2, node, 5) });
    }
    assert_eq!(fair.admit(at(0), 1000).len(), 100);
    sound(&fair);
}
