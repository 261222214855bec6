//! What a committed turn of the controller sets in motion.

use std::sync::{Arc, Mutex, PoisonError};

use flowforge_ports::clock::SystemClock;
use flowforge_ports::runner::Runner;
use flowforge_svc_api::Hub;
use flowforge_svc_controller::{Outlet, Turned};
use flowforge_svc_cron::Mailbox as Schedules;
use flowforge_svc_executor::Executor;
use tokio::sync::oneshot;

use crate::keeper::Keeper;

/// Joins the controller to the executor, to those who follow workflows and to the logs.
#[derive(Debug)]
pub(crate) struct HandOut<R> {
    pub(crate) executor: Arc<Executor<R, SystemClock>>,
    pub(crate) hub: Hub,
    pub(crate) keeper: Keeper,
    pub(crate) schedules: Schedules,
    /// Told once, after the first turn.
    pub(crate) ready: Mutex<Option<oneshot::Sender<()>>>,
}

impl<R: Runner> Outlet for HandOut<R> {
    fn ready(&self) {
        let waiting = self.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        if waiting.is_some_and(|waiting| waiting.send(()).is_err()) {
            tracing::debug!("nobody waits for the controller to be ready");
        }
    }

    fn hand_out(&self, turned: Turned) {
        for key in turned.stops {
            self.executor.stop(key);
        }
        for order in turned.dispatches {
            self.executor.start(order);
        }
        for key in turned.acknowledged {
            self.executor.acknowledge(key);
        }
        for (workflow, seq) in turned.changed {
            self.hub.changed(workflow, seq);
        }
        for workflow in turned.ended {
            self.keeper.seal(workflow);
            self.schedules.ended(workflow);
        }
        for workflow in turned.deleted {
            self.keeper.delete(workflow);
            self.schedules.ended(workflow);
        }
    }

    fn resend(&self) {
        self.executor.resend();
    }
}
