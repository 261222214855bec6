//! A world with many servers: controllers that share the shards, a scheduler that leads and one that
//! stands by, executors. Any of them dies, or stands still for longer than its lease and wakes up
//! believing what it believed before. Dispatches and wake-ups are lost and doubled.

mod cluster;
mod places;
mod seats;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::Command;
use flowforge_model::id::InstanceId;
use flowforge_model::time::{Millis, Timestamp};
use flowforge_ports::reservations::Placed;
use flowforge_ports::store::StoredRun;
use flowforge_store::{Flaw, MemoryStore};
use uuid::Uuid;

use self::cluster::Cluster;
use self::places::Places;
use self::seats::{Controlling, Executing, Scheduling};
use super::allowed::Allowed;
use super::store::FaultyStore;
use super::users::{Users, is_held, resume, wish};
use super::world::stuck;
use super::{Summary, Violation};
use crate::checker::{Broken, Checker};
use crate::dice::Dice;

/// Lines of the past that are shown with a violation.
const TRACE: usize = 80;
/// More than any world needs: one that takes longer does not come to an end.
const STEPS: u64 = 60_000;
/// Faults happen in this many milliseconds of the world, then stop.
const STORM_MS: i64 = 40_000;
/// When worlds begin.
const BEGIN: Timestamp = Timestamp(1_700_000_000_000);
/// A server that has not attended for this long may be replaced.
pub(super) const TTL: Millis = Millis(3000);

/// Which server.
#[derive(Clone, Copy)]
enum Seat {
    Controller(usize),
    Scheduler(usize),
    Executor(usize),
}

pub(super) struct Fleet {
    dice: Dice,
    now: Timestamp,
    store: Arc<FaultyStore>,
    controllers: Vec<Controlling>,
    schedulers: Vec<Scheduling>,
    executors: Vec<Executing>,
    /// Where executors make pods, if they have no processes of their own.
    clusters: Vec<Cluster>,
    places: Places,
    /// From dice of their own: other things happen as they did without them.
    nights: Dice,
    /// Attempts on their way to an executor of a cluster.
    sent: Vec<Placed>,
    /// Of a hundred servers that are looked at, so many die or stand still.
    danger: u64,
    lose_percent: u64,
    instances: u128,
    /// Workflows to submit, and wishes, with their times.
    script: Vec<(Timestamp, Deed)>,
    users: Users,
    allowed: Allowed,
    /// Attempts that were claimed when somebody closed their gate: whoever did not hear of its claim
    /// may begin them still, and is told to stop them (INV-20).
    claimed: BTreeSet<AttemptKey>,
    /// Attempts that ever began: none begins twice.
    begun: BTreeSet<AttemptKey>,
    trace: VecDeque<String>,
    summary: Summary,
    storm: bool,
}

#[derive(Clone, Debug)]
enum Deed {
    Submit(u64),
    Ask(usize, Command),
    /// A project goes to another cluster.
    Move,
    /// All executors of this cluster die or stand still for so long.
    Darken(usize, Millis),
}

/// Lives through the world of `seed` with many servers, on a store with a flaw made on purpose if
/// `flaw` names one.
///
/// # Errors
/// The first rule that is broken.
pub fn run(seed: u64, flaw: Option<Flaw>) -> Result<Summary, Box<Violation>> {
    let mut fleet = Fleet::new(seed, flaw);
    match fleet.live() {
        Ok(()) => Ok(Summary { silent_commits: fleet.store.silent(), ..fleet.summary }),
        Err(broken) => {
            let trace = fleet.trace.into();
            Err(Box::new(Violation { seed, broken, trace, fleet: true }))
        }
    }
}

impl Fleet {
    fn new(seed: u64, flaw: Option<Flaw>) -> Self {
        let mut dice = Dice::new(seed ^ 0x666c_6565_7400);
        let rows = flaw.map_or_else(MemoryStore::new, MemoryStore::flawed);
        // From dice of its own: the others fall as they did without it.
        let allowed = Allowed::draw(&mut Dice::new(seed ^ 0x7175_6f74_6100));
        allowed.set(&rows);
        let places = Places::draw(&mut Dice::new(seed ^ 0x706c_6163_6573), &rows);
        let pods = Dice::new(seed ^ 0x706f_6473_0000).chance(40);
        let clusters: Vec<Cluster> = match pods {
            true => places.names().iter().cloned().map(Cluster::new).collect(),
            false => Vec::new(),
        };
        let store = Arc::new(FaultyStore::over(rows, dice.roll(), dice.one_of([0, 1, 5])));
        let mut fleet = Self {
            now: BEGIN,
            store: Arc::clone(&store),
            controllers: Vec::new(),
            schedulers: Vec::new(),
            executors: Vec::new(),
            clusters,
            places,
            nights: Dice::new(seed ^ 0x6e69_6768_7473),
            sent: Vec::new(),
            danger: dice.one_of([0, 1, 3]),
            lose_percent: dice.one_of([0, 10, 40]),
            instances: 0,
            script: Vec::new(),
            allowed,
            users: Users::new(&store, Checker::of_a_fleet()),
            claimed: BTreeSet::new(),
            begun: BTreeSet::new(),
            trace: VecDeque::new(),
            summary: Summary::default(),
            storm: true,
            dice,
        };
        for _ in 0..1 + fleet.dice.below(3) {
            let instance = fleet.instance();
            fleet.controllers.push(Controlling::new(&fleet.store, instance));
        }
        for _ in 0..2 {
            let instance = fleet.instance();
            fleet.schedulers.push(Scheduling::new(instance));
        }
        let names = fleet.places.names().to_vec();
        for n in 0..(1 + fleet.dice.below(3)).max(names.len() as u64) {
            let (instance, slots) = (fleet.instance(), 1 + fleet.dice.below(4));
            let at = usize::try_from(n).unwrap_or(0) % names.len();
            let place = (names[at].clone(), fleet.clusters.get(at).cloned());
            fleet.executors.push(Executing::new(&fleet.store, instance, slots, place));
        }
        fleet.users.projects = fleet.places.projects();
        fleet.plan();
        fleet
    }

    fn instance(&mut self) -> InstanceId {
        self.instances += 1;
        InstanceId(Uuid::from_u128(self.instances))
    }

    /// What users will do.
    fn plan(&mut self) {
        for _ in 0..1 + self.dice.below(4) {
            let deed = Deed::Submit(self.dice.roll());
            self.script.push((self.now.plus(Millis(self.dice.below(8000))), deed));
        }
        for _ in 0..self.dice.below(6) {
            let command = wish(&mut self.dice);
            let which = usize::try_from(self.dice.below(4)).unwrap_or(0);
            let at = self.now.plus(Millis(self.dice.below(30_000)));
            self.script.push((at, Deed::Ask(which, command)));
        }
        if self.places.several() {
            for _ in 0..self.dice.below(3) {
                let at = self.now.plus(Millis(self.dice.below(30_000)));
                self.script.push((at, Deed::Move));
            }
        }
        // For longer than anybody waits for them, as a rule: what nobody claimed there is taken back.
        for _ in 0..self.nights.below(3) {
            let which = self.nights.below(self.places.names().len() as u64);
            let long = Millis(TTL.0 + self.nights.below(5 * TTL.0));
            let deed = Deed::Darken(usize::try_from(which).unwrap_or(0), long);
            self.script.push((self.now.plus(Millis(self.nights.below(25_000))), deed));
        }
        self.script.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    }

    fn note(&mut self, line: &str) {
        if self.trace.len() == TRACE {
            self.trace.pop_front();
        }
        self.trace.push_back(format!("{:>7} ms  {line}", self.now.0 - BEGIN.0));
    }

    fn live(&mut self) -> Result<(), Broken> {
        while self.summary.steps < STEPS {
            self.summary.steps += 1;
            // Nobody misses an attendance in the calm: what is lost then is not found by a funeral.
            let pass = if self.storm { 120 } else { 240 };
            self.now = self.now.plus(Millis(1 + self.dice.below(pass)));
            self.store.rows.set_clock(self.now);
            if self.storm && self.now.0 > BEGIN.0 + STORM_MS {
                self.calm();
            }
            if self.script.last().is_some_and(|(at, _)| *at <= self.now)
                && let Some((_, deed)) = self.script.pop()
            {
                self.deed(deed)?;
            }
            let seat = self.pick();
            if self.storm && self.dice.chance(self.danger) {
                self.harm(seat);
            } else {
                self.act(seat)?;
            }
            for cluster in self.clusters.clone() {
                self.pods(&cluster)?;
            }
            self.summary.given_back += self.places.look(&self.store.rows)?;
            let runs = self.users.look(&mut self.summary)?;
            self.allowed.check(&self.users, &runs)?;
            if self.script.is_empty() && !self.storm && self.is_over()? {
                return Ok(());
            }
        }
        for (_, run) in self.users.kept()? {
            if !run.state.status.terminal() {
                return Err(stuck(&run));
            }
        }
        Err("INV-1 it does not come to an end".to_owned())
    }

    fn calm(&mut self) {
        self.note("the storm is over");
        self.storm = false;
        self.lose_percent = 0;
        self.store.heal();
    }

    fn pick(&mut self) -> Seat {
        let count = self.controllers.len() + self.schedulers.len() + self.executors.len();
        let number = if self.storm { self.dice.below(count as u64) } else { self.summary.steps };
        let mut number = usize::try_from(number).unwrap_or(0) % count;
        if number < self.controllers.len() {
            return Seat::Controller(number);
        }
        number -= self.controllers.len();
        if number < self.schedulers.len() {
            return Seat::Scheduler(number);
        }
        Seat::Executor(number - self.schedulers.len())
    }

    /// A server dies and is replaced, or stands still for up to three times its lease.
    fn harm(&mut self, seat: Seat) {
        self.summary.crashes += 1;
        let dies = self.dice.chance(50);
        let until = self.now.plus(Millis(self.dice.below(3 * TTL.0)));
        let what = if dies { "is killed" } else { "stands still" };
        let instance = self.instance();
        let who = match seat {
            Seat::Controller(n) => {
                if dies {
                    self.controllers[n] = Controlling::new(&self.store, instance);
                } else {
                    self.controllers[n].still_until = until;
                }
                format!("controller {n}")
            }
            Seat::Scheduler(n) => {
                if dies {
                    self.schedulers[n] = Scheduling::new(instance);
                } else {
                    self.schedulers[n].still_until = until;
                }
                format!("scheduler {n}")
            }
            Seat::Executor(n) => {
                if dies {
                    self.executors[n].replace(instance);
                } else {
                    self.executors[n].still_until = until;
                }
                format!("executor {n}")
            }
        };
        self.note(&format!("{who} {what}"));
    }

    fn act(&mut self, seat: Seat) -> Result<(), Broken> {
        match seat {
            Seat::Controller(n) => {
                let seat = &mut self.controllers[n];
                let line = seat.act(&self.store, self.now, &mut self.dice)?;
                if let Some(line) = line {
                    self.note(&format!("controller {n}: {line}"));
                }
            }
            Seat::Scheduler(n) => {
                let seat = &mut self.schedulers[n];
                let (dispatches, line) = seat.act(&self.store, self.now, &mut self.dice)?;
                if let Some(line) = line {
                    self.note(&format!("scheduler {n}: {line}"));
                }
                for placed in dispatches {
                    self.send(&placed);
                }
            }
            Seat::Executor(n) => self.execute(n)?,
        }
        Ok(())
    }

    fn send(&mut self, placed: &Placed) {
        self.note(&format!("{:?} is admitted", placed.key));
        if self.dice.chance(self.lose_percent) {
            self.summary.lost_reports += 1;
            return;
        }
        self.sent.push(placed.clone());
        if self.dice.chance(self.lose_percent) {
            self.summary.duplicates += 1;
            self.sent.push(placed.clone());
        }
    }

    fn execute(&mut self, n: usize) -> Result<(), Broken> {
        if self.executors[n].still_until > self.now {
            return Ok(());
        }
        let fresh = self.instance();
        let room = self.executors[n].room();
        let mut keys = BTreeSet::new();
        while keys.len() < room && !self.sent.is_empty() && self.dice.chance(80) {
            let place = usize::try_from(self.dice.below(self.sent.len() as u64)).unwrap_or(0);
            let there = self.sent[place].cluster.as_ref() == Some(self.executors[n].place());
            // One goes astray now and then: the claim decides.
            if there || self.storm && self.dice.chance(5) {
                keys.insert(self.sent.swap_remove(place).key);
            }
        }
        let keys: Vec<AttemptKey> = keys.into_iter().collect();
        let seat = &mut self.executors[n];
        let (begun, line) = seat.act((self.now, !self.storm), &mut self.dice, &keys, fresh);
        if let Some(line) = line {
            self.note(&format!("executor {n}: {line}"));
        }
        for key in begun {
            self.begin(n, key)?;
        }
        Ok(())
    }

    fn pods(&mut self, cluster: &Cluster) -> Result<(), Broken> {
        if self.storm
            && self.dice.chance(self.danger)
            && let Some(key) = cluster.lose_one(&mut self.dice)
        {
            self.note(&format!("the pod of {key:?} vanishes"));
        }
        for key in cluster.act(&self.store, self.now, &mut self.dice) {
            self.note(&format!("the pod of {key:?} begins"));
            let run = self.users.load(key.workflow)?;
            self.places.may_begin(key, cluster.name())?;
            self.may_begin(&run, key)?;
            self.users.begins(&run, key, &mut self.summary)?;
        }
        Ok(())
    }

    /// It is not behind a gate, and begins for the first time.
    fn may_begin(&mut self, run: &StoredRun, key: AttemptKey) -> Result<(), Broken> {
        if run.gate_closed && !self.claimed.contains(&key) {
            return Err(format!("INV-20 {key:?} begins behind a closed gate"));
        }
        if !self.begun.insert(key) {
            return Err(format!("INV-5 {key:?} begins twice"));
        }
        Ok(())
    }

    fn begin(&mut self, n: usize, key: AttemptKey) -> Result<(), Broken> {
        self.note(&format!("executor {n}: {key:?} begins"));
        let run = self.users.load(key.workflow)?;
        self.places.may_begin(key, self.executors[n].place())?;
        self.may_begin(&run, key)?;
        let owners: Vec<InstanceId> = self.executors.iter().map(|seat| seat.instance).collect();
        let claimed = run.open.iter().find(|(open, _)| *open == key).and_then(|(_, by)| *by);
        if claimed.is_none_or(|by| !owners.contains(&by)) {
            return Err(format!("INV-5 {key:?} begins and is claimed by {claimed:?}"));
        }
        let others = (0..).zip(&self.executors).filter(|(other, _)| *other != n);
        if let Some((other, _)) = others.into_iter().find(|(_, seat)| seat.runs(key)) {
            return Err(format!("INV-5 {key:?} begins and runs on executor {other}"));
        }
        self.users.begins(&run, key, &mut self.summary)
    }

    fn deed(&mut self, deed: Deed) -> Result<(), Broken> {
        match deed {
            Deed::Submit(seed) => self.submit(seed),
            Deed::Ask(which, command) => self.ask(which, &command),
            Deed::Darken(which, long) => {
                self.darken(which, long);
                Ok(())
            }
            Deed::Move => {
                if let Some(name) = self.places.swap(&self.store.rows, self.now) {
                    self.note(&format!("the second project goes to cluster {name}"));
                }
                Ok(())
            }
        }
    }

    fn darken(&mut self, which: usize, long: Millis) {
        let Some(name) = self.places.names().get(which).cloned() else { return };
        self.note(&format!("nobody lives in cluster {name} for {} ms", long.0));
        for n in 0..self.executors.len() {
            if *self.executors[n].place() != name {
                continue;
            }
            if self.nights.chance(50) {
                let instance = self.instance();
                self.executors[n].replace(instance);
            }
            self.executors[n].still_until = self.now.plus(long);
        }
    }

    fn submit(&mut self, seed: u64) -> Result<(), Broken> {
        let (tail, priority) = (self.dice.roll(), self.dice.below(3));
        let (id, text) = self.users.submit(seed, tail, priority, self.now)?;
        self.note(&format!("submit {id} of shard {}: {text}", id.shard()));
        Ok(())
    }

    fn ask(&mut self, which: usize, command: &Command) -> Result<(), Broken> {
        let Some(id) = self.users.workflow(which) else {
            return Ok(());
        };
        let refused = self.users.ask(id, command, self.now)?;
        if let Ok(run) = self.users.load(id)
            && run.gate_closed
        {
            let claimed = run.open.iter().filter(|(_, by)| by.is_some());
            self.claimed.extend(claimed.map(|(key, _)| *key));
        }
        match refused {
            Some(why) => self.note(&format!("{command:?} of {id} is refused: {why}")),
            None => {
                self.note(&format!("{command:?} of {id}"));
                self.summary.wishes += 1;
            }
        }
        Ok(())
    }

    /// Whether every workflow has ended and nothing is left; lets go on what a user held.
    fn is_over(&mut self) -> Result<bool, Broken> {
        let mut over = true;
        for (which, run) in self.users.kept()? {
            if run.state.status.terminal() {
                continue;
            }
            over = false;
            if is_held(&run) && self.dice.chance(5) {
                self.ask(which, &resume())?;
            }
        }
        if over {
            self.users.count(&mut self.summary)?;
        }
        let idle = self.executors.iter().all(Executing::idle);
        let empty = self.clusters.iter().all(|cluster| cluster.attempts().is_empty());
        Ok(over && idle && empty)
    }
}
