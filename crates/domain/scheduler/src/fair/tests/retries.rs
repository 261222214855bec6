//! Retries take tokens of their tenant, and hold back nobody else.

use proptest::prelude::*;

use super::*;
use crate::Code;

const BUDGET: RetryBudget = RetryBudget { per_second: 2, percent: 20, burst: 3 };

/// Two tenants with a project each: 11 and 12.
fn installation(budget: RetryBudget) -> FairShare {
    let mut fair = FairShare::new(1000, Settings { retries: budget, ..Settings::default() });
    for (at, parent) in [(1, None), (2, None), (11, Some(1)), (12, Some(2))] {
        fair.upsert(&entity(at, parent, 100)).unwrap();
    }
    fair
}

fn retry(of: u32, node: u32, project: u32) -> Candidate {
    Candidate { retry: true, ..candidate(of, node, project) }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp(1_000_000 + milliseconds)
}

#[test]
fn retries_beyond_the_tokens_wait_and_nobody_else_does() {
    let mut fair = installation(BUDGET);
    fair.admit(at(0), 0);
    for node in 0..5 {
        fair.offer(retry(1, node, 11));
    }
    fair.offer(candidate(1, 9, 11));
    fair.offer(retry(2, 0, 12));
    assert_eq!((fair.waiting(), fair.next_retry()), (7, Some(at(500))));
    let mut admitted = fair.admit(at(0), 100);
    admitted.sort();
    assert_eq!(admitted, [key(1, 0), key(1, 1), key(1, 2), key(1, 9), key(2, 0)]);
    assert_eq!(fair.admit(at(499), 100), []);
    assert_eq!(fair.admit(at(500), 100), [key(1, 3)]);
    assert_eq!(fair.admit(at(1000), 100), [key(1, 4)]);
    assert_eq!(fair.next_retry(), None);
    sound(&fair);
}

#[test]
fn a_look_that_comes_late_loses_no_token_and_a_beginning_gives_none_twice() {
    let mut fair = installation(RetryBudget { per_second: 10, percent: 0, burst: 1 });
    // Offered before anybody said what time it is, as after a restart.
    for node in 0..8 {
        fair.offer(retry(1, node, 11));
    }
    assert_eq!(fair.admit(at(0), 100), [key(1, 0)]);
    assert_eq!(fair.admit(at(500), 100).len(), 5);
    assert_eq!(fair.admit(at(500_000), 100).len(), 2);
    // Nobody waited: no more than the burst was kept.
    for node in 8..11 {
        fair.offer(retry(1, node, 11));
    }
    assert_eq!(fair.admit(at(500_000), 100), [key(1, 8)]);
    sound(&fair);
}

#[test]
fn a_retry_of_low_priority_has_its_turn() {
    let mut fair = installation(RetryBudget { per_second: 1, percent: 0, burst: 1 });
    fair.admit(at(0), 0);
    fair.offer(retry(1, 0, 11));
    let high = |node, since| Candidate { priority: 60, since: at(since), ..retry(1, node, 11) };
    fair.offer(high(1, 0));
    fair.offer(Candidate { since: at(0), ..retry(1, 2, 11) });
    // Ten points are worth an hour.
    fair.offer(high(3, 3_599_000));
    fair.offer(high(4, 3_601_000));
    let order: Vec<_> = (1..=3).flat_map(|second| fair.admit(at(second * 1000), 100)).collect();
    assert_eq!(order, [1, 0, 3, 2].map(|node| key(1, node)));
    for node in 0..4 {
        fair.release(key(1, node));
    }
    assert!(fair.remove(entity_id(11)).is_err(), "a retry waits there");
    assert_eq!(fair.admit(at(4000), 100), [key(1, 4)]);
    sound(&fair);
}

#[test]
fn a_first_attempt_that_succeeds_earns_a_part_of_a_token() {
    let mut fair = installation(RetryBudget { per_second: 1, percent: 50, burst: 1 });
    fair.admit(at(0), 0);
    for node in 0..4 {
        fair.offer(candidate(1, node, 11));
    }
    for node in 4..7 {
        fair.offer(retry(1, node, 11));
    }
    assert_eq!(fair.admit(at(0), 100).len(), 5);
    fair.end(key(1, 0), Some(Outcome::Succeeded));
    fair.end(key(1, 1), Some(Outcome::Failed));
    fair.end(key(1, 4), Some(Outcome::Succeeded));
    assert_eq!(fair.admit(at(0), 100), [], "neither a failure nor a retry earns anything");
    fair.end(key(1, 2), Some(Outcome::Succeeded));
    assert_eq!(fair.admit(at(0), 100), [key(1, 5)]);
    sound(&fair);
}

#[test]
fn a_retry_that_came_to_nothing_gives_its_token_back() {
    let mut fair = installation(RetryBudget { per_second: 1, percent: 0, burst: 1 });
    fair.admit(at(0), 0);
    for node in 0..4 {
        fair.offer(retry(1, node, 11));
    }
    assert_eq!(fair.admit(at(0), 100), [key(1, 0)]);
    // Rolled back, it waits with its token.
    fair.roll_back(key(1, 0));
    assert_eq!(fair.admit(at(0), 100), [key(1, 0)]);
    fair.end(key(1, 0), None);
    fair.offer(retry(1, 0, 11));
    assert_eq!(fair.admit(at(0), 100), [key(1, 0)], "it vanished, and is the first in line");
    fair.end(key(1, 0), Some(Outcome::Failed));
    assert_eq!(fair.admit(at(0), 100), []);
    assert_eq!(fair.admit(at(1000), 0), []);
    fair.withdraw(key(1, 1));
    fair.withdraw(key(1, 3));
    assert_eq!(fair.admit(at(1000), 100), [key(1, 2)]);
    assert_eq!(fair.waiting(), 0);
    sound(&fair);
}

#[test]
fn it_is_said_whose_budget_is_spent_and_until_when() {
    let mut fair = installation(BUDGET);
    fair.admit(at(0), 0);
    for node in 0..6 {
        fair.offer(retry(1, node, 11));
    }
    fair.offer(Candidate { priority: 90, ..retry(3, 0, 11) });
    let why = fair.why(key(1, 4), at(0)).unwrap();
    let rationed = why.rationed.unwrap();
    assert_eq!((why.code, why.code.as_str()), (Code::RetryBudget, "RETRY_BUDGET"));
    assert_eq!((rationed.tenant, rationed.ahead, rationed.at), (entity_id(1), 2, at(1500)));
    assert_eq!(rationed.budget, BUDGET);
    assert_eq!(fair.waiting_of(workflow(1)).len(), 6);
    let pending = fair.metrics(at(0)).pending;
    let tenant = crate::Where::Level(Level::Tenant);
    assert_eq!(pending.get(&(Code::RetryBudget, Some(tenant))), Some(&4));
    let waiting = |id| fair.usage().find(|one| one.entity == id).unwrap().waiting;
    assert_eq!((waiting(None), waiting(Some(entity_id(11)))), (7, 7));
    // The higher priority was first; then, as foretold, its turn is at 1500.
    assert_eq!(fair.admit(at(0), 100), [key(1, 0), key(1, 1), key(1, 2)]);
    assert_eq!(fair.admit(at(500), 100), [key(3, 0)]);
    assert_eq!(fair.admit(at(1000), 100), [key(1, 3)]);
    assert_eq!(fair.admit(at(1499), 100), []);
    assert_eq!(fair.admit(at(1500), 100), [key(1, 4)]);
}

/// The same in floating point, by looking at everything.
struct Bucket {
    budget: RetryBudget,
    tokens: f64,
    at: i64,
    line: Vec<u32>,
}

impl Bucket {
    fn gain(&mut self, tokens: f64) {
        self.tokens += tokens;
        self.spill();
    }

    /// More than the burst is kept only for those who wait.
    fn spill(&mut self) {
        let waiting = u32::try_from(self.line.len()).unwrap();
        self.tokens = self.tokens.min(f64::from(self.budget.burst + waiting));
    }

    fn move_on(&mut self, now: i64) {
        let passed = f64::from(i32::try_from(now - self.at).unwrap()) / 1000.0;
        self.gain(passed * f64::from(self.budget.per_second));
        self.at = now;
    }

    fn let_go(&mut self) -> Vec<u32> {
        let mut gone = Vec::new();
        while self.tokens > 1.0 - 1e-6 && !self.line.is_empty() {
            gone.push(self.line.remove(0));
            self.tokens -= 1.0;
        }
        self.spill();
        gone
    }
}

proptest! {
    /// Where there is room for all, just those retries start that have tokens, when they have them; what
    /// is no retry starts at once.
    #[test]
    fn a_bucket_of_tokens_says_which_retries_start(
        (per_second, percent, burst) in (1..5_u32, 0..120_u32, 1..5_u32),
        script in prop::collection::vec((0..6_u8, 0..900_i64, any::<prop::sample::Index>()), 1..80),
    ) {
        let budget = RetryBudget { per_second, percent, burst };
        let mut fair = installation(budget);
        let mut now = 1_000_000;
        fair.admit(Timestamp(now), 0);
        let mut model = Bucket { budget, tokens: f64::from(burst), at: now, line: Vec::new() };
        let (mut ready, mut running) = (Vec::<u32>::new(), Vec::<u32>::new());
        // Odd nodes are retries.
        for (step, (what, later, which)) in (0_u32..).zip(script) {
            let take = |from: &mut Vec<u32>| (!from.is_empty()).then(|| from.remove(which.index(from.len())));
            match what {
                0 => {
                    fair.offer(candidate(1, step * 2, 11));
                    ready.push(step * 2);
                }
                1 | 2 => {
                    fair.offer(retry(1, step * 2 + 1, 11));
                    let first = model.line.is_empty();
                    model.line.push(step * 2 + 1);
                    ready.extend(if first { model.let_go() } else { Vec::new() });
                }
                3 => if let Some(node) = take(&mut running) {
                    let outcome = [None, Some(Outcome::Failed), Some(Outcome::Succeeded)][step as usize % 3];
                    fair.end(key(1, node), outcome);
                    match (outcome, node % 2 == 1) {
                        (None, true) => model.gain(1.0),
                        (Some(Outcome::Succeeded), false) => model.gain(f64::from(percent) / 100.0),
                        _ => {}
                    }
                },
                4 => if let Some(node) = take(&mut model.line) {
                    fair.withdraw(key(1, node));
                    model.spill();
                },
                _ => {
                    now += later;
                    model.move_on(now);
                    ready.extend(model.let_go());
                    let mut started: Vec<u32> =
                        fair.admit(Timestamp(now), 1000).into_iter().map(|key| key.node.0).collect();
                    started.sort_unstable();
                    ready.sort_unstable();
                    prop_assert_eq!(&started, &ready);
                    running.append(&mut ready);
                }
            }
            prop_assert_eq!(fair.audit(), Vec::<String>::new());
        }
    }
}
