//! Where a template breaks again and again its retries wait, one at a time tries, and nobody else waits.

use flowforge_model::attempt::TemplateKey;
use proptest::prelude::*;

use super::*;
use crate::Code;

const BREAKER: RetryBreaker = RetryBreaker { failures: 3, pause: Millis(1000) };
const BROKEN: Option<Outcome> = Some(Outcome::Broken);
const SUCCEEDED: Option<Outcome> = Some(Outcome::Succeeded);
const FAILED: Option<Outcome> = Some(Outcome::Failed);

/// One tenant with two projects, 11 and 12, and room for all.
fn installation(breaker: RetryBreaker, retries: RetryBudget) -> FairShare {
    let mut fair = FairShare::new(100_000, Settings { retries, breaker, ..Settings::default() });
    for (at, parent) in [(1, None), (11, Some(1)), (12, Some(1))] {
        fair.upsert(&entity(at, parent, 100)).unwrap();
    }
    fair.admit(at(0), 0);
    fair
}

fn generous() -> RetryBudget {
    RetryBudget { per_second: 1_000_000, percent: 0, burst: 1_000_000 }
}

fn first(node: u32) -> Candidate {
    Candidate { template: Some(TemplateKey::of("fetch")), ..candidate(1, node, 11) }
}

fn retry(node: u32) -> Candidate {
    Candidate { retry: true, ..first(node) }
}

fn at(milliseconds: i64) -> Timestamp {
    Timestamp(1_000_000 + milliseconds)
}

/// Starts and ends, all at once.
fn run(fair: &mut FairShare, now: i64, all: &[Candidate], outcome: Option<Outcome>) {
    for one in all {
        fair.offer(*one);
    }
    assert_eq!(fair.admit(at(now), 1000).len(), all.len());
    for one in all {
        fair.end(one.key, outcome);
    }
}

fn tripped(fair: &FairShare, node: u32, now: i64) -> Tripped {
    fair.why(key(1, node), at(now)).unwrap().tripped.unwrap()
}

#[test]
fn after_as_many_breaks_in_a_row_retries_wait_and_first_attempts_do_not() {
    let mut fair = installation(BREAKER, generous());
    run(&mut fair, 0, &[first(0), first(1)], BROKEN);
    run(&mut fair, 0, &[first(2)], SUCCEEDED);
    run(&mut fair, 0, &[first(3), retry(4)], BROKEN);
    // Neither says anything of what the program needs.
    run(&mut fair, 0, &[first(5), retry(6)], FAILED);
    run(&mut fair, 0, &[first(7)], None);
    run(&mut fair, 0, &[retry(8)], BROKEN);
    for node in 10..13 {
        fair.offer(retry(node));
    }
    fair.offer(first(20));
    let of = |of, project| Candidate { retry: true, key: key(of, 9), ..candidate(of, 9, project) };
    fair.offer(Candidate { template: Some(TemplateKey::of("other")), ..of(2, 11) });
    fair.offer(Candidate { template: first(0).template, ..of(3, 12) });
    fair.offer(of(4, 11));
    let mut admitted = fair.admit(at(0), 1000);
    admitted.sort();
    assert_eq!(admitted, [key(1, 20), key(2, 9), key(3, 9), key(4, 9)]);
    let why = fair.why(key(1, 11), at(0)).unwrap();
    assert_eq!((why.code, why.code.as_str()), (Code::CircuitOpen, "CIRCUIT_OPEN"));
    assert_eq!(why.tripped, Some(Tripped { failures: 3, ahead: 1, at: Some(at(1000)) }));
    assert_eq!((fair.waiting(), fair.next_retry()), (3, Some(at(1000))));
    let pending = fair.metrics(at(0)).pending;
    let project = crate::Where::Level(Level::Project);
    assert_eq!(pending.get(&(Code::CircuitOpen, Some(project))), Some(&3));
    let waiting = |id| fair.usage().find(|one| one.entity == id).unwrap().waiting;
    assert_eq!((waiting(None), waiting(Some(entity_id(11)))), (3, 3));
    assert_eq!(fair.waiting_of(workflow(1)).len(), 3);
    assert!(fair.clone().remove(entity_id(11)).is_err());
    sound(&fair);
}

#[test]
fn one_tries_at_a_time_after_ever_longer_pauses_until_one_succeeds() {
    let mut fair = installation(BREAKER, generous());
    run(&mut fair, 0, &[first(0), first(1), first(2)], BROKEN);
    for node in 10..40 {
        fair.offer(retry(node));
    }
    let (mut now, mut node) = (0, 10);
    // 1, 2, 4 ... 512 seconds, then ten minutes each.
    for pause in (0..12).map(|step| (1000 << step).min(600_000)) {
        assert_eq!(fair.next_retry(), Some(at(now + pause)));
        assert_eq!(fair.admit(at(now + pause - 1), 1000), []);
        now += pause;
        assert_eq!(fair.admit(at(now), 1000), [key(1, node)]);
        assert_eq!(tripped(&fair, 39, now).at, None);
        // However long it takes.
        now += 5_000_000;
        assert_eq!(fair.admit(at(now), 1000), []);
        fair.end(key(1, node), BROKEN);
        node += 1;
        assert_eq!(tripped(&fair, 39, now).failures, 3 + node - 10);
        sound(&fair);
    }
    // What is no verdict lets the next one try at once.
    now += 600_000;
    for outcome in [FAILED, None] {
        assert_eq!(fair.admit(at(now), 1000), [key(1, node)]);
        fair.end(key(1, node), outcome);
        node += 1;
    }
    assert_eq!(fair.admit(at(now), 1000), [key(1, node)]);
    fair.end(key(1, node), SUCCEEDED);
    assert_eq!(fair.admit(at(now), 1000).len(), 40 - 1 - node as usize);
    assert_eq!((fair.waiting(), fair.next_retry()), (0, None));
    sound(&fair);
}

#[test]
fn a_first_attempt_that_succeeds_closes_the_circuit_and_the_budget_stays() {
    let mut fair = installation(BREAKER, RetryBudget { per_second: 1, percent: 0, burst: 2 });
    run(&mut fair, 0, &[first(0), first(1)], BROKEN);
    fair.offer(first(2));
    assert_eq!(fair.admit(at(0), 1000).len(), 1);
    for node in 10..15 {
        fair.offer(retry(node));
    }
    // Three have no token yet: they wait for the circuit, too.
    fair.end(key(1, 2), BROKEN);
    assert_eq!((fair.breaker.len(), fair.rations.len()), (3, 0));
    assert_eq!(fair.admit(at(0), 1000), [key(1, 10), key(1, 11)]);
    run(&mut fair, 0, &[first(3)], SUCCEEDED);
    assert_eq!((fair.breaker.len(), fair.rations.len()), (0, 3));
    assert_eq!(fair.admit(at(1000), 1000), [key(1, 12)]);
    sound(&fair);
}

#[test]
fn one_that_has_its_turn_and_cannot_start_makes_room_for_others() {
    let mut fair = installation(BREAKER, RetryBudget { per_second: 1, percent: 0, burst: 1 });
    run(&mut fair, 0, &[first(0), first(1), first(2)], BROKEN);
    fair.offer(retry(10));
    fair.offer(Candidate { key: key(2, 1), ..retry(1) });
    fair.gate(workflow(1), false);
    assert_eq!(fair.admit(at(1000), 1000), []);
    assert_eq!(fair.admit(at(1999), 1000), []);
    assert_eq!(fair.admit(at(2000), 1000), [key(2, 1)]);
    assert_eq!(tripped(&fair, 10, 2000).at, None);
    sound(&fair);
    fair.end(key(2, 1), BROKEN);
    fair.gate(workflow(1), true);
    assert_eq!(fair.admit(at(4000), 1000), [key(1, 10)]);
    sound(&fair);
}

#[test]
fn who_is_withdrawn_or_taken_elsewhere_blocks_nobody() {
    let mut fair = installation(BREAKER, generous());
    run(&mut fair, 0, &[first(0), first(1), first(2)], BROKEN);
    for node in 10..15 {
        fair.offer(retry(node));
    }
    fair.withdraw(key(1, 12));
    assert_eq!(fair.admit(at(1000), 0), []);
    fair.withdraw(key(1, 10));
    assert_eq!(fair.admit(at(1000), 1000), [key(1, 11)]);
    fair.release(key(1, 11));
    fair.adopt(retry(13));
    assert_eq!(fair.admit(at(1999), 1000), []);
    assert_eq!(fair.admit(at(2000), 1000), [key(1, 14)]);
    fair.roll_back(key(1, 14));
    assert_eq!(fair.admit(at(2000), 1000), [key(1, 14)]);
    fair.offer(retry(14));
    assert_eq!((fair.waiting(), fair.held()), (0, 2));
    fair.end(key(1, 14), None);
    fair.offer(retry(14));
    assert_eq!(fair.admit(at(2000), 1000), [key(1, 14)]);
    sound(&fair);
}

#[test]
fn what_is_remembered_is_bounded_and_those_who_wait_are_not_forgotten() {
    let mut fair = installation(RetryBreaker { failures: 1, ..BREAKER }, generous());
    let of = |candidate: Candidate, template| Candidate {
        key: key(template, candidate.key.node.0),
        template: Some(TemplateKey(u64::from(template))),
        root: workflow(template),
        ..candidate
    };
    run(&mut fair, 0, &[of(first(0), 7)], BROKEN);
    fair.offer(of(retry(1), 7));
    for template in 100..5100 {
        run(&mut fair, 0, &[of(first(0), template)], BROKEN);
    }
    assert_eq!(fair.breaker.len(), 1);
    fair.offer(of(retry(1), 100));
    fair.offer(of(retry(1), 5099));
    assert_eq!(fair.admit(at(0), 1000), [key(100, 1)], "the oldest is forgotten");
    assert_eq!(fair.waiting(), 2);
    sound(&fair);
}

#[test]
fn no_failures_is_off() {
    let mut fair = installation(RetryBreaker { failures: 0, ..BREAKER }, generous());
    for node in 0..100 {
        run(&mut fair, 0, &[retry(node)], BROKEN);
    }
    assert_eq!(fair.next_retry(), None);
}

proptest! {
    /// Whatever ends how: first attempts start at once; while a circuit is open at most one retry runs that
    /// was let go since it opened; and when all that runs ends, all that waits starts in bounded time.
    #[test]
    fn first_attempts_never_wait_one_retry_tries_and_nobody_waits_for_ever(
        failures in 1..5_u32,
        script in prop::collection::vec((0..8_u8, 0..4000_i64, any::<prop::sample::Index>()), 1..120),
    ) {
        let mut fair = installation(RetryBreaker { failures, ..BREAKER }, generous());
        let (mut now, mut row, mut open) = (0, 0, false);
        let mut running: Vec<AttemptKey> = Vec::new();
        // Who started while it was open.
        let mut tries: BTreeSet<AttemptKey> = BTreeSet::new();
        let is_retry = |key: &AttemptKey| key.node.0 % 2 == 1;
        for (step, (what, later, which)) in (0_u32..).zip(script) {
            match what {
                0 | 1 => fair.offer(first(step * 2)),
                2..=4 => fair.offer(retry(step * 2 + 1)),
                5 | 6 if !running.is_empty() => {
                    let ended = running.swap_remove(which.index(running.len()));
                    let outcome = [BROKEN, BROKEN, BROKEN, FAILED, SUCCEEDED, None][which.index(6)];
                    fair.end(ended, outcome);
                    tries.remove(&ended);
                    match outcome {
                        Some(Outcome::Succeeded) => {
                            (row, open) = (0, false);
                            tries.clear();
                        }
                        Some(Outcome::Broken) => row += u32::from(!open),
                        Some(Outcome::Failed) | None => {}
                    }
                    open |= row >= failures;
                }
                _ => now += later,
            }
            let waiting = fair.waiting();
            let started = fair.admit(at(now), 1000);
            prop_assert!(started.len() <= waiting);
            tries.extend(started.iter().filter(|key| open && is_retry(key)));
            prop_assert!(tries.len() <= 1, "{:?}", tries);
            running.extend(started);
            // Only retries wait, and only while it is open.
            prop_assert!(fair.waiting() == 0 || open);
            let firsts = (0..=step).filter(|of| fair.why(key(1, of * 2), at(now)).is_some());
            let held = running.iter().filter(|key| !is_retry(key)).count();
            prop_assert_eq!(firsts.count(), held);
            prop_assert_eq!(fair.audit(), Vec::<String>::new());
        }
        // All that tries breaks.
        for _ in 0..400 {
            for key in std::mem::take(&mut running) {
                fair.end(key, BROKEN);
            }
            let Some(next) = fair.next_retry() else { break };
            prop_assert!(next <= at(now).plus(RetryBreaker::MOST));
            now = now.max(next.0 - 1_000_000);
            running = fair.admit(at(now), 1000);
        }
        prop_assert_eq!(fair.waiting(), 0);
    }
}
