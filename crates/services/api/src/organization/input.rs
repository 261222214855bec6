//! Limits as clients write them. Everything that is wrong is said at once.

use flowforge_model::limits::REPORTED_ERRORS;
use flowforge_model::quantity::Quantity;
use flowforge_model::quota::{Amounts, Dimension, Quota, Weight};
use flowforge_organization::unit;
use flowforge_wire::Finding;

use super::show::{counts, field};
use crate::envelope::Fields;
use crate::problem::{Code, Failure, finding, shown};
use crate::query::digits;

/// JSON numbers above this are not exact everywhere.
const EXACT: u64 = 1 << 53;

/// What a new quota allows where nothing is said.
pub(super) fn standard() -> Quota {
    let mut limits = [None; Dimension::COUNT];
    for (dimension, limit) in Dimension::ALL.into_iter().zip(&mut limits) {
        let units = match dimension {
            Dimension::CpuRequest => 2000,
            Dimension::CpuLimit => 4000,
            Dimension::MemoryRequest => 4096,
            Dimension::MemoryLimit => 8192,
            Dimension::Gpu => 0,
            Dimension::Pods => 10,
            Dimension::Workflows => 5,
            Dimension::Storage => 100,
        };
        *limit = Some(units * unit(dimension));
    }
    Quota { limits, weight: Weight::default() }
}

/// Limits and weight over those of `before`; what is missing stays. The other fields of the body
/// were taken before.
pub(crate) fn quota(mut fields: Fields<'_>, before: Quota) -> Result<Quota, Failure> {
    let mut after = before;
    let mut errors: Vec<Finding> = Vec::new();
    for (dimension, limit) in Dimension::ALL.into_iter().zip(&mut after.limits) {
        let name = field(dimension);
        let there = fields.has(name);
        match fields.take(name) {
            Some(raw) => match amount(dimension, raw.get()) {
                Ok(amount) => *limit = Some(amount),
                Err(why) => errors.push(fault(&fields, name, raw, &why)),
            },
            None if there => *limit = None,
            None => {}
        }
    }
    if let Some(raw) = fields.take("priority_weight") {
        let weight = digits(raw.get()).and_then(|weight| u16::try_from(weight).ok());
        match weight.and_then(Weight::new) {
            Some(weight) => after.weight = weight,
            None => {
                let why = format!("`priority_weight` is a whole number, 1 to {}", Weight::MOST);
                errors.push(fault(&fields, "priority_weight", raw, &why));
            }
        }
    }
    fields.finish()?;
    if errors.is_empty() {
        return Ok(after);
    }
    errors.truncate(REPORTED_ERRORS);
    errors.sort_by_key(|one| (one.line, one.column));
    Err(Failure::with(Code::InvalidQuota, errors, 0))
}

fn fault(fields: &Fields<'_>, name: &str, raw: &serde_json::value::RawValue, why: &str) -> Finding {
    let mut found = finding(Code::InvalidQuota.slug(), fields.pointer(name), why);
    let (line, column) = fields.place(raw);
    (found.line, found.column) = (Some(line), Some(column));
    found
}

/// An amount in the unit of [`Amounts`]: a number in the field's unit, or a quantity.
fn amount(dimension: Dimension, raw: &str) -> Result<u64, String> {
    let (name, unit, what) = (field(dimension), unit(dimension), counts(dimension));
    let most = (Amounts::MOST / unit).min(EXACT);
    let what = if what.is_empty() { "" } else { what };
    let wrong = || {
        let raw = shown(raw);
        let number = format!("a whole number of 0 to {most}{what}");
        match dimension {
            Dimension::Gpu | Dimension::Pods | Dimension::Workflows => {
                format!("`{name}` is {number}, or null for no limit; not {raw}")
            }
            _ => format!(
                "`{name}` is {number}, a quantity as in \"8Gi\" or \"4000m\", or null; not {raw}"
            ),
        }
    };
    let units = if raw.starts_with('"') {
        let text: String = serde_json::from_str(raw).map_err(|_| wrong())?;
        quantity(dimension, &text).ok_or_else(wrong)?
    } else {
        digits(raw).ok_or_else(wrong)?
    };
    if units > most { Err(wrong()) } else { Ok(units * unit) }
}

/// A quantity in the field's unit, if it is a whole number of them.
fn quantity(dimension: Dimension, text: &str) -> Option<u64> {
    let read = Quantity::parse(text).ok()?;
    let (units, back) = match dimension {
        Dimension::CpuRequest | Dimension::CpuLimit => {
            let milli = read.milli_cpu().0;
            (milli, format!("{milli}m"))
        }
        Dimension::MemoryRequest | Dimension::MemoryLimit => {
            let mib = read.bytes().0 >> 20;
            (mib, format!("{mib}Mi"))
        }
        Dimension::Storage => {
            let gib = read.bytes().0 >> 30;
            (gib, format!("{gib}Gi"))
        }
        Dimension::Gpu | Dimension::Pods | Dimension::Workflows => return None,
    };
    (Quantity::parse(&back).ok()? == read).then_some(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_refused() {
        let cpu = |raw| amount(Dimension::CpuLimit, raw).ok();
        assert_eq!(cpu("0"), Some(0));
        assert_eq!(cpu("\"4\""), Some(4000));
        assert_eq!(cpu("\"1500m\""), Some(1500));
        assert_eq!(cpu("9007199254740992"), Some(EXACT));
        for bad in [
            "-1",
            "1.5",
            "1e3",
            "9007199254740993",
            "99999999999999999999",
            "true",
            "[]",
            "{}",
            "\"\"",
            "\"-1\"",
            "\"1.5m\"",
            "\"0.0001\"",
            "\"1E\"",
            "\"x\"",
            "\"１\"",
            "\"0x1\"",
            "-0",
        ] {
            assert_eq!(cpu(bad), None, "{bad}");
        }
        let memory = |raw| amount(Dimension::MemoryLimit, raw).ok();
        assert_eq!(memory("8192"), Some(8 << 30));
        assert_eq!(memory("\"8Gi\""), Some(8 << 30));
        assert_eq!(memory("\"1Ei\""), Some(1 << 60));
        for bad in ["1099511627777", "\"1000\"", "\"8G\"", "\"2Ei\"", "\"9223372036854775807Ki\""] {
            assert_eq!(memory(bad), None, "{bad}");
        }
        assert_eq!(amount(Dimension::Storage, "\"1Ti\"").ok(), Some(1 << 40));
        assert_eq!(amount(Dimension::Pods, "\"1\"").ok(), None);
    }
}
