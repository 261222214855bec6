//! The attempts of a runner, and what to do about them. Pure: news come in, things to do go out.
//!
//! An attempt is in here from its start until its end is durable. News are level-triggered and may come
//! twice, late, or not at all: a list of everything comes now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flowforge_model::attempt::{Fact, FactKind, Failure, Report, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::labels;
use crate::refusal::error;
use crate::verdict::{Bounds, Memory, Next, gone, look};

/// Which object a pod is: names are used again, UIDs are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PodRef {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    /// Make the attempt's pod. [`Book::made`] or [`Book::not_made`] follows.
    Make(Arc<WorkOrder>),
    /// Make it no more, if that has not been done. The same follow.
    GiveUp(AttemptId),
    /// Delete it, politely. [`Book::vanished`] may follow.
    Delete(AttemptId, PodRef),
    /// Look whether it is there. [`Book::seen`] or [`Book::vanished`] follows.
    Read(AttemptId, PodRef),
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
    /// Those for whose pods the cluster has no node.
    homeless: BTreeSet<AttemptId>,
}

#[derive(Debug)]
struct Held {
    order: Arc<WorkOrder>,
    pod: Option<Known>,
    memory: Memory,
    due: Option<Timestamp>,
    told_start: bool,
    told_end: bool,
    /// A delete was asked for: one is enough.
    deleted: bool,
    /// Making its pod has had no answer: one may yet be made.
    making: bool,
    /// Its end is durable.
    settled: bool,
}

/// The last that was seen of a pod.
#[derive(Debug)]
struct Known {
    name: PodRef,
    version: Option<u64>,
    pod: Pod,
}

impl Book {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, held: BTreeMap::new(), due: BTreeSet::new(), homeless: BTreeSet::new() }
    }

    /// An attempt begins, here; its pod may be there already.
    pub(crate) fn start(&mut self, order: Arc<WorkOrder>) -> Vec<Ask> {
        if self.held.contains_key(&order.attempt) {
            tracing::warn!(attempt = %order.attempt, "started twice: the second is ignored");
            return Vec::new();
        }
        let held = Held {
            order: Arc::clone(&order),
            pod: None,
            memory: Memory::default(),
            due: None,
            told_start: false,
            told_end: false,
            deleted: false,
            making: true,
            settled: false,
        };
        self.held.insert(order.attempt, held);
        vec![Ask::Make(order)]
    }

    /// Somebody wants it to end.
    pub(crate) fn stop(&mut self, id: AttemptId) -> Vec<Ask> {
        let Some(held) = self.held.get_mut(&id).filter(|held| !held.told_end) else {
            return Vec::new();
        };
        held.memory.stopped = true;
        if held.pod.is_none() { vec![Ask::GiveUp(id)] } else { held.delete(id) }
    }

    /// Its end is durable. A pod that is being made is waited for: found another way, ended and deleted, it would
    /// be made once more.
    pub(crate) fn settled(&mut self, id: AttemptId) -> Vec<Ask> {
        if let Some(held) = self.held.get_mut(&id).filter(|held| held.making) {
            held.settled = true;
            return vec![Ask::GiveUp(id)];
        }
        let Some(mut held) = self.held.remove(&id) else { return Vec::new() };
        self.homeless.remove(&id);
        self.due.retain(|(_, other)| *other != id);
        held.delete(id)
    }

    /// Its pod is there: made, found, or changed.
    pub(crate) fn seen(&mut self, id: AttemptId, pod: Pod, now: Timestamp) -> Vec<Ask> {
        let Some(held) = self.held.get_mut(&id) else { return Vec::new() };
        let Some(name) = pod_ref(&pod) else { return Vec::new() };
        let version = version(&pod);
        if let Some(known) = &held.pod {
            if known.name.uid != name.uid {
                tracing::warn!(pod = ?name, known = ?known.name, "a pod of another says it is ours");
                return Vec::new();
            }
            // A server that lags behind, or a repeated piece of news.
            if known.version.zip(version).is_some_and(|(known, new)| new < known) {
                return Vec::new();
            }
        } else if name.name != held.order.attempt.pod_name(&held.order.task_name) {
            tracing::warn!(pod = ?name, "a pod with another name says it is ours");
            return Vec::new();
        }
        if is_homeless(&pod) && !held.told_end {
            self.homeless.insert(id);
        } else {
            self.homeless.remove(&id);
        }
        held.pod = Some(Known { name, version, pod: slim(pod) });
        let mut asks = Vec::new();
        if held.memory.stopped && !held.told_end {
            asks.extend(held.delete(id));
        }
        asks.extend(self.look(id, now));
        asks
    }

    /// Its pod could not be made.
    pub(crate) fn not_made(&mut self, id: AttemptId, failure: Failure, now: Timestamp) -> Vec<Ask> {
        let Failure { class, reason, message } = failure;
        // Seen another way, it is there all the same.
        let seen = self.held.get(&id).is_some_and(|held| held.pod.is_some());
        let mut asks = Vec::new();
        if !seen {
            asks = self.end(id, Report::failed(now, class, reason, message));
        }
        asks.extend(self.answered(id));
        asks
    }

    /// Nothing more is made.
    fn answered(&mut self, id: AttemptId) -> Vec<Ask> {
        let Some(held) = self.held.get_mut(&id) else { return Vec::new() };
        held.making = false;
        if held.settled { self.settled(id) } else { Vec::new() }
    }

    /// Something has its pod's name.
    pub(crate) fn found(&mut self, id: AttemptId, pod: Pod, now: Timestamp) -> Vec<Ask> {
        if labels::attempt(&pod) == Some(id) {
            let mut asks = self.seen(id, pod, now);
            asks.extend(self.answered(id));
            return asks;
        }
        let name = pod.metadata.name.unwrap_or_default();
        let message = format!("a pod {name} that is not the attempt's has its name: delete it");
        self.not_made(id, error(Reason::NameConflict, message), now)
    }

    /// Its pod is not there any more; `last` is how it was, if that was told.
    pub(crate) fn vanished(
        &mut self,
        id: AttemptId,
        uid: Option<&str>,
        last: Option<&Pod>,
        now: Timestamp,
    ) -> Vec<Ask> {
        let bounds = self.bounds;
        let Some(held) = self.held.get_mut(&id).filter(|held| !held.told_end) else {
            return Vec::new();
        };
        let known = held.pod.as_ref();
        if uid.zip(known).is_some_and(|(uid, known)| known.name.uid != uid) {
            return Vec::new();
        }
        let last = last.or(known.map(|known| &known.pod));
        // Nobody can say more about it: its silence is over.
        held.memory.ended_at = Some(Timestamp(i64::MIN));
        let verdict = last.map(|pod| look(&held.order, pod, &mut held.memory, &bounds, now));
        let report = match verdict.map(|verdict| verdict.next) {
            Some(Next::Ended(report)) => *report,
            Some(Next::Wait(_)) | None => gone(&held.order, last, held.memory, now),
        };
        self.end(id, report)
    }

    /// A watch says that its pod is gone, or has other labels now; this was its last state.
    pub(crate) fn gone(&mut self, id: AttemptId, pod: &Pod, now: Timestamp) -> Vec<Ask> {
        let Some(name) = pod_ref(pod) else { return Vec::new() };
        let going = pod.metadata.deletion_timestamp.is_some();
        if going {
            return self.vanished(id, Some(&name.uid), Some(pod), now);
        }
        let held = self.held.get(&id).filter(|held| !held.told_end);
        let known = held.and_then(|held| held.pod.as_ref());
        let same = known.is_some_and(|known| known.name == name);
        if same { vec![Ask::Read(id, name)] } else { Vec::new() }
    }

    /// All pods of the cluster that are ours. What is missing is looked for: it may have been made since.
    pub(crate) fn listed(&mut self, pods: Vec<Pod>, now: Timestamp) -> Vec<Ask> {
        let mut there = BTreeSet::new();
        let mut asks = Vec::new();
        for pod in pods {
            let Some(id) = labels::attempt(&pod) else { continue };
            there.extend(pod_ref(&pod).map(|name| name.uid));
            // A cluster that was restored counts from where it was.
            if let Some(known) = self.held.get_mut(&id).and_then(|held| held.pod.as_mut()) {
                known.version = None;
            }
            asks.extend(self.seen(id, pod, now));
        }
        let missing = |known: &&Known| !there.contains(&known.name.uid);
        for (id, held) in self.held.iter().filter(|(_, held)| !held.told_end) {
            let missing = held.pod.as_ref().filter(missing);
            asks.extend(missing.map(|known| Ask::Read(*id, known.name.clone())));
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
        while let Some((_, id)) = self.due.first().copied().filter(|(at, _)| *at <= now) {
            self.wake(id, None);
            asks.extend(self.look(id, now));
        }
        asks
    }

    /// Attempts for whose pods the cluster has no node.
    pub(crate) fn homeless(&self) -> usize {
        self.homeless.len()
    }

    /// Attempts whose end nobody was told yet.
    pub(crate) fn running(&self) -> impl Iterator<Item = &Arc<WorkOrder>> {
        self.held.values().filter(|held| !held.told_end).map(|held| &held.order)
    }

    fn look(&mut self, id: AttemptId, now: Timestamp) -> Vec<Ask> {
        let bounds = self.bounds;
        let Some(held) = self.held.get_mut(&id).filter(|held| !held.told_end) else {
            return Vec::new();
        };
        let Some(known) = &held.pod else { return Vec::new() };
        let verdict = look(&held.order, &known.pod, &mut held.memory, &bounds, now);
        let mut asks = Vec::new();
        if let Some(at) = verdict.started_at.filter(|_| !held.told_start) {
            held.told_start = true;
            let fact = Fact { key: held.order.key, kind: FactKind::Started(at) };
            asks.push(Ask::Tell(fact));
        }
        match verdict.next {
            Next::Wait(until) => self.wake(id, until),
            Next::Ended(report) => asks.extend(self.end(id, *report)),
        }
        asks
    }

    fn end(&mut self, id: AttemptId, report: Report) -> Vec<Ask> {
        self.wake(id, None);
        let Some(held) = self.held.get_mut(&id).filter(|held| !held.told_end) else {
            return Vec::new();
        };
        held.told_end = true;
        self.homeless.remove(&id);
        let kind = FactKind::Finished(Box::new(report));
        vec![Ask::Tell(Fact { key: held.order.key, kind })]
    }

    fn wake(&mut self, id: AttemptId, until: Option<Timestamp>) {
        let Some(held) = self.held.get_mut(&id) else { return };
        if let Some(before) = held.due.take() {
            self.due.remove(&(before, id));
        }
        held.due = until;
        self.due.extend(until.map(|until| (until, id)));
    }
}

impl Held {
    /// Once, and not if somebody else has.
    fn delete(&mut self, id: AttemptId) -> Vec<Ask> {
        let Some(known) = &self.pod else { return Vec::new() };
        let going = known.pod.metadata.deletion_timestamp.is_some();
        if going || std::mem::replace(&mut self.deleted, true) {
            return Vec::new();
        }
        vec![Ask::Delete(id, known.name.clone())]
    }
}

/// The name of a pod; none if it has not all of one.
pub(crate) fn pod_ref(pod: &Pod) -> Option<PodRef> {
    let metadata = &pod.metadata;
    Some(PodRef {
        namespace: metadata.namespace.clone()?,
        name: metadata.name.clone()?,
        uid: metadata.uid.clone()?,
    })
}

/// The scheduler of the cluster has looked for a node and found none.
fn is_homeless(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| {
        all.iter().any(|one| one.type_ == "PodScheduled" && one.status == "False")
    })
}

/// Numbers that rise, as all servers there are write them.
fn version(pod: &Pod) -> Option<u64> {
    pod.metadata.resource_version.as_ref()?.parse().ok()
}

/// Without what is large and decides nothing.
fn slim(mut pod: Pod) -> Pod {
    pod.spec = None;
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    pod
}

#[cfg(test)]
mod tests;
