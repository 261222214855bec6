//! Everything worked out from scratch and compared with what is kept: for tests, simulators and
//! whoever doubts.

mod claims;

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::quota::Dimension;
use flowforge_quota::{Place, UNLIMITED};

use super::FairShare;
use super::branch::{self, Common};
use super::climb::sum;
use super::contention::{mostly, nearly};
use super::entry::{Child, Entry, Head};
use super::lane::{Lane, LaneIx};
use super::points::Phase;
use super::queue::QueueIx;
use super::shape::{ClassIx, Kind};
use super::task::{State, TaskIx};

/// What stands in the heaps of one place.
type Level = BTreeMap<Kind, Vec<Entry>>;

impl FairShare {
    /// What is not as it must be, in words: nothing, always. Costs as much as looking at everything.
    #[must_use]
    pub fn audit(&self) -> Vec<String> {
        let mut faults: Vec<String> = Vec::new();
        faults.extend(self.drift().iter().map(|drift| format!("{drift:?}")));
        let live = self.audit_queues(&mut faults);
        self.audit_lanes(&mut faults);
        self.audit_counts(&mut faults);
        self.audit_claims(&mut faults);
        self.audit_clusters(&mut faults);
        self.rations.audit(&mut faults);
        self.breaker.audit(&mut faults);
        let rationed = self.rations.iter().map(|(_, retry)| retry);
        let twice = self.breaker.iter().chain(rationed).filter(|retry| {
            let lines = [self.breaker.waits(retry.key), self.rations.waits(retry.key)];
            self.task(retry.key).is_some() || lines == [true, true]
        });
        faults.extend(twice.map(|retry| format!("{:?} waits twice", retry.key)));
        let mut levels = BTreeMap::new();
        self.audit_level(Place::ROOT, &Common::default(), &live, &mut levels);
        for (at, level) in &levels {
            self.audit_place(*at, level, &live, &mut faults);
        }
        let pick = self.pick();
        if pick != self.slow_pick(&levels) {
            faults.push(format!("picks {pick:?}, not {:?}", self.slow_pick(&levels)));
        }
        // QINV-8, where no class holds more than one need.
        let fits = |head: &Head| {
            let place = self.tasks.get(head.task).map(|task| task.place);
            place.is_some_and(|at| {
                self.tree.path(at).all(|at| self.audit_room(at, head, Some(head.task)))
            })
        };
        if pick.is_none() && self.shapes.exact() {
            let idle = live.values().filter(|(_, head)| fits(head));
            faults.extend(idle.map(|(_, head)| format!("{head:?} fits and is not picked")));
        }
        faults
    }

    /// The queues whose first task may start as far as its workflow is concerned, with that task.
    fn audit_queues(&self, faults: &mut Vec<String>) -> BTreeMap<QueueIx, (Place, Head)> {
        let mut firsts: BTreeMap<QueueIx, TaskIx> = BTreeMap::new();
        for (at, task) in self.tasks.iter() {
            let State::Waiting(queue, _) = task.state else { continue };
            let first = firsts.entry(queue).or_insert(at);
            if self.tasks.rank(at) < self.tasks.rank(*first) {
                *first = at;
            }
        }
        let mut live = BTreeMap::new();
        for (at, queue) in self.queues.iter() {
            let first = firsts.remove(&at);
            if queue.first() != first {
                faults.push(format!("{at:?} begins with {:?}, not {first:?}", queue.first()));
            }
            let Some(head) = first.and_then(|task| self.audit_head(task, queue.lane)) else {
                continue;
            };
            let closed = self.lanes.get(queue.lane).is_none_or(Lane::closed);
            if queue.seat.is_some() == closed {
                faults.push(format!("{at:?} closed {closed}, seat {:?}", queue.seat));
            }
            let ages = self.aging.contains(&(head.since, at));
            if ages != (!closed && head.phase == Phase::Aging) {
                faults.push(format!("{at:?} ages: {ages}"));
            }
            if !closed {
                live.insert(at, (queue.place, head));
            }
        }
        faults.extend(firsts.iter().map(|(at, task)| format!("{task:?} waits in {at:?}")));
        live
    }

    /// The tasks of each place, by what they do.
    fn audit_counts(&self, faults: &mut Vec<String>) {
        let mut counts: BTreeMap<Place, (u32, Vec<TaskIx>)> = BTreeMap::new();
        for (at, task) in self.tasks.iter() {
            let (waits, held) = counts.entry(task.place).or_default();
            match task.state {
                State::Waiting(..) => *waits += 1,
                State::Held { index, .. } => {
                    held.push(at);
                    let list = self.branches.get(task.place).map(|branch| &branch.held);
                    if list.and_then(|held| held.get(index as usize)) != Some(&at) {
                        faults.push(format!("{:?} is not at its place", task.key));
                    }
                }
            }
        }
        for at in (0..self.tree.places()).filter_map(|at| u32::try_from(at).ok()).map(Place) {
            let (waits, held) = counts.remove(&at).unwrap_or_default();
            let kept = self.branches.get(at).map(|branch| (branch.waits, branch.held.len()));
            if kept != Some((waits, held.len())) {
                faults.push(format!("{at:?} counts {kept:?}, not {waits} and {}", held.len()));
            }
        }
    }

    fn audit_head(&self, at: TaskIx, lane: LaneIx) -> Option<Head> {
        let task = self.tasks.get(at)?;
        let need = self.shapes.need(task.shape);
        let slot = self.lanes.root(lane).and_then(Lane::slot_need);
        let need = slot.map_or(need, |slot| sum(&need, &slot));
        // A need that no head has is in no class: then the queue has no seat either.
        let shape = self
            .shapes
            .find(&need, (self.shapes.span(task.shape), self.shapes.cluster(task.shape)))
            .unwrap_or(task.shape);
        let phase = Phase::of(task.since, self.now);
        Some(Head { task: at, base: task.priority, since: task.since, shape, phase })
    }

    fn audit_lanes(&self, faults: &mut Vec<String>) {
        let mut running: BTreeMap<LaneIx, u32> = BTreeMap::new();
        let mut family: BTreeMap<LaneIx, u32> = BTreeMap::new();
        let held = self.tasks.iter().filter(|(_, task)| matches!(task.state, State::Held { .. }));
        for (_, task) in held {
            *running.entry(task.lane).or_default() += 1;
            if let Some(lane) = self.lanes.get(task.lane) {
                *family.entry(lane.root).or_default() += 1;
            }
        }
        for lane in self.lanes.iter() {
            let at = self.lanes.find(lane.id).unwrap_or(lane.root);
            let runs = running.get(&at).copied().unwrap_or(0);
            let all = family.get(&at).copied().unwrap_or(0);
            if (lane.running, lane.family_running) != (runs, all) {
                faults.push(format!("{lane:?} runs {runs}, with those it called {all}"));
            }
        }
    }

    /// Works out the heaps of a place and all below it.
    fn audit_level(
        &self,
        at: Place,
        above: &Common,
        live: &BTreeMap<QueueIx, (Place, Head)>,
        levels: &mut BTreeMap<Place, Level>,
    ) {
        let own = self.branches.get(at).map_or(0, |branch| branch.own_contended);
        let common = branch::common(&self.tree, at, own, above);
        let mut level = Level::new();
        for (queue, (_, head)) in live.iter().filter(|(_, (place, _))| *place == at) {
            let class = self.shapes.get(head.shape).map_or(ClassIx(0), |shape| shape.class);
            level
                .entry(Kind::new(class, head.phase))
                .or_default()
                .push(Entry::of_queue(*queue, head));
        }
        for child in self.tree.children(at) {
            self.audit_level(*child, &common, live, levels);
            let claims = self.audit_claimant(*child);
            let below = levels.get(child).cloned().unwrap_or_default();
            let kinds: BTreeSet<Kind> =
                below.keys().copied().chain(claims.map(|(kind, _)| kind)).collect();
            for kind in kinds {
                let entries = below.get(&kind).into_iter().flatten();
                let first = entries.min_by(|a, b| a.order(b, &self.tasks));
                let head = first.map(|entry| entry.as_head(kind.phase()));
                let head = head.filter(|head| self.audit_room(*child, head, None));
                let claims = claims.filter(|(of, _)| *of == kind).map(|(_, head)| head);
                if let Some(head) = claims.or(head) {
                    let entry = self.entry(*child, &head);
                    level.entry(kind).or_default().push(entry);
                }
            }
        }
        levels.insert(at, level);
    }

    fn audit_place(
        &self,
        at: Place,
        level: &Level,
        live: &BTreeMap<QueueIx, (Place, Head)>,
        faults: &mut Vec<String>,
    ) {
        let Some(branch) = self.branches.get(at) else {
            return faults.push(format!("{at:?} has no branch"));
        };
        let above = self.tree.parent(at).and_then(|parent| self.branches.get(parent));
        let above = above.map(|branch| branch.common).unwrap_or_default();
        if branch.common != branch::common(&self.tree, at, branch.own_contended, &above) {
            faults.push(format!("{at:?} shares {:?}", branch.common));
        }
        let mut counts: BTreeMap<Kind, u32> = BTreeMap::new();
        for (place, head) in live.values() {
            let below = self.tree.path(*place).any(|of| of == at);
            if let Some(shape) = self.shapes.get(head.shape).filter(|_| below) {
                *counts.entry(Kind::new(shape.class, head.phase)).or_default() += 1;
            }
        }
        let kept: BTreeMap<Kind, u32> =
            branch.buckets.iter().map(|bucket| (bucket.kind, bucket.live)).collect();
        if kept != counts {
            faults.push(format!("{at:?} counts {kept:?}, not {counts:?}"));
        }
        for bucket in &branch.buckets {
            let mut ours = bucket.heap.entries();
            let mut theirs = level.get(&bucket.kind).cloned().unwrap_or_default();
            ours.sort_by_key(Entry::child);
            theirs.sort_by_key(Entry::child);
            // QINV-7.
            if ours != theirs || !bucket.heap.sound(&self.tasks) {
                faults.push(format!("{at:?} {:?}: {ours:?}, not {theirs:?}", bucket.kind));
            }
        }
        self.audit_contention(at, branch.own_contended, &counts, faults);
    }

    fn audit_contention(
        &self,
        at: Place,
        flagged: u8,
        kinds: &BTreeMap<Kind, u32>,
        faults: &mut Vec<String>,
    ) {
        let (used, limit) = (self.tree.usage(at), self.tree.limit(at));
        for (bit, dimension) in Dimension::ALL.into_iter().enumerate() {
            let (used, limit) = (used.get(dimension), limit.get(dimension));
            let short = |kind: &Kind| {
                let Some(class) = self.shapes.class(kind.class()) else { return false };
                let (used, limit) = self.room_at(at, class.cluster);
                let (used, limit) = (used.get(dimension), limit.get(dimension));
                let need = class.most.get(dimension);
                need > 0 && need <= limit && used.saturating_add(need) > limit
            };
            let slots = at == Place::ROOT && dimension == Dimension::Pods;
            let (full, free) = match self.clusters.several() && slots {
                true => self.clusters.pressure(),
                false => (nearly(used, limit), !mostly(used, limit)),
            };
            let hot = limit < UNLIMITED && (full || kinds.keys().any(short));
            let calm = !hot && free;
            let flag = flagged & (1 << bit) != 0;
            let cools = self.cooling.cools(at, bit);
            if (hot && !flag) || (flag && limit == UNLIMITED) || cools != (flag && calm) {
                faults.push(format!("{at:?} {dimension} hot {hot} flag {flag} cools {cools}"));
            }
        }
    }

    /// What [`FairShare::pick`] answers, from what was worked out.
    fn slow_pick(&self, levels: &BTreeMap<Place, Level>) -> Option<TaskIx> {
        let (mut at, mut path) = (Place::ROOT, Vec::new());
        let mut same: Vec<(u8, u8)> = Vec::new();
        // Whose claim on the installation keeps nothing from a tenant that comes before.
        let (turn, mut passed) = (self.turn(), None);
        let claimant = self.kept(Place::ROOT).map(|claim| claim.task);
        loop {
            let root = at == Place::ROOT;
            let before = |entry: &Entry| {
                let turn = turn.as_ref().filter(|_| root)?;
                claimant.filter(|_| turn.follows(entry, &self.tasks))
            };
            path.push(at);
            let tenant = path.get(1).copied();
            let bound = |mask: u8| same.iter().all(|(bound, needed)| mask & bound == *needed);
            if let Some((kind, head)) = self.audit_claimant(at)
                && path.iter().all(|of| {
                    let whom = passed.filter(|_| *of == Place::ROOT).or(Some(head.task));
                    self.audit_room(*of, &head, whom)
                })
                && bound(self.shapes.class(kind.class())?.mask)
            {
                return Some(head.task);
            }
            let mut all: Vec<(u8, Entry)> = Vec::new();
            for (kind, entries) in levels.get(&at)? {
                let mask = self.shapes.class(kind.class())?.mask;
                let penalty = tenant.map_or(0, |tenant| self.penalties(tenant).of(mask));
                let least = |entries: &mut dyn Iterator<Item = &Entry>| {
                    entries.min_by(|a, b| a.order(b, &self.tasks)).copied()
                };
                let claims = turn.as_ref().filter(|_| root).map(|turn| Child::Node(turn.tenant));
                let mut others = entries.iter().filter(|entry| Some(entry.child()) != claims);
                for entry in [least(&mut entries.iter()), least(&mut others)].into_iter().flatten()
                {
                    let head = entry.as_head(kind.phase());
                    let common = kind.phase().common(self.now);
                    let entry = entry.among(common, penalty, self.settings.precedence);
                    let whom = before(&entry).or(passed);
                    if path.iter().all(|of| self.audit_room(*of, &head, whom)) && bound(mask) {
                        all.push((mask, entry));
                    }
                }
            }
            let (mask, best) = all.into_iter().min_by(|a, b| a.1.order(&b.1, &self.tasks))?;
            passed = passed.or(before(&best));
            let contended = self.branches.get(at)?.common.contended;
            same.push((contended, mask & contended));
            match best.child() {
                Child::Queue(_) => return Some(best.head),
                Child::Node(child) => at = child,
            }
        }
    }
}
