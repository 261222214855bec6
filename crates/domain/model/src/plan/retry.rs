//! How often a task is tried.

use serde::{Deserialize, Serialize};

use crate::time::Millis;

/// How often a task is tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryStrategy {
    /// Tries after the first; none means no limit.
    pub limit: Option<u32>,
    /// Which failures are tried again.
    pub policy: RetryPolicy,
    /// Waiting between tries.
    pub backoff: Option<Backoff>,
    /// An expression that must be true as well.
    pub expression: Option<Box<str>>,
}

/// Which failures are tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RetryPolicy {
    /// Every failure.
    Always,
    /// Failures of the user's code. Argo's default.
    #[default]
    OnFailure,
    /// Errors of the engine or executor, and transient failures.
    OnError,
    /// Only failures known to pass: exit codes 137, 143 and 255, lost pods, known messages.
    OnTransient,
    /// None.
    Never,
}

/// Exponential waiting: `duration * factor^(n-1)` before the n-th retry, plus up to a tenth of
/// jitter derived from the attempt's id, at most `cap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backoff {
    /// Before the first retry.
    pub duration: Millis,
    /// Growth in thousandths: 2000 doubles.
    pub factor_milli: u32,
    /// Longest wait.
    pub cap: Option<Millis>,
    /// No retry begins later than this after the first attempt started.
    pub max_duration: Option<Millis>,
}
