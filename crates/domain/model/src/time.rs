//! Instants and spans. The domain never reads a clock: a [`Timestamp`] is always an argument.

mod span;

use serde::{Deserialize, Serialize};

pub use span::SpanError;

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A span of time in milliseconds, never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Timestamp {
    /// This instant moved into the future by `span`; stops at the end of time.
    #[must_use]
    pub fn plus(self, span: Millis) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// The span from `earlier` to this instant, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Millis {
        Millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Timestamp {
    /// RFC 3339 in UTC with milliseconds: `2026-01-31T12:00:00.000Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// One part of the instant, in UTC, by the letter Argo names it with: those of strftime, `L`
    /// for milliseconds, `s` for seconds since the epoch. None for any other letter.
    #[must_use]
    pub fn letter(self, letter: char) -> Option<String> {
        let at = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        let format = match letter {
            'B' | 'b' | 'm' | 'A' | 'a' | 'd' | 'H' | 'I' | 'M' | 'S' | 'Y' | 'y' | 'p' => {
                format!("%{letter}")
            }
            'L' => "%3f".to_owned(),
            'Z' => return Some("UTC".to_owned()),
            'z' => return Some("+0000".to_owned()),
            's' => return Some(at.as_second().to_string()),
            _ => return None,
        };
        Some(at.strftime(&format).to_string())
    }
}

impl Millis {
    /// Reads a span as documents write it: Go's `1h30m`, `1.5s`, `500ms`, or a plain number of
    /// seconds. Parts of a millisecond round up.
    ///
    /// # Errors
    /// [`SpanError`]: blanks, signs, ISO 8601 (`P1Y`) and more than [`crate::limits::SPAN_MS`] are
    /// refused.
    pub fn parse(text: &str) -> Result<Self, SpanError> {
        span::parse(text)
    }

    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
}

impl From<Millis> for std::time::Duration {
    fn from(span: Millis) -> Self {
        Self::from_millis(span.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_with_milliseconds() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_700_000_000_007).rfc3339(), "2023-11-14T22:13:20.007Z");
    }

    #[test]
    fn each_letter_is_one_part_of_an_instant() {
        let at = Timestamp(1_700_000_000_007);
        let all: Vec<String> = "BbmAadHIMSYypZzLs".chars().filter_map(|c| at.letter(c)).collect();
        assert_eq!(
            all.join(" "),
            "November Nov 11 Tuesday Tue 14 22 10 13 20 2023 23 PM UTC +0000 007 1700000000"
        );
        assert_eq!(at.letter('Q'), None);
    }
}
