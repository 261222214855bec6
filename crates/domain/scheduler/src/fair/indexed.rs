//! A heap whose members are found by their slot.

use std::cmp::Ordering;

use super::entry::Entry;
use super::heap::Item;
use super::task::Tasks;

/// Children of a node of the heap: so many keys fit into a line of the cache.
const ARITY: usize = 4;
const ABSENT: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Indexed {
    /// In no order.
    items: Vec<Item>,
    /// A heap: what decides first, and which item.
    order: Vec<(i64, u32)>,
    /// By item, where it is in the heap.
    at: Vec<u32>,
    /// By slot, which item.
    of: Vec<u32>,
}

impl Indexed {
    pub(crate) fn new(items: &[Item], tasks: &Tasks) -> Self {
        let mut new = Self { items: Vec::new(), order: Vec::new(), at: Vec::new(), of: Vec::new() };
        for item in items {
            new.set(item.slot, Some(item.entry), tasks);
        }
        new
    }

    pub(crate) fn first(&self) -> Option<&Entry> {
        self.order.first().and_then(|(_, item)| self.entry(*item))
    }

    /// One of the children of the first.
    pub(crate) fn second(&self, tasks: &Tasks) -> Option<&Entry> {
        let below = self.order.iter().skip(1).take(ARITY);
        below.filter_map(|(_, item)| self.entry(*item)).min_by(|a, b| a.order(b, tasks))
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Those before some place in the order.
    pub(crate) fn leading<'a>(
        &'a self,
        before: impl Fn(&Entry) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Entry> + 'a {
        leading(ARITY, move |at| {
            let (_, item) = self.order.get(at)?;
            self.entry(*item).filter(|entry| before(entry))
        })
    }

    fn entry(&self, item: u32) -> Option<&Entry> {
        self.items.get(item as usize).map(|item| &item.entry)
    }

    fn find(&self, slot: u32) -> Option<u32> {
        self.of.get(slot as usize).copied().filter(|item| *item != ABSENT)
    }

    pub(crate) fn set(&mut self, slot: u32, entry: Option<Entry>, tasks: &Tasks) -> bool {
        match (self.find(slot), entry) {
            (None, None) => false,
            (None, Some(entry)) => {
                let item = index(self.items.len());
                if self.of.len() <= slot as usize {
                    self.of.resize(slot as usize + 1, ABSENT);
                }
                put(&mut self.of, slot, item);
                self.items.push(Item { entry, slot });
                self.at.push(index(self.order.len()));
                self.order.push((entry.first, item));
                self.rise(self.order.len() - 1, tasks);
                true
            }
            (Some(item), Some(entry)) => {
                let Some(old) = self.items.get_mut(item as usize) else { return false };
                if old.entry == entry {
                    return false;
                }
                let before = std::mem::replace(&mut old.entry, entry);
                let at = self.at.get(item as usize).map_or(0, |at| *at as usize);
                if let Some(place) = self.order.get_mut(at) {
                    place.0 = entry.first;
                }
                if entry.order(&before, tasks) == Ordering::Greater {
                    self.sink(at, tasks);
                } else {
                    self.rise(at, tasks);
                }
                true
            }
            (Some(item), None) => {
                self.remove(slot, item, tasks);
                true
            }
        }
    }

    fn remove(&mut self, slot: u32, item: u32, tasks: &Tasks) {
        let at = self.at.get(item as usize).map_or(0, |at| *at as usize);
        put(&mut self.of, slot, ABSENT);
        self.order.swap_remove(at);
        if let Some((_, moved)) = self.order.get(at).copied() {
            put(&mut self.at, moved, index(at));
        }
        self.items.swap_remove(item as usize);
        self.at.swap_remove(item as usize);
        // The last item has the number of the one that is gone now.
        if let Some(moved) = self.items.get(item as usize).map(|item| item.slot) {
            put(&mut self.of, moved, item);
            let at = self.at.get(item as usize).map_or(0, |at| *at as usize);
            if let Some(place) = self.order.get_mut(at) {
                place.1 = item;
            }
        }
        if at < self.order.len() {
            // What was last in the heap stands here now, and may belong above or below.
            let risen = self.rise(at, tasks);
            self.sink(risen, tasks);
        }
    }

    pub(crate) fn sound(&self, tasks: &Tasks) -> bool {
        let heap = self.order.iter().enumerate().all(|(at, place)| {
            let above = self.order.get(at.saturating_sub(1) / ARITY);
            let ordered = at == 0 || above.is_some_and(|above| self.less(*above, *place, tasks));
            let entry = self.entry(place.1).is_some_and(|entry| entry.first == place.0);
            ordered && entry && self.at.get(place.1 as usize) == Some(&index(at))
        });
        let mut items = self.items.iter().enumerate();
        let found = items.all(|(item, of)| self.find(of.slot) == Some(index(item)));
        let count = self.of.iter().filter(|item| **item != ABSENT).count();
        heap && found && count == self.items.len() && self.order.len() == self.items.len()
    }

    fn less(&self, a: (i64, u32), b: (i64, u32), tasks: &Tasks) -> bool {
        match a.0.cmp(&b.0) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => {
                let pair = self.entry(a.1).zip(self.entry(b.1));
                pair.is_some_and(|(a, b)| a.order(b, tasks).is_lt())
            }
        }
    }

    fn rise(&mut self, mut at: usize, tasks: &Tasks) -> usize {
        let Some(moving) = self.order.get(at).copied() else { return at };
        while at > 0 {
            let above = (at - 1) / ARITY;
            let Some(parent) = self.order.get(above).copied() else { break };
            if !self.less(moving, parent, tasks) {
                break;
            }
            self.place(at, parent);
            at = above;
        }
        self.place(at, moving);
        at
    }

    fn sink(&mut self, mut at: usize, tasks: &Tasks) {
        let Some(moving) = self.order.get(at).copied() else { return };
        loop {
            let from = at * ARITY + 1;
            let below = self.order.get(from..(from + ARITY).min(self.order.len()));
            let mut least: Option<(usize, (i64, u32))> = None;
            for (next, child) in (from..).zip(below.unwrap_or_default()) {
                if least.is_none_or(|(_, best)| self.less(*child, best, tasks)) {
                    least = Some((next, *child));
                }
            }
            let Some((next, child)) = least else { break };
            if !self.less(child, moving, tasks) {
                break;
            }
            self.place(at, child);
            at = next;
        }
        self.place(at, moving);
    }

    fn place(&mut self, at: usize, place: (i64, u32)) {
        if let Some(old) = self.order.get_mut(at) {
            *old = place;
        }
        put(&mut self.at, place.1, index(at));
    }
}

/// Those in a heap of so many children each for which `get` answers. It is asked about the first, and
/// about the children of those for which it did.
pub(crate) fn leading<T>(
    arity: usize,
    get: impl Fn(usize) -> Option<T>,
) -> impl Iterator<Item = T> {
    let mut next = vec![0];
    std::iter::from_fn(move || {
        loop {
            let at = next.pop()?;
            if let Some(found) = get(at) {
                next.extend(at * arity + 1..=at * arity + arity);
                return Some(found);
            }
        }
    })
}

fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(ABSENT)
}

fn put(into: &mut [u32], at: u32, value: u32) {
    if let Some(slot) = into.get_mut(at as usize) {
        *slot = value;
    }
}
