//! The runner of HTTP tasks: one thread for each request under way.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::{Fact, FactKind, Failure, FailureClass, Report, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use flowforge_ports::clock::Clock;
use flowforge_ports::logs::LogStore;
use flowforge_ports::runner::{FactSink, Runner};
use flowforge_ports::secrets::Secrets;

use crate::attempt::run;
use crate::client::Client;

/// Bytes of a thread's stack: a TLS handshake needs some.
const STACK_BYTES: usize = 1024 * 1024;

/// What an [`HttpRunner`] works with.
pub struct HttpSetup {
    /// Asks only whom it may.
    pub client: Client,
    /// Values of headers.
    pub secrets: Arc<dyn Secrets>,
    /// Where facts go.
    pub facts: Arc<dyn FactSink>,
    /// Where remarks go.
    pub logs: Arc<dyn LogStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for HttpSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSetup").field("client", &self.client).finish_non_exhaustive()
    }
}

/// Runs attempts whose work is a request. How many there are at a time is decided by whoever
/// starts them. Dropping it shuts it down.
pub struct HttpRunner {
    shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) setup: HttpSetup,
    under_way: Mutex<UnderWay>,
    ended: Condvar,
}

#[derive(Default)]
struct UnderWay {
    attempts: HashMap<AttemptId, Running>,
    closed: bool,
}

/// A request under way.
struct Running {
    client: Client,
    told: Option<Told>,
}

/// What an attempt was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Stop,
    ShutDown,
}

impl HttpRunner {
    /// A runner that has started nothing yet.
    #[must_use]
    pub fn new(setup: HttpSetup) -> Self {
        let shared = Shared { setup, under_way: Mutex::default(), ended: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }
}

impl Runner for HttpRunner {
    fn start(&self, order: Arc<WorkOrder>) {
        let shared = &self.shared;
        let mut under_way = shared.lock();
        if under_way.closed {
            drop(under_way);
            shared.finish(&order, shared.failed(failure(Told::ShutDown)));
            return;
        }
        if under_way.attempts.contains_key(&order.attempt) {
            tracing::warn!(attempt = %order.attempt, "started twice: the second is ignored");
            return;
        }
        let client = shared.setup.client.separate();
        let running = Running { client: client.clone(), told: None };
        under_way.attempts.insert(order.attempt, running);
        drop(under_way);
        let worker = Arc::clone(shared);
        let ours = Arc::clone(&order);
        let spawned = std::thread::Builder::new()
            .name("request".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || worker.work(&ours, &client));
        if let Err(error) = spawned {
            let failure = Failure {
                class: FailureClass::Error,
                reason: Reason::SpawnFailed,
                message: format!("no thread for the attempt: {error}"),
            };
            let report = shared.failed(failure);
            shared.finish(&order, report);
            shared.forget(order.attempt);
        }
    }

    fn stop(&self, attempt: AttemptId) {
        if let Some(running) = self.shared.lock().attempts.get_mut(&attempt) {
            running.told.get_or_insert(Told::Stop);
            running.client.shut_down();
        }
    }

    fn shut_down(&self) {
        let mut under_way = self.shared.lock();
        under_way.closed = true;
        for running in under_way.attempts.values_mut() {
            running.told.get_or_insert(Told::ShutDown);
            running.client.shut_down();
        }
        while !under_way.attempts.is_empty() {
            under_way = self.shared.ended.wait(under_way).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for HttpRunner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for HttpRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRunner").field("setup", &self.shared.setup).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, order: &WorkOrder, client: &Client) {
        let attempt = AssertUnwindSafe(|| run(self, order, client));
        let mut report = catch_unwind(attempt).unwrap_or_else(|_| {
            self.failed(Failure {
                class: FailureClass::Error,
                reason: Reason::Error,
                message: "the HTTP runner broke while it ran this: see the server's log".to_owned(),
            })
        });
        let told = self.lock().attempts.get(&order.attempt).and_then(|running| running.told);
        // A request that was answered before it was told to end has succeeded.
        if let (Some(told), Some(_)) = (told, &report.failure) {
            report.failure = Some(failure(told));
        }
        self.finish(order, report);
        self.forget(order.attempt);
    }

    fn finish(&self, order: &WorkOrder, report: Report) {
        let kind = FactKind::Finished(Box::new(report));
        self.setup.facts.deliver(Fact { key: order.key, kind });
    }

    fn forget(&self, attempt: AttemptId) {
        self.lock().attempts.remove(&attempt);
        self.ended.notify_all();
    }

    /// The report of an attempt that sent nothing.
    pub(crate) fn failed(&self, failure: Failure) -> Report {
        let Failure { class, reason, message } = failure;
        Report::failed(self.setup.clock.now(), class, reason, message)
    }
}

fn failure(told: Told) -> Failure {
    let (class, reason, message) = match told {
        Told::Stop => (FailureClass::Stopped, Reason::Stopped, "stopped"),
        Told::ShutDown => (FailureClass::Lost, Reason::Lost, "the server shut down"),
    };
    Failure { class, reason, message: message.to_owned() }
}
