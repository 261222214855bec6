//! Fields of Argo that hold any scalar as a string: what a number or a bool without quotes becomes
//! there, which is what Go's YAML and JSON make of it. Native documents keep what was written.

use crate::grammar::{Holds, Kind};
use crate::library::{DocumentKind, Sheet};
use crate::located::{Document, Entry, Node, Value};

/// Writes the scalars of such fields as Argo does.
pub(crate) fn normalise(documents: &mut [Document]) {
    for document in documents {
        let kind = Sheet::of(&document.root).kind;
        match kind {
            DocumentKind::Native | DocumentKind::NativeSchedule | DocumentKind::Other => {}
            DocumentKind::Workflow
            | DocumentKind::WorkflowTemplate
            | DocumentKind::ClusterWorkflowTemplate
            | DocumentKind::CronWorkflow
            | DocumentKind::ConfigMap => below(&mut document.root, Holds::Map(kind.grammar())),
        }
    }
}

fn below(node: &mut Node, holds: Holds) {
    match (holds, &mut node.value) {
        (Holds::Value, _) => {}
        (Holds::AnyString, _) => any_string(node),
        (Holds::Map(kind), Value::Map(entries)) => map(entries, kind),
        (Holds::List(kind) | Holds::Named(kind), Value::Map(entries)) => {
            entries.iter_mut().for_each(|entry| below(&mut entry.node, Holds::Map(kind)));
        }
        (Holds::List(kind) | Holds::Named(kind), Value::List(items)) => {
            items.iter_mut().for_each(|item| below(item, Holds::Map(kind)));
        }
        (Holds::Groups(kind), Value::List(groups)) => {
            for group in groups {
                let holds = match group.value {
                    Value::List(_) => Holds::List(kind),
                    Value::Map(_) | Value::Plain(_) | Value::Quoted(_) => Holds::Map(kind),
                };
                below(group, holds);
            }
        }
        (
            Holds::Map(_) | Holds::List(_) | Holds::Named(_) | Holds::Groups(_),
            Value::List(_) | Value::Map(_) | Value::Plain(_) | Value::Quoted(_),
        ) => {}
    }
}

fn map(entries: &mut [Entry], kind: &Kind) {
    for entry in entries {
        if let Some(field) = kind.field(&entry.key) {
            below(&mut entry.node, field.holds);
        }
    }
}

/// A scalar, or all scalars of lists and maps.
fn any_string(node: &mut Node) {
    match &mut node.value {
        Value::Plain(text) => {
            if let Some(written) = as_go_writes(text) {
                *text = written.into();
            }
        }
        Value::Quoted(_) => {}
        Value::List(items) => items.iter_mut().for_each(any_string),
        Value::Map(entries) => entries.iter_mut().for_each(|entry| any_string(&mut entry.node)),
    }
}

/// A bool or number of YAML 1.1 as Go writes it; `None` for what is a string or stays as it is.
pub(crate) fn as_go_writes(text: &str) -> Option<String> {
    let first = text.bytes().next()?;
    if first.is_ascii_alphabetic() {
        return as_bool(text).filter(|word| *word != text).map(str::to_owned);
    }
    let number = first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.');
    // Longer than any number that keeps its digits.
    if !number || text.len() > 64 {
        return None;
    }
    let plain = text.replace('_', "");
    let written = as_integer(&plain).or_else(|| as_float(&plain))?;
    (written != text).then_some(written)
}

fn as_bool(text: &str) -> Option<&'static str> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some("true")
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some("false")
        }
        _ => None,
    }
}

/// Decimal, `0x`, `0o`, `0b`, and octal after a zero.
fn as_integer(text: &str) -> Option<String> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = if let Some(body) = lower.strip_prefix("0x") {
        (16, body)
    } else if let Some(body) = lower.strip_prefix("0b") {
        (2, body)
    } else if let Some(body) = lower.strip_prefix("0o") {
        (8, body)
    } else if lower.len() > 1 && lower.starts_with('0') {
        (8, lower.get(1..)?)
    } else {
        (10, lower.as_str())
    };
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let value = u64::from_str_radix(body, radix).ok()?;
    if !text.starts_with('-') || value == 0 {
        return Some(value.to_string());
    }
    (value <= 1 << 63).then(|| format!("-{value}"))
}

/// Shortest digits that give the number again, never with an exponent.
fn as_float(text: &str) -> Option<String> {
    let number = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (number, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa = digits(whole) && digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent = exponent.is_none_or(|text| {
        let body = text.strip_prefix(['+', '-']).unwrap_or(text);
        !body.is_empty() && digits(body)
    });
    if !(mantissa && exponent) {
        return None;
    }
    let value: f64 = text.parse().ok().filter(|value: &f64| value.is_finite())?;
    Some(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::as_go_writes;

    /// H25, in Argo's form: what Go makes of scalars without quotes.
    #[test]
    fn scalars_without_quotes_are_written_as_go_does() {
        let rows = [
            ("1.5", "1.5"),
            ("1.50", "1.5"),
            ("1.0", "1"),
            ("1e3", "1000"),
            ("1E-7", "0.0000001"),
            (".5", "0.5"),
            ("+5", "5"),
            ("-0", "0"),
            ("010", "8"),
            ("-010", "-8"),
            ("08", "8"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("1_000", "1000"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("18446744073709551616", "18446744073709552000"),
            ("1e400", "1e400"),
            ("yes", "true"),
            ("Off", "false"),
            ("true", "true"),
            ("TRUE", "true"),
            ("yEs", "yEs"),
            ("nope", "nope"),
            ("1:30", "1:30"),
            ("2024-01-02", "2024-01-02"),
            ("1.2.3", "1.2.3"),
            ("-", "-"),
            (".", "."),
            ("1e", "1e"),
            ("0x", "0x"),
            ("12ab", "12ab"),
            ("", ""),
        ];
        for (written, expected) in rows {
            let found = as_go_writes(written);
            assert_eq!(found.as_deref().unwrap_or(written), expected, "{written}");
        }
    }
}
