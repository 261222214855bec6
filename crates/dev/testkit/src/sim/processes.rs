//! Processes that exist only in the world: they begin when they are told to, and end when the
//! world says so.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::{
    AttemptKey, Fact, FactKind, Failure, FailureClass, Report, WorkOrder,
};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::clock::Clock;
use flowforge_ports::runner::{FactSink, Runner};

use crate::dice::Dice;

/// What the executor did since the world looked last.
#[derive(Debug, Default)]
pub(crate) struct Bench {
    /// Attempts told to begin.
    pub(crate) begun: Vec<AttemptKey>,
    /// Attempts told to end.
    pub(crate) stops: Vec<AttemptId>,
    /// Attempts whose end is durable.
    pub(crate) settled: Vec<AttemptId>,
    /// Facts on their way to the controller.
    pub(crate) posted: Vec<Fact>,
    /// What runs.
    pub(crate) running: BTreeMap<AttemptId, AttemptKey>,
    /// Those of them that are daemons, and whether they have said that they are ready.
    pub(crate) daemons: BTreeMap<AttemptId, bool>,
    /// The present.
    pub(crate) now: Timestamp,
}

/// A [`Bench`] shared by the world and the executor.
#[derive(Clone, Debug, Default)]
pub(crate) struct Processes(Arc<Mutex<Bench>>);

impl Processes {
    /// A daemon that runs.
    pub(crate) fn a_daemon(&self) -> Option<AttemptId> {
        let bench = self.look();
        bench.daemons.keys().copied().find(|id| bench.running.contains_key(id))
    }

    /// A daemon that runs says that it is ready, once.
    pub(crate) fn ready(&self, id: AttemptId) -> Option<Fact> {
        let mut bench = self.look();
        let (key, at) = (*bench.running.get(&id)?, bench.now);
        let told = bench.daemons.get_mut(&id)?;
        let kind = FactKind::Ready { at, ip: "10.0.0.7".to_owned() };
        (!std::mem::replace(told, true)).then_some(Fact { key, kind })
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, Bench> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner for Processes {
    fn start(&self, order: Arc<WorkOrder>) {
        let mut bench = self.look();
        bench.begun.push(order.key);
        bench.running.insert(order.attempt, order.key);
        if order.daemon.is_some() {
            bench.daemons.insert(order.attempt, false);
        }
    }

    fn stop(&self, attempt: AttemptId) {
        self.look().stops.push(attempt);
    }

    fn settled(&self, attempt: AttemptId) {
        self.look().settled.push(attempt);
    }

    fn shut_down(&self) {
        self.look().running.clear();
    }
}

impl FactSink for Processes {
    fn deliver(&self, fact: Fact) {
        self.look().posted.push(fact);
    }
}

impl Clock for Processes {
    fn now(&self) -> Timestamp {
        self.look().now
    }
}

/// How a process ends that nobody stops.
pub(crate) fn ends_by_itself(dice: &mut Dice, fail_percent: u64, now: Timestamp) -> Report {
    let code = if dice.chance(fail_percent) { 1 } else { 0 };
    let failure = match (code, dice.below(10)) {
        (0, _) => None,
        (_, 0) => Some((FailureClass::Error, Reason::SpawnFailed)),
        (_, _) => Some((FailureClass::User, Reason::ExitCode)),
    };
    let failure = failure.map(|(class, reason)| Failure {
        class,
        reason,
        message: format!("exit code {code}"),
    });
    Report {
        started_at: Some(now),
        finished_at: now,
        exit_code: Some(code),
        failure,
        outputs: vec![("word".to_owned(), dice.below(2).to_string())],
        artifacts: Vec::new(),
        result: dice.chance(50).then(|| "[1, 2]".to_owned()),
    }
}
