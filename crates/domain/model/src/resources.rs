//! What a task asks of a machine, in the integer units the scheduler adds up.

use std::iter::Sum;

use serde::{Deserialize, Serialize};

use crate::quantity::Quantity;

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

/// What a container can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Resource {
    /// Processor time.
    Cpu,
    /// Memory.
    Memory,
    /// Graphics processors.
    Gpu,
}

/// One of the two lists of `resources`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Side {
    /// `requests`
    Requests,
    /// `limits`
    Limits,
}

/// One side as it was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Thousandths of a core.
    pub cpu: Option<MilliCpu>,
    /// Bytes.
    pub memory: Option<Bytes>,
    /// Whole devices.
    pub gpu: Option<u32>,
}

impl Resource {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cpu, Self::Memory, Self::Gpu];

    /// As documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Gpu => "nvidia.com/gpu",
        }
    }
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Requests, Self::Limits];

    /// As documents write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Limits => "limits",
        }
    }
}

impl Given {
    /// Takes an amount. None if it is part of a device, or there are no so many.
    pub fn set(&mut self, resource: Resource, amount: Quantity) -> Option<()> {
        match resource {
            Resource::Cpu => self.cpu = Some(amount.milli_cpu()),
            Resource::Memory => self.memory = Some(amount.bytes()),
            Resource::Gpu => self.gpu = Some(u32::try_from(amount.whole()?).ok()?),
        }
        Some(())
    }

    /// As if it had not been written.
    pub fn clear(&mut self, resource: Resource) {
        match resource {
            Resource::Cpu => self.cpu = None,
            Resource::Memory => self.memory = None,
            Resource::Gpu => self.gpu = None,
        }
    }

    /// An amount as a quantity.
    #[must_use]
    pub fn written(&self, resource: Resource) -> Option<String> {
        match resource {
            Resource::Cpu => self.cpu.map(|cpu| format!("{}m", cpu.0)),
            Resource::Memory => self.memory.map(|memory| memory.0.to_string()),
            Resource::Gpu => self.gpu.map(|gpu| gpu.to_string()),
        }
    }
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self { requests: ResourceList::NONE, limits: ResourceList::NONE };

    /// Requests and limits from what was given of either: a limit alone is the request too, a request
    /// above the default limit raises that limit. What was given on both sides stays, also if a request
    /// is above its limit.
    #[must_use]
    pub fn settled(requests: Given, limits: Given) -> Self {
        let defaults = Self::default();
        let cpu = settle((requests.cpu, limits.cpu), (defaults.requests.cpu, defaults.limits.cpu));
        let memory = settle(
            (requests.memory, limits.memory),
            (defaults.requests.memory, defaults.limits.memory),
        );
        let gpu = requests.gpu.or(limits.gpu).unwrap_or(0);
        Self {
            requests: ResourceList { cpu: cpu.0, memory: memory.0, gpu },
            limits: ResourceList { cpu: cpu.1, memory: memory.1, gpu },
        }
    }

    /// What is requested above its limit; of devices, which are not shared, what is not limited as it is
    /// requested.
    pub fn contradictions(requests: Given, limits: Given) -> impl Iterator<Item = Resource> {
        Resource::ALL.into_iter().filter(move |resource| match resource {
            Resource::Cpu => requests.cpu.zip(limits.cpu).is_some_and(|(asked, most)| asked > most),
            Resource::Memory => {
                requests.memory.zip(limits.memory).is_some_and(|(asked, most)| asked > most)
            }
            Resource::Gpu => {
                requests.gpu.zip(limits.gpu).is_some_and(|(asked, most)| asked != most)
            }
        })
    }

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

/// Request and limit from what was given of either.
fn settle<T: Copy + Ord>(given: (Option<T>, Option<T>), defaults: (T, T)) -> (T, T) {
    match given {
        (None, None) => defaults,
        (Some(request), None) => (request, defaults.1.max(request)),
        (None, Some(limit)) => (limit, limit),
        (Some(request), Some(limit)) => (request, limit),
    }
}
