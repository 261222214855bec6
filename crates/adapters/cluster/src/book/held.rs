//! One attempt and its pods: a single one, or one for each member of a gang.
//!
//! A gang is one attempt with one end. The first member that fails ends the others, and it ends when all of them
//! have: nothing of it runs any more when that is told, so that a retry may begin.

use std::sync::Arc;

use flowforge_model::attempt::{Fact, FactKind, Failure, Report, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;

use super::{Ask, Place, PodRef};
use crate::observed::Observed;
use crate::refusal::error;
use crate::verdict::{Bounds, Memory};

/// An attempt that a runner looks after.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) order: Arc<WorkOrder>,
    /// What members other than the first do: they give no outputs.
    others: Arc<WorkOrder>,
    /// It is a gang, and its pods those of its members by their numbers.
    gang: bool,
    slots: Vec<Slot>,
    /// When its pods were first asked for, as far as anybody knows.
    pub(super) asked_at: Timestamp,
    /// Why all of it ends.
    fallen: Option<Fallen>,
    /// When to look at it again.
    pub(super) due: Option<Timestamp>,
    told_start: bool,
    told_ready: bool,
    pub(super) told_end: bool,
    /// Its end is durable.
    pub(super) settled: bool,
}

/// What ended a gang before all its members had.
#[derive(Debug)]
enum Fallen {
    /// This one failed first.
    Member(u32),
    /// They were not all there in time.
    NotBound(Failure),
}

/// A pod of an attempt.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) pod: Option<Known>,
    pub(super) memory: Memory,
    /// The cluster's scheduler has looked for a node and found none.
    pub(super) homeless: bool,
    /// As in a verdict about it.
    pub(super) no_node: Option<String>,
    pub(super) started_at: Option<Timestamp>,
    /// When to look at it again.
    pub(super) due: Option<Timestamp>,
    /// How it ended.
    pub(super) end: Option<Report>,
    /// A delete was asked for: one is enough.
    deleted: bool,
    /// Making it has had no answer: one may yet be made.
    pub(super) making: bool,
}

/// The last that was seen of a pod.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: PodRef,
    pub(super) version: Option<u64>,
    pub(super) pod: Observed,
}

impl Held {
    pub(super) fn new(order: Arc<WorkOrder>, now: Timestamp) -> Self {
        let gang = order.gang();
        let others = match gang {
            Some(_) => {
                let (outputs, artifacts_out) = (Vec::new(), Vec::new());
                Arc::new(WorkOrder { outputs, artifacts_out, ..WorkOrder::clone(&order) })
            }
            None => Arc::clone(&order),
        };
        Self {
            order,
            others,
            gang: gang.is_some(),
            slots: (0..gang.unwrap_or(1))
                .map(|_| Slot { making: true, ..Slot::default() })
                .collect(),
            asked_at: now,
            fallen: None,
            due: None,
            told_start: false,
            told_ready: false,
            told_end: false,
            settled: false,
        }
    }

    /// What its pods are for.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        let (attempt, gang) = (self.order.attempt, self.gang);
        let count = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        (0..count).map(move |index| Place { attempt, member: gang.then_some(index) })
    }

    pub(super) fn slot(&mut self, member: Option<u32>) -> Option<&mut Slot> {
        match member {
            Some(index) if self.gang => self.slots.get_mut(usize::try_from(index).ok()?),
            None if !self.gang => self.slots.first_mut(),
            Some(_) | None => None,
        }
    }

    pub(super) fn order_of(&self, member: Option<u32>) -> Arc<WorkOrder> {
        Arc::clone(if member.unwrap_or(0) == 0 { &self.order } else { &self.others })
    }

    /// The pods that should be there.
    pub(super) fn awaited(&self) -> impl Iterator<Item = (Place, &PodRef)> {
        let open = self.places().zip(&self.slots).filter(|(_, slot)| slot.end.is_none());
        open.filter_map(|(place, slot)| Some((place, &slot.pod.as_ref()?.name)))
    }

    /// Those that are to be looked at by now.
    pub(super) fn due_at(&self, now: Timestamp) -> Vec<Place> {
        let due = |slot: &Slot| slot.due.is_some_and(|due| due <= now);
        self.places()
            .zip(&self.slots)
            .filter(|(_, slot)| due(slot))
            .map(|(place, _)| place)
            .collect()
    }

    /// When it is to be looked at again.
    pub(super) fn next(&self, bounds: &Bounds) -> Option<Timestamp> {
        if self.told_end {
            return None;
        }
        let gathered = self.gathers().then(|| self.asked_at.plus(bounds.bind));
        self.slots.iter().filter_map(|slot| slot.due).chain(gathered).min()
    }

    /// The cluster has no node for one of its pods.
    pub(super) fn is_homeless(&self) -> bool {
        self.slots.iter().any(|slot| slot.homeless && slot.end.is_none())
    }

    /// Some of its members have no node yet, and nothing else has gone wrong.
    fn gathers(&self) -> bool {
        let undisturbed =
            self.fallen.is_none() && !self.slots.iter().any(|slot| slot.memory.stopped);
        self.gang && undisturbed && self.slots.iter().any(Slot::is_away)
    }

    /// Ends a gang whose members do not all have a node by now: those that have one keep it from others.
    pub(super) fn gather(&mut self, bounds: &Bounds, now: Timestamp) -> Vec<Ask> {
        if !self.gathers() || now < self.asked_at.plus(bounds.bind) {
            return Vec::new();
        }
        let size = self.slots.len();
        let away = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_away());
        let there = size - away.clone().count();
        let why = away.map(|(index, slot)| match (&slot.no_node, &slot.pod) {
            (Some(why), Some(_)) if !why.is_empty() => format!("member {index}: {why}"),
            (_, Some(_)) => format!("member {index} waits for the cluster's scheduler"),
            (_, None) => format!("the cluster has not made the pod of member {index}"),
        });
        let why = why.into_iter().next().unwrap_or_default();
        let seconds = bounds.bind.0 / 1000;
        let message = format!(
            "{there} of {size} members had a node within {seconds} s, and a gang runs as a whole: {why}"
        );
        self.fallen = Some(Fallen::NotBound(error(Reason::GangNotBound, message)));
        self.stop()
    }

    /// Ends all that has not ended.
    pub(super) fn stop(&mut self) -> Vec<Ask> {
        let places = self.places();
        let open = places.zip(&mut self.slots).filter(|(_, slot)| slot.end.is_none());
        open.flat_map(|(place, slot)| {
            slot.memory.stopped = true;
            if slot.pod.is_none() { vec![Ask::GiveUp(place)] } else { slot.delete(place) }
        })
        .collect()
    }

    /// Some pod of it may yet be made.
    pub(super) fn is_making(&self) -> bool {
        self.slots.iter().any(|slot| slot.making)
    }

    /// Its end is durable, and pods of it may yet be made: not any more, and what is there goes.
    pub(super) fn settle(&mut self) -> Vec<Ask> {
        self.settled = true;
        let places = self.places();
        let asks = places.zip(&mut self.slots).flat_map(|(place, slot)| {
            if slot.making { vec![Ask::GiveUp(place)] } else { slot.delete(place) }
        });
        asks.collect()
    }

    pub(super) fn delete_all(&mut self) -> Vec<Ask> {
        let places = self.places();
        places.zip(&mut self.slots).flat_map(|(place, slot)| slot.delete(place)).collect()
    }

    /// Tells that it has begun, once, when all of it has.
    pub(super) fn started(&mut self) -> Vec<Ask> {
        let starts = self.slots.iter().map(|slot| slot.started_at);
        let all: Option<Vec<Timestamp>> = starts.collect();
        let Some(at) = all.and_then(|all| all.into_iter().max()).filter(|_| !self.told_start)
        else {
            return Vec::new();
        };
        self.told_start = true;
        vec![Ask::Tell(Fact { key: self.order.key, kind: FactKind::Started(at) })]
    }

    /// Tells that a daemon is ready, once. That it is not any more changes nothing.
    pub(super) fn ready(&mut self, ip: String, at: Timestamp) -> Option<Ask> {
        let news = self.order.daemon.is_some() && self.told_start && !self.told_ready;
        self.told_ready |= news;
        let kind = FactKind::Ready { at, ip };
        news.then(|| Ask::Tell(Fact { key: self.order.key, kind }))
    }

    /// A pod has ended.
    pub(super) fn end(&mut self, member: Option<u32>, mut report: Report) -> Vec<Ask> {
        let Some(slot) = self.slot(member).filter(|slot| slot.end.is_none()) else {
            return Vec::new();
        };
        slot.due = None;
        if let Some(index) = member {
            report.failure = report.failure.map(|failure| failure.of_member(index));
        }
        let failed = report.failure.is_some();
        slot.end = Some(report);
        let mut asks = Vec::new();
        if failed && self.fallen.is_none() {
            self.fallen = Some(Fallen::Member(member.unwrap_or(0)));
            asks.extend(self.stop());
        }
        asks.extend(self.told());
        asks
    }

    /// Tells its end, if all of it has ended.
    fn told(&mut self) -> Option<Ask> {
        let ends: Option<Vec<Report>> = self.slots.iter().map(|slot| slot.end.clone()).collect();
        let ends = ends.filter(|_| !self.told_end)?;
        let mut report = if self.gang {
            let first = match &self.fallen {
                Some(Fallen::Member(index)) => Some(*index),
                Some(Fallen::NotBound(_)) | None => None,
            };
            Report::of_gang(ends, first)?
        } else {
            ends.into_iter().next()?
        };
        if let Some(Fallen::NotBound(failure)) = &self.fallen {
            let Failure { class, reason, message } = failure.clone();
            report = Report::failed(report.finished_at, class, reason, message);
        } else if self.gang && !self.told_start {
            // Its members have waited for each other, and nothing of it ran.
            report.started_at = None;
        }
        self.told_end = true;
        let kind = FactKind::Finished(Box::new(report));
        Some(Ask::Tell(Fact { key: self.order.key, kind }))
    }
}

impl Slot {
    /// It has no node yet, and may still get one.
    fn is_away(&self) -> bool {
        self.end.is_none() && (self.pod.is_none() || self.no_node.is_some())
    }

    /// Once, and not if somebody else has.
    pub(super) fn delete(&mut self, place: Place) -> Vec<Ask> {
        let Some(known) = &self.pod else { return Vec::new() };
        let going = known.pod.metadata.deletion_timestamp.is_some();
        if going || std::mem::replace(&mut self.deleted, true) {
            return Vec::new();
        }
        vec![Ask::Delete(place, known.name.clone())]
    }
}
