//! Who uses how much, and how many wait.

use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{NodeIx, WorkflowId};
use flowforge_quota::{Place, UNLIMITED};

use crate::fair::FairShare;
use crate::fair::task::State;
use crate::why::Usage;

/// Attempts of a workflow that are told, at most.
const ATTEMPTS: usize = 1000;

impl FairShare {
    /// What each entity uses, the installation first, then in no order that means anything.
    ///
    /// Costs O(entities * levels).
    pub fn usage(&self) -> impl Iterator<Item = Usage> + '_ {
        let mut counts = vec![(0_u64, 0_u64); self.tree.places()];
        let places = || (0..self.tree.places()).filter_map(|at| u32::try_from(at).ok()).map(Place);
        for at in places() {
            let own = self.branches.get(at).map_or((0, 0), |branch| {
                (u64::from(branch.waits), u64::try_from(branch.held.len()).unwrap_or(u64::MAX))
            });
            if own != (0, 0) {
                for above in self.tree.path(at) {
                    if let Some(count) = counts.get_mut(above.index()) {
                        *count = (count.0 + own.0, count.1 + own.1);
                    }
                }
            }
        }
        let rationed = self.rations.iter().map(|(_, retry)| retry);
        for retry in self.breaker.iter().chain(rationed) {
            for above in
                self.tree.place(retry.project).into_iter().flat_map(|at| self.tree.path(at))
            {
                if let Some(count) = counts.get_mut(above.index()) {
                    count.0 += 1;
                }
            }
        }
        // Where nobody stands there is no entity, except at the top.
        let named = places().filter(|at| *at == Place::ROOT || self.tree.entity(*at).is_some());
        let at = |at: Place| (at, counts.get(at.index()).copied().unwrap_or_default());
        let each: Vec<_> = named.map(at).collect();
        each.into_iter().map(|(at, (waiting, running))| Usage {
            entity: self.tree.entity(at),
            level: self.tree.level(at),
            used: self.tree.usage(at),
            peak: self.tree.peak(at),
            limits: self.tree.limit(at).0.map(|limit| (limit < UNLIMITED).then_some(limit)),
            waiting,
            running,
        })
    }

    /// Attempts of a workflow that wait, in the order of their keys: the first thousand.
    #[must_use]
    pub fn waiting_of(&self, workflow: WorkflowId) -> Vec<AttemptKey> {
        let key = |node, number| AttemptKey { workflow, node: NodeIx(node), number };
        let lane = self.lanes.find(workflow).into_iter();
        let all = lane.flat_map(|lane| self.tasks.range(lane, NodeIx(0)..=NodeIx(u32::MAX)));
        let waits = all.filter(|task| matches!(task.state, State::Waiting(..)));
        let mut keys: Vec<AttemptKey> = waits.map(|task| task.key).take(ATTEMPTS).collect();
        let whole = || key(0, 0)..=key(u32::MAX, u32::MAX);
        keys.extend(self.breaker.of(whole()).take(ATTEMPTS));
        keys.extend(self.rations.of(whole()).take(ATTEMPTS));
        keys.sort_unstable();
        keys.truncate(ATTEMPTS);
        keys
    }
}
