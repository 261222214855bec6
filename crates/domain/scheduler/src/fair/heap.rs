//! A heap whose members are found by their slot.

use std::cmp::Ordering;

use super::entry::Entry;
use super::task::Tasks;

/// Children of a node: enough to keep the heap shallow, few enough to look at together.
const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

/// The children of an entity that have a task of one class and phase to start, the best first. A
/// child has a slot, a small number of its own below its parent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heap {
    entries: Vec<(Entry, u32)>,
    /// By slot, where its entry is.
    at: Vec<u32>,
}

impl Heap {
    pub(crate) fn first(&self) -> Option<&Entry> {
        self.entries.first().map(|(entry, _)| entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> + '_ {
        self.entries.iter().map(|(entry, _)| entry)
    }

    fn find(&self, slot: u32) -> Option<usize> {
        self.at.get(slot as usize).filter(|at| **at != ABSENT).map(|at| *at as usize)
    }

    /// Puts a child where it belongs, or takes it out. Says whether that changed anything.
    pub(crate) fn set(&mut self, slot: u32, entry: Option<Entry>, tasks: &Tasks) -> bool {
        match (self.find(slot), entry) {
            (None, None) => false,
            (None, Some(entry)) => {
                let index = slot as usize;
                if self.at.len() <= index {
                    self.at.resize(index + 1, ABSENT);
                }
                self.entries.push((entry, slot));
                self.rise(self.entries.len() - 1, tasks);
                true
            }
            (Some(at), Some(entry)) => {
                let Some(old) = self.entries.get_mut(at) else { return false };
                if old.0 == entry {
                    return false;
                }
                let before = std::mem::replace(&mut old.0, entry);
                if entry.order(&before, tasks) == Ordering::Greater {
                    self.sink(at, tasks);
                } else {
                    self.rise(at, tasks);
                }
                true
            }
            (Some(at), None) => {
                self.entries.swap_remove(at);
                if let Some(gone) = self.at.get_mut(slot as usize) {
                    *gone = ABSENT;
                }
                if at < self.entries.len() {
                    // What was last stands here now, and may belong above or below.
                    let risen = self.rise(at, tasks);
                    self.sink(risen, tasks);
                }
                true
            }
        }
    }

    /// Gives every child a new place.
    pub(crate) fn replace(&mut self, tasks: &Tasks, new: impl Fn(&Entry) -> Entry) -> bool {
        let mut changed = false;
        for (entry, _) in &mut self.entries {
            let fresh = new(entry);
            changed |= fresh != *entry;
            *entry = fresh;
        }
        if changed {
            for at in (0..self.entries.len()).rev() {
                self.sink(at, tasks);
            }
        }
        changed
    }

    /// Whether everything is where it must be.
    pub(crate) fn sound(&self, tasks: &Tasks) -> bool {
        let ordered = self.entries.iter().enumerate().skip(1).all(|(at, (entry, _))| {
            let above = self.entries.get((at - 1) / ARITY);
            above.is_some_and(|(above, _)| above.order(entry, tasks) == Ordering::Less)
        });
        let found = |(at, (_, slot)): (usize, &(Entry, u32))| self.find(*slot) == Some(at);
        let count = self.at.iter().filter(|at| **at != ABSENT).count();
        ordered && self.entries.iter().enumerate().all(found) && count == self.entries.len()
    }

    fn rise(&mut self, mut at: usize, tasks: &Tasks) -> usize {
        let Some(moving) = self.entries.get(at).copied() else { return at };
        while at > 0 {
            let above = (at - 1) / ARITY;
            let Some(parent) = self.entries.get(above).copied() else { break };
            if parent.0.order(&moving.0, tasks) != Ordering::Greater {
                break;
            }
            self.place(at, parent);
            at = above;
        }
        self.place(at, moving);
        at
    }

    fn sink(&mut self, mut at: usize, tasks: &Tasks) {
        let Some(moving) = self.entries.get(at).copied() else { return };
        loop {
            let from = at * ARITY + 1;
            let below = self.entries.iter().enumerate().skip(from).take(ARITY);
            let least = below.min_by(|(_, a), (_, b)| a.0.order(&b.0, tasks));
            let Some((next, child)) = least.map(|(next, child)| (next, *child)) else { break };
            if child.0.order(&moving.0, tasks) != Ordering::Less {
                break;
            }
            self.place(at, child);
            at = next;
        }
        self.place(at, moving);
    }

    fn place(&mut self, at: usize, entry: (Entry, u32)) {
        if let Some(slot) = self.at.get_mut(entry.1 as usize) {
            *slot = u32::try_from(at).unwrap_or(ABSENT);
        }
        if let Some(old) = self.entries.get_mut(at) {
            *old = entry;
        }
    }
}
