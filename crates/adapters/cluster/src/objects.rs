//! Attempts that ask for one object: it is made, changed, read or deleted as the project's own account would, and
//! waited for.
//!
//! An attempt is carried on from its order alone: what was made is found again by its name and its label. Whoever
//! stops looking leaves the object as it is.

mod answer;
mod attempt;
mod caller;
mod kinds;
mod place;
mod wait;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, mpsc as threads};

use flowforge_model::attempt::{Fact, FactKind, Failure, FailureClass, Report, Work, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::runner::Desk;
use kinds::Kinds;

/// Those under way, each told to stop by its own line.
type UnderWay = Arc<Mutex<HashMap<AttemptId, watch::Sender<bool>>>>;

/// Runs attempts whose work is an object. Guarantees of [`flowforge_ports::runner::Runner`]; attempts outlive it.
pub(crate) struct Objects {
    desk: Arc<Desk>,
    kinds: Arc<Kinds>,
    handle: Handle,
    under_way: UnderWay,
}

impl Objects {
    pub(crate) fn new(desk: Arc<Desk>, handle: Handle) -> Self {
        Self { desk, kinds: Arc::default(), handle, under_way: UnderWay::default() }
    }

    /// Begins or carries on. `closed` ends it without a word; `over` is dropped then, or when its end was told.
    pub(crate) fn start(
        &self,
        order: &Arc<WorkOrder>,
        mut closed: watch::Receiver<bool>,
        over: threads::Sender<()>,
    ) {
        let (stop, stopped) = watch::channel(false);
        if lock(&self.under_way).insert(order.attempt, stop).is_some() {
            tracing::warn!(attempt = %order.attempt, "started twice: the first one is given up");
        }
        let (desk, kinds) = (Arc::clone(&self.desk), Arc::clone(&self.kinds));
        let (under_way, order) = (Arc::clone(&self.under_way), Arc::clone(order));
        self.handle.spawn(async move {
            tokio::select! {
                _ = closed.wait_for(|closed| *closed) => {}
                ended = AssertUnwindSafe(run(&desk, &kinds, &order, stopped)).catch_unwind() => {
                    let broke = |_| Some(broken(&desk));
                    if let Some(report) = ended.unwrap_or_else(broke) {
                        lock(&under_way).remove(&order.attempt);
                        let kind = FactKind::Finished(Box::new(report));
                        desk.ports.facts.deliver(Fact { key: order.key, kind });
                    }
                }
            }
            drop(over);
        });
    }

    pub(crate) fn stop(&self, attempt: AttemptId) {
        if let Some(stop) = lock(&self.under_way).get(&attempt) {
            stop.send_replace(true);
        }
    }
}

fn lock(
    under_way: &UnderWay,
) -> std::sync::MutexGuard<'_, HashMap<AttemptId, watch::Sender<bool>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How it ended; `None` if another one of the same attempt has taken its place.
async fn run(
    desk: &Desk,
    kinds: &Kinds,
    order: &WorkOrder,
    mut stopped: watch::Receiver<bool>,
) -> Option<Report> {
    let Work::Object(object) = &order.work else { return None };
    let started_at = desk.now();
    desk.ports.facts.deliver(Fact { key: order.key, kind: FactKind::Started(started_at) });
    let ended = tokio::select! {
        stopped = stopped.wait_for(|stopped| *stopped) => match stopped {
            Ok(_) => Err(stopped_failure()),
            Err(_) => return None,
        },
        failure = deadline(order) => Err(failure),
        ended = attempt::run(desk, kinds, order, object) => ended,
    };
    let (outputs, failure) = match ended {
        Ok(outputs) => (outputs, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    Some(Report {
        started_at: Some(started_at),
        finished_at: desk.now(),
        exit_code: None,
        failure,
        outputs,
        artifacts: Vec::new(),
        result: None,
    })
}

fn broken(desk: &Desk) -> Report {
    let message = "a bug ended the attempt: the server's log says where".to_owned();
    Report::failed(desk.now(), FailureClass::Error, Reason::Error, message)
}

fn stopped_failure() -> Failure {
    let message = "stopped: the object was left as it is".to_owned();
    Failure { class: FailureClass::Stopped, reason: Reason::Stopped, message }
}

/// Never, if there is none.
async fn deadline(order: &WorkOrder) -> Failure {
    match order.deadline {
        Some(deadline) => tokio::time::sleep(deadline.into()).await,
        None => std::future::pending().await,
    }
    let message = "stopped: it took longer than its deadline; the object was left as it is";
    let message = message.to_owned();
    Failure { class: FailureClass::User, reason: Reason::Deadline, message }
}

/// What the object, or whoever wrote of it, is to blame for.
fn refused(message: impl Into<String>) -> Failure {
    user(Reason::ObjectRefused, message)
}

fn user(reason: Reason, message: impl Into<String>) -> Failure {
    Failure { class: FailureClass::User, reason, message: message.into() }
}
