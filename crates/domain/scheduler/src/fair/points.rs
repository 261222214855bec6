//! The arithmetic of priority: whole numbers, so that replaying gives the same order everywhere.
//!
//! The effective priority of a task is
//!
//! ```text
//! P = base + weight / 100 * 20 + 10 * min(1, wait / 3600 s) - 5 * clamp((u - 0.8) / 0.2, 0, 1)
//! ```
//!
//! in points, where `weight` is that of its tenant and `u` the largest part of the tenant's own
//! limits that is used, over what the task needs. A millisecond of waiting is 1/360,000 point, so
//! waiting is exact; the penalty is rounded to less than a billionth of a point.

use flowforge_model::time::{Millis, Timestamp};

/// What a point is counted in.
pub(crate) const POINT: i64 = 1_440_000_000;
/// What a millisecond of waiting is worth: 10 points an hour.
const PER_MS: i64 = POINT * 10 / 3_600_000;
/// From then on waiting is worth no more.
pub(crate) const FULL_WAIT: Millis = Millis(3_600_000);
/// So many points make a share count half.
const HALVES: f64 = 32.0;
/// The logarithm of a share of nothing: less than that of any share, whatever the priorities.
pub(crate) const NO_SHARE: i64 = -(1 << 60);
/// Instants further from 1970 than 2,200 years count as that far, so that nothing overflows.
const FARTHEST: i64 = 1 << 46;

/// Whether a wait still adds to the priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It does: by the same amount for all, so that the order among them stands still.
    Aging = 0,
    /// It reached its full worth.
    Saturated = 1,
}

impl Phase {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 2] = [Self::Aging, Self::Saturated];

    pub(crate) fn of(since: Timestamp, now: Timestamp) -> Self {
        if since.plus(FULL_WAIT) <= now { Self::Saturated } else { Self::Aging }
    }

    /// What waiting since then adds: without the part that all who wait at `now` have in common,
    /// [`Phase::common`].
    pub(crate) fn wait(self, since: Timestamp) -> i64 {
        match self {
            Self::Aging => -worth(since),
            Self::Saturated => 10 * POINT,
        }
    }

    /// What all in this phase have in common at `now`.
    pub(crate) fn common(self, now: Timestamp) -> i64 {
        match self {
            Self::Aging => worth(now),
            Self::Saturated => 0,
        }
    }
}

fn worth(at: Timestamp) -> i64 {
    at.0.clamp(-FARTHEST, FARTHEST).saturating_mul(PER_MS)
}

/// A base priority as an order has it: all of it.
pub(crate) fn base(priority: i32) -> i64 {
    i64::from(priority) * POINT
}

/// A base priority as a share has it: 0 to 100, so that nobody outweighs others without bound.
pub(crate) fn bounded(priority: i32) -> i64 {
    i64::from(priority.clamp(0, 100)) * POINT
}

/// What the weight of a tenant adds: 20 points for 100.
pub(crate) fn boost(weight: u16) -> i64 {
    i64::from(weight) * (POINT / 5)
}

/// What using much of its own limits takes from a tenant: up to 5 points from 80 % to 100 %.
pub(crate) fn penalty(used: u64, limit: u64) -> i64 {
    if limit == 0 {
        return 5 * POINT;
    }
    let over = (5.0 * real(used) / real(limit) - 4.0).clamp(0.0, 1.0);
    whole(over * 5.0 * real(1_440_000_000))
}

/// The logarithm of a share, in the unit of points: half the share is worth 32 points.
pub(crate) fn logarithm(share: f64) -> i64 {
    if share > 0.0 { whole(log2(share) * HALVES * real(1_440_000_000)) } else { NO_SHARE }
}

/// Base-2 logarithm of a positive number, by additions, multiplications and divisions only: those
/// give the same bits on every machine, where a library's logarithm need not. Error below 1e-14.
fn log2(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1023;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    // Into [sqrt(1/2), sqrt(2)], where the series of atanh ends early.
    let (m, e) = if mantissa > std::f64::consts::SQRT_2 {
        (mantissa / 2.0, exponent + 1)
    } else {
        (mantissa, exponent)
    };
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let mut sum = 0.0;
    for odd in [17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0, 1.0] {
        sum = sum * q + 1.0 / odd;
    }
    f64::from(e) + 2.0 * s * sum * std::f64::consts::LOG2_E
}

/// Points as people read them.
pub(crate) fn readable(points: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits hold any priority to a millionth")]
    let points = points as f64;
    points / real(1_440_000_000)
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 53 bits")]
pub(crate) fn real(amount: u64) -> f64 {
    amount as f64
}

#[expect(clippy::cast_possible_truncation, reason = "shares and penalties are far below 2^63")]
fn whole(points: f64) -> i64 {
    // Half away from zero; the library's function is a call where the machine has no instruction.
    (points + 0.5_f64.copysign(points)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_those_of_the_library() {
        for x in [1e-18, 3e-9, 0.1, 0.5, 0.7, 0.7072, 1.0, 1.4141, 1.4143, 2.0, 7.3, 1e12] {
            assert!((log2(x) - x.log2()).abs() < 1e-13, "{x}: {} {}", log2(x), x.log2());
        }
    }

    #[test]
    fn priority_is_the_formula() {
        // QINV-9: to a billionth.
        let (since, tenant) = (Timestamp(1_700_000_000_123), 37_u16);
        for wait in [0, 1, 999, 1_800_000, 3_599_999, 3_600_000, 9_000_000] {
            for (used, limit) in [(0, 9), (80, 100), (81, 100), (97, 101), (100, 100), (7, 5)] {
                let now = since.plus(Millis(wait));
                let phase = Phase::of(since, now);
                let ours = base(61) + boost(tenant) + phase.wait(since) + phase.common(now)
                    - penalty(used, limit);
                let u = real(used) / real(limit);
                let formula = 61.0
                    + f64::from(tenant) / 100.0 * 20.0
                    + 10.0 * (real(wait) / 3_600_000.0).min(1.0)
                    - 5.0 * ((u - 0.8) / 0.2).clamp(0.0, 1.0);
                assert!((readable(ours) - formula).abs() < 1e-9, "{ours} {formula}");
            }
        }
    }

    #[test]
    fn the_ends_of_time_do_not_overflow() {
        for at in [i64::MIN, -1, 0, i64::MAX] {
            for priority in [i32::MIN, i32::MAX] {
                for phase in Phase::ALL {
                    let p = base(priority) + boost(1000) + phase.wait(Timestamp(at));
                    let all = p - 5 * POINT + phase.common(Timestamp(at));
                    assert!(
                        NO_SHARE - bounded(priority) - phase.wait(Timestamp(at)) < logarithm(1e-24)
                    );
                    assert!(all.checked_neg().is_some());
                }
            }
        }
    }
}
