//! The hierarchy of those who share the machines, and what each may use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::cluster::ClusterName;
use crate::id::EntityId;
use crate::resources::{ResourceList, Resources};

/// What is counted, against a limit at every level. The order is that of [`Amounts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Requested thousandths of a core.
    CpuRequest,
    /// Thousandths of a core at most.
    CpuLimit,
    /// Requested bytes of memory.
    MemoryRequest,
    /// Bytes of memory at most.
    MemoryLimit,
    /// Devices.
    Gpu,
    /// Pods, or local processes, at a time.
    Pods,
    /// Workflows at a time.
    Workflows,
    /// Bytes of volumes.
    Storage,
}

impl Dimension {
    /// How many there are.
    pub const COUNT: usize = 8;
    /// All, in the order of [`Amounts`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::CpuRequest,
        Self::CpuLimit,
        Self::MemoryRequest,
        Self::MemoryLimit,
        Self::Gpu,
        Self::Pods,
        Self::Workflows,
        Self::Storage,
    ];

    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CpuRequest => "cpu_request",
            Self::CpuLimit => "cpu_limit",
            Self::MemoryRequest => "memory_request",
            Self::MemoryLimit => "memory_limit",
            Self::Gpu => "gpu",
            Self::Pods => "pods",
            Self::Workflows => "workflows",
            Self::Storage => "storage",
        }
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One amount of every dimension: what is needed, or what is used. At most [`Amounts::MOST`] each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Amounts(pub [u64; Dimension::COUNT]);

impl Amounts {
    /// Nothing of anything.
    pub const ZERO: Self = Self([0; Dimension::COUNT]);
    /// The largest amount: an exbibyte. A million of them can be added up in 128 bits, and 16 in 64.
    pub const MOST: u64 = 1 << 60;

    /// What a task needs that runs as so many pods, of all that is counted for each.
    #[must_use]
    pub fn of_pods(resources: &Resources, pods: u32) -> Self {
        let Self(one) = Self::of_pod(resources);
        Self(one.map(|one| one.saturating_mul(u64::from(pods)).min(Self::MOST)))
    }

    /// What one pod of a task needs.
    #[must_use]
    pub fn of_pod(resources: &Resources) -> Self {
        let Resources { requests, limits } = resources;
        let ResourceList { cpu, memory, gpu } = *requests;
        let gpu = u64::from(gpu.max(limits.gpu));
        Self(
            [cpu.0, limits.cpu.0, memory.0, limits.memory.0, gpu, 1, 0, 0]
                .map(|one| one.min(Self::MOST)),
        )
    }

    /// The amount of one dimension.
    #[must_use]
    pub fn get(&self, dimension: Dimension) -> u64 {
        self.0.get(dimension as usize).copied().unwrap_or(0)
    }

    /// With another amount of one dimension.
    #[must_use]
    pub fn with(mut self, dimension: Dimension, amount: u64) -> Self {
        if let Some(slot) = self.0.get_mut(dimension as usize) {
            *slot = amount.min(Self::MOST);
        }
        self
    }
}

/// How much of what is contended an entity is due, next to its siblings: 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct Weight(u16);

impl Weight {
    /// The largest.
    pub const MOST: u16 = 1000;

    /// `None` unless it is within 1 to 1000: with none nothing would ever start, with more the
    /// others would wait for ever.
    #[must_use]
    pub fn new(weight: u16) -> Option<Self> {
        (1..=Self::MOST).contains(&weight).then_some(Self(weight))
    }

    /// As a number.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(100)
    }
}

impl TryFrom<u16> for Weight {
    type Error = String;

    fn try_from(weight: u16) -> Result<Self, String> {
        Self::new(weight).ok_or_else(|| format!("a weight is 1 to {}, not {weight}", Self::MOST))
    }
}

/// What an entity may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// By dimension, in the order of [`Dimension::ALL`]; without one there is no limit at this
    /// level. At most [`Amounts::MOST`] each.
    pub limits: [Option<u64>; Dimension::COUNT],
    /// Its part of what is contended.
    pub weight: Weight,
}

impl Quota {
    /// The limit of one dimension.
    #[must_use]
    pub fn limit(&self, dimension: Dimension) -> Option<u64> {
        self.limits.get(dimension as usize).copied().flatten()
    }
}

/// A level of the hierarchy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Below nothing but the installation.
    Tenant,
    /// Below a tenant or a department.
    Department,
    /// Below a tenant or a department.
    Group,
    /// Below a tenant or a group. Workflows belong to projects.
    Project,
}

impl Level {
    /// All, from the top.
    pub const ALL: [Self; 4] = [Self::Tenant, Self::Department, Self::Group, Self::Project];

    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Department => "department",
            Self::Group => "group",
            Self::Project => "project",
        }
    }

    /// May stand directly below `parent`; `None` is the installation.
    #[must_use]
    pub fn fits_below(self, parent: Option<Self>) -> bool {
        match (self, parent) {
            (Self::Tenant, None)
            | (Self::Department | Self::Group, Some(Self::Tenant | Self::Department))
            | (Self::Project, Some(Self::Tenant | Self::Group)) => true,
            (Self::Tenant | Self::Department | Self::Group | Self::Project, _) => false,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|level| level.as_str() == text);
        found.ok_or_else(|| {
            format!("`{text}` is not a level; there are tenant, department, group, project")
        })
    }
}

/// One of those who share: a tenant, department, group or project, with what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Which.
    pub id: EntityId,
    /// What it is.
    pub level: Level,
    /// Directly above it; nothing above a tenant.
    pub parent: Option<EntityId>,
    /// Unique below its parent.
    pub name: String,
    /// Its own limits and weight; without one it has no limits of its own and the default weight.
    pub quota: Option<Quota>,
    /// Of a project, where its attempts run; none: in the cluster of whoever schedules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::{Bytes, MilliCpu};

    #[test]
    fn dimensions_stand_where_amounts_have_them() {
        for (at, dimension) in Dimension::ALL.into_iter().enumerate() {
            assert_eq!(dimension as usize, at);
        }
    }

    #[test]
    fn a_pod_needs_what_it_asks_for() {
        let resources = Resources {
            requests: ResourceList { cpu: MilliCpu(100), memory: Bytes(7), gpu: 0 },
            limits: ResourceList { cpu: MilliCpu(u64::MAX), memory: Bytes(9), gpu: 2 },
        };
        let need = Amounts::of_pod(&resources);
        assert_eq!(need, Amounts([100, Amounts::MOST, 7, 9, 2, 1, 0, 0]));
        let need = Amounts::of_pods(&resources, 3);
        assert_eq!(need, Amounts([300, Amounts::MOST, 21, 27, 6, 3, 0, 0]));
        assert_eq!(Amounts::of_pods(&resources, 1), Amounts::of_pod(&resources));
    }

    #[test]
    fn weights_without_effect_or_measure_are_refused() {
        for weight in [0, 1001, u16::MAX] {
            assert_eq!(Weight::new(weight), None);
            assert!(serde_json::from_str::<Weight>(&weight.to_string()).is_err());
        }
        assert_eq!(serde_json::from_str::<Weight>("7").unwrap().get(), 7);
    }

    #[test]
    fn levels_stand_below_their_own_kind_of_parents() {
        use Level::{Department, Group, Project, Tenant};
        let below = |level: Level| {
            let parents = [None, Some(Tenant), Some(Department), Some(Group), Some(Project)];
            parents.map(|parent| u8::from(level.fits_below(parent)))
        };
        assert_eq!(below(Tenant), [1, 0, 0, 0, 0]);
        assert_eq!(below(Department), [0, 1, 1, 0, 0]);
        assert_eq!(below(Group), [0, 1, 1, 0, 0]);
        assert_eq!(below(Project), [0, 1, 0, 1, 0]);
    }
}
