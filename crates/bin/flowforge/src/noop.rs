//! An executor that runs nothing: every attempt succeeds at once. Measures the engine alone.

use std::sync::Arc;

use flowforge_model::attempt::{Fact, FactKind, Report, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_ports::clock::{Clock, SystemClock};
use flowforge_ports::runner::{FactSink, Runner};

/// See the module.
pub(crate) struct NoOp {
    sink: Arc<dyn FactSink>,
}

impl NoOp {
    pub(crate) fn new(sink: Arc<dyn FactSink>) -> Self {
        Self { sink }
    }
}

impl Runner for NoOp {
    fn start(&self, order: Arc<WorkOrder>) {
        let now = SystemClock.now();
        self.sink.deliver(Fact {
            key: order.key,
            kind: FactKind::Finished(Box::new(Report {
                started_at: Some(now),
                finished_at: now,
                exit_code: Some(0),
                failure: None,
                outputs: Vec::new(),
                artifacts: Vec::new(),
                result: None,
            })),
        });
    }

    fn stop(&self, _attempt: AttemptId) {}

    fn shut_down(&self) {}
}
