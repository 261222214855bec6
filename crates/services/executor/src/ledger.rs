//! Which attempts are under way, and which ends are not acknowledged yet.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::runner::FactSink;

/// The memory of an executor; also where its runner reports to.
pub struct Ledger {
    forward: Box<dyn FactSink>,
    attempts: Mutex<BTreeMap<AttemptKey, Progress>>,
}

/// How far an attempt is.
enum Progress {
    /// With so many processes or pods; and that it is ready, if it is a daemon that is.
    Running { pods: usize, ready: Option<Fact> },
    /// Its end, until it is acknowledged.
    Ended(Box<Report>),
}

impl Ledger {
    /// A ledger that hands every fact on to `forward`.
    #[must_use]
    pub fn new(forward: impl FactSink) -> Self {
        Self { forward: Box::new(forward), attempts: Mutex::new(BTreeMap::new()) }
    }

    /// Notes that the attempt begins; `false` if it is known already.
    pub(crate) fn begin(&self, key: AttemptKey, pods: usize) -> bool {
        let mut attempts = self.lock();
        let new = !attempts.contains_key(&key);
        if new {
            attempts.insert(key, Progress::Running { pods, ready: None });
        }
        new
    }

    /// How many processes or pods are under way.
    pub(crate) fn running(&self) -> usize {
        let running = |progress: &Progress| match progress {
            Progress::Running { pods, .. } => *pods,
            Progress::Ended(_) => 0,
        };
        self.lock().values().map(running).sum()
    }

    /// It runs, or its end is not acknowledged.
    pub(crate) fn knows(&self, key: AttemptKey) -> bool {
        self.lock().contains_key(&key)
    }

    pub(crate) fn runs(&self, key: AttemptKey) -> bool {
        matches!(self.lock().get(&key), Some(Progress::Running { .. }))
    }

    /// Reports an attempt that never began as stopped; one that ended has its own report.
    pub(crate) fn stopped_before_start(&self, key: AttemptKey, at: Timestamp) {
        if self.lock().contains_key(&key) {
            return;
        }
        self.deliver(Fact {
            key,
            kind: FactKind::Finished(Box::new(Report::failed(
                at,
                FailureClass::Stopped,
                Reason::Stopped,
                "stopped before it began".to_owned(),
            ))),
        });
    }

    pub(crate) fn forget(&self, key: AttemptKey) {
        self.lock().remove(&key);
    }

    pub(crate) fn resend(&self) {
        let kept: Vec<Fact> = self
            .lock()
            .iter()
            .filter_map(|(key, progress)| match progress {
                Progress::Running { ready, .. } => ready.clone(),
                Progress::Ended(report) => {
                    Some(Fact { key: *key, kind: FactKind::Finished(report.clone()) })
                }
            })
            .collect();
        for fact in kept {
            self.forward.deliver(fact);
        }
    }

    /// A thread that panicked while holding the lock left the map whole: every change is one call.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<AttemptKey, Progress>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FactSink for Ledger {
    fn deliver(&self, fact: Fact) {
        match &fact.kind {
            FactKind::Started(_) => {}
            FactKind::Ready { .. } => {
                if let Some(Progress::Running { ready, .. }) = self.lock().get_mut(&fact.key) {
                    *ready = Some(fact.clone());
                }
            }
            FactKind::Finished(report) => {
                self.lock().insert(fact.key, Progress::Ended(report.clone()));
            }
        }
        self.forward.deliver(fact);
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger").field("attempts", &self.lock().len()).finish_non_exhaustive()
    }
}
