//! Growing pauses between tries.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// The first pause is at most this.
const FIRST: Duration = Duration::from_millis(500);
/// And no pause is longer.
const LONGEST: Duration = Duration::from_secs(30);

/// Doubles, up to a bound; each pause is anything from half to the whole, so that those who were refused
/// together do not come together again.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    tries: u32,
}

impl Backoff {
    pub(crate) fn next(&mut self) -> Duration {
        let whole = FIRST.saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX));
        self.tries = self.tries.saturating_add(1).min(16);
        let half = whole.min(LONGEST) / 2;
        let any = u32::try_from(RandomState::new().build_hasher().finish() % 1000).unwrap_or(0);
        half + half * any / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_stay_bounded() {
        let mut backoff = Backoff::default();
        let pauses: Vec<Duration> = (0..100).map(|_| backoff.next()).collect();
        assert!(pauses[0] >= FIRST / 2 && pauses[0] <= FIRST);
        assert!(pauses[3] >= FIRST * 4 && pauses[3] <= FIRST * 8);
        assert!(pauses[50..].iter().all(|pause| *pause >= LONGEST / 2 && *pause <= LONGEST));
    }
}
