//! What a task asks of a machine, in the integer units the scheduler adds up.

use std::iter::Sum;

use serde::{Deserialize, Serialize};

/// Thousandths of a CPU core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCpu(pub u64);

/// Bytes of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// One side (requests or limits) of a task's resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceList {
    /// Thousandths of a core.
    pub cpu: MilliCpu,
    /// Bytes.
    pub memory: Bytes,
    /// Whole devices.
    pub gpu: u32,
}

/// Requests (what is reserved) and limits (what is enforced).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// What the scheduler counts.
    pub requests: ResourceList,
    /// What the executor enforces where it can.
    pub limits: ResourceList,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self { requests: ResourceList::NONE, limits: ResourceList::NONE };

    /// Of each kind the larger amount.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { requests: self.requests.max(other.requests), limits: self.limits.max(other.limits) }
    }
}

impl ResourceList {
    /// Nothing at all.
    pub const NONE: Self = Self { cpu: MilliCpu(0), memory: Bytes(0), gpu: 0 };

    fn max(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.max(other.cpu),
            memory: self.memory.max(other.memory),
            gpu: self.gpu.max(other.gpu),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            cpu: MilliCpu(self.cpu.0.saturating_add(other.cpu.0)),
            memory: Bytes(self.memory.0.saturating_add(other.memory.0)),
            gpu: self.gpu.saturating_add(other.gpu),
        }
    }
}

impl Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::NONE, |sum, one| Self {
            requests: sum.requests.plus(one.requests),
            limits: sum.limits.plus(one.limits),
        })
    }
}

impl Default for Resources {
    /// The defaults of a native task: requests 100m and 256 MiB, limits 1000m and 1024 MiB.
    fn default() -> Self {
        Self {
            requests: ResourceList { cpu: MilliCpu(100), memory: Bytes(256 << 20), gpu: 0 },
            limits: ResourceList { cpu: MilliCpu(1000), memory: Bytes(1 << 30), gpu: 0 },
        }
    }
}
