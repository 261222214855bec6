//! A cluster whose pods exist only in the world: they outlive the executors that made them, ask before
//! they begin, tell how they ended, and vanish.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowforge_model::attempt::{AttemptKey, FailureClass, Report};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{AttemptId, PodUid};
use flowforge_model::status::Reason;
use flowforge_model::time::Timestamp;
use flowforge_ports::pods::{Asking, Begin, Pods as _};
use flowforge_ports::store::Store as _;
use uuid::Uuid;

use super::super::processes::ends_by_itself;
use super::super::store::FaultyStore;
use super::super::world::block_on;
use crate::dice::Dice;

/// Of a hundred pods that are looked at, so many go on.
const GO_ON: u64 = 10;
/// Of a hundred that ended and got no answer, so many give up.
const GIVE_UP: u64 = 20;

/// What executors see of a cluster. All of them share it.
#[derive(Clone, Debug)]
pub(super) struct Cluster {
    name: ClusterName,
    pods: Arc<Mutex<Pods>>,
}

#[derive(Debug, Default)]
struct Pods {
    /// A name is taken by one pod at a time.
    pods: BTreeMap<AttemptId, Pod>,
    uids: u128,
}

#[derive(Debug)]
struct Pod {
    uid: PodUid,
    key: AttemptKey,
    /// It serves for as long as it is let, as a rule.
    daemon: bool,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    Created,
    Runs,
    /// Its process has ended, and it tells so.
    Tells(Report),
    Ended(Report),
}

impl Cluster {
    pub(super) fn new(name: ClusterName) -> Self {
        Self { name, pods: Arc::default() }
    }

    pub(super) fn name(&self) -> &ClusterName {
        &self.name
    }

    fn look(&self) -> MutexGuard<'_, Pods> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the pod of an attempt, or finds that it is there.
    pub(super) fn create(&self, key: AttemptKey, daemon: bool) {
        let mut all = self.look();
        all.uids += 1;
        let uid = PodUid(Uuid::from_u128(all.uids));
        all.pods.entry(key.id()).or_insert(Pod { uid, key, daemon, stage: Stage::Created });
    }

    /// Ends a pod, if there is one.
    pub(super) fn delete(&self, id: AttemptId) {
        self.look().pods.remove(&id);
    }

    /// How a pod ended; none if it has not. One that is not there any more was deleted.
    pub(super) fn end(&self, id: AttemptId, now: Timestamp) -> Option<Report> {
        match self.look().pods.get(&id).map(|pod| &pod.stage) {
            Some(Stage::Created | Stage::Runs | Stage::Tells(_)) => None,
            Some(Stage::Ended(report)) => Some(report.clone()),
            None => Some(lost(now, "its pod is gone")),
        }
    }

    /// The pod of an attempt runs.
    pub(super) fn runs(&self, id: AttemptId) -> bool {
        self.look().pods.get(&id).is_some_and(|pod| matches!(pod.stage, Stage::Runs))
    }

    /// Whose pods there are.
    pub(super) fn attempts(&self) -> Vec<AttemptKey> {
        self.look().pods.values().map(|pod| pod.key).collect()
    }

    /// One pod vanishes.
    pub(super) fn lose_one(&self, dice: &mut Dice) -> Option<AttemptKey> {
        let keys = self.attempts();
        let place = usize::try_from(dice.below(keys.len().max(1) as u64)).unwrap_or(0);
        let key = *keys.get(place)?;
        self.delete(key.id());
        Some(key)
    }

    /// Some pods go on. Those that begin.
    pub(super) fn act(
        &self,
        store: &FaultyStore,
        now: Timestamp,
        dice: &mut Dice,
    ) -> Vec<AttemptKey> {
        let mut begun = Vec::new();
        for pod in self.look().pods.values_mut() {
            if !dice.chance(GO_ON) {
                continue;
            }
            let (uid, key) = (pod.uid, pod.key);
            pod.stage = match pod.stage.clone() {
                Stage::Created => {
                    let Ok(run) = block_on(store.rows.load(key.workflow)) else { continue };
                    let clusters = vec![self.name.clone()];
                    let asking = Asking { clusters, ..Asking::alone(uid, run.project) };
                    match block_on(store.begin(asking, key, now)) {
                        Ok(Begin::Run(_)) => {
                            begun.push(key);
                            Stage::Runs
                        }
                        Ok(Begin::Refused(_)) => Stage::Ended(lost(now, "it was refused")),
                        Ok(Begin::Wait) | Err(_) => Stage::Created,
                    }
                }
                Stage::Runs if pod.daemon && dice.chance(80) => Stage::Runs,
                Stage::Runs => Stage::Tells(ends_by_itself(dice, 10, now)),
                Stage::Tells(report) => match block_on(store.finish(uid, key, report.clone())) {
                    Err(_) if !dice.chance(GIVE_UP) => Stage::Tells(report),
                    Ok(_) | Err(_) => Stage::Ended(report),
                },
                ended @ Stage::Ended(_) => ended,
            };
        }
        begun
    }
}

fn lost(now: Timestamp, why: &str) -> Report {
    Report::failed(now, FailureClass::Lost, Reason::Lost, why.to_owned())
}
