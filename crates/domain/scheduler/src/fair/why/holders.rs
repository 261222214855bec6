//! Who holds what there is too little of.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use flowforge_model::quota::Dimension;
use flowforge_quota::Place;

use super::RUNNING;
use crate::fair::FairShare;
use crate::why::{Holding, Member, Why};

impl FairShare {
    /// Those directly below a place who use most of a dimension.
    pub(super) fn holders(&self, at: Place, dimension: Dimension) -> Vec<Holding> {
        let mut most: Vec<Holding> = Vec::with_capacity(Why::HOLDERS + 1);
        // All of thousands are looked at: as little as can be of each.
        let mut least = 1;
        for child in self.tree.children(at) {
            let used = self.tree.used(*child, dimension);
            if used < least {
                continue;
            }
            if let Some(id) = self.tree.entity(*child) {
                least = insert(&mut most, Holding { who: Member::Entity(id), used });
            }
        }
        for holding in self.workflows(at, dimension) {
            insert(&mut most, holding);
        }
        most
    }

    /// The workflows of a project.
    fn workflows(&self, at: Place, dimension: Dimension) -> Vec<Holding> {
        let mut uses = BTreeMap::new();
        let held = self.branches.get(at).into_iter().flat_map(|branch| &branch.held);
        for task in held.take(RUNNING).filter_map(|task| self.tasks.get(*task)) {
            if let Some(lane) = self.lanes.get(task.lane) {
                *uses.entry((lane.id, false)).or_insert(0_u64) +=
                    self.shapes.need(task.shape).get(dimension);
            }
            let root = self.lanes.root(task.lane);
            if let Some((id, slot)) = root.and_then(|root| Some((root.id, root.held()?)))
                && slot.0 == at
            {
                uses.insert((id, true), slot.1.get(dimension));
            }
        }
        let mut each = BTreeMap::new();
        for ((id, _), used) in uses {
            *each.entry(id).or_insert(0_u64) += used;
        }
        each.into_iter().map(|(id, used)| Holding { who: Member::Workflow(id), used }).collect()
    }
}

/// Keeps the largest. Says what one must use to be among them.
fn insert(most: &mut Vec<Holding>, holding: Holding) -> u64 {
    let order = |holding: &Holding| (Reverse(holding.used), holding.who);
    let before = most.partition_point(|of| order(of) < order(&holding));
    if holding.used > 0 {
        most.insert(before, holding);
        most.truncate(Why::HOLDERS);
    }
    most.get(Why::HOLDERS - 1).map_or(1, |last| last.used)
}
