//! Where projects and executors are: in one cluster as a rule, in two now and then.

use std::collections::BTreeMap;

use flowforge_model::attempt::AttemptKey;
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_model::time::Timestamp;
use flowforge_ports::organization::{Edit, Organizations as _};
use flowforge_ports::reservations::Reservations as _;
use flowforge_store::MemoryStore;
use uuid::Uuid;

use super::super::world::block_on;
use crate::checker::Broken;
use crate::dice::Dice;

/// A project that is somewhere else.
const WEST: EntityId = EntityId(Uuid::from_u128(0x0189_0a5d_ac96_774b_bccf_7765_7374_0001));

/// The clusters of a world.
#[derive(Debug)]
pub(super) struct Places {
    names: Vec<ClusterName>,
    /// The number of the one that the second project names now.
    west: usize,
    /// Where attempts were when they were seen first: they stay there.
    placed: BTreeMap<AttemptKey, ClusterName>,
}

impl Places {
    /// One or two clusters; of two each has a project.
    pub(super) fn draw(dice: &mut Dice, rows: &MemoryStore) -> Self {
        let mut names = vec![ClusterName::default()];
        if dice.chance(35) {
            names.extend(ClusterName::parse("west"));
            let create = Edit::Create {
                id: WEST,
                level: Level::Project,
                parent: Some(EntityId::DEFAULT_TENANT),
                name: "west".to_owned(),
                quota: None,
                cluster: names.last().cloned(),
            };
            let made = block_on(rows.edit(create, Timestamp(0)));
            assert!(matches!(made, Ok(Ok(_))), "{made:?}");
        }
        Self { west: names.len() - 1, names, placed: BTreeMap::new() }
    }

    pub(super) fn names(&self) -> &[ClusterName] {
        &self.names
    }

    pub(super) fn several(&self) -> bool {
        self.names.len() > 1
    }

    /// The projects that there are.
    pub(super) fn projects(&self) -> Vec<EntityId> {
        let west = self.several().then_some(WEST);
        std::iter::once(EntityId::DEFAULT_PROJECT).chain(west).collect()
    }

    /// The second project is in the other cluster from now on. Its name.
    pub(super) fn swap(&mut self, rows: &MemoryStore, now: Timestamp) -> Option<ClusterName> {
        if !self.several() {
            return None;
        }
        self.west = 1 - self.west;
        let name = self.names.get(self.west).cloned();
        let moves = Edit::Update {
            id: WEST,
            version: None,
            name: None,
            parent: None,
            quota: None,
            // Who names none is in the first.
            cluster: Some(name.clone().filter(|_| self.west > 0)),
            clamp: false,
        };
        let made = block_on(rows.edit(moves, now));
        assert!(matches!(made, Ok(Ok(_))), "{made:?}");
        name
    }

    /// What is open stays in the cluster that it was admitted for, until its reservation is taken back. How many were.
    pub(super) fn look(&mut self, rows: &MemoryStore) -> Result<u64, Broken> {
        if !self.several() {
            return Ok(0);
        }
        let snapshot = block_on(rows.snapshot()).map_err(|error| error.to_string())?;
        let before = self.placed.len();
        for ready in &snapshot.ready {
            self.placed.remove(&ready.key);
        }
        let given_back = before - self.placed.len();
        for (key, cluster) in snapshot.clusters {
            let before = self.placed.entry(key).or_insert_with(|| cluster.clone());
            if *before != cluster {
                return Err(format!("{key:?} was in {before}, and is in {cluster}"));
            }
        }
        Ok(u64::try_from(given_back).unwrap_or(u64::MAX))
    }

    /// An attempt that begins somewhere was admitted for that.
    pub(super) fn may_begin(&self, key: AttemptKey, there: &ClusterName) -> Result<(), Broken> {
        match self.placed.get(&key) {
            Some(placed) if placed != there => {
                Err(format!("{key:?} begins in cluster {there}, and was admitted for {placed}"))
            }
            Some(_) | None => Ok(()),
        }
    }
}
