//! Edits of the hierarchy while tasks wait and run.

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Entity};
use flowforge_quota::{Place, TreeError};

use super::FairShare;
use super::branch::Branch;
use super::shape::Kind;

impl FairShare {
    /// From now on there is so much, of slots in the cluster of those who name none; what runs goes on,
    /// even if that is more.
    pub fn capacity(&mut self, capacity: [Option<u64>; Dimension::COUNT]) {
        if self.capacity == capacity {
            return;
        }
        self.capacity = capacity;
        self.recount();
    }

    /// From now on there are `slots` slots for attempts in the cluster of those who name none, and of
    /// everything else what there was.
    pub fn resize(&mut self, slots: u32) {
        let mut capacity = self.capacity;
        if let Some(pods) = capacity.get_mut(Dimension::Pods as usize) {
            *pods = Some(u64::from(slots));
        }
        self.capacity(capacity);
    }

    /// Adds an entity, or makes it what is said now: elsewhere, with other limits, another weight, in
    /// another cluster. What waits and runs there comes along, but what runs stays in its cluster.
    ///
    /// # Errors
    /// As [`flowforge_quota::Tree::upsert`].
    pub fn upsert(&mut self, entity: &Entity) -> Result<(), TreeError> {
        let old = self.tree.place(entity.id);
        let before = old.and_then(|at| self.tree.parent(at));
        let at = self.tree.upsert(entity)?;
        self.branches.grow(&self.tree);
        let after = self.tree.parent(at).unwrap_or(Place::ROOT);
        if let Some(before) = before.filter(|before| *before != after) {
            self.moved(at, before, after);
            self.touch(before);
            self.unclaim_at(at);
        }
        // A parent that was named for the first time has inherited nothing yet.
        self.inherit(after);
        self.inherit(at);
        self.touch(at);
        self.finish();
        self.settle_in(entity.id, entity.cluster.as_ref());
        Ok(())
    }

    /// Takes a place out of the heaps of where it was, and counts what waits below it elsewhere.
    fn moved(&mut self, at: Place, before: Place, after: Place) {
        let buckets = self.branches.get(at).map(|branch| &branch.buckets);
        let buckets = buckets.into_iter().flatten();
        let live: Vec<(Kind, u32)> = buckets.map(|b| (b.kind, b.live)).collect();
        for (kind, count) in live {
            self.branches.set((at, before), kind, None, &self.tasks);
            self.branches.more(&self.tree, after, kind, count);
            self.branches.fewer(&self.tree, before, (kind, count), &self.tasks);
        }
        self.branches.unslot(at);
    }

    /// Removes an entity below which nothing is, that uses nothing and where nobody waits.
    ///
    /// # Errors
    /// [`TreeError::InUse`], [`TreeError::Unknown`].
    pub fn remove(&mut self, id: EntityId) -> Result<(), TreeError> {
        let at = self.tree.place(id).ok_or(TreeError::Unknown(id))?;
        let busy = |branch: &Branch| branch.occupied() > 0 || !branch.held.is_empty();
        let waits = || {
            self.rations.iter().any(|(of, retry)| *of == id || retry.project == id)
                || self.breaker.iter().any(|retry| retry.project == id)
        };
        if self.branches.get(at).is_some_and(busy) || waits() {
            return Err(TreeError::InUse(id));
        }
        self.tree.remove(id)?;
        self.branches.unslot(at);
        self.cooling.forget(at);
        self.breaker.forget_project(id);
        self.clusters.forget(id);
        self.rations.forget_tenant(id);
        self.claims.watch(at, false, self.now);
        if let Some(branch) = self.branches.get_mut(at) {
            *branch = Branch::default();
        }
        Ok(())
    }

    /// The place of a project, which need not be known yet.
    pub(crate) fn name(&mut self, project: EntityId) -> Place {
        if let Some(at) = self.tree.place(project) {
            return at;
        }
        let at = self.tree.name(project);
        self.branches.grow(&self.tree);
        self.inherit(at);
        at
    }
}
