//! The children of an entity that have something to start, the best first.

use super::entry::Entry;
use super::indexed::Indexed;
use super::task::Tasks;

/// So many are looked through; more are kept in order.
const FEW: usize = 16;

/// A child and its slot, a small number of its own below its parent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) entry: Entry,
    pub(crate) slot: u32,
}

/// Most entities have one child or a few with a task of some kind, and the installation has
/// thousands: one alone takes no room of its own.
#[derive(Clone, Debug, Default)]
pub(crate) enum Heap {
    #[default]
    Empty,
    One(Item),
    /// The best stands first, the others in no order.
    Few(Vec<Item>),
    Many(Box<Indexed>),
}

impl Heap {
    pub(crate) fn first(&self) -> Option<&Entry> {
        match self {
            Self::Empty => None,
            Self::One(item) => Some(&item.entry),
            Self::Few(items) => items.first().map(|item| &item.entry),
            Self::Many(items) => items.first(),
        }
    }

    /// The one after the first.
    pub(crate) fn second(&self, tasks: &Tasks) -> Option<&Entry> {
        match self {
            Self::Empty | Self::One(_) => None,
            Self::Few(items) => {
                items.iter().skip(1).map(|item| &item.entry).min_by(|a, b| a.order(b, tasks))
            }
            Self::Many(items) => items.second(tasks),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Few(items) => items.len(),
            Self::Many(items) => items.items().len(),
        }
    }

    /// Those before some place in the order, in no order themselves; asks of O(those) entries whether
    /// they are.
    pub(crate) fn leading<'a>(
        &'a self,
        before: impl Fn(&Entry) -> bool + 'a,
    ) -> Box<dyn Iterator<Item = &'a Entry> + 'a> {
        match self {
            Self::Empty => Box::new(std::iter::empty()),
            Self::One(item) => Box::new(Some(&item.entry).into_iter().filter(move |of| before(of))),
            Self::Few(items) => {
                Box::new(items.iter().map(|item| &item.entry).filter(move |of| before(of)))
            }
            Self::Many(items) => Box::new(items.leading(before)),
        }
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        match self {
            Self::Empty => Vec::new(),
            Self::One(item) => vec![item.entry],
            Self::Few(items) => items.iter().map(|item| item.entry).collect(),
            Self::Many(items) => items.items().iter().map(|item| item.entry).collect(),
        }
    }

    /// Puts a child where it belongs, or takes it out. Says whether that changed anything.
    pub(crate) fn set(&mut self, slot: u32, entry: Option<Entry>, tasks: &Tasks) -> bool {
        let new = entry.map(|entry| Item { entry, slot });
        match (&mut *self, new) {
            (Self::Empty, None) => false,
            (Self::Empty, Some(new)) => {
                *self = Self::One(new);
                true
            }
            (Self::One(old), None) => {
                let gone = old.slot == slot;
                if gone {
                    *self = Self::Empty;
                }
                gone
            }
            (Self::One(old), Some(new)) if old.slot == slot => {
                let changed = old.entry != new.entry;
                *old = new;
                changed
            }
            (Self::One(old), Some(new)) => {
                let (best, other) = if new.entry.order(&old.entry, tasks).is_lt() {
                    (new, *old)
                } else {
                    (*old, new)
                };
                *self = Self::Few(vec![best, other]);
                true
            }
            (Self::Few(items), new) => {
                let changed = few(items, slot, new, tasks);
                match items.as_slice() {
                    [] => *self = Self::Empty,
                    [one] => *self = Self::One(*one),
                    more if more.len() > FEW => {
                        *self = Self::Many(Box::new(Indexed::new(more, tasks)));
                    }
                    _ => {}
                }
                changed
            }
            (Self::Many(items), new) => {
                let changed = items.set(slot, new.map(|new| new.entry), tasks);
                if items.items().len() <= FEW / 2 {
                    let mut few = items.items().to_vec();
                    lead(&mut few, tasks);
                    *self = Self::Few(few);
                }
                changed
            }
        }
    }

    /// Whether everything is where it must be.
    pub(crate) fn sound(&self, tasks: &Tasks) -> bool {
        match self {
            Self::Empty | Self::One(_) => true,
            Self::Few(items) => items.split_first().is_some_and(|(first, rest)| {
                let behind = |item: &Item| first.entry.order(&item.entry, tasks).is_lt();
                !rest.is_empty() && rest.iter().all(behind)
            }),
            Self::Many(items) => items.sound(tasks),
        }
    }
}

fn few(items: &mut Vec<Item>, slot: u32, new: Option<Item>, tasks: &Tasks) -> bool {
    let at = items.iter().position(|item| item.slot == slot);
    match (at, new) {
        (None, None) => return false,
        (None, Some(new)) => {
            // There are many of them, and none grows far: twice as much room as they need would be a lot in all.
            if items.len() == items.capacity() {
                items.reserve_exact(2);
            }
            items.push(new);
            let last = items.len() - 1;
            let leads =
                items.first().is_some_and(|first| new.entry.order(&first.entry, tasks).is_lt());
            if leads {
                items.swap(0, last);
            }
            return true;
        }
        (Some(at), Some(new)) => {
            let Some(old) = items.get_mut(at) else { return false };
            if old.entry == new.entry {
                return false;
            }
            *old = new;
        }
        (Some(at), None) => {
            items.swap_remove(at);
        }
    }
    lead(items, tasks);
    true
}

/// Puts the best first.
fn lead(items: &mut [Item], tasks: &Tasks) {
    let least = items.iter().enumerate().min_by(|(_, a), (_, b)| a.entry.order(&b.entry, tasks));
    if let Some(at) = least.map(|(at, _)| at).filter(|at| *at > 0) {
        items.swap(0, at);
    }
}

#[cfg(test)]
mod tests;
