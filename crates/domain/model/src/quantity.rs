//! Kubernetes quantities, exactly: integer arithmetic in thousand-millionths.

use std::fmt;

use crate::resources::{Bytes, MilliCpu};

/// A quantity in units of 10⁻⁹. Never negative, at most `i64::MAX` whole units, as in Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity {
    nano: i128,
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not a number with one of the suffixes.
    #[error("expected a number and perhaps a suffix")]
    Syntax,
    /// Below zero.
    #[error("negative")]
    Negative,
    /// More than `i64::MAX` units.
    #[error("too large")]
    Overflow,
}

const NANO: i128 = 1_000_000_000;
const MAX: i128 = 9_223_372_036_854_775_807 * NANO;

impl Quantity {
    /// Reads `100m`, `0.5`, `1Gi`, `1E`, `1e3`, ... Anything finer than 10⁻⁹ is rounded up.
    ///
    /// # Errors
    /// [`QuantityError`]: digits are ASCII, hexadecimal and blanks are refused.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end =
            unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at_checked(end).ok_or(QuantityError::Syntax)?;
        let (mantissa, decimals) = mantissa(number)?;
        let (binary, decimal) = scale_of(suffix)?;
        if negative && mantissa != 0 {
            return Err(QuantityError::Negative);
        }
        let mantissa = mantissa.checked_mul(1_i128 << binary).ok_or(QuantityError::Overflow)?;
        let nano = shift(mantissa, decimal.saturating_add(9).saturating_sub(decimals))?;
        if nano > MAX {
            return Err(QuantityError::Overflow);
        }
        Ok(Self { nano })
    }

    /// Thousandths, rounded up.
    #[must_use]
    pub fn milli_cpu(self) -> MilliCpu {
        MilliCpu(self.ceil(1_000_000))
    }

    /// Whole bytes, rounded up.
    #[must_use]
    pub fn bytes(self) -> Bytes {
        Bytes(self.ceil(NANO))
    }

    /// The value if it is a whole number of units.
    #[must_use]
    pub fn whole(self) -> Option<u64> {
        let whole = self.nano % NANO == 0;
        whole.then(|| u64::try_from(self.nano / NANO).ok()).flatten()
    }

    /// Division by `unit` rounding up; saturates (only thousandths of huge values can).
    fn ceil(self, unit: i128) -> u64 {
        let up = (self.nano / unit) + i128::from(self.nano % unit != 0);
        u64::try_from(up).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Quantity {
    /// The shortest exact form with a suffix of `n`, `u`, `m` or none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, suffix) in [(NANO, ""), (1_000_000, "m"), (1_000, "u")] {
            if self.nano % unit == 0 {
                return write!(f, "{}{suffix}", self.nano / unit);
            }
        }
        write!(f, "{}n", self.nano)
    }
}

/// The digits as one number, and how many of them follow the point.
fn mantissa(number: &str) -> Result<(i128, i32), QuantityError> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return Err(QuantityError::Syntax);
    }
    let mut value = 0_i128;
    for digit in whole.bytes().chain(fraction.bytes()) {
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(i128::from(digit - b'0')))
            .ok_or(QuantityError::Overflow)?;
    }
    let decimals = i32::try_from(fraction.len()).map_err(|_| QuantityError::Overflow)?;
    Ok((value, decimals))
}

/// Powers of two and of ten a suffix multiplies by.
fn scale_of(suffix: &str) -> Result<(u32, i32), QuantityError> {
    Ok(match suffix {
        "" => (0, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        other => {
            let exponent = other.strip_prefix(['e', 'E']).ok_or(QuantityError::Syntax)?;
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return Err(QuantityError::Syntax);
            }
            (0, exponent.parse().map_err(|_| QuantityError::Overflow)?)
        }
    })
}

/// `value * 10^by`, rounding up.
fn shift(value: i128, by: i32) -> Result<i128, QuantityError> {
    if value == 0 {
        return Ok(0);
    }
    let power = 10_i128.checked_pow(by.unsigned_abs());
    if by >= 0 {
        power.and_then(|power| value.checked_mul(power)).ok_or(QuantityError::Overflow)
    } else {
        Ok(power.map_or(1, |power| (value / power) + i128::from(value % power != 0)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_those_of_kubernetes() {
        let max = i64::MAX.to_string();
        let rows: &[(&str, Result<&str, QuantityError>)] = &[
            ("100m", Ok("100m")),
            ("0.5", Ok("500m")),
            (".5", Ok("500m")),
            ("5.", Ok("5")),
            ("+1", Ok("1")),
            ("256Mi", Ok("268435456")),
            ("512Ki", Ok("524288")),
            ("1G", Ok("1000000000")),
            ("1Gi", Ok("1073741824")),
            ("1E", Ok("1000000000000000000")),
            ("1e3", Ok("1000")),
            ("1E3", Ok("1000")),
            ("12e-3", Ok("12m")),
            ("1.5m", Ok("1500u")),
            ("0.0000001", Ok("100n")),
            ("0.0000000001", Ok("1n")),
            ("1e-400", Ok("1n")),
            ("0e400", Ok("0")),
            ("-0", Ok("0")),
            ("9223372036854775807", Ok(&max)),
            ("9223372036854775808", Err(QuantityError::Overflow)),
            ("9223372036854775807Ki", Err(QuantityError::Overflow)),
            ("100Ei", Err(QuantityError::Overflow)),
            ("1e308", Err(QuantityError::Overflow)),
            ("1e99999999999", Err(QuantityError::Overflow)),
            ("-1", Err(QuantityError::Negative)),
            ("0x1", Err(QuantityError::Syntax)),
            ("１", Err(QuantityError::Syntax)),
            ("", Err(QuantityError::Syntax)),
            (".", Err(QuantityError::Syntax)),
            ("1.2.3", Err(QuantityError::Syntax)),
            ("1e", Err(QuantityError::Syntax)),
            ("1K", Err(QuantityError::Syntax)),
            ("1 Gi", Err(QuantityError::Syntax)),
            ("1GiB", Err(QuantityError::Syntax)),
            ("NaN", Err(QuantityError::Syntax)),
        ];
        for (text, expected) in rows {
            let printed = Quantity::parse(text).map(|q| q.to_string());
            assert_eq!(printed, expected.map(str::to_owned), "{text}");
        }
    }

    #[test]
    fn cpu_and_memory_round_up() {
        let parse = |text| Quantity::parse(text).unwrap();
        assert_eq!(parse("1.5m").milli_cpu(), MilliCpu(2));
        assert_eq!(parse("0.0000001").milli_cpu(), MilliCpu(1));
        assert_eq!(parse("0.1").bytes(), Bytes(1));
        assert_eq!(parse("1.5Ki").bytes(), Bytes(1536));
        assert_eq!(parse("2").whole(), Some(2));
        assert_eq!(parse("0.5").whole(), None);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(nano in 0..=MAX) {
            let quantity = Quantity { nano };
            prop_assert_eq!(Quantity::parse(&quantity.to_string()), Ok(quantity));
        }

        #[test]
        fn no_text_panics_or_is_out_of_range(text in "[-+0-9.eEinumkKMGTP]{0,50}|\\PC{0,10}") {
            if let Ok(quantity) = Quantity::parse(&text) {
                prop_assert!((0..=MAX).contains(&quantity.nano));
            }
        }
    }
}
