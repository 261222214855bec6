//! Where attempts run. Quotas are of all clusters together; slots for pods each cluster has of its own.

use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::EntityId;
use flowforge_model::quota::{Amounts, Dimension};
use flowforge_quota::{Blocked, Place, UNLIMITED};

use super::FairShare;
use super::contention::{mostly, nearly};
use super::shape::Shape;
use super::task::{State, Task, TaskIx};

const PODS: usize = Dimension::Pods as usize;

/// Which cluster. Stays the same for ever: there are few, and they are named by people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ClusterIx(u16);

impl ClusterIx {
    /// Of projects that name none.
    pub(crate) const HOME: Self = Self(0);
    pub(crate) const LAST: Self = Self(u16::MAX);

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

#[derive(Clone, Debug)]
struct Cluster {
    name: ClusterName,
    /// Slots of those who live there.
    most: u64,
    used: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Clusters {
    all: Vec<Cluster>,
    /// Where projects are that are not at home.
    of: BTreeMap<EntityId, ClusterIx>,
}

impl Clusters {
    pub(crate) fn new(home: ClusterName) -> Self {
        Self { all: vec![Cluster { name: home, most: 0, used: 0 }], of: BTreeMap::new() }
    }

    pub(crate) fn call_home(&mut self, name: ClusterName) {
        if let Some(home) = self.all.first_mut() {
            home.name = name;
        }
    }

    /// More than one was ever named.
    pub(crate) fn several(&self) -> bool {
        self.all.len() > 1
    }

    fn name(&mut self, name: &ClusterName) -> ClusterIx {
        let at = self.all.iter().position(|cluster| cluster.name == *name).unwrap_or_else(|| {
            self.all.push(Cluster { name: name.clone(), most: 0, used: 0 });
            self.all.len() - 1
        });
        ClusterIx(u16::try_from(at).unwrap_or(u16::MAX))
    }

    pub(crate) fn named(&self, at: ClusterIx) -> ClusterName {
        self.all.get(at.index()).map(|cluster| cluster.name.clone()).unwrap_or_default()
    }

    /// Where a project is.
    pub(crate) fn of(&self, project: Option<EntityId>) -> ClusterIx {
        project.and_then(|id| self.of.get(&id)).copied().unwrap_or_default()
    }

    /// A project is there from now on. Whether that is somewhere else.
    fn settle(&mut self, project: EntityId, cluster: Option<&ClusterName>) -> bool {
        let to = cluster.map_or(ClusterIx::HOME, |name| self.name(name));
        let from = self.of(Some(project));
        if to == ClusterIx::HOME {
            self.of.remove(&project);
        } else {
            self.of.insert(project, to);
        }
        from != to
    }

    pub(crate) fn forget(&mut self, project: EntityId) {
        self.of.remove(&project);
    }

    fn set(&mut self, at: ClusterIx, most: u64) {
        if let Some(cluster) = self.all.get_mut(at.index()) {
            cluster.most = most;
        }
    }

    pub(crate) fn add(&mut self, at: ClusterIx, pods: u64) {
        if let Some(cluster) = self.all.get_mut(at.index()) {
            cluster.used = cluster.used.saturating_add(pods);
        }
    }

    pub(crate) fn subtract(&mut self, at: ClusterIx, pods: u64) {
        if let Some(cluster) = self.all.get_mut(at.index()) {
            cluster.used = cluster.used.saturating_sub(pods);
        }
    }

    /// Used, and there at most.
    pub(crate) fn slots(&self, at: ClusterIx) -> (u64, u64) {
        self.all.get(at.index()).map_or((0, 0), |cluster| (cluster.used, cluster.most))
    }

    /// Of all together.
    fn total(&self) -> Option<u64> {
        let most = self.all.iter().fold(0_u64, |sum, cluster| sum.saturating_add(cluster.most));
        (most < UNLIMITED).then_some(most)
    }

    /// So much is free in each, by index; nothing where there is only one: the tree has that.
    pub(crate) fn free(&self) -> Vec<u64> {
        self.each(|cluster| cluster.most.saturating_sub(cluster.used))
    }

    /// So much there is in each.
    pub(crate) fn most(&self) -> Vec<u64> {
        self.each(|cluster| cluster.most)
    }

    fn mosts(&self) -> Vec<u64> {
        self.all.iter().map(|cluster| cluster.most).collect()
    }

    fn each(&self, of: impl Fn(&Cluster) -> u64) -> Vec<u64> {
        if self.several() { self.all.iter().map(of).collect() } else { Vec::new() }
    }

    /// Whether slots are contended in any of those that have some, and whether they are mostly free in
    /// all of those.
    pub(crate) fn pressure(&self) -> (bool, bool) {
        let lives = || self.all.iter().filter(|cluster| cluster.most > 0);
        let hot = lives().any(|cluster| nearly(cluster.used, cluster.most));
        let calm = lives().all(|cluster| !mostly(cluster.used, cluster.most));
        match lives().next() {
            Some(_) => (hot, calm),
            None => (true, false),
        }
    }

    /// Used and there at most, in each.
    #[cfg(test)]
    pub(crate) fn each_slots(&self) -> Vec<(u64, u64)> {
        self.all.iter().map(|cluster| (cluster.used, cluster.most)).collect()
    }

    /// What is counted as used, by cluster.
    pub(crate) fn used(&self) -> Vec<u64> {
        self.all.iter().map(|cluster| cluster.used).collect()
    }
}

/// A cluster that was named, by a project or by those who live there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterUse {
    /// Its name.
    pub name: ClusterName,
    /// Slots that are held: also by what was admitted before those who lived there went.
    pub used: u64,
    /// Slots of those who live there.
    pub most: u64,
}

impl FairShare {
    /// All clusters that were named since it began, the one of projects that name none first.
    pub fn clusters(&self) -> impl Iterator<Item = ClusterUse> {
        let one = |Cluster { name, most, used }: &Cluster| ClusterUse {
            name: name.clone(),
            used: *used,
            most: *most,
        };
        self.clusters.all.iter().map(one)
    }

    /// The cluster of projects that name none is called so from now on: `default` until it is said.
    pub fn call_home(&mut self, name: ClusterName) {
        self.clusters.call_home(name);
    }

    /// From now on these clusters have so many slots, and all others none.
    pub fn resize_each(&mut self, slots: &BTreeMap<ClusterName, u64>) {
        let before = self.clusters.mosts();
        for name in slots.keys() {
            self.clusters.name(name);
        }
        for index in 0..self.clusters.all.len() {
            let at = ClusterIx(u16::try_from(index).unwrap_or(u16::MAX));
            let most = slots.get(&self.clusters.named(at)).copied().unwrap_or(0);
            self.clusters.set(at, most);
        }
        if let Some(pods) = self.capacity.get_mut(PODS) {
            *pods = Some(self.clusters.slots(ClusterIx::HOME).1);
        }
        if before != self.clusters.mosts() {
            self.recount();
        }
    }

    /// So many more slots in one cluster.
    #[cfg(test)]
    pub(super) fn raise_slots(&mut self, of: ClusterIx, by: u64) {
        let most = self.clusters.slots(of).1 + by;
        self.clusters.set(of, most);
        if of == ClusterIx::HOME {
            self.capacity[PODS] = Some(most);
        }
        self.recount();
    }

    /// The installation has as much as its clusters together.
    pub(super) fn recount(&mut self) {
        if let Some(pods) = self.capacity.get(PODS) {
            self.clusters.set(ClusterIx::HOME, pods.unwrap_or(UNLIMITED));
        }
        let mut capacity = self.capacity;
        if let Some(pods) = capacity.get_mut(PODS) {
            *pods = self.clusters.total();
        }
        let limit = |capacity: Option<u64>| capacity.unwrap_or(UNLIMITED);
        let same = capacity.iter().zip(self.tree.limit(Place::ROOT).0);
        if same.into_iter().any(|(new, old)| limit(*new) != old) {
            self.tree.resize(capacity);
            self.inherit(Place::ROOT);
        }
        self.assess(Place::ROOT);
        // What is kept for whoever can never start is kept from others.
        if self.clusters.several() {
            let fronts: Vec<Place> = self.claims.iter().map(|(front, _)| front).collect();
            for front in fronts {
                self.review(front);
            }
            self.finish();
        }
    }

    /// A project is in a cluster from now on, and what waits there is for that.
    pub(super) fn settle_in(&mut self, project: EntityId, cluster: Option<&ClusterName>) {
        if !self.clusters.settle(project, cluster) {
            return;
        }
        let Some(place) = self.tree.place(project) else { return };
        let waits = |task: &Task| task.place == place && matches!(task.state, State::Waiting(..));
        let waiting = self.tasks.iter().filter(|(_, task)| waits(task));
        let waiting: Vec<TaskIx> = waiting.map(|(at, _)| at).collect();
        for at in waiting {
            // Where it stands in its queue changes with each that goes.
            let Some(task) = self.tasks.get(at).copied() else { continue };
            self.dequeue(at, &task);
            let task = self.relocate(at, task);
            self.enqueue(at, &task);
        }
        self.finish();
        // Its shares and what is contended may be others now.
        self.assess(Place::ROOT);
    }

    /// Where an attempt that needs so much is to run.
    pub(super) fn cluster_for(&self, project: Option<EntityId>, need: &Amounts) -> ClusterIx {
        match need.get(Dimension::Pods) {
            // What has no pod runs nowhere.
            0 => ClusterIx::HOME,
            _ => self.clusters.of(project),
        }
    }

    /// A task that is in no queue and holds nothing is for the cluster that its project is in now.
    pub(super) fn relocate(&mut self, at: TaskIx, mut task: Task) -> Task {
        let Some(old) = self.shapes.get(task.shape).copied() else { return task };
        let cluster = self.cluster_for(self.tree.entity(task.place), &old.need);
        if cluster != old.cluster {
            let shape = self.shapes.take(&old.need, (old.span, cluster));
            self.shapes.put(task.shape);
            task.shape = shape;
            if let Some(kept) = self.tasks.get_mut(at) {
                kept.shape = shape;
            }
        }
        task
    }

    /// A task that holds nothing yet is found in this cluster.
    pub(super) fn put_in(&mut self, at: TaskIx, task: &Task, cluster: &ClusterName) {
        let Some(old) = self.shapes.get(task.shape).copied() else { return };
        if old.need.get(Dimension::Pods) == 0 {
            return;
        }
        let cluster = self.clusters.name(cluster);
        let shape = self.shapes.take(&old.need, (old.span, cluster));
        self.shapes.put(task.shape);
        if let Some(kept) = self.tasks.get_mut(at) {
            kept.shape = shape;
        }
    }

    /// In which cluster an attempt runs, or would.
    #[must_use]
    pub fn cluster(&self, key: AttemptKey) -> Option<ClusterName> {
        let (_, task) = self.task(key)?;
        Some(self.clusters.named(self.shapes.cluster(task.shape)))
    }

    /// What is used and what there is at a place for a need in a cluster.
    pub(super) fn room_at(&self, at: Place, of: ClusterIx) -> (Amounts, Amounts) {
        let (mut used, mut limit) = (self.tree.usage(at), self.tree.limit(at));
        if at == Place::ROOT && self.clusters.several() {
            let slots = self.clusters.slots(of);
            if let (Some(used), Some(limit)) = (used.0.get_mut(PODS), limit.0.get_mut(PODS)) {
                (*used, *limit) = slots;
            }
        }
        (used, limit)
    }

    /// The same without slots, where each cluster has its own.
    pub(super) fn room_but_slots(&self, at: Place) -> (Amounts, Amounts) {
        let (used, mut limit) = (self.tree.usage(at), self.tree.limit(at));
        if at == Place::ROOT
            && self.clusters.several()
            && let Some(limit) = limit.0.get_mut(PODS)
        {
            *limit = u64::MAX;
        }
        (used, limit)
    }

    /// As [`flowforge_quota::Tree::lacks`].
    pub(super) fn lacks(&self, at: Place, need: &Amounts, of: ClusterIx) -> Option<Dimension> {
        if at != Place::ROOT || !self.clusters.several() {
            return self.tree.lacks(at, need);
        }
        let (used, limit) = self.room_at(at, of);
        let mut each = Dimension::ALL.into_iter();
        each.find(|one| {
            let need = need.get(*one);
            need > 0 && used.get(*one).saturating_add(need) > limit.get(*one)
        })
    }

    /// As [`flowforge_quota::Tree::fits`].
    pub(super) fn lacking(&self, from: Place, need: &Amounts, of: ClusterIx) -> Option<Blocked> {
        let at = self.tree.path(from).find(|at| self.lacks(*at, need, of).is_some())?;
        match at {
            Place::ROOT => Some(self.blocked(need, self.lacks(at, need, of)?, of)),
            _ => self.tree.fits(at, need).err(),
        }
    }

    /// As [`flowforge_quota::Tree::never_fits`].
    pub(super) fn never_fits(&self, from: Place, need: &Amounts, of: ClusterIx) -> Option<Blocked> {
        let below = self.tree.never_fits(from, need);
        if !self.clusters.several() || below.is_some_and(|blocked| blocked.entity.is_some()) {
            return below;
        }
        let (_, limit) = self.room_at(Place::ROOT, of);
        let mut each = Dimension::ALL.into_iter();
        let lack = each.find(|one| need.get(*one) > limit.get(*one))?;
        Some(self.blocked(need, lack, of))
    }

    pub(super) fn blocked(&self, need: &Amounts, dimension: Dimension, of: ClusterIx) -> Blocked {
        let (used, limit) = self.room_at(Place::ROOT, of);
        Blocked {
            entity: None,
            level: None,
            dimension,
            used: used.get(dimension),
            need: need.get(dimension),
            limit: limit.get(dimension),
            unknown: false,
        }
    }

    /// Of what a task gives back, what helps a need of a cluster at a place.
    pub(super) fn freed(&self, at: Place, shape: &Shape, of: ClusterIx) -> Amounts {
        let elsewhere = at == Place::ROOT && shape.cluster != of;
        if elsewhere { shape.need.with(Dimension::Pods, 0) } else { shape.need }
    }
}
