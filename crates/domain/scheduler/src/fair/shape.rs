//! What tasks need and for how long at most, each need once, and the classes in which needs are looked
//! at together.

use std::collections::BTreeMap;
use std::num::NonZeroU16;

use flowforge_model::quota::{Amounts, Dimension};

use super::clusters::ClusterIx;
use super::points::Phase;
use super::span::Span;

/// Which need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ShapeIx(pub(crate) u32);

/// Which class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClassIx(pub(crate) u16);

/// A class and a phase: what one heap holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Kind(NonZeroU16);

impl Kind {
    pub(crate) fn new(class: ClassIx, phase: Phase) -> Self {
        let number = class.0 * 2 + u16::from(phase == Phase::Saturated);
        Self(NonZeroU16::MIN.saturating_add(number))
    }

    pub(crate) fn class(self) -> ClassIx {
        ClassIx((self.0.get() - 1) / 2)
    }

    pub(crate) fn phase(self) -> Phase {
        if self.0.get().is_multiple_of(2) { Phase::Saturated } else { Phase::Aging }
    }
}

/// Classes of one need and span each; then so many of needs that are within a quarter of a doubling of
/// each other, so many within two doublings, and after that one for all that need the same dimensions.
/// Needs are written by people, who write a few dozen; the bound is for those who write thousands.
const EXACT: u16 = 40;
const CLOSE: u16 = 16;
const ROUGH: u16 = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) need: Amounts,
    pub(crate) span: Span,
    /// Where it is needed.
    pub(crate) cluster: ClusterIx,
    /// The dimensions that are needed, a bit each.
    pub(crate) mask: u8,
    /// Tasks and heads with this need.
    refs: u32,
    /// And those among them that wait, and so want it to be in a class.
    waiting: u32,
    pub(crate) class: ClassIx,
}

/// Needs that are looked at together: of each class only the first below an entity is tried. All of
/// a class need the same dimensions in the same cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Class {
    pub(crate) mask: u8,
    pub(crate) cluster: ClusterIx,
    /// No need in it is larger.
    pub(crate) most: Amounts,
    /// Of all in it, where it holds one need.
    span: Span,
    grain: Grain,
    shapes: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Grain {
    Exact,
    Close,
    Rough,
    Any,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    by_need: BTreeMap<([u64; Dimension::COUNT], Span, ClusterIx), ShapeIx>,
    free: Vec<ShapeIx>,
    classes: Vec<Class>,
    by_most: BTreeMap<(Grain, u8, [u64; Dimension::COUNT], Span, ClusterIx), ClassIx>,
    free_classes: Vec<ClassIx>,
}

impl Shapes {
    pub(crate) fn get(&self, at: ShapeIx) -> Option<&Shape> {
        self.shapes.get(at.0 as usize)
    }

    pub(crate) fn need(&self, at: ShapeIx) -> Amounts {
        self.get(at).map_or(Amounts::ZERO, |shape| shape.need)
    }

    pub(crate) fn span(&self, at: ShapeIx) -> Span {
        self.get(at).map_or(Span::ENDLESS, |shape| shape.span)
    }

    pub(crate) fn cluster(&self, at: ShapeIx) -> ClusterIx {
        self.get(at).map_or(ClusterIx::HOME, |shape| shape.cluster)
    }

    pub(crate) fn class(&self, at: ClassIx) -> Option<&Class> {
        self.classes.get(usize::from(at.0))
    }

    /// Takes a need into use once more.
    pub(crate) fn take(&mut self, need: &Amounts, (span, of): (Span, ClusterIx)) -> ShapeIx {
        let at = *self.by_need.entry((need.0, span, of)).or_insert_with(|| {
            self.free.pop().unwrap_or_else(|| {
                let next = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
                self.shapes.push(Shape::new(need, (span, of)));
                ShapeIx(next)
            })
        });
        if let Some(shape) = self.shapes.get_mut(at.0 as usize) {
            if shape.refs == 0 {
                *shape = Shape::new(need, (span, of));
            }
            shape.refs = shape.refs.saturating_add(1);
        }
        at
    }

    /// Takes one that is in use into use once more.
    pub(crate) fn again(&mut self, at: ShapeIx) -> ShapeIx {
        if let Some(shape) = self.shapes.get_mut(at.0 as usize) {
            shape.refs = shape.refs.saturating_add(1);
        }
        at
    }

    /// Puts it out of use once.
    pub(crate) fn put(&mut self, at: ShapeIx) {
        let Some(shape) = self.shapes.get_mut(at.0 as usize) else { return };
        shape.refs = shape.refs.saturating_sub(1);
        if shape.refs == 0 {
            self.by_need.remove(&(shape.need.0, shape.span, shape.cluster));
            self.free.push(at);
        }
    }

    /// One more waits with this need, which is in use. Gives its class, which stays the same while
    /// anybody waits with it.
    pub(crate) fn wait(&mut self, at: ShapeIx) -> ClassIx {
        let Some(shape) = self.shapes.get(at.0 as usize) else { return ClassIx(0) };
        let class = if shape.waiting == 0 { self.classify(*shape) } else { shape.class };
        if let Some(shape) = self.shapes.get_mut(at.0 as usize) {
            shape.waiting = shape.waiting.saturating_add(1);
            shape.class = class;
        }
        class
    }

    /// One fewer waits with it.
    pub(crate) fn leave(&mut self, at: ShapeIx) {
        let Some(shape) = self.shapes.get_mut(at.0 as usize) else { return };
        shape.waiting = shape.waiting.saturating_sub(1);
        if shape.waiting > 0 {
            return;
        }
        let of = shape.class;
        let Some(class) = self.classes.get_mut(usize::from(of.0)) else { return };
        class.shapes = class.shapes.saturating_sub(1);
        if class.shapes == 0 {
            let key = (class.grain, class.mask, class.most.0, class.span, class.cluster);
            self.by_most.remove(&key);
            self.free_classes.push(of);
        }
    }

    fn classify(&mut self, shape: Shape) -> ClassIx {
        let count = |grain| {
            let from = (grain, 0, [0; Dimension::COUNT], Span::NONE, ClusterIx::HOME);
            let to = (grain, u8::MAX, [u64::MAX; Dimension::COUNT], Span::ENDLESS, ClusterIx::LAST);
            self.by_most.range(from..=to).count()
        };
        let most = |grain| match grain {
            Grain::Exact => shape.need,
            Grain::Close => Amounts(shape.need.0.map(close)),
            Grain::Rough => Amounts(shape.need.0.map(rough)),
            Grain::Any => Amounts([u64::MAX; Dimension::COUNT]),
        };
        let grains = [(Grain::Exact, EXACT), (Grain::Close, CLOSE), (Grain::Rough, ROUGH)];
        let span = |grain| if grain == Grain::Exact { shape.span } else { Span::ENDLESS };
        let cluster = shape.cluster;
        let key = |grain| (grain, shape.mask, most(grain).0, span(grain), cluster);
        let fits = |&(grain, room): &(Grain, u16)| {
            self.by_most.contains_key(&key(grain)) || count(grain) < usize::from(room)
        };
        let grain = grains.iter().find(|grain| fits(grain)).map_or(Grain::Any, |grain| grain.0);
        if let Some(of) = self.by_most.get(&key(grain)).copied() {
            if let Some(class) = self.classes.get_mut(usize::from(of.0)) {
                class.shapes = class.shapes.saturating_add(1);
            }
            return of;
        }
        let (most, span) = (most(grain), span(grain));
        let class = Class { mask: shape.mask, cluster, most, span, grain, shapes: 1 };
        let of = self.free_classes.pop().unwrap_or_else(|| {
            let next = u16::try_from(self.classes.len()).unwrap_or(u16::MAX);
            self.classes.push(class);
            ClassIx(next)
        });
        if let Some(slot) = self.classes.get_mut(usize::from(of.0)) {
            *slot = class;
        }
        self.by_most.insert((grain, shape.mask, most.0, span, cluster), of);
        of
    }

    pub(crate) fn find(&self, need: &Amounts, (span, of): (Span, ClusterIx)) -> Option<ShapeIx> {
        self.by_need.get(&(need.0, span, of)).copied()
    }

    /// Every class holds one need only.
    pub(crate) fn exact(&self) -> bool {
        self.by_most.keys().all(|(grain, ..)| *grain == Grain::Exact)
    }

    /// Nothing is in use.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.by_need.is_empty() && self.by_most.is_empty()
    }
}

impl Shape {
    fn new(need: &Amounts, (span, cluster): (Span, ClusterIx)) -> Self {
        let (mask, class) = (mask(need), ClassIx(0));
        Self { need: *need, span, cluster, mask, refs: 0, waiting: 0, class }
    }
}

/// The dimensions that are needed, a bit each.
pub(crate) fn mask(need: &Amounts) -> u8 {
    let bits = need.0.iter().enumerate().filter(|(_, amount)| **amount > 0);
    bits.fold(0, |mask, (bit, _)| mask | 1 << bit)
}

/// Up to the next quarter of a doubling.
fn close(amount: u64) -> u64 {
    // 2^(k/4) in 16 binary places, rounded up.
    const STEPS: [u128; 4] = [1 << 16, 77_936, 92_682, 110_218];
    let Some(low) = amount.checked_ilog2() else { return 0 };
    let steps = STEPS.map(|step| (step << low).div_ceil(1 << 16));
    let up = steps.into_iter().find(|step| *step >= u128::from(amount));
    up.and_then(|step| u64::try_from(step).ok()).unwrap_or(1 << (low + 1).min(63))
}

/// Up to the next power of four.
fn rough(amount: u64) -> u64 {
    let Some(low) = amount.checked_ilog2() else { return 0 };
    let up = if amount.is_power_of_two() { low } else { low + 1 };
    1 << up.next_multiple_of(2).min(63)
}

#[cfg(test)]
mod tests {
    use flowforge_model::time::Millis;

    use super::*;

    #[test]
    fn amounts_are_rounded_up_and_not_far() {
        for amount in [0, 1, 2, 3, 5, 17, 100, 1000, 1 << 20, (1 << 40) + 3, 1 << 56] {
            let (near, far) = (close(amount), rough(amount));
            assert!(near >= amount && far >= amount, "{amount} {near} {far}");
            assert!(near <= (amount * 119).div_ceil(100), "{amount} {near}");
            assert!(far <= amount * 4, "{amount} {far}");
        }
    }

    #[test]
    fn thousands_of_needs_make_few_classes() {
        let mut shapes = Shapes::default();
        let mut used = Vec::new();
        for number in 1..5000_u64 {
            let span = Span::of(number.is_multiple_of(3).then_some(Millis(number)));
            let need = Amounts([number, number * 3, number << 20, 0, 0, 1, 0, 0]);
            let shape = shapes.take(&need, (span, ClusterIx::HOME));
            let class = shapes.wait(shape);
            let most = shapes.class(class).unwrap().most;
            assert!(most.0.iter().zip(&shapes.need(shape).0).all(|(most, need)| most >= need));
            used.push(shape);
        }
        assert!(shapes.classes.len() <= 65, "{}", shapes.classes.len());
        for shape in used {
            shapes.leave(shape);
            shapes.put(shape);
        }
        assert!(shapes.is_empty());
    }
}
