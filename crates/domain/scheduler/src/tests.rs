use std::cmp::Reverse;

use flowforge_model::id::NodeIx;
use proptest::prelude::*;

use super::*;

fn key(workflow: u8, node: u32) -> AttemptKey {
    let id = format!("01890a5d-ac96-774b-bcce-b302099a80{workflow:02x}");
    AttemptKey { workflow: id.parse().unwrap(), node: NodeIx(node), number: 1 }
}

fn candidate(workflow: u8, node: u32, priority: i32, since: i64) -> Candidate {
    let key = key(workflow, node);
    Candidate {
        key,
        priority,
        since: Timestamp(since),
        parallelism: None,
        project: EntityId::DEFAULT_PROJECT,
        need: Amounts::ZERO,
        root: key.workflow,
        storage: 0,
    }
}

#[test]
fn priority_goes_before_age_and_age_before_key() {
    let mut fifo = Fifo::new(9);
    fifo.offer(candidate(1, 1, 0, 5));
    fifo.offer(candidate(2, 2, 0, 4));
    fifo.offer(candidate(3, 3, 1, 9));
    fifo.offer(candidate(1, 0, 0, 5));
    assert_eq!(fifo.admit(usize::MAX), [key(3, 3), key(2, 2), key(1, 0), key(1, 1)]);
}

#[test]
fn a_released_slot_goes_to_the_next_one() {
    let mut fifo = Fifo::new(1);
    fifo.offer(candidate(1, 0, 0, 1));
    fifo.offer(candidate(1, 1, 0, 2));
    assert_eq!(fifo.admit(usize::MAX), [key(1, 0)]);
    assert_eq!(fifo.admit(usize::MAX), []);
    fifo.release(key(1, 0));
    assert_eq!(fifo.admit(usize::MAX), [key(1, 1)]);
}

#[test]
fn nothing_is_kept_of_a_workflow_that_is_done() {
    let mut fifo = Fifo::new(1);
    fifo.gate(key(1, 0).workflow, false);
    fifo.offer(candidate(1, 0, 0, 1));
    assert_eq!(fifo.admit(usize::MAX), []);
    fifo.gate(key(1, 0).workflow, true);
    assert_eq!(fifo.admit(usize::MAX), [key(1, 0)]);
    fifo.release(key(1, 0));
    assert!(fifo.lanes.is_empty() && fifo.heads.is_empty() && fifo.waiting.is_empty());
}

#[derive(Clone, Debug)]
enum Call {
    Offer(Candidate),
    Withdraw(AttemptKey),
    Release(AttemptKey),
    Adopt(Candidate),
    Gate(u8, bool),
    Admit,
}

/// The same promise, kept by looking at everything every time.
#[derive(Default)]
struct Oracle {
    slots: usize,
    waiting: Vec<Candidate>,
    held: Vec<AttemptKey>,
    gated: Vec<WorkflowId>,
    parallelism: BTreeMap<WorkflowId, Option<u32>>,
}

impl Oracle {
    fn offer(&mut self, new: Candidate) {
        if !self.held.contains(&new.key) && self.waiting.iter().all(|c| c.key != new.key) {
            self.parallelism.insert(new.key.workflow, new.parallelism);
            self.waiting.push(new);
        }
    }

    fn adopt(&mut self, new: Candidate) {
        self.waiting.retain(|c| c.key != new.key);
        if !self.held.contains(&new.key) {
            self.parallelism.insert(new.key.workflow, new.parallelism);
            self.held.push(new.key);
        }
    }

    fn may_start(&self, workflow: WorkflowId) -> bool {
        let running = self.held.iter().filter(|k| k.workflow == workflow).count();
        let most = self.parallelism.get(&workflow).copied().flatten();
        !self.gated.contains(&workflow) && most.is_none_or(|most| running < most as usize)
    }

    fn admit(&mut self) -> Vec<AttemptKey> {
        let mut admitted = Vec::new();
        while self.held.len() < self.slots {
            let next = self
                .waiting
                .iter()
                .filter(|c| self.may_start(c.key.workflow))
                .min_by_key(|c| (Reverse(c.priority), c.since, c.key));
            let Some(key) = next.map(|c| c.key) else {
                break;
            };
            self.waiting.retain(|c| c.key != key);
            self.held.push(key);
            admitted.push(key);
        }
        admitted
    }

    fn apply(&mut self, call: &Call) -> Vec<AttemptKey> {
        match call {
            Call::Offer(new) => self.offer(*new),
            Call::Withdraw(key) => self.waiting.retain(|c| c.key != *key),
            Call::Release(key) => self.held.retain(|k| k != key),
            Call::Adopt(new) => self.adopt(*new),
            Call::Gate(workflow, open) => {
                let id = key(*workflow, 0).workflow;
                self.gated.retain(|g| *g != id);
                if !open {
                    self.gated.push(id);
                }
            }
            Call::Admit => return self.admit(),
        }
        Vec::new()
    }
}

fn apply(fifo: &mut Fifo, call: &Call) -> Vec<AttemptKey> {
    match call {
        Call::Offer(new) => fifo.offer(*new),
        Call::Withdraw(key) => fifo.withdraw(*key),
        Call::Release(key) => fifo.release(*key),
        Call::Adopt(new) => fifo.adopt(*new),
        Call::Gate(workflow, open) => fifo.gate(key(*workflow, 0).workflow, *open),
        Call::Admit => return fifo.admit(usize::MAX),
    }
    Vec::new()
}

fn any_call() -> impl Strategy<Value = Call> {
    let keys = || (0_u8..3, 0_u32..5).prop_map(|(w, n)| key(w, n));
    // A workflow's priority and parallelism belong to the workflow: derived from its number.
    let candidates = || {
        (0_u8..3, 0_u32..5, 0_i64..4).prop_map(|(w, n, since)| Candidate {
            parallelism: [None, Some(1), Some(2)][usize::from(w)],
            ..candidate(w, n, i32::from(w % 2), since)
        })
    };
    prop_oneof![
        6 => candidates().prop_map(Call::Offer),
        2 => keys().prop_map(Call::Withdraw),
        3 => keys().prop_map(Call::Release),
        1 => candidates().prop_map(Call::Adopt),
        2 => (0_u8..3, any::<bool>()).prop_map(|(w, open)| Call::Gate(w, open)),
        4 => Just(Call::Admit),
    ]
}

proptest! {
    #[test]
    fn it_decides_as_the_naive_oracle_does(
        slots in 0_u32..4,
        calls in prop::collection::vec(any_call(), 1..60),
    ) {
        let mut fifo = Fifo::new(slots);
        let mut oracle = Oracle { slots: slots as usize, ..Oracle::default() };
        for call in &calls {
            prop_assert_eq!(apply(&mut fifo, call), oracle.apply(call), "{:?}", call);
            prop_assert_eq!(fifo.held(), oracle.held.len());
            prop_assert_eq!(fifo.waiting(), oracle.waiting.len());
        }
    }
}
