//! Which retries may compete: each takes a token of its tenant, and those of one tenant stand in a line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::EntityId;
use flowforge_model::time::{Millis, Timestamp};

use crate::Candidate;

/// How many retries a tenant may make: tokens come with time and with what succeeds, and each retry
/// takes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryBudget {
    /// Tokens that come in a second whatever happens. At least 1, so that nobody waits for ever.
    pub per_second: u32,
    /// Percent of a token that come with each first attempt that succeeds.
    pub percent: u32,
    /// Tokens that are kept, at most; a tenant begins with as many. At least 1.
    pub burst: u32,
}

impl Default for RetryBudget {
    fn default() -> Self {
        Self { per_second: 10, percent: 20, burst: 100 }
    }
}

/// Why a retry does not compete yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rationed {
    /// Whose budget it waits for.
    pub tenant: EntityId,
    /// Retries of the tenant that come before it.
    pub ahead: usize,
    /// The budget.
    pub budget: RetryBudget,
    /// When its token is there if nothing succeeds until then.
    pub at: Timestamp,
}

/// Tokens are counted in thousandths: as many come in a millisecond as tokens in a second.
const TOKEN: u64 = 1000;

/// A point of priority is worth as much as what a task gains by so long a wait.
const POINT: i64 = 360_000;

/// Who became ready earliest, so much earlier as its priority is higher: nobody is passed for ever.
type Turn = (i64, AttemptKey);

pub(super) fn turn(candidate: &Candidate) -> Turn {
    (
        candidate.since.0.saturating_sub(i64::from(candidate.priority).saturating_mul(POINT)),
        candidate.key,
    )
}

/// The retries of one tenant.
#[derive(Clone, Debug)]
struct Line {
    /// Thousandths of tokens at an instant.
    tokens: u64,
    at: Timestamp,
    turns: BTreeSet<Turn>,
}

impl Line {
    fn refill(&mut self, budget: &RetryBudget, now: Timestamp) {
        // At the beginning nobody has said yet what time it is.
        if self.at > Timestamp(0) {
            self.gain(budget, now.since(self.at).0.saturating_mul(u64::from(budget.per_second)));
        }
        self.at = self.at.max(now);
    }

    fn gain(&mut self, budget: &RetryBudget, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
        self.spill(budget);
    }

    /// More than the burst is kept only for those who wait.
    fn spill(&mut self, budget: &RetryBudget) {
        self.tokens = self.tokens.min(self.most(budget));
    }

    fn most(&self, budget: &RetryBudget) -> u64 {
        let waiting = u64::try_from(self.turns.len()).unwrap_or(u64::MAX);
        u64::from(budget.burst).max(1).saturating_add(waiting).saturating_mul(TOKEN)
    }

    /// When there will be so many tokens.
    fn due(&self, budget: &RetryBudget, tokens: u64) -> Timestamp {
        let lacks = tokens.saturating_mul(TOKEN).saturating_sub(self.tokens);
        self.at.plus(Millis(lacks.div_ceil(u64::from(budget.per_second).max(1))))
    }
}

/// The retries of all tenants. Costs O(log n) for each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rations {
    budget: RetryBudget,
    /// Those of tenants that ever took a token.
    lines: BTreeMap<EntityId, Line>,
    waiting: BTreeMap<AttemptKey, (EntityId, Candidate)>,
    /// When whose first in line has its token.
    due: BTreeSet<(Timestamp, EntityId)>,
}

impl Rations {
    pub(crate) fn new(budget: RetryBudget) -> Self {
        Self { budget, ..Self::default() }
    }

    /// Takes a token for a retry. `false` if there is none: then it waits here.
    pub(crate) fn take(&mut self, tenant: EntityId, retry: &Candidate, now: Timestamp) -> bool {
        let full = u64::from(self.budget.burst).max(1) * TOKEN;
        let new = || Line { tokens: full, at: now, turns: BTreeSet::new() };
        self.lines.entry(tenant).or_insert_with(new);
        let taken = self.at(tenant, now, |line| {
            let free = line.turns.is_empty() && line.tokens >= TOKEN;
            if free {
                line.tokens -= TOKEN;
            } else {
                line.turns.insert(turn(retry));
            }
            free
        });
        if taken != Some(false) {
            return true;
        }
        self.waiting.insert(retry.key, (tenant, *retry));
        false
    }

    /// Changes the line of a tenant as of now, if it has one.
    fn at<R>(
        &mut self,
        tenant: EntityId,
        now: Timestamp,
        change: impl FnOnce(&mut Line) -> R,
    ) -> Option<R> {
        self.unset(tenant);
        let budget = self.budget;
        let line = self.lines.get_mut(&tenant)?;
        line.refill(&budget, now);
        let changed = change(line);
        self.set(tenant);
        Some(changed)
    }

    /// The tokens of a tenant: a part of one for a first attempt that succeeded, all of it for a retry
    /// that came to nothing.
    fn give(&mut self, tenant: EntityId, tokens: u64, now: Timestamp) {
        let budget = self.budget;
        self.at(tenant, now, |line| line.gain(&budget, tokens));
    }

    /// A first attempt of the tenant succeeded.
    pub(crate) fn earn(&mut self, tenant: EntityId, now: Timestamp) {
        self.give(tenant, u64::from(self.budget.percent) * TOKEN / 100, now);
    }

    /// A retry of the tenant came to nothing: its token is there again.
    pub(crate) fn refund(&mut self, tenant: EntityId, now: Timestamp) {
        self.give(tenant, TOKEN, now);
    }

    /// Those that have their tokens now, in order.
    pub(crate) fn let_go(&mut self, now: Timestamp) -> Vec<Candidate> {
        let (budget, mut gone) = (self.budget, Vec::new());
        while let Some((_, tenant)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.at(tenant, now, |line| {
                while line.tokens >= TOKEN
                    && let Some((.., key)) = line.turns.pop_first()
                {
                    line.tokens -= TOKEN;
                    gone.push(key);
                }
                line.spill(&budget);
            });
        }
        gone.iter().filter_map(|key| self.waiting.remove(key)).map(|(_, retry)| retry).collect()
    }

    /// The retry is not wanted any more. Whether it waited here.
    pub(crate) fn forget(&mut self, key: AttemptKey) -> bool {
        let Some((tenant, retry)) = self.waiting.remove(&key) else { return false };
        self.unset(tenant);
        if let Some(line) = self.lines.get_mut(&tenant) {
            line.turns.remove(&turn(&retry));
            line.spill(&self.budget);
        }
        self.set(tenant);
        true
    }

    /// A tenant is gone: it begins anew if it comes again, unless somebody waits.
    pub(crate) fn forget_tenant(&mut self, tenant: EntityId) {
        if self.lines.get(&tenant).is_some_and(|line| line.turns.is_empty()) {
            self.lines.remove(&tenant);
        }
    }

    pub(crate) fn waits(&self, key: AttemptKey) -> bool {
        self.waiting.contains_key(&key)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Those that wait, by key, with their tenants.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &(EntityId, Candidate)> + '_ {
        self.waiting.values()
    }

    /// Those of a range of keys, in their order.
    pub(crate) fn of(
        &self,
        keys: RangeInclusive<AttemptKey>,
    ) -> impl Iterator<Item = AttemptKey> + '_ {
        self.waiting.range(keys).map(|(key, _)| *key)
    }

    /// When the next one has its token.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Why a retry does not compete yet; counts those ahead up to `most`.
    pub(crate) fn why(&self, key: AttemptKey, most: usize) -> Option<(Candidate, Rationed)> {
        let (tenant, retry) = *self.waiting.get(&key)?;
        let line = self.lines.get(&tenant)?;
        let ahead = line.turns.range(..turn(&retry)).take(most).count();
        let tokens = u64::try_from(ahead).unwrap_or(u64::MAX).saturating_add(1);
        let at = line.due(&self.budget, tokens);
        Some((retry, Rationed { tenant, ahead, budget: self.budget, at }))
    }

    /// When the first in line of a tenant has its token.
    fn due_of(&self, tenant: EntityId) -> Option<Timestamp> {
        let line = self.lines.get(&tenant).filter(|line| !line.turns.is_empty())?;
        Some(line.due(&self.budget, 1))
    }

    fn set(&mut self, tenant: EntityId) {
        if let Some(at) = self.due_of(tenant) {
            self.due.insert((at, tenant));
        }
    }

    fn unset(&mut self, tenant: EntityId) {
        if let Some(at) = self.due_of(tenant) {
            self.due.remove(&(at, tenant));
        }
    }

    /// What is not as it must be, in words.
    pub(crate) fn audit(&self, faults: &mut Vec<String>) {
        let mut count = 0;
        for (tenant, line) in &self.lines {
            count += line.turns.len();
            let most = line.most(&self.budget);
            if line.tokens > most {
                faults.push(format!("{tenant} has {} of {most} thousandths", line.tokens));
            }
            let known = line.turns.iter().all(|(.., key)| self.waiting.contains_key(key));
            let due = self.due_of(*tenant).is_none_or(|at| self.due.contains(&(at, *tenant)));
            if !known || !due {
                faults.push(format!("the line of {tenant}: known {known}, due {due}"));
            }
        }
        let lines = self.lines.values().filter(|line| !line.turns.is_empty()).count();
        if (count, lines) != (self.waiting.len(), self.due.len()) {
            faults.push(format!("{count} in {lines} lines, {} due", self.due.len()));
        }
    }
}
