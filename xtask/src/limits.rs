//! docs/reference/limits.md is written from the constants of the model.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::workspace::root;

const HEAD: &str = "# Limits

Every bound of the system. This page is written by `cargo xtask tidy --bless` from
`crates/domain/model/src/limits.rs`, which is the place to change one.

| name | value | what is bounded, and why |
|---|---:|---|
";

struct Limit {
    name: String,
    value: u64,
    why: String,
}

/// Whether the page says what the code does.
pub(crate) fn faults() -> anyhow::Result<Vec<String>> {
    let written = fs::read_to_string(page()).unwrap_or_default();
    Ok(if written == render(&read()?)? {
        Vec::new()
    } else {
        vec!["docs/reference/limits.md is out of date: cargo xtask tidy --bless".to_owned()]
    })
}

/// Writes the page.
pub(crate) fn write() -> anyhow::Result<()> {
    fs::write(page(), render(&read()?)?).context("write docs/reference/limits.md")
}

fn page() -> PathBuf {
    root().join("docs/reference/limits.md")
}

fn read() -> anyhow::Result<Vec<Limit>> {
    let path = root().join("crates/domain/model/src/limits.rs");
    let source = fs::read_to_string(path).context("read the limits of the model")?;
    parse(&source)
}

fn parse(source: &str) -> anyhow::Result<Vec<Limit>> {
    let mut limits = Vec::new();
    let mut why = String::new();
    let mut statement = String::new();
    for line in source.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            if !why.is_empty() {
                why.push(' ');
            }
            why.push_str(text.trim());
        } else if line.starts_with("pub const ") || !statement.is_empty() {
            statement.push_str(line);
            if line.ends_with(';') {
                limits.push(limit(&statement, std::mem::take(&mut why))?);
                statement.clear();
            }
        } else {
            why.clear();
        }
    }
    Ok(limits)
}

fn limit(statement: &str, why: String) -> anyhow::Result<Limit> {
    let rest = statement.trim_start_matches("pub const ");
    let (name, rest) = rest.split_once(':').context("find the name of a limit")?;
    let (_, expression) = rest.split_once('=').context("find the value of a limit")?;
    let value = evaluate(expression.trim_end_matches(';'))
        .with_context(|| format!("read the value of {name}"))?;
    Ok(Limit { name: name.trim().to_owned(), value, why })
}

/// Products, less whatever is subtracted: all that the limits use.
fn evaluate(expression: &str) -> anyhow::Result<u64> {
    let mut total: Option<u64> = None;
    for term in expression.split('-') {
        let mut product = 1_u64;
        for factor in term.split('*') {
            let digits: String = factor.trim().chars().filter(|c| *c != '_').collect();
            let factor: u64 = digits.parse().with_context(|| format!("read `{digits}`"))?;
            product = product.checked_mul(factor).context("fit it into 64 bits")?;
        }
        total = match total {
            None => Some(product),
            Some(total) => total.checked_sub(product),
        };
        if total.is_none() {
            bail!("below zero");
        }
    }
    total.context("empty")
}

fn render(limits: &[Limit]) -> anyhow::Result<String> {
    let mut page = HEAD.to_owned();
    for limit in limits {
        writeln!(page, "| `{}` | {} | {} |", limit.name, grouped(limit.value), limit.why)?;
    }
    Ok(page)
}

/// With commas: 1048576 as 1,048,576.
fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && digits.len().saturating_sub(place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{evaluate, grouped, parse, render};

    #[test]
    fn a_limit_becomes_a_row() {
        let source = "//! Docs.\n\n/// Bytes of a body.\n/// One more line.\npub const BODY: usize =\n    16 * 1_024;\n";
        let page = render(&parse(source).unwrap()).unwrap();
        assert!(
            page.ends_with("| `BODY` | 16,384 | Bytes of a body. One more line. |\n"),
            "{page}"
        );
    }

    #[test]
    fn values_are_computed_exactly_or_refused() {
        assert_eq!(evaluate("128 * 1024 - 1").unwrap(), 131_071);
        assert!(evaluate("1 - 2").is_err());
        assert!(evaluate("A * 2").is_err());
        assert_eq!(grouped(1_000_000), "1,000,000");
        assert_eq!(grouped(100), "100");
    }
}
