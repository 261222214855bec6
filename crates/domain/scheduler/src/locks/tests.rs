use proptest::prelude::*;

use super::*;

fn workflow(n: u8) -> WorkflowId {
    format!("01890a5d-ac96-774b-bcce-b302099a80{n:02x}").parse().unwrap()
}

fn holder(n: u8) -> Holder {
    (workflow(n), NodeIx(u32::from(n)))
}

/// A claim of task `n`, which came n-th.
fn claim(n: u8, priority: i32, locks: &[(&str, u32)]) -> LockClaim {
    LockClaim {
        holder: holder(n),
        priority,
        created_at: Timestamp(0),
        since: Timestamp(i64::from(n)),
        locks: locks.iter().map(|(key, limit)| ((*key).to_owned(), *limit)).collect(),
    }
}

#[test]
fn a_mutex_passes_from_one_to_the_next_by_priority_and_then_age() {
    let mut table = LockTable::default();
    for (n, priority) in [(1, 0), (2, 0), (3, 5)] {
        table.want(claim(n, priority, &[("m", 1)]));
    }
    assert_eq!(table.grant(), [holder(3)]);
    assert_eq!(table.waiters("m").collect::<Vec<_>>(), [holder(1), holder(2)]);
    assert_eq!(table.grant(), []);
    table.release(holder(3));
    assert_eq!(table.grant(), [holder(1)]);
    assert_eq!(table.holders("m").collect::<Vec<_>>(), [holder(1)]);
    table.release(holder(1));
    table.release(holder(2));
    assert!(table.is_empty() && table.stirred.is_empty());
}

#[test]
fn several_locks_are_given_together_or_not_at_all() {
    let mut table = LockTable::default();
    table.want(claim(1, 0, &[("a", 1)]));
    assert_eq!(table.grant(), [holder(1)]);
    table.want(claim(2, 0, &[("a", 1), ("b", 1)]));
    assert_eq!(table.grant(), []);
    assert_eq!(table.holders("b").count(), 0, "nobody who waits holds anything");
    table.want(claim(3, 0, &[("b", 1)]));
    assert_eq!(table.grant(), [], "nobody overtakes the first of a queue");
    table.release(holder(1));
    assert_eq!(table.grant(), [holder(2)]);
    table.release(holder(2));
    assert_eq!(table.grant(), [holder(3)]);
}

#[test]
fn a_semaphore_whose_limit_shrank_waits_until_fewer_hold_it() {
    let mut table = LockTable::default();
    table.adopt(claim(1, 0, &[("s", 2)]));
    table.adopt(claim(2, 0, &[("s", 2)]));
    table.want(claim(3, 0, &[("s", 1)]));
    assert_eq!(table.grant(), []);
    table.release(holder(1));
    assert_eq!(table.grant(), []);
    table.release(holder(2));
    assert_eq!(table.grant(), [holder(3)]);
}

#[test]
fn a_workflow_that_is_held_back_is_given_nothing_and_blocks_nobody() {
    let mut table = LockTable::default();
    for n in [1, 2] {
        table.want(claim(n, 0, &[("m", 1)]));
    }
    table.gate(workflow(1), false);
    table.gate(workflow(1), false);
    assert_eq!(table.grant(), [holder(2)]);
    table.want(claim(3, 0, &[("m", 1)]));
    table.gate(workflow(1), true);
    table.release(holder(2));
    assert_eq!(table.grant(), [holder(1)], "it has its old place");
    table.gate(workflow(1), false);
    assert_eq!(table.holders("m").count(), 1, "what it holds it keeps");
    table.release(holder(1));
    assert_eq!(table.grant(), [holder(3)]);
}

#[derive(Clone, Debug)]
enum Call {
    Want(u8, i32, Vec<u8>),
    Adopt(u8, Vec<u8>),
    Release(u8),
    Gate(u8, bool),
    Grant,
}

fn keys(locks: &[u8]) -> Vec<(String, u32)> {
    locks.iter().map(|lock| (format!("k{lock}"), u32::from(*lock) + 1)).collect()
}

/// The same promise, kept by looking at everything every time.
#[derive(Default)]
struct Oracle {
    waiting: Vec<LockClaim>,
    held: Vec<LockClaim>,
    gated: BTreeSet<Holder>,
}

impl Oracle {
    fn known(&self, holder: Holder) -> bool {
        self.waiting.iter().chain(&self.held).any(|claim| claim.holder == holder)
    }

    fn may(&self, claim: &LockClaim) -> bool {
        claim.locks.iter().all(|(key, limit)| {
            let has = |other: &&LockClaim| other.locks.iter().any(|(k, _)| k == key);
            let waiting = self.waiting.iter().filter(|c| !self.gated.contains(&c.holder));
            let first = waiting.filter(has).min_by_key(|other| other.rank());
            first.is_some_and(|first| first.holder == claim.holder)
                && self.held.iter().filter(has).count() < *limit as usize
        })
    }

    fn grant(&mut self) -> BTreeSet<Holder> {
        let mut granted = BTreeSet::new();
        while let Some(at) = (0..self.waiting.len()).find(|at| self.may(&self.waiting[*at])) {
            let claim = self.waiting.remove(at);
            granted.insert(claim.holder);
            self.held.push(claim);
        }
        granted
    }
}

fn call() -> impl Strategy<Value = Call> {
    let locks = || prop::collection::btree_set(0_u8..3, 1..3).prop_map(Vec::from_iter);
    prop_oneof![
        4 => (0_u8..8, -1..2_i32, locks()).prop_map(|(n, p, locks)| Call::Want(n, p, locks)),
        1 => (0_u8..8, locks()).prop_map(|(n, locks)| Call::Adopt(n, locks)),
        3 => (0_u8..8).prop_map(Call::Release),
        2 => (0_u8..8, any::<bool>()).prop_map(|(n, open)| Call::Gate(n, open)),
        3 => Just(Call::Grant),
    ]
}

proptest! {
    #[test]
    fn it_decides_as_one_who_looks_at_everything(calls in prop::collection::vec(call(), 1..80)) {
        let (mut table, mut oracle) = (LockTable::default(), Oracle::default());
        for call in calls {
            match call {
                Call::Want(n, priority, locks) => {
                    let claim = LockClaim { locks: keys(&locks), ..claim(n, priority, &[]) };
                    if !oracle.known(claim.holder) {
                        oracle.waiting.push(claim.clone());
                    }
                    table.want(claim);
                }
                Call::Adopt(n, locks) => {
                    let claim = LockClaim { locks: keys(&locks), ..claim(n, 0, &[]) };
                    oracle.waiting.retain(|other| other.holder != claim.holder);
                    oracle.held.retain(|other| other.holder != claim.holder);
                    oracle.held.push(claim.clone());
                    table.adopt(claim);
                }
                Call::Release(n) => {
                    oracle.waiting.retain(|claim| claim.holder != holder(n));
                    oracle.held.retain(|claim| claim.holder != holder(n));
                    table.release(holder(n));
                }
                Call::Gate(n, open) => {
                    // Each has a workflow of its own.
                    if open { oracle.gated.remove(&holder(n)) } else { oracle.gated.insert(holder(n)) };
                    table.gate(workflow(n), open);
                }
                Call::Grant => {
                    prop_assert_eq!(BTreeSet::from_iter(table.grant()), oracle.grant());
                }
            }
            for key in ["k0", "k1", "k2"] {
                let has = |claim: &&LockClaim| claim.locks.iter().any(|(k, _)| k == key);
                let held: BTreeSet<_> = oracle.held.iter().filter(has).map(|c| c.holder).collect();
                prop_assert_eq!(BTreeSet::from_iter(table.holders(key)), held);
            }
        }
    }
}
