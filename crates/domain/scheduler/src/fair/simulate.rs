//! What would start when.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_quota::TreeError;

use super::FairShare;
use super::task::State;
use crate::Candidate;
use crate::what_if::{Change, Start, WhatIf};

impl FairShare {
    /// Another one that stands as this one does, and goes its own way. Costs O(entities + attempts).
    #[must_use]
    pub fn fork(&self) -> Self {
        self.clone()
    }

    /// Which attempts would start when, from `now` on, by the very decisions that are made in
    /// earnest; in order. Nothing of this one changes.
    ///
    /// A workflow is taken to end when nothing of it waits or runs: what its attempts would make
    /// ready is not known here, nor whether they succeed: retries get the tokens that time brings.
    ///
    /// # Errors
    /// As [`FairShare::upsert`], for the changes.
    pub fn simulate(&self, now: Timestamp, what_if: &WhatIf) -> Result<Vec<Start>, TreeError> {
        let fork = self.changed(&what_if.changes)?;
        Ok(Simulation::new(fork, self.now.max(now), what_if).run())
    }

    /// A fork after changes.
    pub(super) fn changed(&self, changes: &[Change]) -> Result<Self, TreeError> {
        let mut fork = self.fork();
        for change in changes {
            match change {
                Change::Entity(entity) => fork.upsert(entity)?,
                Change::Slots(slots) => fork.resize(*slots),
                Change::Capacity(capacity) => fork.capacity(*capacity),
            }
        }
        Ok(fork)
    }

    fn ended(&mut self, key: AttemptKey) {
        let lane = self.lanes.find(key.workflow);
        self.release(key);
        let over = lane.and_then(|lane| self.lanes.root(lane)).filter(|root| {
            let family = root.family.iter().filter_map(|of| self.lanes.get(*of));
            root.queues.is_empty() && family.into_iter().all(|of| of.queues.is_empty())
        });
        if let Some(root) = over.map(|root| root.id) {
            self.idle(root);
        }
    }
}

struct Simulation<'a> {
    fork: FairShare,
    now: Timestamp,
    what_if: &'a WhatIf,
    /// The earliest last.
    arrivals: Vec<&'a Candidate>,
    /// When who ends.
    ends: BTreeSet<(Timestamp, AttemptKey)>,
}

impl<'a> Simulation<'a> {
    fn new(fork: FairShare, now: Timestamp, what_if: &'a WhatIf) -> Self {
        let mut arrivals: Vec<&Candidate> = what_if.arrivals.iter().collect();
        arrivals.sort_by_key(|candidate| Reverse((candidate.since, candidate.key)));
        let mut new = Self { fork, now, what_if, arrivals, ends: BTreeSet::new() };
        let running = new.fork.tasks.iter();
        let running = running.filter(|(_, task)| matches!(task.state, State::Held { .. }));
        new.ends = running.map(|(_, task)| (now.plus(new.lasts(task.key)), task.key)).collect();
        new
    }

    fn lasts(&self, key: AttemptKey) -> Millis {
        self.what_if.durations.get(&key).copied().unwrap_or(self.what_if.otherwise)
    }

    fn run(mut self) -> Vec<Start> {
        let mut starts = Vec::new();
        while self.now <= self.what_if.until && starts.len() < self.what_if.most {
            while let Some((_, key)) = self.ends.first().copied().filter(|end| end.0 <= self.now) {
                self.ends.pop_first();
                self.fork.ended(key);
            }
            while let Some(arrival) = self.arrivals.pop_if(|arrival| arrival.since <= self.now) {
                self.fork.offer(*arrival);
            }
            for key in self.fork.admit(self.now, self.what_if.most - starts.len()) {
                self.ends.insert((self.now.plus(self.lasts(key)), key));
                starts.push(Start { key, at: self.now });
            }
            let arrival = self.arrivals.last().map(|arrival| arrival.since);
            let retry = self.fork.next_retry();
            let ends = self.ends.first().map(|end| end.0);
            let next = ends.into_iter().chain(arrival).chain(retry).min();
            // What takes no time ends at once, and nothing may happen twice at one instant for ever.
            let Some(next) = next else { break };
            self.now = next.max(self.now.plus(Millis(1)));
        }
        starts
    }
}
