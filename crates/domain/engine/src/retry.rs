//! The arithmetic of waiting between tries.

use flowforge_model::id::{AttemptId, mix};
use flowforge_model::limits;
use flowforge_model::plan::Backoff;
use flowforge_model::time::Millis;

/// The wait before retry `failures` (from 1): `duration * factor^(failures-1)`, at most `cap`, and
/// up to a tenth more of jitter derived from the attempt that failed, so that tasks which failed
/// together do not come back together. Saturates at [`limits::SPAN_MS`].
pub(crate) fn backoff(rule: &Backoff, failures: u32, seed: AttemptId) -> Millis {
    let ceiling = u128::from(rule.cap.map_or(limits::SPAN_MS, |cap| cap.0).min(limits::SPAN_MS));
    let mut wait = u128::from(rule.duration.0);
    for _ in 1..failures {
        // A wait at the ceiling, or one that no longer changes, has nowhere to go.
        if wait >= ceiling || rule.factor_milli == 1000 || wait == 0 {
            break;
        }
        wait = wait.saturating_mul(u128::from(rule.factor_milli)) / 1000;
    }
    let wait = u64::try_from(wait.min(ceiling)).unwrap_or(limits::SPAN_MS);
    let bits = seed.0.as_u128();
    let draw = mix(u64::try_from(bits & u128::from(u64::MAX)).unwrap_or(0)) % 1001;
    let jitter = u128::from(wait).saturating_mul(u128::from(draw)) / 10_000;
    Millis(wait.saturating_add(u64::try_from(jitter).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowforge_model::id::{NodeIx, WorkflowId};

    fn seed(n: u32) -> AttemptId {
        WorkflowId(uuid_of(7)).attempt(NodeIx(n), 1)
    }

    fn uuid_of(n: u128) -> uuid::Uuid {
        uuid::Uuid::from_u128(n)
    }

    #[test]
    fn waits_double_up_to_the_cap_with_at_most_a_tenth_of_jitter() {
        let rule = Backoff {
            duration: Millis(1000),
            factor_milli: 2000,
            cap: Some(Millis(5000)),
            max_duration: None,
        };
        for (failures, base) in [(1, 1000), (2, 2000), (3, 4000), (4, 5000), (40, 5000)] {
            let wait = backoff(&rule, failures, seed(failures)).0;
            assert!((base..=base + base / 10).contains(&wait), "{failures}: {wait}");
        }
        let different: std::collections::BTreeSet<u64> =
            (0..50).map(|n| backoff(&rule, 1, seed(n)).0).collect();
        assert!(different.len() > 20, "jitter spreads: {different:?}");
    }

    #[test]
    fn nothing_overflows() {
        let rule = Backoff {
            duration: Millis(u64::MAX),
            factor_milli: u32::MAX,
            cap: None,
            max_duration: None,
        };
        assert!(backoff(&rule, u32::MAX, seed(1)).0 <= limits::SPAN_MS + limits::SPAN_MS / 10);
    }
}
