//! Instants and spans. The domain never reads a clock: a [`Timestamp`] is always an argument.

use serde::{Deserialize, Serialize};

use crate::limits;

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
}

impl Millis {
    /// Reads a span as documents write it: Go's `1h30m`, `1.5s`, `500ms`, or a plain number of
    /// seconds. None for anything else, for negative spans and for more than
    /// [`limits::SPAN_MS`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let whole = match text.parse::<u64>() {
            Ok(secs) => u128::from(secs).saturating_mul(1_000_000_000),
            Err(_) => nanos(text)?,
        };
        let ms = u64::try_from(whole / 1_000_000).ok()?;
        (ms <= limits::SPAN_MS).then_some(Self(ms))
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

/// The units of Go's `time.ParseDuration`, longest name first, in nanoseconds.
const UNITS: [(&str, u128); 8] = [
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("d", 86_400_000_000_000),
];

/// A row of numbers with units, as nanoseconds.
fn nanos(text: &str) -> Option<u128> {
    let mut rest = text;
    let mut total = 0_u128;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let (name, unit) = UNITS.into_iter().find(|(name, _)| tail.starts_with(name))?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || number.len() > 20 {
            return None;
        }
        let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(unit)?)?;
        if !fraction.is_empty() {
            let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            total = total.checked_add(fraction.parse::<u128>().ok()?.checked_mul(unit)? / scale)?;
        }
        rest = tail.strip_prefix(name)?;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_go_writes_them() {
        for (text, ms) in [
            ("0", 0),
            ("10", 10_000),
            ("500ms", 500),
            ("1.5s", 1500),
            ("1h30m", 5_400_000),
            (".5s", 500),
            ("2d", 172_800_000),
            ("1000us", 1),
        ] {
            assert_eq!(Millis::parse(text), Some(Millis(ms)), "{text}");
        }
        for text in [
            "",
            " 5m",
            "5 m",
            "P1Y",
            "-1s",
            "1e9s",
            "9999999999h",
            "h",
            ".",
            ".s",
            "1.2.3s",
            "5x",
            "１s",
        ] {
            assert_eq!(Millis::parse(text), None, "{text}");
        }
    }

    #[test]
    fn instants_are_written_with_milliseconds() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(1_700_000_000_007).rfc3339(), "2023-11-14T22:13:20.007Z");
    }
}
