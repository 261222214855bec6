//! The loop of a world: one thing happens, the controller may take its turn, everything is
//! checked.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::event::Command;
use flowforge_model::id::{AttemptId, InstanceId, WorkflowId};
use flowforge_model::status::Reason;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::nudge::Nudge;
use flowforge_ports::organization::Organizations as _;
use flowforge_ports::runner::FactSink as _;
use flowforge_ports::store::{Store as _, StoreError, StoredRun};
use flowforge_svc_controller::{Config, Controller, Message, Turned};
use flowforge_svc_executor::{Executor, Ledger};
use uuid::Uuid;

use super::Summary;
use super::allowed::Allowed;
use super::processes::{Processes, ends_by_itself};
use super::store::FaultyStore;
use super::users::{Users, is_held, open, resume, wish};
use crate::checker::{Broken, Checker};
use crate::dice::Dice;
use crate::plants::{Doorman, Plant, misread};

/// Lines of the past that are shown with a violation.
const TRACE: usize = 60;
/// More than any world needs: one that takes longer does not come to an end.
const STEPS: u64 = 20_000;
/// Faults happen in this many milliseconds of the world, then stop.
const STORM_MS: i64 = 60_000;

/// Something that will happen.
#[derive(Clone, Debug)]
enum Happening {
    Submit(u64),
    Ask(usize, Command),
    /// The process ends by itself.
    Exit(AttemptId),
    /// A daemon is ready.
    Serve(AttemptId),
    Deliver(Fact),
    /// A timer of the controller may be due.
    Wake,
    /// The controller loses its memory.
    Forget,
    /// The server is killed, its processes with it.
    Kill,
    /// The clock is set forward.
    Jump,
}

pub(super) struct World {
    dice: Dice,
    plant: Option<Plant>,
    now: Timestamp,
    coming: BTreeMap<(Timestamp, u64), Happening>,
    count: u64,
    store: Arc<FaultyStore>,
    processes: Processes,
    ledger: Arc<Ledger>,
    executor: Executor<Processes, Processes>,
    controller: Option<Controller<FaultyStore, Doorman>>,
    inbox: Vec<Message>,
    /// A timer of the controller is due.
    due: bool,
    instance: InstanceId,
    slots: u32,
    allowed: Allowed,
    delay_ms: u64,
    duplicate_percent: u64,
    lose_percent: u64,
    fail_percent: u64,
    users: Users,
    /// Wishes acknowledged before they were carried out: only by a planted bug.
    late: Vec<(WorkflowId, Command)>,
    trace: VecDeque<String>,
    summary: Summary,
    storm: bool,
}

impl World {
    pub(super) fn new(seed: u64, plant: Option<Plant>) -> Self {
        let mut dice = Dice::new(seed);
        let store = Arc::new(FaultyStore::new(dice.roll(), dice.one_of([0, 1, 5])));
        // From dice of its own: the others fall as they did without it.
        let allowed = Allowed::draw(&mut Dice::new(seed ^ 0x7175_6f74_6100));
        allowed.set(&store.rows);
        let processes = Processes::default();
        let ledger = Arc::new(Ledger::new(processes.clone()));
        let executor = Executor::new(processes.clone(), Arc::clone(&ledger), processes.clone());
        let mut world = Self {
            plant,
            now: Timestamp(1_700_000_000_000),
            coming: BTreeMap::new(),
            count: 0,
            store: Arc::clone(&store),
            processes,
            ledger,
            executor,
            controller: None,
            inbox: Vec::new(),
            due: false,
            instance: InstanceId(Uuid::from_u128(1)),
            slots: 1 + u32::try_from(dice.below(5)).unwrap_or(0),
            delay_ms: dice.one_of([1, 50, 2000]),
            duplicate_percent: dice.one_of([0, 10, 30]),
            lose_percent: dice.one_of([0, 0, 10]),
            fail_percent: dice.one_of([5, 20, 50]),
            allowed,
            users: Users::new(&store, Checker::default()),
            late: Vec::new(),
            trace: VecDeque::new(),
            summary: Summary::default(),
            storm: true,
            dice,
        };
        world.script();
        world
    }

    pub(super) fn summary(&self) -> Summary {
        Summary { silent_commits: self.store.silent(), ..self.summary }
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace.into()
    }

    /// What users and fate will do.
    fn script(&mut self) {
        for _ in 0..1 + self.dice.below(3) {
            let seed = self.dice.roll();
            self.later(5000, Happening::Submit(seed));
        }
        for _ in 0..self.dice.below(5) {
            let command = wish(&mut self.dice);
            let which = usize::try_from(self.dice.below(3)).unwrap_or(0);
            self.later(20_000, Happening::Ask(which, command));
        }
        for _ in 0..self.dice.below(4) {
            self.later(20_000, Happening::Forget);
        }
        for _ in 0..self.dice.below(3) {
            self.later(20_000, Happening::Kill);
        }
        if self.dice.chance(20) {
            self.later(20_000, Happening::Jump);
        }
    }

    fn later(&mut self, within_ms: u64, what: Happening) {
        let after = Millis(self.dice.below(within_ms + 1));
        self.at(self.now.plus(after), what);
    }

    fn at(&mut self, at: Timestamp, what: Happening) {
        self.count += 1;
        self.coming.insert((at, self.count), what);
    }

    fn note(&mut self, line: &str) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>7} ms  {line}", self.now.0 - 1_700_000_000_000));
    }

    /// Lives until nothing happens any more, then asks for a happy end.
    pub(super) fn live(&mut self) -> Result<(), Broken> {
        while self.summary.steps < STEPS {
            if self.storm && self.now.0 > 1_700_000_000_000 + STORM_MS {
                self.calm();
            }
            if let Some(((at, _), what)) = self.coming.pop_first() {
                self.now = self.now.max(at);
                self.processes.look().now = self.now;
                self.happen(what)?;
                // Sometimes news piles up before the controller takes its turn.
                if self.dice.chance(80) {
                    self.turn()?;
                }
            } else if self.due || !self.inbox.is_empty() {
                self.turn()?;
            } else if self.storm {
                self.calm();
            } else if self.is_over()? {
                return Ok(());
            }
            self.summary.steps += 1;
        }
        Err("INV-1 it does not come to an end".to_owned())
    }

    /// The storm is over: no more faults, and what was lost is sent again.
    fn calm(&mut self) {
        self.note("the storm is over");
        self.storm = false;
        self.lose_percent = 0;
        self.store.heal();
        self.executor.resend();
        self.collect_posts();
        self.inbox.push(Message::Sweep);
    }

    fn happen(&mut self, what: Happening) -> Result<(), Broken> {
        match what {
            Happening::Submit(seed) => self.submit(seed)?,
            Happening::Ask(which, command) => self.ask(which, command)?,
            Happening::Exit(id) => self.exit(id),
            Happening::Serve(id) => self.serve(id),
            Happening::Deliver(fact) => self.deliver(fact),
            Happening::Wake => self.due = true,
            Happening::Forget if self.storm => {
                self.note("the controller loses its memory");
                self.crash(false);
            }
            Happening::Kill if self.storm => {
                self.note("the server is killed");
                self.crash(true);
            }
            Happening::Forget | Happening::Kill => {}
            Happening::Jump => {
                self.now = self.now.plus(Millis(self.dice.below(100_000)));
                self.note("the clock is set forward");
                self.due = true;
            }
        }
        Ok(())
    }

    fn submit(&mut self, seed: u64) -> Result<(), Broken> {
        let priority = self.dice.below(3);
        let (id, text) = self.users.submit(seed, 0, priority, self.now)?;
        self.note(&format!("submit {id}: {text}"));
        if self.plant.is_some() || !self.storm || self.dice.chance(80) {
            let known = self.plant.is_some() || self.dice.chance(50);
            let plan = match known {
                true => Some(Arc::new(misread(self.plant, self.users.plan(id)?.clone()))),
                false => None,
            };
            self.inbox.push(Message::Nudge(Nudge { workflow: id, plan }));
        }
        Ok(())
    }

    fn ask(&mut self, which: usize, command: Command) -> Result<(), Broken> {
        let Some(id) = self.users.workflow(which) else {
            return Ok(());
        };
        let closes = matches!(
            command,
            Command::Cancel | Command::Stop | Command::Terminate | Command::Pause
        );
        if closes && self.plant == Some(Plant::CloseTheGateLate) {
            if let Some(run) = self.users.load_if_kept(id)?
                && !run.state.status.terminal()
            {
                self.note(&format!("{command:?} is acknowledged, not done"));
                self.users.checker.gate_closed(id, open(&run));
                self.late.push((id, command));
            }
            return Ok(());
        }
        let refused = self.users.ask(id, &command, self.now)?;
        if let Some(why) = refused {
            self.note(&format!("{command:?} of {id} is refused: {why}"));
            return Ok(());
        }
        self.note(&format!("{command:?} of {id}"));
        self.summary.wishes += 1;
        self.inbox.push(Message::Nudge(Nudge { workflow: id, plan: None }));
        Ok(())
    }

    /// A process ends by itself.
    fn exit(&mut self, id: AttemptId) {
        let Some(key) = self.processes.look().running.remove(&id) else {
            return;
        };
        let report = ends_by_itself(&mut self.dice, self.fail_percent, self.now);
        self.note(&format!("{key:?} ends with {:?}", report.exit_code));
        self.ledger.deliver(Fact { key, kind: FactKind::Finished(Box::new(report)) });
        self.collect_posts();
    }

    fn serve(&mut self, id: AttemptId) {
        if let Some(fact) = self.processes.ready(id) {
            self.note(&format!("{:?} is ready", fact.key));
            self.ledger.deliver(fact);
            self.collect_posts();
        }
    }

    /// Facts on their way: late, twice, or lost until they are sent again.
    fn collect_posts(&mut self) {
        let posted = std::mem::take(&mut self.processes.look().posted);
        for fact in posted {
            if self.dice.chance(self.lose_percent) {
                self.summary.lost_reports += 1;
                self.note(&format!("a report of {:?} is lost", fact.key));
                continue;
            }
            if self.dice.chance(self.duplicate_percent) {
                self.summary.duplicates += 1;
                self.later(self.delay_ms * 3, Happening::Deliver(fact.clone()));
            }
            self.later(self.delay_ms, Happening::Deliver(fact));
        }
    }

    fn deliver(&mut self, mut fact: Fact) {
        if self.plant == Some(Plant::LoseAnEvent)
            && matches!(fact.kind, FactKind::Finished(_))
            && self.dice.chance(20)
        {
            self.executor.acknowledge(fact.key);
            return;
        }
        if self.plant == Some(Plant::SkipTheStatusGuard) {
            let running = self.processes.look();
            let current = running
                .running
                .values()
                .copied()
                .find(|key| key.workflow == fact.key.workflow && key.node == fact.key.node);
            drop(running);
            fact.key = current.unwrap_or(fact.key);
        }
        self.inbox.push(Message::Fact(fact));
    }

    /// The controller is gone; with `server`, everything in the machine's memory is.
    fn crash(&mut self, server: bool) {
        self.summary.crashes += 1;
        self.controller = None;
        self.inbox.clear();
        if server {
            self.coming.retain(|_, what| !matches!(what, Happening::Deliver(_)));
            let now = self.now;
            self.processes = Processes::default();
            self.processes.look().now = now;
            self.ledger = Arc::new(Ledger::new(self.processes.clone()));
            let (runner, clock) = (self.processes.clone(), self.processes.clone());
            self.executor = Executor::new(runner, Arc::clone(&self.ledger), clock);
            self.instance = InstanceId(Uuid::from_u128(self.instance.0.as_u128() + 1));
        }
    }

    /// The controller takes its turn, starting anew if it has to.
    fn turn(&mut self) -> Result<(), Broken> {
        self.due = false;
        let mut inbox = std::mem::take(&mut self.inbox);
        loop {
            let mut controller = match self.controller.take() {
                Some(controller) => controller,
                None => {
                    let shares = block_on(self.store.hierarchy()).map_err(|e| e.to_string())?;
                    inbox.insert(0, Message::Shares(shares.1.into()));
                    self.start_controller()
                }
            };
            let turned = block_on(controller.turn(std::mem::take(&mut inbox), self.now));
            self.check_all()?;
            match turned {
                // One controller at a time: what it believes of the rows is so.
                Err(error) if error.conflict() => return Err(format!("INV-6 {error}")),
                Err(error) => {
                    self.note(&format!("a commit failed: {error}"));
                    self.executor.resend();
                    self.collect_posts();
                }
                // The moment between a commit and its effects is the most dangerous one.
                Ok(_) if self.storm && self.dice.chance(2) => {
                    self.note("killed between a commit and its effects");
                    let server = self.dice.chance(50);
                    self.crash(server);
                    self.executor.resend();
                    self.collect_posts();
                }
                Ok(turned) => {
                    self.controller = Some(controller);
                    let again = turned.again;
                    self.hand_out(turned)?;
                    if !again {
                        self.close_late_gates();
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Does what a planted bug acknowledged too early.
    fn close_late_gates(&mut self) {
        for (id, command) in std::mem::take(&mut self.late) {
            while matches!(
                block_on(self.store.ask(id, command.clone(), self.now)),
                Err(StoreError::Unavailable(_))
            ) {}
        }
    }

    fn start_controller(&mut self) -> Controller<FaultyStore, Doorman> {
        self.note("a controller starts");
        loop {
            let config = Config { instance: self.instance, default_retry: None, one_by_one: false };
            let admission = Doorman::new(self.slots, self.plant);
            let store = Arc::clone(&self.store);
            if let Ok(controller) = block_on(Controller::start(store, admission, config)) {
                return controller;
            }
        }
    }

    fn hand_out(&mut self, turned: Turned) -> Result<(), Broken> {
        for key in turned.stops {
            self.executor.stop(key);
        }
        for order in turned.dispatches {
            self.executor.start(order);
        }
        for key in turned.acknowledged {
            self.executor.acknowledge(key);
        }
        if let Some(at) = turned.next_timer {
            self.at(at.max(self.now), Happening::Wake);
        }
        let (begun, stops) = {
            let mut bench = self.processes.look();
            (std::mem::take(&mut bench.begun), std::mem::take(&mut bench.stops))
        };
        for key in begun {
            self.begin(key)?;
        }
        for id in stops {
            self.stop(id);
        }
        self.collect_posts();
        Ok(())
    }

    fn begin(&mut self, key: AttemptKey) -> Result<(), Broken> {
        self.note(&format!("{key:?} begins"));
        let same_task = |other: &&AttemptKey| {
            other.workflow == key.workflow && other.node == key.node && **other != key
        };
        if let Some(other) = self.processes.look().running.values().find(same_task) {
            return Err(format!("INV-5 {key:?} begins while {other:?} runs"));
        }
        let run = self.users.load(key.workflow)?;
        self.users.begins(&run, key, &mut self.summary)?;
        let at = self.now;
        self.ledger.deliver(Fact { key, kind: FactKind::Started(at) });
        let daemon = self.processes.look().daemons.contains_key(&key.id());
        if daemon {
            self.later(3000, Happening::Serve(key.id()));
        }
        // Most daemons run for as long as they are let.
        if !daemon || self.dice.chance(30) {
            self.later(if daemon { 10_000 } else { 3000 }, Happening::Exit(key.id()));
        }
        Ok(())
    }

    fn stop(&mut self, id: AttemptId) {
        let Some(key) = self.processes.look().running.remove(&id) else {
            return;
        };
        self.note(&format!("{key:?} is stopped"));
        let (class, reason) = (FailureClass::Stopped, Reason::Stopped);
        let report = Report::failed(self.now, class, reason, "stopped".to_owned());
        self.ledger.deliver(Fact { key, kind: FactKind::Finished(Box::new(report)) });
    }

    fn check_all(&mut self) -> Result<(), Broken> {
        let mut open = 0;
        let runs = self.users.look(&mut self.summary)?;
        for run in &runs {
            open += self.users.with_pods(run)?;
            self.no_orphans(run)?;
        }
        self.allowed.check(&self.users, &runs)?;
        if open > self.slots as usize {
            return Err(format!("INV-8 {open} attempts are open, {} are allowed", self.slots));
        }
        Ok(())
    }

    /// A task that has ended has no process any more.
    fn no_orphans(&self, run: &StoredRun) -> Result<(), Broken> {
        let bench = self.processes.look();
        let orphan = bench.running.values().find(|key| {
            key.workflow == run.id
                && run.tasks.get(key.node.index()).is_some_and(|row| row.state.status.terminal())
        });
        match orphan {
            Some(key) => Err(format!("INV-5 {key:?} runs although its task has ended")),
            None => Ok(()),
        }
    }

    /// Whether every workflow has ended; lets go on what a user held.
    fn is_over(&mut self) -> Result<bool, Broken> {
        let mut over = true;
        let mut waiting = None;
        // Somebody waits for room: a task of one, perhaps, that another waits for.
        let mut hungry = false;
        let mut resumed = false;
        for (which, run) in self.users.kept()? {
            if run.state.status.terminal() {
                continue;
            }
            over = false;
            if !is_held(&run) {
                // Perhaps it waits for the lock of another one that is held by a user.
                hungry |= !run.runnable.is_empty();
                waiting = waiting.or(Some(run));
                continue;
            }
            resumed = true;
            self.ask(which, resume())?;
        }
        if let Some(run) = waiting.filter(|_| !resumed) {
            // What daemons serve may wait for the room that they take.
            let daemon = self.processes.a_daemon();
            match daemon.filter(|_| hungry) {
                Some(id) => self.exit(id),
                None => return Err(stuck(&run)),
            }
        }
        if over {
            if !self.processes.look().running.is_empty() {
                return Err("INV-16 processes are left".to_owned());
            }
            self.users.count(&mut self.summary)?;
        }
        Ok(over)
    }
}

/// What a workflow that nothing carries on looks like.
pub(super) fn stuck(run: &StoredRun) -> Broken {
    let open: Vec<String> = run
        .tasks
        .iter()
        .filter(|row| !row.state.status.terminal())
        .map(|row| format!("{} {}", row.shape.name, row.state.status.as_str()))
        .collect();
    format!(
        "INV-2 {} is {} for ever: ending {:?}, gate closed {}, runnable {:?}, open {:?}, timers {:?}, locks {:?}, tasks {open:?}",
        run.id,
        run.state.status.as_str(),
        run.state.ending,
        run.gate_closed,
        run.runnable,
        run.open,
        run.timers,
        run.locks,
    )
}

/// The futures of the store in memory are ready at once.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
}
