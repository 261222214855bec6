//! Claims: each keeps what its task needs along its way, and none crosses another.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::Place;

use super::super::FairShare;
use super::super::claims::Claim;
use super::super::entry::Head;
use super::super::room::lasting;
use super::super::shape::Kind;
use super::super::task::{State, TaskIx};

impl FairShare {
    /// What is counted in each cluster is what is held there, and a task waits for the cluster of its project.
    pub(super) fn audit_clusters(&self, faults: &mut Vec<String>) {
        let mut used = vec![0; self.clusters.used().len()];
        for (_, task) in self.tasks.iter() {
            let Some(shape) = self.shapes.get(task.shape) else { continue };
            match task.state {
                State::Held { .. } => {
                    if let Some(used) = used.get_mut(shape.cluster.index()) {
                        *used += shape.need.get(Dimension::Pods);
                    }
                }
                State::Waiting(..) => {
                    let of = self.cluster_for(self.tree.entity(task.place), &shape.need);
                    if of != shape.cluster {
                        faults.push(format!(
                            "{:?} waits for {:?}, not {of:?}",
                            task.key, shape.cluster
                        ));
                    }
                }
            }
        }
        if used != self.clusters.used() {
            faults.push(format!("clusters count {:?}, not {used:?}", self.clusters.used()));
        }
    }

    pub(super) fn audit_claims(&self, faults: &mut Vec<String>) {
        let mut covered: BTreeMap<Place, Place> = BTreeMap::new();
        for (front, claim) in self.claims.iter() {
            let from = self.tasks.get(claim.task).map(|task| task.place);
            let mut path: Vec<Place> = Vec::new();
            for at in from.into_iter().flat_map(|from| self.tree.path(from)) {
                path.push(at);
                if at == front {
                    break;
                }
            }
            let head = self.head_of(claim.task).map(|(_, head)| self.shapes.need(head.shape));
            if path != claim.path || path.last() != Some(&front) || head != Some(claim.need) {
                faults.push(format!("{claim:?} up to {front:?}: {path:?}, needs {head:?}"));
            }
            for at in path {
                if covered.insert(at, front).is_some() {
                    faults.push(format!("{at:?} is claimed twice"));
                }
            }
        }
        let queues: BTreeSet<Place> = self.claims.fronts().collect();
        if queues != self.claims.iter().map(|(front, _)| front).collect() {
            faults.push(format!("queues claim {queues:?}"));
        }
        for at in (0..self.tree.places()).filter_map(|at| u32::try_from(at).ok()).map(Place) {
            let Some(branch) = self.branches.get(at) else { continue };
            if branch.claimed.as_ref() != covered.get(&at) {
                faults.push(format!("{at:?} is claimed: {:?}", branch.claimed));
            }
            let wanted = branch.own_contended != 0 || self.claims.at(at).is_some();
            if self.claims.watches(at) != wanted {
                faults.push(format!("{at:?} is looked at: {}", self.claims.watches(at)));
            }
        }
    }

    /// Whether there is room at one place for a task, beside what is kept there for others than `whom`.
    pub(super) fn audit_room(&self, at: Place, head: &Head, whom: Option<TaskIx>) -> bool {
        let need = self.shapes.need(head.shape);
        let kept = self.claims.iter().find(|(_, claim)| claim.path.contains(&at));
        let kept = kept.filter(|(_, claim)| whom != Some(claim.task));
        let passes = |claim: &Claim| self.shapes.span(head.shape) <= claim.passes;
        let cluster = self.shapes.cluster(head.shape);
        let kept = kept.map_or(Amounts::ZERO, |(_, claim)| {
            let need = if passes(claim) { lasting(&claim.need) } else { claim.need };
            let elsewhere = at == Place::ROOT && claim.cluster != cluster;
            if elsewhere { need.with(Dimension::Pods, 0) } else { need }
        });
        let (used, limit) = self.room_at(at, cluster);
        let mut each = need.0.into_iter().zip(kept.0).zip(used.0.into_iter().zip(limit.0));
        self.tree.known(at)
            && each.all(|((need, kept), (used, limit))| need == 0 || used + kept + need <= limit)
    }

    /// The task whose claim has this front, if there is room for it below and here.
    pub(super) fn audit_claimant(&self, at: Place) -> Option<(Kind, Head)> {
        let (_, claim) = self.claims.iter().find(|(front, _)| *front == at)?;
        let (kind, head) = self.head_of(claim.task)?;
        claim
            .path
            .iter()
            .all(|at| self.audit_room(*at, &head, Some(head.task)))
            .then_some((kind, head))
    }
}
