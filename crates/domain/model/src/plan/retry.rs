//! How often a task is tried.

use serde::{Deserialize, Serialize};

use crate::resources::{Resource, Side};
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

impl Backoff {
    /// Largest growth per retry, in thousandths.
    const FACTOR_MILLI: u32 = 1_000_000;

    /// A decimal number from 1 to 1000 in thousandths; 0 means no growth, as in Argo.
    #[must_use]
    pub fn factor(text: &str) -> Option<u32> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |t: &str| !t.is_empty() && t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return None;
        }
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        let (whole, thousandths): (u32, u32) = (whole.parse().ok()?, thousandths.parse().ok()?);
        match whole.checked_mul(1000)?.checked_add(thousandths)? {
            0 => Some(1000),
            milli => (1000..=Self::FACTOR_MILLI).contains(&milli).then_some(milli),
        }
    }
}

/// A number or span of a template whose text is read when a task begins, because only then its
/// inputs are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// `activeDeadlineSeconds`
    ActiveDeadline,
    /// `timeout`
    Timeout,
    /// `retryStrategy.limit`
    RetryLimit,
    /// `retryStrategy.backoff.duration`
    BackoffDuration,
    /// `retryStrategy.backoff.factor`
    BackoffFactor,
    /// `retryStrategy.backoff.cap`
    BackoffCap,
    /// `retryStrategy.backoff.maxDuration`
    BackoffMaxDuration,
    /// What `podSpecPatch` makes of an amount in the `resources` of a container. Who has one has all that
    /// were given for its container, for they are settled together.
    Resource {
        /// Its place among those of [`Template::containers_mut`](super::Template::containers_mut).
        container: u32,
        /// In which list.
        side: Side,
        /// Of what.
        resource: Resource,
    },
}

impl Setting {
    /// Where it stands in a template.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::ActiveDeadline => "activeDeadlineSeconds",
            Self::Timeout => "timeout",
            Self::RetryLimit => "retryStrategy.limit",
            Self::BackoffDuration => "retryStrategy.backoff.duration",
            Self::BackoffFactor => "retryStrategy.backoff.factor",
            Self::BackoffCap => "retryStrategy.backoff.cap",
            Self::BackoffMaxDuration => "retryStrategy.backoff.maxDuration",
            Self::Resource { side: Side::Requests, resource, .. } => match resource {
                Resource::Cpu => "resources.requests.cpu",
                Resource::Memory => "resources.requests.memory",
                Resource::Gpu => "resources.requests.nvidia.com/gpu",
            },
            Self::Resource { side: Side::Limits, resource, .. } => match resource {
                Resource::Cpu => "resources.limits.cpu",
                Resource::Memory => "resources.limits.memory",
                Resource::Gpu => "resources.limits.nvidia.com/gpu",
            },
        }
    }
}
