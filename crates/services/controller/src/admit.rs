//! Ready attempts into work orders.

use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, Report};
use flowforge_ports::admission::Admission;
use flowforge_ports::store::Store;

use crate::controller::Controller;
use crate::guard::guarded;
use crate::turn::Turn;

impl<S: Store, A: Admission> Controller<S, A> {
    /// Admits what there is room for. An attempt that became ready in this very turn is admitted
    /// by the commit that makes it ready: one commit per edge.
    pub(crate) fn admit(&mut self, turn: &mut Turn) {
        for key in self.admission.admit(turn.now, usize::MAX) {
            if !self.live.contains_key(&key.workflow) {
                tracing::error!(?key, "admitted an attempt of a workflow that is not here");
                self.admission.release(key, None);
                continue;
            }
            turn.pending(key.workflow);
            turn.admissions.push(key);
            self.dispatch(turn, key);
        }
    }

    /// Makes the work order of an open attempt. One that starts a workflow does so in the next turn, once
    /// it is open. One that cannot be made ends the attempt in the
    /// next turn, which follows at once: admitting and ending stay two commits, in this order.
    pub(crate) fn dispatch(&mut self, turn: &mut Turn, key: AttemptKey) {
        if self.starts_workflow(key) {
            self.carried.push(Fact { key, kind: FactKind::Started(turn.now) });
            return;
        }
        let Some(live) = self.live.get(&key.workflow) else {
            return;
        };
        let order =
            guarded(|| flowforge_engine::work_order(&live.plan, &live.run, key.node, turn.now));
        match order {
            Some(Ok(order)) => turn.turned.dispatches.push(Arc::new(order)),
            Some(Err(failure)) => {
                let failure = *failure;
                let report =
                    Report::failed(turn.now, failure.class, failure.reason, failure.message);
                self.carried.push(Fact { key, kind: FactKind::Finished(Box::new(report)) });
            }
            None => {
                let why = "panicked while a task was prepared".to_owned();
                self.set_aside(turn, key.workflow, why);
            }
        }
    }
}
