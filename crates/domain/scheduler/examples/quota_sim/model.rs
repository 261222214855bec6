//! Everything by looking at everything.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::quota::{Amounts, Dimension, Entity, Weight};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_scheduler::{Candidate, Claimed};

use crate::subject::CLAIM_AFTER;

type Limits = [Option<u64>; Dimension::COUNT];
type Sums = [u64; Dimension::COUNT];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Waiting,
    Held { took_slot: bool },
}

#[derive(Clone, Debug)]
struct Slot {
    project: EntityId,
    need: Amounts,
}

pub(crate) struct Model {
    only_pods: bool,
    pub(crate) capacity: Limits,
    pub(crate) entities: BTreeMap<EntityId, Entity>,
    pub(crate) tasks: BTreeMap<AttemptKey, (Candidate, State)>,
    slots: BTreeMap<WorkflowId, Slot>,
    pub(crate) gated: BTreeSet<WorkflowId>,
    used: BTreeMap<Option<EntityId>, Sums>,
    pub(crate) claims: Vec<Claim>,
}

/// Who claims, from its project up to where, and beside whom.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    key: AttemptKey,
    path: Vec<Option<EntityId>>,
    /// Who lasts no longer may use what it keeps.
    passes: Millis,
}

impl Model {
    pub(crate) fn new(only_pods: bool) -> Self {
        Self {
            only_pods,
            capacity: [None; Dimension::COUNT],
            entities: BTreeMap::new(),
            tasks: BTreeMap::new(),
            slots: BTreeMap::new(),
            gated: BTreeSet::new(),
            used: BTreeMap::new(),
            claims: Vec::new(),
        }
    }

    /// The entity and all above it; `None` is the installation.
    pub(crate) fn path(&self, from: EntityId) -> Vec<Option<EntityId>> {
        let mut path = vec![Some(from)];
        let mut at = from;
        while let Some(parent) = self.entities.get(&at).and_then(|entity| entity.parent) {
            path.push(Some(parent));
            at = parent;
        }
        path.push(None);
        path
    }

    pub(crate) fn limits(&self, at: Option<EntityId>) -> Limits {
        let Some(id) = at else { return self.capacity };
        let quota = self.entities.get(&id).and_then(|entity| entity.quota);
        quota.unwrap_or_default().limits
    }

    pub(crate) fn usage(&self) -> &BTreeMap<Option<EntityId>, Sums> {
        &self.used
    }

    fn used(&self, at: Option<EntityId>) -> Sums {
        self.used.get(&at).copied().unwrap_or_default()
    }

    /// Adds up what is held, from nothing.
    pub(crate) fn recount(&mut self) {
        let mut used: BTreeMap<Option<EntityId>, Sums> =
            self.entities.keys().map(|id| (Some(*id), Sums::default())).collect();
        used.insert(None, Sums::default());
        let held = self.tasks.values().filter(|(_, state)| *state != State::Waiting);
        let tasks = held.map(|(candidate, _)| (candidate.project, candidate.need));
        let slots = self.slots.values().map(|slot| (slot.project, slot.need));
        for (project, need) in tasks.chain(slots) {
            for at in self.path(project) {
                let sums = used.entry(at).or_default();
                for (sum, more) in sums.iter_mut().zip(need.0) {
                    *sum += more;
                }
            }
        }
        self.used = used;
    }

    pub(crate) fn holds(&self, key: AttemptKey) -> bool {
        self.tasks.get(&key).is_some_and(|(_, state)| *state != State::Waiting)
    }

    pub(crate) fn hold(&mut self, key: AttemptKey) {
        let Some((candidate, state)) = self.tasks.get_mut(&key) else { return };
        let slot = Slot { project: candidate.project, need: slot_need(candidate) };
        let took_slot = !self.slots.contains_key(&candidate.root);
        *state = State::Held { took_slot };
        self.slots.entry(candidate.root).or_insert(slot);
    }

    pub(crate) fn roll_back(&mut self, key: AttemptKey) -> bool {
        let Some((candidate, state)) = self.tasks.get_mut(&key) else { return false };
        let State::Held { took_slot } = *state else { return false };
        let root = candidate.root;
        *state = State::Waiting;
        if took_slot {
            self.give_back(root);
        }
        true
    }

    /// Gives the slot back unless something runs in it, or it has storage.
    pub(crate) fn idle(&mut self, root: WorkflowId) {
        let stores = |slot: &Slot| slot.need.get(Dimension::Storage) > 0;
        if !self.slots.get(&root).is_some_and(stores) {
            self.give_back(root);
        }
    }

    fn give_back(&mut self, root: WorkflowId) {
        let mut held = self.tasks.values().filter(|(_, state)| *state != State::Waiting);
        if !held.any(|(candidate, _)| candidate.root == root) {
            self.slots.remove(&root);
        }
    }

    pub(crate) fn end(&mut self, root: WorkflowId) {
        self.slots.remove(&root);
    }

    /// What the task needs to start now.
    fn need(&self, candidate: &Candidate) -> Amounts {
        let mut need = candidate.need;
        if !self.slots.contains_key(&candidate.root) {
            for (need, more) in need.0.iter_mut().zip(slot_need(candidate).0) {
                *need += more;
            }
        }
        need
    }

    fn fits(&self, at: Option<EntityId>, need: &Amounts) -> bool {
        let each = need.0.into_iter().zip(self.used(at)).zip(self.limits(at));
        let known = at.is_none_or(|id| self.entities.contains_key(&id));
        known
            && each.into_iter().all(|((need, used), limit)| {
                need == 0 || limit.is_none_or(|limit| used + need <= limit)
            })
    }

    /// Nothing but quotas holds it back.
    fn free(&self, candidate: &Candidate) -> bool {
        let of = candidate.key.workflow;
        let running = self
            .tasks
            .values()
            .filter(|(other, state)| *state != State::Waiting && other.key.workflow == of);
        let full = candidate.parallelism.is_some_and(|most| {
            u32::try_from(running.count()).is_ok_and(|running| running >= most)
        });
        !full && !self.gated.contains(&of)
    }

    /// Those that may start; with a time also those that may because their tenant comes before the one for which
    /// something of the installation is kept.
    fn may_start(&self, now: Option<Timestamp>) -> Vec<&Candidate> {
        let waiting = self.tasks.values().filter(|(_, state)| *state == State::Waiting);
        let free = waiting.map(|(candidate, _)| candidate).filter(|c| self.free(c));
        let room = |c: &&Candidate| {
            let need = self.need(c);
            let path = self.path(c.project);
            let before = now.is_some_and(|now| self.before(c, now));
            path.iter().all(|at| {
                self.fits(*at, &need)
                    && (before && at.is_none() || self.fits(*at, &self.beside(*at, c)))
            })
        };
        free.filter(room).collect()
    }

    /// The tenant of a task may come before the one that claims what the installation has. Where several
    /// dimensions count, shares are not worked out here, and any other tenant may.
    fn before(&self, task: &Candidate, now: Timestamp) -> bool {
        let tenant = |c: &Candidate| self.path(c.project).iter().rev().nth(1).copied().flatten();
        let mut claims = self.claims.iter().filter(|claim| claim.path.contains(&None));
        let claimant = claims.next().and_then(|claim| self.tasks.get(&claim.key));
        let Some((claimant, _)) = claimant else { return false };
        let (ours, theirs) = (tenant(task), tenant(claimant));
        let (Some(us), Some(them)) = (ours, theirs) else { return false };
        // Another of its tasks may be the one that comes before.
        let waiting = self.tasks.values().filter(|(_, state)| *state == State::Waiting);
        let mut mine = waiting.map(|(c, _)| c).filter(|c| tenant(c) == ours && self.free(c));
        us != them
            && (!self.only_pods
                || mine.any(|c| {
                    self.key(us, None, c, now) <= self.key(them, None, claimant, now) + 1e-9
                }))
    }

    /// Who claims waits for long enough, and no two of them keep anything at the same place.
    pub(crate) fn check(&self, claims: &[Claimed], now: Timestamp) -> Result<Vec<Claim>, String> {
        let mut seen = BTreeSet::new();
        let mut checked = Vec::new();
        for claim in claims {
            let (candidate, state) = self.tasks.get(&claim.key).ok_or("nobody claims")?;
            let old = now.since(candidate.since) >= CLAIM_AFTER && claim.since <= now;
            if *state != State::Waiting || !self.free(candidate) || !old {
                return Err(format!("{claim:?} may not claim"));
            }
            let path = self.path(candidate.project);
            let front = path.iter().position(|at| *at == claim.at).ok_or("claims elsewhere")?;
            let path: Vec<_> = path.into_iter().take(front + 1).collect();
            if claim.need != self.need(candidate) || !path.iter().all(|at| seen.insert(*at)) {
                return Err(format!("{claim:?} keeps what another does, or too much"));
            }
            let Claimed { key, by, passes, .. } = *claim;
            if passes.0 > 0 && by.is_none_or(|by| now.plus(passes) > by) {
                return Err(format!("{claim:?} lets pass who is in its way"));
            }
            checked.push(Claim { key, path, passes });
        }
        Ok(checked)
    }

    /// What a task needs, and of the same what is kept for another at a place.
    fn beside(&self, at: Option<EntityId>, task: &Candidate) -> Amounts {
        let mut need = self.need(task);
        let mut others = self.claims.iter();
        let other = others.find(|claim| claim.key != task.key && claim.path.contains(&at));
        let Some((claim, (other, _))) = other.and_then(|of| Some((of, self.tasks.get(&of.key)?)))
        else {
            return need;
        };
        let passes = task.lasts.is_some_and(|lasts| lasts <= claim.passes);
        let all = Dimension::ALL.into_iter().zip(need.0.iter_mut().zip(self.need(other).0));
        for (dimension, (need, kept)) in all {
            // The slot of a workflow and its volumes are held for longer than an attempt lasts.
            let lasting = matches!(dimension, Dimension::Workflows | Dimension::Storage);
            *need += if *need > 0 && (lasting || !passes) { kept } else { 0 };
        }
        need
    }

    /// Somebody fits, and not beside what is kept for another.
    pub(crate) fn held_back(&self) -> bool {
        let waiting = self.tasks.values().filter(|(_, state)| *state == State::Waiting);
        let mut free = waiting.map(|(candidate, _)| candidate).filter(|c| self.free(c));
        free.any(|c| {
            let path = self.path(c.project);
            path.iter().all(|at| self.fits(*at, &self.need(c)))
                && !path.iter().all(|at| self.fits(*at, &self.beside(*at, c)))
        })
    }

    fn priority(&self, candidate: &Candidate, now: Timestamp, bounded: bool) -> f64 {
        let tenant = self.path(candidate.project).iter().rev().nth(1).copied().flatten();
        let limits = self.limits(tenant);
        let need = self.need(candidate);
        let each = need.0.into_iter().zip(self.used(tenant)).zip(limits);
        let parts = each.filter_map(|((need, used), limit)| {
            let limit = limit.filter(|_| need > 0)?;
            Some(if limit == 0 { 1.0 } else { real(used) / real(limit) })
        });
        let u = parts.fold(0.0, f64::max);
        let wait = real(now.since(candidate.since).0) / 1000.0;
        let base = if bounded { candidate.priority.clamp(0, 100) } else { candidate.priority };
        let weight = self.weight(tenant);
        let boost = if bounded { 0.0 } else { weight / 100.0 * 20.0 };
        f64::from(base) + boost + 10.0 * (wait / 3600.0).min(1.0)
            - 5.0 * ((u - 0.8) / 0.2).clamp(0.0, 1.0)
    }

    fn weight(&self, at: Option<EntityId>) -> f64 {
        let entity = at.and_then(|id| self.entities.get(&id));
        let quota = entity.and_then(|entity| entity.quota);
        f64::from(quota.map_or(Weight::default(), |quota| quota.weight).get())
    }

    /// Judges what was admitted: `None` is nothing.
    pub(crate) fn judge(&self, admitted: Option<AttemptKey>, now: Timestamp) -> Result<(), String> {
        let Some(key) = admitted else {
            // QINV-8.
            return self
                .may_start(None)
                .first()
                .map_or(Ok(()), |one| Err(format!("{:?} could start", one.key)));
        };
        // QINV-1.
        let perhaps = self.may_start(Some(now));
        let Some(ours) = perhaps.iter().find(|candidate| candidate.key == key) else {
            return Err(format!("{key:?} may not start"));
        };
        // Others are those that may start in any case.
        let able = self.may_start(None);
        // QINV-9: in a project the highest priority, then the earliest, then the least key.
        let rank = |c: &Candidate| (c.since, c.key);
        let before = |other: &&&Candidate| {
            other.project == ours.project
                && other.need == ours.need
                && self.need(other) == self.need(ours)
        };
        // Who claims goes first up to its front.
        let claims = self.claims.iter().find(|claim| claim.key == key);
        for other in able.iter().filter(before).filter(|_| claims.is_none()) {
            let (p, q) = (self.priority(ours, now, false), self.priority(other, now, false));
            if q > p + 1e-8 || ((q - p).abs() <= 1e-8 && rank(other) < rank(ours)) {
                return Err(format!("{:?} (P {q}) goes before {key:?} (P {p})", other.key));
            }
        }
        let path = claims.map_or(&[][..], |claim| &claim.path);
        if self.only_pods { self.judge_share(ours, (&able, &perhaps), (path, now)) } else { Ok(()) }
    }

    /// On each level the child goes first with the least share over 2^(P/32), by its best task.
    fn judge_share(
        &self,
        ours: &Candidate,
        (able, perhaps): (&[&Candidate], &[&Candidate]),
        (claimed, now): (&[Option<EntityId>], Timestamp),
    ) -> Result<(), String> {
        let mut path = self.path(ours.project);
        path.reverse();
        for pair in path.windows(2) {
            let &[above, Some(child)] = pair else { continue };
            if claimed.contains(&above) {
                continue;
            }
            let below = |c: &&&Candidate, at| self.path(c.project).contains(&Some(at));
            let mut siblings = self.entities.values().filter(|other| other.parent == above);
            let mine = perhaps.iter().filter(|c| below(c, child));
            // Whoever of mine is best may be anybody: at least as good as ours is what must hold.
            let best = mine.map(|c| self.key(child, above, c, now)).fold(f64::INFINITY, f64::min);
            let first = siblings.find_map(|other| {
                let theirs: Vec<f64> = able
                    .iter()
                    .filter(|c| below(c, other.id))
                    .map(|c| self.key(other.id, above, c, now))
                    .collect();
                let worst = theirs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                (!theirs.is_empty() && worst < best - 1e-9).then_some((other.id, worst))
            });
            if let Some((other, theirs)) = first {
                return Err(format!("{other} ({theirs}) goes before {child} ({best})"));
            }
        }
        Ok(())
    }

    /// The logarithm of share over 2^(P/32).
    fn key(&self, at: EntityId, above: Option<EntityId>, task: &Candidate, now: Timestamp) -> f64 {
        let pods = Dimension::Pods as usize;
        let used = self.used(Some(at)).get(pods).copied().unwrap_or(0);
        let path = above.map_or(vec![None], |id| self.path(id));
        let limit = path.iter().find_map(|at| self.limits(*at).get(pods).copied().flatten());
        let share = limit.map_or(0.0, |limit| real(used) / real(limit.max(1)));
        let share = share / self.weight(Some(at));
        (if share > 0.0 { share.log2() } else { -1e6 }) - self.priority(task, now, true) / 32.0
    }
}

pub(crate) fn slot_need(candidate: &Candidate) -> Amounts {
    Amounts::ZERO.with(Dimension::Workflows, 1).with(Dimension::Storage, candidate.storage)
}

#[expect(clippy::cast_precision_loss, reason = "amounts here are far below 2^53")]
fn real(amount: u64) -> f64 {
    amount as f64
}
