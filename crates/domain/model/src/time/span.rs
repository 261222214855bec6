//! Spans: Go's form (`1h30m`, `500ms`, `1.5s`) or plain seconds.

use super::Millis;
use crate::limits::SPAN_MS;

/// Why a text is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Neither Go's form nor a number.
    #[error("expected numbers with units, or seconds")]
    Syntax,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// More than ten years.
    #[error("longer than ten years")]
    TooLong,
}

const NANOS_PER_MS: u128 = 1_000_000;
const MAX: u128 = SPAN_MS as u128 * NANOS_PER_MS;

/// See [`Millis::parse`].
pub(super) fn parse(text: &str) -> Result<Millis, SpanError> {
    if text.starts_with('-') {
        return Err(SpanError::Negative);
    }
    let mut rest = text;
    let mut nanos = 0_u128;
    loop {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
        let (number, tail) = rest.split_at_checked(end).ok_or(SpanError::Syntax)?;
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end).ok_or(SpanError::Syntax)?;
        let unit = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => NANOS_PER_MS,
            "s" => 1_000 * NANOS_PER_MS,
            "m" => 60_000 * NANOS_PER_MS,
            "h" => 3_600_000 * NANOS_PER_MS,
            "" if rest.len() == text.len() => 1_000 * NANOS_PER_MS,
            _ => return Err(SpanError::Syntax),
        };
        nanos = nanos.saturating_add(scaled(number, unit)?);
        if nanos > MAX {
            return Err(SpanError::TooLong);
        }
        if tail.is_empty() {
            break;
        }
        rest = tail;
    }
    let millis = u64::try_from(nanos.div_ceil(NANOS_PER_MS)).map_err(|_| SpanError::TooLong)?;
    Ok(Millis(millis))
}

/// `number * unit` in nanoseconds; digits beyond a nanosecond are cut.
fn scaled(number: &str, unit: u128) -> Result<u128, SpanError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(SpanError::Syntax);
    }
    let mut value = 0_u128;
    for digit in whole.bytes() {
        value = value.saturating_mul(10).saturating_add(u128::from(digit - b'0'));
    }
    let mut nanos = value.saturating_mul(unit);
    let mut place = unit;
    for digit in fraction.bytes().take(18) {
        place /= 10;
        nanos = nanos.saturating_add(u128::from(digit - b'0').saturating_mul(place));
    }
    Ok(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_those_of_go_or_seconds() {
        let rows = [
            ("1h30m", Ok(Millis(5_400_000))),
            ("500ms", Ok(Millis(500))),
            ("1.5s", Ok(Millis(1500))),
            ("1500us", Ok(Millis(2))),
            ("0", Ok(Millis(0))),
            ("90", Ok(Millis(90_000))),
            ("1.5", Ok(Millis(1500))),
            (".5m", Ok(Millis(30_000))),
            ("87840h", Ok(Millis(SPAN_MS))),
            ("87840h1ms", Err(SpanError::TooLong)),
            ("9999999999h", Err(SpanError::TooLong)),
            ("-1s", Err(SpanError::Negative)),
            (" 5 m", Err(SpanError::Syntax)),
            ("5 m", Err(SpanError::Syntax)),
            ("P1Y", Err(SpanError::Syntax)),
            ("1e9s", Err(SpanError::Syntax)),
            ("1h30", Err(SpanError::Syntax)),
            ("1d", Err(SpanError::Syntax)),
            ("", Err(SpanError::Syntax)),
            ("s", Err(SpanError::Syntax)),
            ("1.2.3s", Err(SpanError::Syntax)),
            ("５m", Err(SpanError::Syntax)),
        ];
        for (text, expected) in rows {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_or_is_too_long(text in "[0-9.hmsnuµ-]{0,40}|\\PC{0,10}") {
            if let Ok(span) = parse(&text) {
                prop_assert!(span.0 <= SPAN_MS);
            }
        }
    }
}
