//! What runs attempts, with places around their starts.

use std::sync::Arc;

use flowforge_model::attempt::WorkOrder;
use flowforge_model::id::AttemptId;
use flowforge_ports::runner::Runner;

use super::point::reach;

pub(crate) struct FaultyRunner<R>(pub(super) R);

impl<R: Runner> Runner for FaultyRunner<R> {
    fn start(&self, order: Arc<WorkOrder>) {
        // There is no answer to lose: what cannot start is reported like anything else.
        reach("executor", "start", false);
        self.0.start(order);
        reach("executor", "start", true);
    }

    fn stop(&self, attempt: AttemptId) {
        self.0.stop(attempt);
    }

    fn settled(&self, attempt: AttemptId) {
        self.0.settled(attempt);
    }

    fn takes_more(&self) -> bool {
        self.0.takes_more()
    }

    fn shut_down(&self) {
        reach("executor", "shut_down", false);
        self.0.shut_down();
        reach("executor", "shut_down", true);
    }
}
