//! The smallest changes that let an attempt start.

use std::cmp::Reverse;

use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::Place;

use super::{RUNNING, Waiter};
use crate::fair::FairShare;
use crate::fair::clusters::ClusterIx;
use crate::fair::lane::Lane;
use crate::why::{Code, Cure, Holding, Member, Raise};

/// What is short at one place.
struct Shortage {
    at: Place,
    dimension: Dimension,
    by: u64,
}

impl FairShare {
    pub(super) fn cures(&self, waiter: &Waiter, code: Code, holders: &[Holding]) -> Vec<Cure> {
        match code {
            Code::QuotaFull | Code::ParentFull | Code::CapacityFull | Code::ClusterDown
                if self.never_fits(waiter.task.place, &waiter.need, self.of(waiter)).is_none() =>
            {
                self.room(waiter, holders)
            }
            Code::QuotaFull
            | Code::ParentFull
            | Code::CapacityFull
            | Code::ClusterDown
            | Code::ExceedsQuotaForever => self.raises(&self.shortages(waiter)),
            Code::WorkflowLimit => match self.lanes.get(waiter.task.lane) {
                Some(lane) if lane.full() => vec![Cure::EndOwn(beyond(lane))],
                _ => self.room(waiter, holders),
            },
            // Another priority would end its own claim.
            Code::BehindPriority if self.front_of(waiter.at).is_some() => Vec::new(),
            Code::BehindPriority => {
                let leader = self.leader(None);
                leader.and_then(|leader| self.prioritize(waiter, leader)).into_iter().collect()
            }
            Code::Paused => vec![Cure::Resume],
            Code::NoSuchQueue => {
                let unknown = self.tree.path(waiter.task.place).find(|at| !self.tree.known(*at));
                unknown.and_then(|at| self.tree.entity(at)).map(Cure::Tell).into_iter().collect()
            }
            Code::BehindFairShare
            | Code::BehindClaim
            | Code::RetryBudget
            | Code::CircuitOpen
            | Code::Running
            | Code::Next => Vec::new(),
        }
    }

    /// Limits raised, or others gone.
    fn room(&self, waiter: &Waiter, holders: &[Holding]) -> Vec<Cure> {
        let shortages = self.shortages(waiter);
        let mut cures = self.raises(&shortages);
        cures.extend(self.ends(&shortages, holders, self.of(waiter)));
        cures
    }

    /// Where it would run.
    fn of(&self, waiter: &Waiter) -> ClusterIx {
        self.shapes.cluster(waiter.task.shape)
    }

    /// All that is short, from the project up.
    fn shortages(&self, waiter: &Waiter) -> Vec<Shortage> {
        let mut shortages = Vec::new();
        for at in self.tree.path(waiter.task.place) {
            let (used, limit) = self.room_at(at, self.of(waiter));
            for dimension in Dimension::ALL {
                let need = waiter.need.get(dimension);
                let sum = used.get(dimension).saturating_add(need);
                let by = sum.saturating_sub(limit.get(dimension));
                if need > 0 && by > 0 {
                    shortages.push(Shortage { at, dimension, by });
                }
            }
        }
        shortages
    }

    fn raises(&self, shortages: &[Shortage]) -> Vec<Cure> {
        let raise = |short: &Shortage| {
            let Shortage { at, dimension, by } = *short;
            Raise { entity: self.tree.entity(at), dimension, by }
        };
        vec![Cure::Raise(shortages.iter().map(raise).collect())]
    }

    /// How many of whom are to end. All that is short is short at the lowest place where anything is
    /// or above it, so that whoever ends below that place helps everywhere: the largest of the project
    /// that uses most. None if that project alone is not enough.
    fn ends(&self, shortages: &[Shortage], holders: &[Holding], of: ClusterIx) -> Option<Cure> {
        let lowest = shortages.first()?;
        let largest = holders.first().map(|holding| holding.who);
        let mut at = match largest? {
            Member::Entity(id) => self.tree.place(id)?,
            Member::Workflow(_) => lowest.at,
        };
        let uses = |at: &Place| self.tree.used(*at, lowest.dimension);
        while let Some(child) = self.tree.children(at).iter().copied().max_by_key(uses) {
            at = child;
        }
        let project = self.tree.entity(at)?;
        let mut left = Amounts::ZERO;
        for short in shortages {
            left = left.with(short.dimension, short.by.max(left.get(short.dimension)));
        }
        // Slots of workflows are not held by attempts.
        let workflows = left.get(Dimension::Workflows);
        if self.tree.usage(at).get(Dimension::Workflows) < workflows {
            return None;
        }
        left = left.with(Dimension::Workflows, 0);
        let held = self.branches.get(at)?.held.iter().take(RUNNING);
        // Slots of another cluster help nobody here.
        let top = lowest.at == Place::ROOT || shortages.iter().any(|one| one.at == Place::ROOT);
        let from = if top { Place::ROOT } else { lowest.at };
        let held = held.filter_map(|task| {
            let shape = self.shapes.get(self.tasks.get(*task)?.shape)?;
            Some(self.freed(from, shape, of))
        });
        let mut held: Vec<Amounts> = held.collect();
        held.sort_by_key(|need| Reverse(need.get(lowest.dimension)));
        let mut attempts = 0;
        for need in held {
            if left == Amounts::ZERO {
                break;
            }
            for (left, freed) in left.0.iter_mut().zip(need.0) {
                *left = left.saturating_sub(freed);
            }
            attempts += 1;
        }
        (left == Amounts::ZERO).then_some(Cure::End { project, attempts, workflows })
    }
}

/// So many attempts of a workflow are to end before another may start.
fn beyond(lane: &Lane) -> u32 {
    lane.parallelism.map_or(0, |most| lane.running.saturating_sub(most).saturating_add(1))
}
