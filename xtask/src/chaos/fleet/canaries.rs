//! Small workflows one after the other: the next one that ends says that a fleet has recovered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::faults::Kind;
use super::load::{Apis, pause};
use super::members::Fleet;
use crate::bench::graphs;

/// At a time.
const CANARIES: usize = 4;

/// Users who submit one task, wait for its end, and do it again.
pub(super) struct Canaries {
    apis: Apis,
    lives: Mutex<Vec<Life>>,
}

/// From a submission to the end of its task.
#[derive(Clone, Copy)]
struct Life {
    submitted_at: Instant,
    ended_at: Instant,
}

/// How soon a fleet went on after one fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recovery {
    /// Until the first canary ended that was submitted after it.
    pub(super) first: Duration,
    /// Until every canary had ended that was under way.
    pub(super) all: Duration,
}

impl std::ops::Deref for Canaries {
    type Target = Apis;

    fn deref(&self) -> &Apis {
        &self.apis
    }
}

impl Canaries {
    pub(super) fn new(fleet: &Fleet) -> Self {
        Self { apis: Apis::new(fleet), lives: Mutex::default() }
    }

    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
    ) -> Vec<ScopedJoinHandle<'scope, anyhow::Result<()>>> {
        let bird = |number| scope.spawn(move || self.apis.watched(|| self.sing(number)));
        (0..CANARIES).map(bird).collect()
    }

    fn sing(&self, canary: usize) -> anyhow::Result<()> {
        let document = graphs::document(&graphs::chain(1), "true");
        for number in 0_usize.. {
            // One more after the last fault.
            let last = self.is_over();
            let submitted_at = Instant::now();
            let key = format!("canary-{canary}-{number}");
            let id = self.submit(&key, "application/json", &document)?;
            let mut asked = Instant::now();
            while !self.ended(&id)? {
                pause(asked);
                asked = Instant::now();
            }
            let life = Life { submitted_at, ended_at: Instant::now() };
            self.lives.lock().unwrap_or_else(PoisonError::into_inner).push(life);
            if last {
                break;
            }
        }
        Ok(())
    }

    /// Of each fault after which a canary ended.
    pub(super) fn recoveries(&self, faults: &[(Kind, Instant)]) -> BTreeMap<Kind, Vec<Recovery>> {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let mut recoveries: BTreeMap<Kind, Vec<Recovery>> = BTreeMap::new();
        for (kind, at) in faults {
            let found = recoveries.entry(*kind).or_default();
            found.extend(recovery(&lives, *at));
        }
        recoveries
    }
}

fn recovery(lives: &[Life], at: Instant) -> Option<Recovery> {
    let after = lives.iter().filter(|life| life.submitted_at >= at);
    let first = after.map(|life| life.ended_at).min()?;
    let during = lives.iter().filter(|life| life.submitted_at <= at && at <= life.ended_at);
    let all = during.map(|life| life.ended_at).max().unwrap_or(first);
    Some(Recovery {
        first: first.saturating_duration_since(at),
        all: all.saturating_duration_since(at),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fleet_has_recovered_when_what_came_after_the_fault_has_ended() {
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        let life = |from, to| Life { submitted_at: at(from), ended_at: at(to) };
        let lives = [life(0, 50), life(40, 900), life(60, 300), life(110, 200)];
        let found = recovery(&lives, at(100)).unwrap();
        assert_eq!(found.first, Duration::from_millis(100));
        assert_eq!(found.all, Duration::from_millis(800));
        assert!(recovery(&lives, at(1000)).is_none());
    }
}
