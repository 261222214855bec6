//! Why an attempt waits.

mod cure;
mod holders;
mod rank;
mod rival;
mod usage;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_model::time::Timestamp;
use flowforge_quota::{Blocked, Place};

use super::FairShare;
use super::claims::Claim;
use super::climb::sum;
use super::entry::Precedence;
use super::lane::{Lane, LaneIx};
use super::points::{self, Phase, readable};
use super::shape::mask;
use super::task::{State, Task, TaskIx};
use crate::why::{Code, Points, Why};

/// So many that run in a project are looked at.
const RUNNING: usize = 1000;

/// An attempt that waits, and all it takes to start it.
pub(super) struct Waiter {
    pub(super) at: TaskIx,
    pub(super) task: Task,
    pub(super) need: Amounts,
    pub(super) now: Timestamp,
    /// The one that would be admitted next.
    pub(super) next: Option<TaskIx>,
}

/// A place, since when somebody waits there, and the base of its priority.
type Standing = (Place, Timestamp, i32);

fn standing(task: &Task) -> Standing {
    (task.place, task.since, task.priority)
}

impl FairShare {
    /// Why an attempt waits at `now`, as far as the scheduler decides that. None if it neither waits
    /// nor holds anything.
    ///
    /// Costs O(levels * (kinds + [`Why::AHEAD`]) + children of the entity that is short), and
    /// changes nothing.
    #[must_use]
    pub fn why(&self, key: AttemptKey, now: Timestamp) -> Option<Why> {
        let Some((at, task)) = self.task(key) else {
            return self.why_rationed(key, self.now.max(now));
        };
        let need = self.whole_need(&task);
        let waiter = Waiter { at, task, need, now: self.now.max(now), next: self.pick() };
        let (code, short) = self.code(&waiter);
        let waits = !matches!(code, Code::Running);
        let counts = waits && code != Code::NoSuchQueue;
        let holders = short.as_ref().filter(|_| counts).and_then(|short| {
            let at = short.entity.map_or(Some(Place::ROOT), |id| self.tree.place(id))?;
            Some(self.holders(at, short.dimension))
        });
        let own = self.front_of(at);
        let behind = code == Code::BehindClaim;
        let claim = if behind {
            self.ahead_by_claim(&waiter)
        } else {
            own.and_then(|front| Some((front, self.claims.at(front)?)))
        };
        let leader = match claim {
            Some((_, claim)) if behind => Some(claim.task),
            _ => self.leader(short.as_ref()).filter(|_| waits),
        };
        let holders = holders.unwrap_or_default();
        Some(Why {
            code,
            need,
            cluster: self.clusters.named(self.shapes.cluster(task.shape)),
            short,
            cures: self.cures(&waiter, code, &holders),
            holders,
            ranks: if waits { self.ranks(&waiter) } else { Vec::new() },
            rival: leader.and_then(|leader| self.rival(&waiter, leader)),
            claim: claim.and_then(|(front, claim)| self.claimed(front, claim)),
            rationed: None,
            tripped: None,
            priority: self.points(standing(&task), &need, waiter.now),
        })
    }

    /// Why a retry does not compete yet.
    fn why_rationed(&self, key: AttemptKey, now: Timestamp) -> Option<Why> {
        let (code, retry, rationed, tripped) = match self.breaker.why(key, Why::AHEAD) {
            Some((retry, tripped)) => (Code::CircuitOpen, retry, None, Some(tripped)),
            None => {
                let (retry, rationed) = self.rations.why(key, Why::AHEAD)?;
                (Code::RetryBudget, retry, Some(rationed), None)
            }
        };
        let place = self.tree.place(retry.project)?;
        Some(Why {
            code,
            need: retry.need,
            cluster: self.clusters.named(self.clusters.of(Some(retry.project))),
            short: None,
            holders: Vec::new(),
            ranks: Vec::new(),
            rival: None,
            claim: None,
            rationed,
            tripped,
            priority: self.points((place, retry.since, retry.priority), &retry.need, now),
            cures: Vec::new(),
        })
    }

    /// What it takes to start a task: of one that runs, what it holds.
    pub(super) fn whole_need(&self, task: &Task) -> Amounts {
        let need = self.shapes.need(task.shape);
        let waits = matches!(task.state, State::Waiting(..));
        let slot = self.lanes.root(task.lane).filter(|_| waits).and_then(Lane::slot_need);
        slot.map_or(need, |slot| sum(&need, &slot))
    }

    pub(super) fn code(&self, waiter: &Waiter) -> (Code, Option<Blocked>) {
        let Waiter { at, task, need, .. } = waiter;
        let of = self.shapes.cluster(task.shape);
        if matches!(task.state, State::Held { .. }) {
            let down = need.get(Dimension::Pods) > 0 && self.clusters.slots(of).1 == 0;
            return (Code::Running, down.then(|| self.blocked(need, Dimension::Pods, of)));
        }
        let room = self.lacking(task.place, need, of);
        if let Some(at) = self.tree.path(task.place).find(|place| !self.tree.known(*place)) {
            return (Code::NoSuchQueue, self.lacking(at, need, of));
        }
        // How many run at a time is up to who is there to run them, and not for ever.
        let forever =
            |blocked: &Blocked| blocked.entity.is_some() || blocked.dimension != Dimension::Pods;
        if let Some(blocked) = self.never_fits(task.place, need, of).filter(forever) {
            return (Code::ExceedsQuotaForever, Some(blocked));
        }
        if self.lane_of(task.lane, |lane| lane.gated) {
            return (Code::Paused, None);
        }
        if self.lane_of(task.lane, Lane::full) {
            return (Code::WorkflowLimit, None);
        }
        if let Some(blocked) = room {
            let own = blocked.entity.is_some() && blocked.entity == self.tree.entity(task.place);
            let code = match (blocked.dimension, blocked.entity) {
                (Dimension::Workflows, _) => Code::WorkflowLimit,
                (Dimension::Pods, None) if blocked.limit == 0 => Code::ClusterDown,
                (_, None) => Code::CapacityFull,
                _ if own => Code::QuotaFull,
                _ => Code::ParentFull,
            };
            return (code, Some(blocked));
        }
        if self.ahead_by_claim(waiter).is_some() {
            return (Code::BehindClaim, None);
        }
        let code = match waiter.next.and_then(|first| Some((first, self.tasks.get(first)?))) {
            Some((first, _)) if first == *at => Code::Next,
            Some((_, first))
                if first.place != task.place
                    && self.settings.precedence != Precedence::Priority =>
            {
                Code::BehindFairShare
            }
            _ => Code::BehindPriority,
        };
        (code, None)
    }

    /// The claim beside which there is no room for a task, or whose turn it is.
    fn ahead_by_claim(&self, waiter: &Waiter) -> Option<(Place, &Claim)> {
        let own = self.front_of(waiter.at);
        let (span, of) =
            (self.shapes.span(waiter.task.shape), self.shapes.cluster(waiter.task.shape));
        let behind = self.behind(waiter.task.place, (&waiter.need, span, of), own);
        behind.filter(|(front, _)| *front != Place::ROOT || !self.precedes(waiter)).or_else(|| {
            let next = waiter.next.filter(|next| *next != waiter.at)?;
            let front = self.front_of(next)?;
            let front = self.tree.path(waiter.task.place).find(|at| *at == front)?;
            Some((front, self.claims.at(front)?))
        })
    }

    /// Its tenant comes before the one for which something of the installation is kept.
    fn precedes(&self, waiter: &Waiter) -> bool {
        let entry = self.tenant(waiter.task.place).and_then(|at| self.stands(at, waiter.at));
        self.turn().zip(entry).is_some_and(|(turn, entry)| turn.follows(&entry, &self.tasks))
    }

    fn lane_of(&self, at: LaneIx, is: impl Fn(&Lane) -> bool) -> bool {
        self.lanes.get(at).is_some_and(is)
    }

    /// The priority of whoever stands there with this need.
    fn points(&self, (place, since, base): Standing, need: &Amounts, now: Timestamp) -> Points {
        let phase = Phase::of(since, now);
        let tenant = self.tenant(place);
        let (weight, penalty) = tenant.map_or((0, 0), |tenant| {
            let penalty = self.penalties(tenant).of(mask(need));
            (points::boost(self.tree.weight(tenant).get()), penalty)
        });
        Points {
            base: f64::from(base),
            weight: readable(weight),
            waiting: readable(phase.wait(since) + phase.common(now)),
            penalty: readable(penalty),
        }
    }
}
