//! The tree and its edits.

use std::collections::BTreeMap;
use std::iter::successors;

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Entity, Level, Weight};

use crate::error::TreeError;
use crate::node::{Node, Place, limits};

/// Levels below the installation, at most.
pub const DEPTH: usize = 32;

/// All who share, the installation at the top: its limits are what there is.
///
/// An entity may be named before it is known: something runs there, or stands below it. It then
/// stands directly below the installation, counts, and has room for nothing.
#[derive(Clone, Debug)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    pub(crate) places: BTreeMap<EntityId, Place>,
    free: Vec<Place>,
}

impl Tree {
    /// An installation without anybody.
    #[must_use]
    pub fn new(capacity: [Option<u64>; Dimension::COUNT]) -> Self {
        Self { nodes: vec![Node::root(capacity)], places: BTreeMap::new(), free: Vec::new() }
    }

    /// From now on there is so much. What is used stays, even if it is more.
    pub fn resize(&mut self, capacity: [Option<u64>; Dimension::COUNT]) {
        if let Some(root) = self.nodes.first_mut() {
            root.limit = limits(&capacity);
        }
    }

    /// Adds an entity, or makes it what is said now: elsewhere, with other limits, another weight.
    ///
    /// # Errors
    /// [`TreeError::Cycle`], [`TreeError::TooDeep`]: then all is as before.
    pub fn upsert(&mut self, entity: &Entity) -> Result<Place, TreeError> {
        let parent = entity.parent.and_then(|id| self.place(id));
        let below = parent.unwrap_or(Place::ROOT);
        let at = self.place(entity.id);
        if entity.parent == Some(entity.id)
            || at.is_some_and(|at| self.path(below).any(|p| p == at))
        {
            return Err(TreeError::Cycle(entity.id));
        }
        // A parent that is not known yet is going to stand directly below the installation.
        let stub = usize::from(entity.parent.is_some() && parent.is_none());
        let height = at.map_or(0, |at| self.height(at));
        if self.path(below).count() + stub + height > DEPTH {
            return Err(TreeError::TooDeep(entity.id));
        }
        let below = entity.parent.map_or(Place::ROOT, |id| self.name(id));
        let at = self.name(entity.id);
        self.attach(at, below);
        if let Some(node) = self.nodes.get_mut(at.index()) {
            node.describe(entity);
        }
        Ok(at)
    }

    /// Removes an entity below which nothing is and that uses nothing.
    ///
    /// # Errors
    /// [`TreeError::InUse`], [`TreeError::Unknown`]: then all is as before.
    pub fn remove(&mut self, id: EntityId) -> Result<Place, TreeError> {
        let at = self.place(id).ok_or(TreeError::Unknown(id))?;
        let node = self.nodes.get_mut(at.index()).ok_or(TreeError::Unknown(id))?;
        if !node.children.is_empty() || node.usage != [0; Dimension::COUNT] {
            return Err(TreeError::InUse(id));
        }
        let parent = node.parent;
        *node = Node::stub(None);
        if let Some(above) = parent.and_then(|place| self.nodes.get_mut(place.index())) {
            above.children.retain(|child| *child != at);
        }
        self.places.remove(&id);
        self.free.push(at);
        Ok(at)
    }

    /// Where an entity stands.
    #[must_use]
    pub fn place(&self, id: EntityId) -> Option<Place> {
        self.places.get(&id).copied()
    }

    /// Where an entity stands, or will stand when it is known.
    pub fn name(&mut self, id: EntityId) -> Place {
        if let Some(at) = self.place(id) {
            return at;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            let next = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
            self.nodes.push(Node::stub(None));
            Place(next)
        });
        if let Some(node) = self.nodes.get_mut(at.index()) {
            *node = Node::stub(Some(id));
        }
        self.places.insert(id, at);
        self.attach(at, Place::ROOT);
        at
    }

    /// From a place up to the installation, both included.
    #[inline]
    pub fn path(&self, from: Place) -> impl Iterator<Item = Place> + '_ {
        successors(Some(from), |place| self.parent(*place))
    }

    /// What stands directly above.
    #[must_use]
    #[inline]
    pub fn parent(&self, at: Place) -> Option<Place> {
        self.nodes.get(at.index()).and_then(|node| node.parent)
    }

    /// What stands directly below, in no order that means anything.
    #[must_use]
    #[inline]
    pub fn children(&self, at: Place) -> &[Place] {
        self.nodes.get(at.index()).map_or(&[], |node| &node.children)
    }

    /// Who stands there; `None` is the installation, or nobody.
    #[must_use]
    pub fn entity(&self, at: Place) -> Option<EntityId> {
        self.nodes.get(at.index()).and_then(|node| node.id)
    }

    /// What it is; `None` is the installation, or an entity that is not known.
    #[must_use]
    pub fn level(&self, at: Place) -> Option<Level> {
        self.nodes.get(at.index()).and_then(|node| node.level)
    }

    /// How much of what is contended it is due, next to its siblings.
    #[must_use]
    #[inline]
    pub fn weight(&self, at: Place) -> Weight {
        self.nodes.get(at.index()).map(|node| node.weight).unwrap_or_default()
    }

    /// Somebody has told who stands there.
    #[must_use]
    #[inline]
    pub fn known(&self, at: Place) -> bool {
        self.nodes.get(at.index()).is_some_and(|node| node.known)
    }

    /// So many places there are, unused ones included: an arena beside the tree needs as many slots.
    #[must_use]
    pub fn places(&self) -> usize {
        self.nodes.len()
    }

    /// Puts a node below another, with all that it uses.
    fn attach(&mut self, at: Place, below: Place) {
        let Some(node) = self.nodes.get_mut(at.index()) else { return };
        if node.parent == Some(below) {
            return;
        }
        let usage = node.usage;
        let before = node.parent.replace(below);
        if let Some(before) = before {
            if let Some(above) = self.nodes.get_mut(before.index()) {
                // What was just added stands last.
                if let Some(of) = above.children.iter().rposition(|child| *child == at) {
                    above.children.swap_remove(of);
                }
            }
            self.each_up(before, |node| node.subtract(&usage));
        }
        if let Some(above) = self.nodes.get_mut(below.index()) {
            above.children.push(at);
        }
        self.each_up(below, |node| node.add(&usage));
    }

    /// Levels of the subtree at a place, itself included.
    fn height(&self, at: Place) -> usize {
        let mut level: Vec<Place> = vec![at];
        let mut height = 0;
        while !level.is_empty() && height <= DEPTH {
            height += 1;
            level = level.iter().flat_map(|place| self.children(*place)).copied().collect();
        }
        height.saturating_sub(1)
    }

    pub(crate) fn each_up(&mut self, from: Place, change: impl Fn(&mut Node)) {
        let mut next = Some(from);
        while let Some(node) = next.and_then(|place| self.nodes.get_mut(place.index())) {
            change(node);
            next = node.parent;
        }
    }
}
