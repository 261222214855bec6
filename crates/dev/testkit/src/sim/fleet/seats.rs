//! The servers of a fleet: the real decisions, one step at a time.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowforge_model::attempt::{AttemptKey, Fact, FactKind, FailureClass, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{AttemptId, InstanceId};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::leases::{Attendance, Attended, Leases as _, Role};
use flowforge_ports::pods::Pods as _;
use flowforge_ports::reservations::Placed;
use flowforge_ports::runner::FactSink as _;
use flowforge_ports::store::StoreError;
use flowforge_svc_controller::{Config, Controller, ControllerError, Message};
use flowforge_svc_executor::{Executor, Ledger, Station};
use flowforge_svc_scheduler::{Elsewhere, Leader};

use super::super::processes::{Processes, ends_by_itself};
use super::super::store::FaultyStore;
use super::super::world::block_on;
use super::TTL;
use super::cluster::Cluster;
use crate::checker::Broken;
use crate::dice::Dice;
use crate::plants::RULES;

/// Says that a server lives; none if there was no answer.
fn attend(
    store: &FaultyStore,
    (role, holder): (Role, InstanceId),
    give_back: Vec<u8>,
) -> Option<Attended> {
    let said = Attendance { give_back, ..Attendance::new(role, holder, TTL) };
    block_on(store.attend(said)).ok()
}

/// A controller.
pub(super) struct Controlling {
    instance: InstanceId,
    controller: Controller<FaultyStore, Elsewhere>,
    give_back: Vec<u8>,
    pub(super) still_until: Timestamp,
}

impl Controlling {
    pub(super) fn new(store: &Arc<FaultyStore>, instance: InstanceId) -> Self {
        let controller = Self::controller(store, instance);
        Self { instance, controller, give_back: Vec::new(), still_until: Timestamp(0) }
    }

    fn controller(
        store: &Arc<FaultyStore>,
        instance: InstanceId,
    ) -> Controller<FaultyStore, Elsewhere> {
        let config = Config { instance, default_retry: None, one_by_one: false };
        Controller::beside(Arc::clone(store), Elsewhere::default(), config)
    }

    /// One look, with or without an attendance before it: what a server believes after it stood
    /// still is old.
    pub(super) fn act(
        &mut self,
        store: &Arc<FaultyStore>,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Result<Option<String>, Broken> {
        if self.still_until > now {
            return Ok(None);
        }
        let mut inbox = vec![Message::Sweep];
        if dice.chance(70) {
            let back = std::mem::take(&mut self.give_back);
            let said = attend(store, (Role::Controller, self.instance), back);
            if let Some(Attended { mut leases, excess, .. }) = said {
                let keep = leases.len().saturating_sub(excess as usize);
                self.give_back = leases.split_off(keep).iter().map(|lease| lease.slot).collect();
                inbox.push(Message::Leases(leases));
            }
        }
        loop {
            match block_on(self.controller.turn(std::mem::take(&mut inbox), now)) {
                Ok(turned) if turned.again => {}
                Ok(_) => return Ok(None),
                Err(ControllerError::Store(StoreError::Conflict(why))) => {
                    return Err(format!(
                        "INV-6 a controller that is fenced gets a conflict: {why}"
                    ));
                }
                Err(error) => {
                    self.controller = Self::controller(store, self.instance);
                    return Ok(Some(format!("begins anew: {error}")));
                }
            }
        }
    }
}

/// A scheduler.
pub(super) struct Scheduling {
    instance: InstanceId,
    leader: Option<(u64, Leader<FaultyStore>)>,
    slots: BTreeMap<ClusterName, u64>,
    pub(super) still_until: Timestamp,
}

impl Scheduling {
    pub(super) fn new(instance: InstanceId) -> Self {
        Self { instance, leader: None, slots: BTreeMap::new(), still_until: Timestamp(0) }
    }

    /// One look; what is to be sent to executors.
    pub(super) fn act(
        &mut self,
        store: &Arc<FaultyStore>,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Result<(Vec<Placed>, Option<String>), Broken> {
        let mut dispatches = Vec::new();
        if self.still_until > now {
            return Ok((dispatches, None));
        }
        if dice.chance(70)
            && let Some(attended) = attend(store, (Role::Scheduler, self.instance), Vec::new())
        {
            self.slots = attended.slots(&ClusterName::default());
            let epoch = attended.leases.first().map(|lease| lease.epoch);
            if self.leader.as_ref().map(|(led, _)| *led) != epoch {
                self.leader = None;
            }
            if let (None, Some(epoch)) = (&self.leader, epoch) {
                let leader = block_on(Leader::start(
                    Arc::clone(store),
                    epoch,
                    (ClusterName::default(), RULES),
                ));
                self.leader = leader.ok().map(|leader| (epoch, leader.patient_for(TTL)));
            }
        }
        let Some((_, leader)) = &mut self.leader else {
            return Ok((dispatches, None));
        };
        let mut work = async || {
            let decided = leader.turn(|| now, &self.slots).await?;
            dispatches.extend(decided.dispatches);
            if dice.chance(20) {
                dispatches.extend(leader.repair(now).await?.dispatches);
            }
            Ok::<_, StoreError>(())
        };
        match block_on(work()) {
            Ok(()) => Ok((dispatches, None)),
            Err(StoreError::Corrupt(why)) => Err(format!("INV-10 {why}")),
            Err(StoreError::Conflict(why)) => Err(format!("INV-8 {why}")),
            Err(error) => {
                self.leader = None;
                Ok((dispatches, Some(format!("leads no more: {error}"))))
            }
        }
    }
}

/// An executor with its processes, or one that looks after pods.
pub(super) struct Executing {
    pub(super) instance: InstanceId,
    pub(super) slots: u64,
    place: ClusterName,
    cluster: Option<Cluster>,
    store: Arc<FaultyStore>,
    processes: Processes,
    ledger: Arc<Ledger>,
    station: Station<FaultyStore, Processes, Processes>,
    attended: bool,
    /// Facts that are not durable yet.
    facts: Vec<Fact>,
    pub(super) still_until: Timestamp,
}

impl Executing {
    pub(super) fn new(
        store: &Arc<FaultyStore>,
        instance: InstanceId,
        slots: u64,
        (place, cluster): (ClusterName, Option<Cluster>),
    ) -> Self {
        let processes = Processes::default();
        let ledger = Arc::new(Ledger::new(processes.clone()));
        let executor = Executor::new(processes.clone(), Arc::clone(&ledger), processes.clone());
        let station = Station::new(Arc::clone(store), Arc::new(executor), instance);
        let (facts, still_until, attended) = (Vec::new(), Timestamp(0), false);
        let store = Arc::clone(store);
        Self {
            instance,
            slots,
            place,
            cluster,
            store,
            processes,
            ledger,
            station,
            attended,
            facts,
            still_until,
        }
    }

    /// Another one in its place, that knows nothing of what it did.
    pub(super) fn replace(&mut self, instance: InstanceId) {
        let place = (self.place.clone(), self.cluster.take());
        *self = Self::new(&Arc::clone(&self.store), instance, self.slots, place);
    }

    /// In which cluster it is.
    pub(super) fn place(&self) -> &ClusterName {
        &self.place
    }

    /// How many more attempts it may take.
    pub(super) fn room(&self) -> usize {
        let running = self.processes.look().running.len();
        usize::try_from(self.slots).unwrap_or(0).saturating_sub(running)
    }

    pub(super) fn runs(&self, key: AttemptKey) -> bool {
        self.processes.look().running.contains_key(&key.id())
    }

    pub(super) fn idle(&self) -> bool {
        self.processes.look().running.is_empty()
    }

    /// One look: claims `keys`, lets processes end, reports. The attempts that began. One that finds
    /// itself buried ends everything and comes back as `fresh`. In the calm it always attends.
    pub(super) fn act(
        &mut self,
        (now, calm): (Timestamp, bool),
        dice: &mut Dice,
        keys: &[AttemptKey],
        fresh: InstanceId,
    ) -> (Vec<AttemptKey>, Option<String>) {
        self.processes.look().now = now;
        self.attended &= !calm;
        match self.look(now, dice, keys) {
            Err(StoreError::Fenced) => {
                self.replace(fresh);
                (Vec::new(), Some("is buried and comes back".to_owned()))
            }
            // Pods begin when they are let, and not when they are made.
            Ok(()) | Err(_) if self.cluster.is_some() => (Vec::new(), None),
            Ok(()) | Err(_) => {
                let mut bench = self.processes.look();
                (std::mem::take(&mut bench.begun), None)
            }
        }
    }

    fn look(
        &mut self,
        now: Timestamp,
        dice: &mut Dice,
        keys: &[AttemptKey],
    ) -> Result<(), StoreError> {
        // What it believes after it stood still is old.
        if !self.attended || dice.chance(70) {
            let capacity = u32::try_from(self.slots).unwrap_or(0);
            let said = Attendance::new(Role::Executor, self.instance, TTL);
            let (keeps, cluster) = (self.cluster.is_some(), Some(self.place.clone()));
            let said = Attendance { capacity, keeps, cluster, ..said };
            block_on(self.store.attend(said))?;
            self.attended = true;
        }
        block_on(self.station.look_for_stops())?;
        let taken = block_on(self.station.take(keys))?;
        for fact in taken {
            self.ledger.deliver(fact);
        }
        if let Some(cluster) = self.cluster.clone() {
            self.make_pods(&cluster, dice);
            self.serve_some(dice);
            self.see_ends(&cluster, now);
            self.remove_strays(&cluster)?;
        } else {
            let begun = self.processes.look().begun.clone();
            for key in begun {
                self.ledger.deliver(Fact { key, kind: FactKind::Started(now) });
            }
            self.serve_some(dice);
            self.end_some(now, dice);
        }
        self.facts.append(&mut self.processes.look().posted);
        if dice.chance(70) && !self.facts.is_empty() {
            block_on(self.station.report(&self.facts))?;
            self.facts.clear();
        }
        let settled = std::mem::take(&mut self.processes.look().settled);
        if let Some(cluster) = &self.cluster {
            settled.into_iter().for_each(|id| cluster.delete(id));
        }
        Ok(())
    }

    /// Some daemons are ready. Who looks after a pod sees that of it, whoever has seen it before.
    fn serve_some(&mut self, dice: &mut Dice) {
        let daemons: Vec<AttemptId> = self.processes.look().daemons.keys().copied().collect();
        for id in daemons {
            let runs = self.cluster.as_ref().is_none_or(|cluster| cluster.runs(id));
            let fact = (runs && dice.chance(50)).then(|| self.processes.ready(id)).flatten();
            if let Some(fact) = fact {
                self.ledger.deliver(fact);
            }
        }
    }

    /// Makes the pods of what was claimed; some of them later, or never if it dies before.
    fn make_pods(&mut self, cluster: &Cluster, dice: &mut Dice) {
        let mut bench = self.processes.look();
        let claimed = std::mem::take(&mut bench.begun);
        for key in claimed {
            if !bench.running.contains_key(&key.id()) {
                continue;
            }
            let daemon = bench.daemons.contains_key(&key.id());
            if dice.chance(80) { cluster.create(key, daemon) } else { bench.begun.push(key) }
        }
    }

    /// Reports pods that have ended, or that are gone.
    fn see_ends(&mut self, cluster: &Cluster, now: Timestamp) {
        let waiting = self.processes.look().begun.clone();
        self.end_stopped(now);
        let running = self.processes.look().running.clone();
        for (id, key) in running {
            if waiting.contains(&key) {
                continue;
            }
            if let Some(report) = cluster.end(id, now) {
                self.processes.look().running.remove(&id);
                self.ledger.deliver(Fact { key, kind: FactKind::Finished(Box::new(report)) });
            }
        }
    }

    /// Ends pods of attempts that are over: whoever should have may have died.
    fn remove_strays(&mut self, cluster: &Cluster) -> Result<(), StoreError> {
        let mut strays = cluster.attempts();
        strays.retain(|key| !self.runs(*key));
        for key in block_on(self.store.over(&strays))? {
            cluster.delete(key.id());
        }
        Ok(())
    }

    fn end_stopped(&mut self, now: Timestamp) {
        let stops = std::mem::take(&mut self.processes.look().stops);
        for id in stops {
            let Some(key) = self.processes.look().running.remove(&id) else { continue };
            if let Some(cluster) = &self.cluster {
                cluster.delete(id);
            }
            let (class, reason) = (FailureClass::Stopped, Reason::Stopped);
            let report = Report::failed(now, class, reason, "stopped".to_owned());
            self.ledger.deliver(Fact { key, kind: FactKind::Finished(Box::new(report)) });
        }
    }

    fn end_some(&mut self, now: Timestamp, dice: &mut Dice) {
        self.end_stopped(now);
        let running: Vec<_> =
            self.processes.look().running.iter().map(|(id, key)| (*id, *key)).collect();
        for (id, key) in running {
            let daemon = self.processes.look().daemons.contains_key(&id);
            if !dice.chance(if daemon { 3 } else { 25 }) {
                continue;
            }
            self.processes.look().running.remove(&id);
            let report = ends_by_itself(dice, 10, now);
            self.ledger.deliver(Fact { key, kind: FactKind::Finished(Box::new(report)) });
        }
    }
}
