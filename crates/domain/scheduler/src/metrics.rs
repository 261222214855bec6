//! What is measured: [`FairShare::metrics`](crate::FairShare::metrics).

use std::collections::BTreeMap;

use flowforge_model::cluster::ClusterName;
use flowforge_model::quota::{Amounts, Dimension, Level};
use flowforge_model::time::Millis;

use crate::why::Code;

/// What a scheduler measures of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics {
    /// Attempts that wait, by what holds them back and the level at which there is too little.
    pub pending: BTreeMap<(Code, Option<Where>), u64>,
    /// Attempts with pods that wait, by the cluster that they are for and what holds them back; those left out that
    /// wait for a circuit or a budget.
    pub pending_in: BTreeMap<(ClusterName, Code), u64>,
    /// Attempts that hold something.
    pub running: u64,
    /// Attempts admitted since it began.
    pub admitted: u64,
    /// Those of them that came to nothing.
    pub undone: u64,
    /// How long those that were admitted had waited, by their size.
    pub waits: [Waits; Size::COUNT],
    /// Amounts that are counted otherwise than what is held adds up to: 0, always.
    pub drift: usize,
    /// What siblings compete for, by the level of the entity they stand below.
    pub pools: BTreeMap<(Where, Dimension), Pools>,
}

/// Where something stands: at a level, or above all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Where {
    /// The installation.
    Installation,
    /// An entity that nobody told of.
    Unknown,
    /// An entity.
    Level(Level),
}

impl Where {
    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Installation => "installation",
            Self::Unknown => "unknown",
            Self::Level(level) => level.as_str(),
        }
    }
}

/// Contended dimensions of the entities of a level, of which two or more children want more and may have it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pools {
    /// How many there are.
    pub count: u64,
    /// The worst of them: the largest difference between what a child uses and its weighted part of
    /// what those children use together, as a part of that. 0 is fair.
    pub error: f64,
    /// The least of them: Jain's index of what they use over their weights. 1 is fair.
    pub jain: f64,
}

/// How much an attempt needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    /// At most a core, 4 GiB, one pod and no device.
    Small,
    /// At most 8 cores, 32 GiB, 8 pods and one device.
    Medium,
    /// More.
    Large,
}

impl Size {
    /// How many there are.
    pub const COUNT: usize = 3;
    /// All, the smallest first.
    pub const ALL: [Self; Self::COUNT] = [Self::Small, Self::Medium, Self::Large];

    /// By what is requested.
    #[must_use]
    pub fn of(need: &Amounts) -> Self {
        let within = |cpu, memory, pods, gpu| {
            need.get(Dimension::CpuRequest) <= cpu
                && need.get(Dimension::MemoryRequest) <= memory
                && need.get(Dimension::Pods) <= pods
                && need.get(Dimension::Gpu) <= gpu
        };
        if within(1000, 4 << 30, 1, 0) {
            Self::Small
        } else if within(8000, 32 << 30, 8, 1) {
            Self::Medium
        } else {
            Self::Large
        }
    }

    /// Its word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Large => "large",
        }
    }
}

/// Spans, counted by their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// How many were at most as long as each of [`Waits::BOUNDS`] and longer than the one before; the
    /// last counts what was longer than all.
    pub counts: [u64; Waits::BOUNDS.len() + 1],
    /// All together, in milliseconds.
    pub total: u64,
}

impl Waits {
    /// From 10 ms, within which an idle system starts a task, to the hour after which waiting adds no
    /// priority.
    pub const BOUNDS: [Millis; 8] = [
        Millis(10),
        Millis(100),
        Millis(1000),
        Millis(10_000),
        Millis(60_000),
        Millis(600_000),
        Millis(1_800_000),
        Millis(3_600_000),
    ];

    pub(crate) fn add(&mut self, span: Millis) {
        let at = Self::BOUNDS.iter().position(|bound| span <= *bound);
        if let Some(count) = self.counts.get_mut(at.unwrap_or(Self::BOUNDS.len())) {
            *count = count.saturating_add(1);
        }
        self.total = self.total.saturating_add(span.0);
    }
}
