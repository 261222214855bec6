//! The runner: a queue of work orders and the threads that run them.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::os::unix::fs::DirBuilderExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flowforge_model::attempt::{Fact, FactKind, Failure, FailureClass, Report, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::Artifacts;
use flowforge_ports::clock::Clock;
use flowforge_ports::logs::LogStore;
use flowforge_ports::runner::{FactSink, Runner};
use flowforge_ports::secrets::Secrets;
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::attempt::{run, told};
use crate::directory::Directories;
use crate::mapping::stage::Stages;
use crate::supervise::{Ask, Control};
use crate::{ProcessConfig, ProcessError, end_survivors};

/// A worker with nothing to do ends after this long.
const IDLE: Duration = Duration::from_secs(10);
/// Bytes of a worker's stack: packing an artifact takes up to 256 KiB, unoptimised more. Only what
/// is used takes memory: there may be a thousand workers.
const STACK_BYTES: usize = 1024 * 1024;
/// Open files of one attempt: two pipes with both ends, the process, the wake-up, the directories
/// outputs are read from and a file in them, the root and the namespace, and while it starts a
/// socket with both ends.
const FILES_PER_ATTEMPT: u64 = 13;
/// Open files for everything else in this process.
const FILES_BESIDE: u64 = 256;
/// So many times as much is asked for where it is allowed: attempts may have several processes at a time.
const FILES_OF_MANY: u64 = 4;

/// Runs attempts as local processes.
///
/// Guarantees beyond those of [`Runner`]: the group of an attempt is killed before its report;
/// a stop that arrives before the process starts prevents the start. Dropping it shuts it down.
pub struct ProcessRunner {
    shared: Arc<Shared>,
}

/// What a runner uses.
#[derive(Clone)]
pub struct ProcessPorts {
    /// Where attempts are reported.
    pub facts: Arc<dyn FactSink>,
    /// Where their output goes.
    pub logs: Arc<dyn LogStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where secrets are read from.
    pub secrets: Arc<dyn Secrets>,
    /// Where artifacts are fetched from and kept.
    pub artifacts: Arc<dyn Artifacts>,
}

impl fmt::Debug for ProcessPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPorts").finish_non_exhaustive()
    }
}

/// What an attempt is run with.
pub(crate) struct Context {
    pub(crate) config: ProcessConfig,
    pub(crate) directories: Directories,
    pub(crate) stages: Stages,
    pub(crate) facts: Arc<dyn FactSink>,
    pub(crate) logs: Arc<dyn LogStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) secrets: Arc<dyn Secrets>,
    pub(crate) artifacts: Arc<dyn Artifacts>,
}

struct Shared {
    context: Context,
    queue: Mutex<Queue>,
    /// Work for an idle worker, or the end of one.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<WorkOrder>>,
    attempts: HashMap<AttemptId, Place>,
    workers: usize,
    idle: usize,
    closed: bool,
}

enum Place {
    Waiting,
    Running(Arc<Control>),
}

impl ProcessRunner {
    /// A runner that has started nothing yet. Raises the limit of open files of this process if
    /// the concurrency needs it.
    ///
    /// # Errors
    /// `WorkDir`, `OpenFiles`.
    pub fn new(config: ProcessConfig, ports: ProcessPorts) -> Result<Self, ProcessError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.work_dir)
            .map_err(|source| ProcessError::WorkDir { path: config.work_dir.clone(), source })?;
        allow_open_files(config.concurrency)?;
        let directories = Directories::new(config.work_dir.clone());
        let stages = Stages::new(config.work_dir.clone());
        let ProcessPorts { facts, logs, clock, secrets, artifacts } = ports;
        let context =
            Context { config, directories, stages, facts, logs, clock, secrets, artifacts };
        Ok(Self {
            shared: Arc::new(Shared { context, queue: Mutex::default(), changed: Condvar::new() }),
        })
    }
}

impl Runner for ProcessRunner {
    fn start(&self, order: Arc<WorkOrder>) {
        let shared = &self.shared;
        let mut queue = shared.lock();
        if queue.closed {
            drop(queue);
            shared.fail(&order, told(Ask::Kill));
            return;
        }
        if queue.attempts.contains_key(&order.attempt) {
            tracing::warn!(attempt = %order.attempt, "started twice: the second is ignored");
            return;
        }
        queue.attempts.insert(order.attempt, Place::Waiting);
        queue.waiting.push_back(order);
        let wanted = queue.waiting.len() > queue.idle;
        if wanted && queue.workers < shared.context.config.concurrency.max(1) {
            queue.workers += 1;
            drop(queue);
            hire(shared);
        } else {
            drop(queue);
            shared.changed.notify_one();
        }
    }

    fn stop(&self, attempt: AttemptId) {
        let mut queue = self.shared.lock();
        match queue.attempts.get(&attempt) {
            Some(Place::Running(control)) => control.ask(Ask::Stop),
            Some(Place::Waiting) => {
                let place = queue.waiting.iter().position(|o| o.attempt == attempt);
                let order = place.and_then(|place| queue.waiting.remove(place));
                queue.attempts.remove(&attempt);
                drop(queue);
                if let Some(order) = order {
                    self.shared.fail(&order, told(Ask::Stop));
                }
            }
            None => {}
        }
    }

    fn shut_down(&self) {
        let shared = &self.shared;
        let mut queue = shared.lock();
        let again = std::mem::replace(&mut queue.closed, true);
        let waiting = std::mem::take(&mut queue.waiting);
        for order in &waiting {
            queue.attempts.remove(&order.attempt);
        }
        for place in queue.attempts.values() {
            if let Place::Running(control) = place {
                control.ask(Ask::Kill);
            }
        }
        drop(queue);
        for order in &waiting {
            shared.fail(order, told(Ask::Kill));
        }
        shared.changed.notify_all();
        let mut queue = shared.lock();
        while queue.workers > 0 {
            queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        shared.context.directories.clear();
        shared.context.stages.clear();
        if !again {
            // Those that left their groups.
            end_survivors(&shared.context.config.data_dir_id);
        }
    }
}

impl Drop for ProcessRunner {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl fmt::Debug for ProcessRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessRunner")
            .field("config", &self.shared.context.config)
            .finish_non_exhaustive()
    }
}

/// Begins a worker, which is counted already.
fn hire(shared: &Arc<Shared>) {
    let worker = Arc::clone(shared);
    let spawned = Control::new().and_then(|control| {
        std::thread::Builder::new()
            .name("attempt".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || worker.work(&Arc::new(control)))
    });
    if let Err(error) = spawned {
        shared.understaffed(&error);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reports an attempt of which no process ran.
    fn fail(&self, order: &WorkOrder, failure: Failure) {
        let now = self.context.clock.now();
        let report = Report::failed(now, failure.class, failure.reason, failure.message);
        self.context
            .facts
            .deliver(Fact { key: order.key, kind: FactKind::Finished(Box::new(report)) });
    }

    /// A thread could not be made. Others will do its work later; if there is none, all that
    /// waits fails.
    fn understaffed(&self, error: &std::io::Error) {
        tracing::warn!(%error, "no thread for an attempt");
        let mut queue = self.lock();
        queue.workers -= 1;
        let mut stranded = VecDeque::new();
        if queue.workers == 0 {
            stranded = std::mem::take(&mut queue.waiting);
            for order in &stranded {
                queue.attempts.remove(&order.attempt);
            }
        }
        drop(queue);
        self.changed.notify_all();
        for order in stranded {
            let failure = Failure {
                class: FailureClass::Error,
                reason: Reason::SpawnFailed,
                message: format!("no thread for the attempt: {error}"),
            };
            self.fail(&order, failure);
        }
    }

    /// A worker's life.
    fn work(&self, control: &Arc<Control>) {
        let mut done = None;
        while let Some(order) = self.next(control, done) {
            done = Some(order.attempt);
            let attempt = AssertUnwindSafe(|| run(&self.context, &order, control));
            if catch_unwind(attempt).is_err() {
                let failure = Failure {
                    class: FailureClass::Error,
                    reason: Reason::Error,
                    message: "the process runner broke while it ran this: see the server's log"
                        .to_owned(),
                };
                self.fail(&order, failure);
            }
        }
    }

    /// Ends one attempt and takes the next; `None` when there is nothing more to do.
    fn next(&self, control: &Arc<Control>, done: Option<AttemptId>) -> Option<Arc<WorkOrder>> {
        let mut queue = self.lock();
        if let Some(done) = done {
            queue.attempts.remove(&done);
            control.reset();
        }
        loop {
            if let Some(order) = queue.waiting.pop_front() {
                let place = Place::Running(Arc::clone(control));
                queue.attempts.insert(order.attempt, place);
                return Some(order);
            }
            if queue.closed {
                break;
            }
            queue.idle += 1;
            let (woken, slept) =
                self.changed.wait_timeout(queue, IDLE).unwrap_or_else(PoisonError::into_inner);
            queue = woken;
            queue.idle -= 1;
            if slept.timed_out() && queue.waiting.is_empty() {
                break;
            }
        }
        queue.workers -= 1;
        drop(queue);
        self.changed.notify_all();
        None
    }
}

fn allow_open_files(concurrency: usize) -> Result<(), ProcessError> {
    let attempts = u64::try_from(concurrency).unwrap_or(u64::MAX);
    let needed = attempts.saturating_mul(FILES_PER_ATTEMPT).saturating_add(FILES_BESIDE);
    let mut limit = getrlimit(Resource::Nofile);
    let allowed = limit.maximum.unwrap_or(u64::MAX);
    // Attempts of several processes have more of them.
    let wanted = needed.max(allowed.min(needed.saturating_mul(FILES_OF_MANY)));
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    limit.current = Some(wanted);
    if needed > allowed || setrlimit(Resource::Nofile, limit).is_err() {
        return Err(ProcessError::OpenFiles { needed, allowed });
    }
    Ok(())
}
