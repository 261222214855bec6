//! Names and the dialect that decides which ones are allowed.

use crate::located::{Node, quote};
use crate::report::Report;

/// Whose document it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Ours: `version: "1.0"`.
    Native,
    /// An Argo manifest: `kind: Workflow`.
    Argo,
}

impl Dialect {
    /// Reports a name of a template, task or workflow that is not allowed.
    pub(crate) fn check_name<'a>(self, report: &Report<'a>, at: &'a Node, name: &str, what: &str) {
        let (fine, rule) = match self {
            Self::Native => {
                (is_dns_label(name), "use a-z, 0-9 and - inside, at most 63 characters")
            }
            Self::Argo => (
                is_argo_name(name, what == "a template"),
                "use letters, digits, - and _, at most 128 characters, not beginning with -",
            ),
        };
        if !fine {
            let message = format!("{} is no name for {what}", quote(name));
            report.error("bad_name", at, message, rule);
        }
    }
}

/// `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`
pub(crate) fn is_dns_label(name: &str) -> bool {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inside)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// What Argo 3 took. Dots are for templates only: in tags they part names from fields.
fn is_argo_name(name: &str, dots: bool) -> bool {
    let plain = if dots { name.replace('.', "-") } else { name.to_owned() };
    is_parameter_name(&plain) && !plain.starts_with('-')
}

/// `[A-Za-z0-9_-]{1,128}`
pub(crate) fn is_parameter_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ascii_dns_labels() {
        let long = "a".repeat(63);
        for name in ["a", "a-b", "0", "a--b", "con", &long] {
            assert!(is_dns_label(name), "{name}");
        }
        let longer = "a".repeat(64);
        let bad = [
            "",
            "-a",
            "a-",
            "a.b",
            "..",
            "A",
            "a_b",
            "__proto__",
            "a ",
            "é",
            "a\u{200b}",
            "аb",
            "🙂",
            "\u{202e}a",
            &longer,
        ];
        for name in bad {
            assert!(!is_dns_label(name), "{name}");
        }
    }
}
