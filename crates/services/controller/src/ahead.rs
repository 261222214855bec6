//! Workflows are read before it is their turn: many wait for the store at the same time, not one after
//! the other.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowforge_model::id::WorkflowId;
use flowforge_model::plan::Plan;
use flowforge_ports::admission::Admission;
use flowforge_ports::store::{Store, StoreError, StoredRun};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::ControllerError;
use crate::controller::Controller;

/// Workflows read at a time; so many documents are in memory at once.
const AT_ONCE: usize = 8;

/// Absent workflows on their way into memory, in the order in which they were named.
pub(crate) struct Ahead {
    wanted: BTreeSet<WorkflowId>,
    reads: BoxStream<'static, (WorkflowId, Result<StoredRun, StoreError>)>,
}

impl Ahead {
    /// Brings a workflow into memory, as [`Controller::load`] does. What was read ahead of those named
    /// before it is dropped: they were not asked for.
    pub(crate) async fn load<S: Store, A: Admission>(
        &mut self,
        controller: &mut Controller<S, A>,
        id: WorkflowId,
        plan: Option<Arc<Plan>>,
    ) -> Result<bool, ControllerError> {
        let mut read = None;
        while read.is_none() && self.wanted.contains(&id) {
            let Some((of, answer)) = self.reads.next().await else { break };
            self.wanted.remove(&of);
            read = (of == id).then_some(answer);
        }
        match read {
            Some(read) if controller.absent(id) => controller.loaded(id, read, plan),
            _ => controller.load(id, plan).await,
        }
    }
}

impl<S: Store, A: Admission> Controller<S, A> {
    /// Begins to read those that are absent.
    pub(crate) fn read_ahead(&self, named: impl Iterator<Item = WorkflowId>) -> Ahead {
        let mut wanted = BTreeSet::new();
        let mut order: Vec<WorkflowId> = named.collect();
        order.retain(|id| self.absent(*id) && wanted.insert(*id));
        let store = Arc::clone(&self.store);
        let read = move |id| {
            let store = Arc::clone(&store);
            async move { (id, store.load(id).await) }
        };
        Ahead { wanted, reads: stream::iter(order).map(read).buffered(AT_ONCE).boxed() }
    }
}
