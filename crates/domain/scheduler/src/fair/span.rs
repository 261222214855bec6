//! How long tasks may run, in steps.

use flowforge_model::time::Millis;

/// For how long a task may run at most, in quarters of a doubling of a millisecond. Tasks that differ
/// only within a step stand in one line, and a claim lets pass whoever is not above some step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(u8);

impl Span {
    /// Less than that of any task.
    pub(crate) const NONE: Self = Self(0);
    /// Nobody knows for how long.
    pub(crate) const ENDLESS: Self = Self(u8::MAX);

    /// The least that is not shorter.
    pub(crate) fn of(most: Option<Millis>) -> Self {
        let Some(most) = most else { return Self::ENDLESS };
        let step = Self::within(most);
        if step.most() == Some(most) { step } else { Self(step.0.saturating_add(1)) }
    }

    /// The greatest that is not longer.
    pub(crate) fn within(least: Millis) -> Self {
        let Some(low) = least.0.checked_ilog2() else { return Self::NONE };
        let first = 4 * low + 1;
        let steps = (first..first + 4).rev().filter_map(|step| u8::try_from(step).ok()).map(Self);
        let mut fits = steps.filter(|step| step.most().is_some_and(|most| most <= least));
        fits.next().unwrap_or(Self::NONE)
    }

    /// What it stands for; none if nobody knows.
    pub(crate) fn most(self) -> Option<Millis> {
        // 2^(k/4) in 16 binary places, rounded down.
        const QUARTERS: [u128; 4] = [1 << 16, 77_935, 92_681, 110_217];
        let step = self.0.checked_sub(1).filter(|_| self != Self::ENDLESS);
        let Some(step) = step else { return (self == Self::NONE).then_some(Millis(0)) };
        let quarter = QUARTERS.get(usize::from(step % 4)).copied().unwrap_or(1 << 16);
        let most = (quarter << (step / 4)) >> 16;
        Some(Millis(u64::try_from(most).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_rounded_up_and_not_far() {
        assert_eq!(Span::of(Some(Millis(0))), Span::NONE);
        assert_eq!(Span::of(None), Span::ENDLESS);
        for most in [1, 2, 3, 5, 100, 999, 60_000, 600_000, 86_400_000, 1 << 50, u64::MAX >> 1] {
            let (up, down) = (Span::of(Some(Millis(most))), Span::within(Millis(most)));
            let (above, below) = (up.most().unwrap().0, down.most().unwrap().0);
            assert!(below <= most && most <= above, "{most}: {below} to {above}");
            assert!(u128::from(above) * 100 <= u128::from(most) * 119 + 100, "{most}: {above}");
            assert!(up < Span::ENDLESS && up.0 - down.0 <= 1, "{most}: {down:?} to {up:?}");
        }
        let steps = (0..u8::MAX).map(|step| Span(step).most().unwrap());
        assert!(steps.is_sorted());
    }
}
