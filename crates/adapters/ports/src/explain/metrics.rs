//! Numbers that somebody looks at again and again.

use serde::{Deserialize, Serialize};

/// Samples of one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Family {
    /// Lower case, with its unit: `flowforge_scheduler_admission_wait_seconds`.
    pub name: String,
    /// What it counts, in a line.
    pub help: String,
    /// How its samples behave.
    pub kind: FamilyKind,
    /// One for each set of labels.
    pub samples: Vec<Sample>,
}

/// How samples behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FamilyKind {
    /// Rises; begins at 0 again with another leader.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bounds.
    Histogram,
}

impl FamilyKind {
    /// Its word for those who collect.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Behind the family's name: `_bucket`, `_sum`, `_count` of a histogram.
    pub suffix: String,
    /// Names and values; no value is one that a user chose.
    pub labels: Vec<(String, String)>,
    /// So much.
    pub value: f64,
}
