//! Which retries may try at all: where attempts of one template break one after the other, its retries wait,
//! and one at a time tries whether it works again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use flowforge_model::attempt::{AttemptKey, TemplateKey};
use flowforge_model::id::EntityId;
use flowforge_model::time::{Millis, Timestamp};

use super::budget::turn;
use crate::Candidate;

/// When the retries of a template wait. Each template of each project has a circuit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBreaker {
    /// So many attempts in a row that broke open the circuit; 0 for never.
    pub failures: u32,
    /// After so long one retry tries; after each that breaks twice as long, up to [`RetryBreaker::MOST`].
    pub pause: Millis,
}

impl RetryBreaker {
    /// Nobody waits for longer than that for the next one to try.
    pub const MOST: Millis = Millis(600_000);
}

impl Default for RetryBreaker {
    fn default() -> Self {
        Self { failures: 20, pause: Millis::from_secs(30) }
    }
}

/// Why a retry does not compete yet: the circuit of its template is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tripped {
    /// So many attempts in a row broke.
    pub failures: u32,
    /// Retries of the template that come before it.
    pub ahead: usize,
    /// When the next one tries; none while one does.
    pub at: Option<Timestamp>,
}

/// A template of a project.
pub(crate) type Subject = (EntityId, TemplateKey);

/// Circuits that are remembered: beyond them those are forgotten that were not heard of for longest.
const CIRCUITS: usize = 4096;

/// Whom it is about, if the template is known.
pub(crate) fn subject(retry: &Candidate) -> Option<Subject> {
    Some((retry.project, retry.template?))
}

/// Who stepped back less often goes first, then as in the line of a tenant.
type Turn = (u32, (i64, AttemptKey));

#[derive(Clone, Copy, Debug)]
struct Waiter {
    retry: Candidate,
    /// How often it was its turn and it could not start.
    lapses: u32,
}

impl Waiter {
    fn turn(&self) -> Turn {
        (self.lapses, turn(&self.retry))
    }
}

#[derive(Clone, Debug)]
struct Circuit {
    /// Attempts in a row that broke.
    failures: u32,
    /// When one did last.
    heard: Timestamp,
    open: Option<Open>,
}

#[derive(Clone, Debug)]
struct Open {
    pause: Millis,
    /// When the next one may try, or the one that tries is looked at.
    until: Timestamp,
    trial: Option<AttemptKey>,
    turns: BTreeSet<Turn>,
}

/// The circuits of all templates. Costs O(log n) for each call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaker {
    policy: RetryBreaker,
    /// Those of templates of which attempts broke since the last that succeeded.
    circuits: BTreeMap<Subject, Circuit>,
    waiting: BTreeMap<AttemptKey, Waiter>,
    trials: BTreeMap<AttemptKey, Waiter>,
    /// When which circuit is to be looked at: where somebody waits or tries.
    due: BTreeSet<(Timestamp, Subject)>,
    /// The others, which may be forgotten, by when they were last heard of.
    idle: BTreeSet<(Timestamp, Subject)>,
}

impl Breaker {
    pub(crate) fn new(policy: RetryBreaker) -> Self {
        Self { policy, ..Self::default() }
    }

    /// Lets a retry go on. `false` if the circuit of its template is open: then it waits here.
    pub(crate) fn take(&mut self, retry: &Candidate, now: Timestamp) -> bool {
        let Some(of) = subject(retry) else { return true };
        let waiter = Waiter { retry: *retry, lapses: 0 };
        let tries = self.change(of, |circuit| {
            let Some(open) = &mut circuit.open else { return None };
            let tries = open.trial.is_none() && open.turns.is_empty() && open.until <= now;
            if tries {
                open.trial = Some(retry.key);
                open.until = now.plus(open.pause);
            } else {
                open.turns.insert(waiter.turn());
            }
            Some(tries)
        });
        match tries.flatten() {
            None => return true,
            Some(true) => self.trials.insert(retry.key, waiter),
            Some(false) => self.waiting.insert(retry.key, waiter),
        };
        !self.waiting.contains_key(&retry.key)
    }

    /// An attempt of the template broke. Whether that opened the circuit.
    pub(crate) fn broke(&mut self, of: Subject, key: AttemptKey, now: Timestamp) -> bool {
        let tried = self.over(key, now);
        let known = self.circuits.contains_key(&of);
        if self.policy.failures == 0 || !known && !self.make_room() {
            return false;
        }
        let new = || Circuit { failures: 0, heard: now, open: None };
        self.circuits.entry(of).or_insert_with(new);
        let RetryBreaker { failures, pause } = self.policy;
        let opened = self.change(of, |circuit| {
            circuit.heard = circuit.heard.max(now);
            if circuit.open.is_none() || tried {
                circuit.failures = circuit.failures.saturating_add(1);
            }
            match &mut circuit.open {
                None if circuit.failures < failures => false,
                None => {
                    let pause = Millis(pause.0.max(1));
                    let (until, turns) = (now.plus(pause), BTreeSet::new());
                    circuit.open = Some(Open { pause, until, trial: None, turns });
                    true
                }
                Some(open) if tried => {
                    let most = RetryBreaker::MOST.0.max(open.pause.0);
                    open.pause = Millis(open.pause.0.saturating_mul(2).min(most));
                    open.until = now.plus(open.pause);
                    false
                }
                // It began before the circuit was open, or is no retry.
                Some(_) => false,
            }
        });
        opened == Some(true)
    }

    /// An attempt of the template succeeded: nothing is remembered. Those that waited, in order.
    pub(crate) fn close(&mut self, of: Subject) -> Vec<Candidate> {
        self.unset(of);
        let Some(open) = self.circuits.remove(&of).and_then(|circuit| circuit.open) else {
            return Vec::new();
        };
        if let Some(trial) = open.trial {
            self.trials.remove(&trial);
        }
        let gone = open.turns.iter().filter_map(|(_, (_, key))| self.waiting.remove(key));
        gone.map(|waiter| waiter.retry).collect()
    }

    /// The attempt is not wanted any more, or ended in a way that says nothing.
    pub(crate) fn forget(&mut self, key: AttemptKey, now: Timestamp) {
        self.over(key, now);
        let Some(waiter) = self.waiting.remove(&key) else { return };
        let Some(of) = subject(&waiter.retry) else { return };
        self.change(of, |circuit| {
            if let Some(open) = &mut circuit.open {
                open.turns.remove(&waiter.turn());
            }
        });
    }

    /// It does not try any more: the next one may at once. Whether it did.
    fn over(&mut self, key: AttemptKey, now: Timestamp) -> bool {
        let trial = self.trials.remove(&key);
        let Some(of) = trial.and_then(|trial| subject(&trial.retry)) else { return false };
        self.change(of, |circuit| {
            if let Some(open) = &mut circuit.open {
                open.trial = None;
                open.until = now;
            }
        });
        true
    }

    /// A circuit that is to be looked at now, and who tries there.
    pub(crate) fn due(&self, now: Timestamp) -> Option<(Subject, Option<AttemptKey>)> {
        let (_, of) = self.due.first().copied().filter(|(at, _)| *at <= now)?;
        Some((of, self.open(of)?.trial))
    }

    /// Nobody waits there beside the one that tries.
    pub(crate) fn alone(&self, of: Subject) -> bool {
        self.open(of).is_none_or(|open| open.turns.is_empty())
    }

    /// Who tries has not ended yet: it is looked at again after a pause.
    pub(crate) fn stay(&mut self, of: Subject, now: Timestamp) {
        self.change(of, |circuit| {
            if let Some(open) = &mut circuit.open {
                open.until = now.plus(open.pause);
            }
        });
    }

    /// Who tries could not start and waits again, behind the others.
    pub(crate) fn step_back(&mut self, key: AttemptKey) {
        let Some(mut waiter) = self.trials.remove(&key) else { return };
        let Some(of) = subject(&waiter.retry) else { return };
        waiter.lapses = waiter.lapses.saturating_add(1);
        self.change(of, |circuit| {
            if let Some(open) = &mut circuit.open {
                open.trial = None;
                open.turns.insert(waiter.turn());
            }
        });
        self.waiting.insert(key, waiter);
    }

    /// The next one that tries, if somebody waits.
    pub(crate) fn next_trial(&mut self, of: Subject, now: Timestamp) -> Option<Candidate> {
        let key = self.change(of, |circuit| {
            let open = circuit.open.as_mut()?;
            let (_, (_, key)) = open.turns.pop_first()?;
            open.trial = Some(key);
            open.until = now.plus(open.pause);
            Some(key)
        });
        let key = key.flatten()?;
        let waiter = self.waiting.remove(&key)?;
        self.trials.insert(key, waiter);
        Some(waiter.retry)
    }

    /// A project is gone, in which nobody waits or runs.
    pub(crate) fn forget_project(&mut self, project: EntityId) {
        let all = (project, TemplateKey(0))..=(project, TemplateKey(u64::MAX));
        let gone: Vec<Subject> = self.circuits.range(all).map(|(of, _)| *of).collect();
        for of in gone {
            self.close(of);
        }
    }

    pub(crate) fn waits(&self, key: AttemptKey) -> bool {
        self.waiting.contains_key(&key)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those that wait, by key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Candidate> + '_ {
        self.waiting.values().map(|waiter| &waiter.retry)
    }

    /// Those of a range of keys, in their order.
    pub(crate) fn of(
        &self,
        keys: RangeInclusive<AttemptKey>,
    ) -> impl Iterator<Item = AttemptKey> + '_ {
        self.waiting.range(keys).map(|(key, _)| *key)
    }

    /// When the next circuit is to be looked at.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Why a retry does not compete yet; counts those ahead up to `most`.
    pub(crate) fn why(&self, key: AttemptKey, most: usize) -> Option<(Candidate, Tripped)> {
        let waiter = self.waiting.get(&key)?;
        let of = subject(&waiter.retry)?;
        let (circuit, open) = (self.circuits.get(&of)?, self.open(of)?);
        let ahead = open.turns.range(..waiter.turn()).take(most).count();
        let at = open.trial.is_none().then_some(open.until);
        Some((waiter.retry, Tripped { failures: circuit.failures, ahead, at }))
    }

    fn open(&self, of: Subject) -> Option<&Open> {
        self.circuits.get(&of)?.open.as_ref()
    }

    /// Forgets the circuit that was not heard of for longest and where nobody waits. `false` if somebody waits
    /// everywhere.
    fn make_room(&mut self) -> bool {
        if self.circuits.len() < CIRCUITS {
            return true;
        }
        let Some((_, of)) = self.idle.first().copied() else { return false };
        self.close(of);
        true
    }

    fn change<R>(&mut self, of: Subject, change: impl FnOnce(&mut Circuit) -> R) -> Option<R> {
        self.unset(of);
        let changed = change(self.circuits.get_mut(&of)?);
        if let Some((idle, at)) = self.mark(of) {
            if idle { &mut self.idle } else { &mut self.due }.insert((at, of));
        }
        Some(changed)
    }

    fn unset(&mut self, of: Subject) {
        if let Some((idle, at)) = self.mark(of) {
            if idle { &mut self.idle } else { &mut self.due }.remove(&(at, of));
        }
    }

    /// Whether it may be forgotten, and where it stands among its like.
    fn mark(&self, of: Subject) -> Option<(bool, Timestamp)> {
        let circuit = self.circuits.get(&of)?;
        let busy = |open: &&Open| open.trial.is_some() || !open.turns.is_empty();
        Some(match circuit.open.as_ref().filter(busy) {
            Some(open) => (false, open.until),
            None => (true, circuit.heard),
        })
    }

    /// What is not as it must be, in words.
    pub(crate) fn audit(&self, faults: &mut Vec<String>) {
        let (mut waiting, mut trials, mut due) = (0, 0, 0);
        for (of, circuit) in &self.circuits {
            let Some((idle, at)) = self.mark(*of) else { continue };
            let marks = if idle { &self.idle } else { &self.due };
            let marked = marks.contains(&(at, *of));
            due += usize::from(!idle);
            let known = circuit.open.iter().all(|open| {
                waiting += open.turns.len();
                trials += usize::from(open.trial.is_some());
                open.turns.iter().all(|(_, (_, key))| self.waiting.contains_key(key))
                    && open.trial.is_none_or(|key| self.trials.contains_key(&key))
            });
            if !marked || !known || circuit.failures == 0 {
                faults.push(format!("the circuit of {of:?}: marked {marked}, known {known}"));
            }
        }
        let kept = (self.waiting.len(), self.trials.len(), self.due.len() + self.idle.len());
        if kept != (waiting, trials, self.circuits.len()) || due != self.due.len() {
            faults.push(format!("circuits: {kept:?}, not {waiting}, {trials}; {due} due"));
        }
        if self.circuits.len() > CIRCUITS {
            faults.push(format!("{} circuits", self.circuits.len()));
        }
    }
}
