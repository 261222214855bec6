//! What the pods of a cluster say, and since when: which attempts to ask about, and how they have ended. Pure.
//!
//! How an attempt has ended is asked of a book that is opened for this one look, as an executor keeps it: there are
//! no rules of its own here, only the patience to let those who have the attempt go first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Report, WorkOrder};
use flowforge_model::id::{AttemptId, PodUid};
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::witness::{Awaited, Testimony};
use k8s_openapi::api::core::v1::ContainerStatus;

use crate::book::{Ask, Book, Place, PodRef, pod_ref};
use crate::labels;
use crate::observed::Observed;
use crate::refusal::unmade;
use crate::verdict::Bounds;

/// Pods of one name that are remembered: an executor that takes over may make a pod again that was deleted.
const EARLIER: usize = 8;
/// Between two looks at an attempt of which nothing is heard.
const PAUSE: Millis = Millis::from_secs(1);

/// All attempts of which there is, or was, a pod.
#[derive(Debug)]
pub(super) struct Lookout {
    bounds: Bounds,
    grace: Millis,
    sights: BTreeMap<AttemptId, Sight>,
    /// When to ask about whom.
    due: BTreeSet<(Timestamp, AttemptId)>,
}

/// The pods of an attempt.
#[derive(Debug)]
struct Sight {
    key: AttemptKey,
    slots: BTreeMap<Option<u32>, Slot>,
    /// Pods that had the name of one of these before it.
    earlier: Vec<PodUid>,
    /// When something new was last heard of them.
    changed_at: Timestamp,
    due: Option<Timestamp>,
    /// Nobody waits for its end any more.
    over: bool,
}

/// The last that was seen of a pod.
#[derive(Debug)]
struct Slot {
    name: PodRef,
    pod: Observed,
    gone: bool,
}

impl Lookout {
    /// `bounds` are those of executors; nothing is said of pods before they have been as they are for `grace`.
    pub(super) fn new(bounds: Bounds, grace: Millis) -> Self {
        let (sights, due) = (BTreeMap::new(), BTreeSet::new());
        Self { bounds: bounds.later(grace), grace, sights, due }
    }

    /// A pod is new or changed.
    pub(super) fn seen(&mut self, pod: Observed, now: Timestamp) {
        if let Some(place) = labels::place(&pod) {
            self.read(place, pod, now);
        }
    }

    /// The pod that was seen there is like this, whatever its labels say by now.
    pub(super) fn read(&mut self, place: Place, pod: Observed, now: Timestamp) {
        let Some(name) = pod_ref(&pod) else { return };
        let known = self.sights.get(&place.attempt).map(|sight| sight.key);
        let said = || labels::key(&pod).filter(|key| key.id() == place.attempt);
        let Some(key) = known.or_else(said) else { return };
        let new = Slot { name, pod, gone: false };
        let sight = self.sights.entry(place.attempt).or_insert_with(|| Sight {
            key,
            slots: BTreeMap::new(),
            earlier: Vec::new(),
            changed_at: now,
            due: None,
            over: false,
        });
        let before = sight.slots.get(&place.member);
        let same = before.is_some_and(|before| before.is_as(&new));
        let replaced = before.filter(|before| before.is_replaced_by(&new));
        let replaced = replaced.and_then(|before| before.name.uid.parse::<PodUid>().ok());
        if sight.earlier.len() < EARLIER {
            sight.earlier.extend(replaced);
        }
        sight.slots.insert(place.member, new);
        if !same {
            self.changed(place.attempt, now);
        }
    }

    /// A watch says that a pod is gone; this was its last state.
    pub(super) fn gone(&mut self, pod: Observed, now: Timestamp) {
        if let (Some(place), Some(name)) = (labels::place(&pod), pod_ref(&pod)) {
            self.vanish(place, &name, Some(pod), now);
        }
    }

    /// A pod is not there.
    pub(super) fn vanished(&mut self, place: Place, name: &PodRef, now: Timestamp) {
        self.vanish(place, name, None, now);
    }

    fn vanish(&mut self, place: Place, name: &PodRef, last: Option<Observed>, now: Timestamp) {
        let sight = self.sights.get_mut(&place.attempt);
        let slot = sight.and_then(|sight| sight.slots.get_mut(&place.member));
        let Some(slot) = slot.filter(|slot| slot.name == *name && !slot.gone) else { return };
        slot.gone = true;
        if let Some(last) = last {
            slot.pod = last;
        }
        self.changed(place.attempt, now);
    }

    /// All pods that there are; what is missing is looked for before anything is said of it.
    pub(super) fn listed(&mut self, pods: Vec<Observed>, now: Timestamp) {
        let there: BTreeSet<String> =
            pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
        for pod in pods {
            self.seen(pod, now);
        }
        let missing = |(id, sight): (&AttemptId, &Sight)| {
            let slots = sight.slots.iter().filter(|(_, slot)| !there.contains(&slot.name.uid));
            let place = |member: Option<u32>| Place { attempt: *id, member };
            slots.map(|(member, slot)| (place(*member), slot.name.clone())).collect::<Vec<_>>()
        };
        let missing: Vec<_> = self.sights.iter().flat_map(missing).collect();
        for (place, name) in missing {
            self.vanished(place, &name, now);
        }
    }

    /// When there is somebody to ask about.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Attempts of which pods have not simply run for as long as the grace is, those that waited longest first.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> Vec<AttemptKey> {
        let due = self.due.iter().take_while(|(at, _)| *at <= now).take(limit);
        due.filter_map(|(_, id)| self.sights.get(id)).map(|sight| sight.key).collect()
    }

    /// The pods of an attempt.
    pub(super) fn pods(&self, id: AttemptId) -> Vec<(Place, PodRef)> {
        let slots = self.sights.get(&id).into_iter().flat_map(|sight| &sight.slots);
        slots
            .map(|(member, slot)| (Place { attempt: id, member: *member }, slot.name.clone()))
            .collect()
    }

    /// Members of a gang that were never seen while others have ended, and the names that their pods would have.
    pub(super) fn unseen(&self, order: &WorkOrder) -> Vec<(Place, String)> {
        let attempt = order.attempt;
        let sight = self.sights.get(&attempt);
        let Some(sight) = sight.filter(|sight| sight.slots.values().any(Slot::has_ended)) else {
            return Vec::new();
        };
        let members = (0..order.gang().unwrap_or(0)).map(Some);
        let unseen = members.filter(|member| !sight.slots.contains_key(member));
        unseen.map(|member| (Place { attempt, member }, order.pod_name(member))).collect()
    }

    /// Nobody waits for its end. It is forgotten with its last pod.
    pub(super) fn over(&mut self, id: AttemptId) {
        if let Some(sight) = self.sights.get_mut(&id) {
            sight.over = true;
        }
        self.wake(id);
    }

    /// Not before then, unless something new is heard.
    pub(super) fn later(&mut self, id: AttemptId, at: Option<Timestamp>) {
        let Some(sight) = self.sights.get_mut(&id) else { return };
        if let Some(before) = sight.due.take() {
            self.due.remove(&(before, id));
        }
        sight.due = at;
        self.due.extend(at.map(|at| (at, id)));
    }

    /// How an attempt that somebody waits for has ended, and when that could be seen; nothing if it has not, as
    /// far as its pods say.
    pub(super) fn judge(
        &mut self,
        awaited: &Awaited,
        now: Timestamp,
    ) -> Option<(Testimony, Timestamp)> {
        let id = awaited.order.attempt;
        let sight = self.sights.get(&id)?;
        let since = sight.changed_at;
        if now < since.plus(self.grace) {
            return None;
        }
        let ours = sight.ours(awaited);
        let (end, next) = ask(self.bounds, awaited, &ours, (since, now));
        let Some(End { report, unbegun }) = end else {
            self.later(id, next.map(|at| at.max(now.plus(PAUSE))));
            return None;
        };
        // If one of the others asks to begin before this is written down, it is not written down.
        let seen = ours.iter().filter(|(place, _)| !unbegun.contains(place));
        let seen = seen.filter_map(|(_, slot)| slot.name.uid.parse().ok());
        let pods = seen.chain(sight.earlier.iter().copied()).collect();
        Some((Testimony { key: sight.key, pods, report }, since))
    }

    fn changed(&mut self, id: AttemptId, now: Timestamp) {
        if let Some(sight) = self.sights.get_mut(&id) {
            sight.changed_at = now;
        }
        self.wake(id);
    }

    fn wake(&mut self, id: AttemptId) {
        let Some(sight) = self.sights.get(&id) else { return };
        let asks = !sight.over && sight.slots.values().any(Slot::is_doubtful);
        let due = asks.then(|| sight.changed_at.plus(self.grace));
        let done = sight.over && sight.slots.values().all(|slot| slot.gone);
        self.later(id, due);
        if done {
            self.sights.remove(&id);
        }
    }
}

impl Sight {
    /// Its pods, those that ended first first. Anybody may write labels: what has another name, or is in another
    /// project's namespace, is not one.
    fn ours(&self, awaited: &Awaited) -> Vec<(Place, &Slot)> {
        let (order, attempt) = (&awaited.order, awaited.order.attempt);
        let namespace = order.project.namespace();
        let ours = self.slots.iter().filter(|(member, slot)| {
            slot.name.name == order.pod_name(**member) && slot.name.namespace == namespace
        });
        let mut ours: Vec<(Place, &Slot)> =
            ours.map(|(member, slot)| (Place { attempt, member: *member }, slot)).collect();
        ours.sort_by_key(|(_, slot)| slot.ended_at().unwrap_or(i64::MAX));
        ours
    }
}

impl Slot {
    /// Nothing that decides anything differs.
    fn is_as(&self, new: &Self) -> bool {
        let deletion = |slot: &Self| slot.pod.metadata.deletion_timestamp.clone();
        self.name == new.name
            && self.gone == new.gone
            && self.pod.status == new.pod.status
            && deletion(self) == deletion(new)
    }

    /// Another pod has its name: this one is not there any more.
    fn is_replaced_by(&self, new: &Self) -> bool {
        let name = |slot: &Self| (slot.name.namespace.clone(), slot.name.name.clone());
        name(self) == name(new) && self.name.uid != new.name.uid
    }

    fn phase(&self) -> Option<&str> {
        self.pod.status.as_ref()?.phase.as_deref()
    }

    fn containers(&self) -> impl Iterator<Item = &ContainerStatus> {
        let status = self.pod.status.as_ref();
        status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten()
    }

    /// It may have ended, or may never begin.
    fn is_doubtful(&self) -> bool {
        let mut ended = self.containers().filter_map(|one| one.state.as_ref()?.terminated.as_ref());
        self.gone
            || self.pod.metadata.deletion_timestamp.is_some()
            || self.phase() != Some("Running")
            || ended.next().is_some()
    }

    fn has_ended(&self) -> bool {
        self.gone
            || self.ended_at().is_some()
            || matches!(self.phase(), Some("Failed" | "Succeeded"))
    }

    /// None of what it is there for has begun.
    fn is_unbegun(&self) -> bool {
        let mut states = self.containers().filter_map(|one| one.state.as_ref());
        self.phase() == Some("Pending")
            && !states.any(|state| state.running.is_some() || state.terminated.is_some())
    }

    /// When the last of its containers did, in milliseconds by the clock of its node.
    fn ended_at(&self) -> Option<i64> {
        let ended = |one: &ContainerStatus| {
            let ended = one.state.as_ref()?.terminated.as_ref()?;
            Some(ended.finished_at.as_ref()?.0.as_millisecond())
        };
        self.containers().filter_map(ended).max()
    }
}

/// How an attempt has ended.
struct End {
    report: Report,
    /// Pods that have not begun, and never will once the end is told.
    unbegun: BTreeSet<Place>,
}

/// What an executor would say by now that has seen the pods become what they are at `since`: the end, or when to
/// look again.
fn ask(
    bounds: Bounds,
    awaited: &Awaited,
    pods: &[(Place, &Slot)],
    (since, now): (Timestamp, Timestamp),
) -> (Option<End>, Option<Timestamp>) {
    let order = Arc::new(awaited.order.clone());
    let mut book = Book::new(bounds);
    let mut asks = VecDeque::from(book.start(&order, since));
    if awaited.stop {
        asks.extend(book.stop(order.attempt));
    }
    for at in [since, now] {
        for (place, slot) in pods {
            asks.extend(if slot.gone {
                book.vanished(*place, Some(&slot.name.uid), Some(&slot.pod), since)
            } else {
                book.seen(*place, slot.pod.clone(), at)
            });
        }
    }
    asks.extend(book.tick(now));
    let gang = order.gang().is_some() && !pods.is_empty();
    let waits = |place| pods.iter().any(|(at, slot)| *at == place && slot.is_unbegun());
    let (mut end, mut unbegun) = (None, BTreeSet::new());
    while let Some(ask) = asks.pop_front() {
        match ask {
            Ask::Tell(Fact { kind: FactKind::Finished(report), .. }) => end = Some(*report),
            // What is left of a gang that ends is an executor's to delete. What has not begun needs nobody for that:
            // once the end is told it is refused.
            Ask::GiveUp(place) if gang => asks.extend(book.not_made(place, unmade(), now)),
            Ask::Delete(place, pod) if gang && waits(place) => {
                asks.extend(book.vanished(place, Some(&pod.uid), None, now));
                unbegun.insert(place);
            }
            // What else the book asks for is an executor's to do.
            Ask::Tell(_) | Ask::Make(..) | Ask::GiveUp(_) | Ask::Delete(..) | Ask::Read(..) => {}
        }
    }
    (end.map(|report| End { report, unbegun }), book.next())
}

#[cfg(test)]
mod tests;
