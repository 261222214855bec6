//! The attempts of a runner, and what to do about them. Pure: news come in, things to do go out.
//!
//! An attempt is in here from its start until its end is durable. News are level-triggered and may come
//! twice, late, or not at all: a list of everything comes now and then.

mod held;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_model::attempt::{Fact, Failure, Report, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;

use crate::labels;
use crate::observed::Observed;
use crate::refusal::error;
use crate::verdict::{Bounds, Next, Verdict, gone, look, scheduled};
use held::{Held, Known};

/// Which object a pod is: names are used again, UIDs are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodRef {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// What a pod is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub(crate) attempt: AttemptId,
    /// Which member, if the attempt is a gang.
    pub(crate) member: Option<u32>,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Make a pod of this order. [`Book::found`] or [`Book::not_made`] follows.
    Make(Arc<WorkOrder>, Place),
    /// Make it no more, if that has not been done. The same follow.
    GiveUp(Place),
    /// Delete it, politely. [`Book::vanished`] may follow.
    Delete(Place, PodRef),
    /// Look whether it is there. [`Book::seen`] or [`Book::vanished`] follows.
    Read(Place, PodRef),
    /// Tell what happened.
    Tell(Fact),
}

/// All attempts.
#[derive(Debug)]
pub(crate) struct Book {
    bounds: Bounds,
    held: BTreeMap<AttemptId, Held>,
    /// When to look at whom again.
    due: BTreeSet<(Timestamp, AttemptId)>,
    /// Those for some pod of which the cluster has no node.
    homeless: BTreeSet<AttemptId>,
}

impl Book {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, held: BTreeMap::new(), due: BTreeSet::new(), homeless: BTreeSet::new() }
    }

    /// An attempt begins, here; its pods may be there already.
    pub(crate) fn start(&mut self, order: &Arc<WorkOrder>, now: Timestamp) -> Vec<Ask> {
        let id = order.attempt;
        if self.held.contains_key(&id) {
            tracing::warn!(attempt = %id, "started twice: the second is ignored");
            return Vec::new();
        }
        let held = Held::new(Arc::clone(order), now);
        let make = |place| Ask::Make(Arc::clone(order), place);
        let asks = held.places().map(make).collect();
        self.held.insert(id, held);
        self.wake(id);
        asks
    }

    /// Somebody wants it to end.
    pub(crate) fn stop(&mut self, id: AttemptId) -> Vec<Ask> {
        self.open(id).map(Held::stop).unwrap_or_default()
    }

    /// Its end is durable. A pod that is being made is waited for: found another way, ended and deleted, it would
    /// be made once more.
    pub(crate) fn settled(&mut self, id: AttemptId) -> Vec<Ask> {
        if let Some(held) = self.held.get_mut(&id).filter(|held| held.is_making()) {
            return held.settle();
        }
        let Some(mut held) = self.held.remove(&id) else { return Vec::new() };
        self.due.retain(|(_, other)| *other != id);
        self.homeless.remove(&id);
        held.delete_all()
    }

    /// A pod is there: made, found, or changed.
    pub(crate) fn seen(&mut self, place: Place, pod: Observed, now: Timestamp) -> Vec<Ask> {
        let Some(held) = self.held.get_mut(&place.attempt) else { return Vec::new() };
        let Some(name) = pod_ref(&pod) else { return Vec::new() };
        let (told_end, expected) = (held.told_end, held.order.pod_name(place.member));
        let Some(slot) = held.slot(place.member) else {
            tracing::warn!(pod = ?name, "a pod of no member says it is ours");
            return Vec::new();
        };
        let version = version(&pod);
        if let Some(known) = &slot.pod {
            if known.name.uid != name.uid {
                tracing::warn!(pod = ?name, known = ?known.name, "a pod of another says it is ours");
                return Vec::new();
            }
            // A server that lags behind, or a repeated piece of news.
            if known.version.zip(version).is_some_and(|(known, new)| new < known) {
                return Vec::new();
            }
        } else if name.name != expected {
            tracing::warn!(pod = ?name, "a pod with another name says it is ours");
            return Vec::new();
        }
        slot.homeless = is_homeless(&pod);
        slot.pod = Some(Known { name, version, pod });
        let mut asks = Vec::new();
        if slot.memory.stopped && !told_end {
            asks.extend(slot.delete(place));
        }
        self.count(place.attempt);
        asks.extend(self.look(place, now));
        asks
    }

    /// A pod could not be made.
    pub(crate) fn not_made(&mut self, place: Place, failure: Failure, now: Timestamp) -> Vec<Ask> {
        let Failure { class, reason, message } = failure;
        // Seen another way, it is there all the same.
        let slot = self.open(place.attempt).and_then(|held| held.slot(place.member));
        let mut asks = Vec::new();
        if slot.is_some_and(|slot| slot.pod.is_none()) {
            asks = self.end(place, Report::failed(now, class, reason, message));
        }
        asks.extend(self.answered(place));
        asks
    }

    /// Nothing more is made there.
    fn answered(&mut self, place: Place) -> Vec<Ask> {
        let Some(held) = self.held.get_mut(&place.attempt) else { return Vec::new() };
        if let Some(slot) = held.slot(place.member) {
            slot.making = false;
        }
        if held.settled { self.settled(place.attempt) } else { Vec::new() }
    }

    /// Something has the pod's name.
    pub(crate) fn found(&mut self, place: Place, pod: Observed, now: Timestamp) -> Vec<Ask> {
        if labels::place(&pod) == Some(place) {
            let mut asks = self.seen(place, pod, now);
            asks.extend(self.answered(place));
            return asks;
        }
        let name = pod.metadata.name.unwrap_or_default();
        let message = format!("a pod {name} that is not the attempt's has its name: delete it");
        self.not_made(place, error(Reason::NameConflict, message), now)
    }

    /// A pod is not there any more; `last` is how it was, if that was told.
    pub(crate) fn vanished(
        &mut self,
        place: Place,
        uid: Option<&str>,
        last: Option<&Observed>,
        now: Timestamp,
    ) -> Vec<Ask> {
        let bounds = self.bounds;
        let Some(held) = self.open(place.attempt) else { return Vec::new() };
        let order = held.order_of(place.member);
        let Some(slot) = held.slot(place.member).filter(|slot| slot.end.is_none()) else {
            return Vec::new();
        };
        let known = slot.pod.as_ref();
        if uid.zip(known).is_some_and(|(uid, known)| known.name.uid != uid) {
            return Vec::new();
        }
        let last = last.or(known.map(|known| &known.pod));
        // Nobody can say more about it: its silence is over.
        slot.memory.ended_at = Some(Timestamp(i64::MIN));
        let verdict = last.map(|pod| look(&order, pod, &mut slot.memory, &bounds, now));
        let report = match verdict.map(|verdict| verdict.next) {
            Some(Next::Ended(report)) => *report,
            Some(Next::Wait(_)) | None => gone(&order, last, slot.memory, now),
        };
        self.end(place, report)
    }

    /// A watch says that a pod is gone, or has other labels now; this was its last state.
    pub(crate) fn gone(&mut self, place: Place, pod: &Observed, now: Timestamp) -> Vec<Ask> {
        let Some(name) = pod_ref(pod) else { return Vec::new() };
        let going = pod.metadata.deletion_timestamp.is_some();
        if going {
            return self.vanished(place, Some(&name.uid), Some(pod), now);
        }
        let slot = self.open(place.attempt).and_then(|held| held.slot(place.member));
        let known = slot.and_then(|slot| slot.pod.as_ref());
        let same = known.is_some_and(|known| known.name == name);
        if same { vec![Ask::Read(place, name)] } else { Vec::new() }
    }

    /// All pods of the cluster that are ours. What is missing is looked for: it may have been made since.
    pub(crate) fn listed(&mut self, pods: Vec<Observed>, now: Timestamp) -> Vec<Ask> {
        let mut there = BTreeSet::new();
        let mut asks = Vec::new();
        for pod in pods {
            let Some(place) = labels::place(&pod) else { continue };
            there.extend(pod_ref(&pod).map(|name| name.uid));
            let held = self.held.get_mut(&place.attempt);
            let slot = held.and_then(|held| held.slot(place.member));
            // A cluster that was restored counts from where it was.
            if let Some(known) = slot.and_then(|slot| slot.pod.as_mut()) {
                known.version = None;
            }
            asks.extend(self.seen(place, pod, now));
        }
        for held in self.held.values().filter(|held| !held.told_end) {
            let missing = held.awaited().filter(|(_, name)| !there.contains(&name.uid));
            asks.extend(missing.map(|(place, name)| Ask::Read(place, name.clone())));
        }
        asks
    }

    /// When somebody has to be looked at again.
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Looks at everybody whose time has come.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some((at, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.due.remove(&(at, id));
            let Some(held) = self.open(id) else { continue };
            held.due = None;
            for place in held.due_at(now) {
                asks.extend(self.look(place, now));
            }
            let bounds = self.bounds;
            asks.extend(self.open(id).map(|held| held.gather(&bounds, now)).unwrap_or_default());
            self.wake(id);
        }
        asks
    }

    /// Attempts whose end nobody was told yet.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Arc<WorkOrder>> {
        self.held.values().filter(|held| !held.told_end).map(|held| &held.order)
    }

    /// Attempts for whose pods the cluster has no node.
    pub(crate) fn homeless(&self) -> usize {
        self.homeless.len()
    }

    /// An attempt whose end nobody was told yet.
    fn open(&mut self, id: AttemptId) -> Option<&mut Held> {
        self.held.get_mut(&id).filter(|held| !held.told_end)
    }

    fn look(&mut self, place: Place, now: Timestamp) -> Vec<Ask> {
        let bounds = self.bounds;
        let Some(held) = self.open(place.attempt) else { return Vec::new() };
        let order = held.order_of(place.member);
        let Some(slot) = held.slot(place.member).filter(|slot| slot.end.is_none()) else {
            return Vec::new();
        };
        let Some(known) = &slot.pod else { return Vec::new() };
        let verdict = look(&order, &known.pod, &mut slot.memory, &bounds, now);
        let Verdict { no_node, started_at, ready, next } = verdict;
        slot.no_node = no_node;
        slot.started_at = started_at.or(slot.started_at);
        let created = known.pod.metadata.creation_timestamp.as_ref();
        let created = created.map(|time| Timestamp(time.0.as_millisecond()));
        let due = match &next {
            Next::Wait(until) => *until,
            Next::Ended(_) => None,
        };
        slot.due = due;
        held.asked_at = created.map_or(held.asked_at, |created| created.min(held.asked_at));
        let mut asks = held.started();
        asks.extend(ready.and_then(|ip| held.ready(ip, now)));
        match next {
            Next::Wait(_) => self.wake(place.attempt),
            Next::Ended(report) => asks.extend(self.end(place, *report)),
        }
        asks
    }

    fn end(&mut self, place: Place, report: Report) -> Vec<Ask> {
        let Some(held) = self.open(place.attempt) else { return Vec::new() };
        let asks = held.end(place.member, report);
        self.count(place.attempt);
        self.wake(place.attempt);
        asks
    }

    /// Whether it waits for a node.
    fn count(&mut self, id: AttemptId) {
        if self.open(id).is_some_and(|held| held.is_homeless()) {
            self.homeless.insert(id);
        } else {
            self.homeless.remove(&id);
        }
    }

    fn wake(&mut self, id: AttemptId) {
        let bounds = self.bounds;
        let Some(held) = self.held.get_mut(&id) else { return };
        if let Some(before) = held.due.take() {
            self.due.remove(&(before, id));
        }
        held.due = held.next(&bounds);
        self.due.extend(held.due.map(|until| (until, id)));
    }
}

/// The name of a pod; none if it has not all of one.
pub(crate) fn pod_ref(pod: &Observed) -> Option<PodRef> {
    let metadata = &pod.metadata;
    Some(PodRef {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
    })
}

/// The scheduler of the cluster has looked for a node and found none.
fn is_homeless(pod: &Observed) -> bool {
    let said = pod.status.as_ref().and_then(scheduled);
    said.is_some_and(|condition| condition.status == "False")
}

/// Numbers that rise, as all servers there are write them.
fn version(pod: &Observed) -> Option<u64> {
    pod.metadata.resource_version.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests;
