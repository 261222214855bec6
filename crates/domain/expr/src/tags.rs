//! Finds the `{{...}}` tags of a string.

mod nested;

use std::borrow::Cow;

use crate::error::{TagError, cut};

/// A piece of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawSegment<'a> {
    /// Text between tags.
    Literal(&'a str),
    /// The trimmed name in `{{name}}`.
    Reference(&'a str),
    /// The trimmed source in `{{=source}}`, or the one that a tag with tags inside stands for; it
    /// parses.
    Expression(Cow<'a, str>),
}

/// Splits a string into literals and tags. Linear in the text.
///
/// A plain tag ends at the first `}}`. An expression ends at the first `}}` outside of its
/// strings and braces, so that it may hold map literals.
///
/// # Errors
/// The first tag that is broken.
pub fn parse_text(source: &str) -> Result<Vec<RawSegment<'_>>, TagError> {
    let mut out = Vec::new();
    let mut rest = source;
    while let Some((literal, tag)) = rest.split_once("{{") {
        if !literal.is_empty() {
            out.push(RawSegment::Literal(literal));
        }
        let after = if let Some(inner) = tag.trim_start().strip_prefix('=') {
            let (inner, after) =
                split_expression(inner).ok_or_else(|| TagError::Unclosed(cut(tag)))?;
            out.push(expression(Cow::Borrowed(inner.trim()))?);
            after
        } else {
            let (inner, after) =
                tag.split_once("}}").ok_or_else(|| TagError::Unclosed(cut(tag)))?;
            match inner.trim() {
                "" => return Err(TagError::Empty),
                inner if inner.contains("{{") => {
                    let (source, after) = nested::expression(tag)?;
                    out.push(expression(Cow::Owned(source))?);
                    after
                }
                name => {
                    out.push(RawSegment::Reference(name));
                    after
                }
            }
        };
        rest = after;
    }
    if !rest.is_empty() || out.is_empty() {
        out.push(RawSegment::Literal(rest));
    }
    Ok(out)
}

fn expression(source: Cow<'_, str>) -> Result<RawSegment<'_>, TagError> {
    if source.is_empty() {
        return Err(TagError::Empty);
    }
    match crate::parse_check(&source) {
        Ok(()) => Ok(RawSegment::Expression(source)),
        Err(cause) => Err(TagError::Expression { source_text: cut(&source), cause }),
    }
}

/// Splits at the `}}` that ends an expression; quotes and balanced braces are skipped.
fn split_expression(text: &str) -> Option<(&str, &str)> {
    let mut quote: Option<char> = None;
    let mut escaped = false;
    let mut depth = 0_u32;
    for (at, c) in text.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == q => quote = None,
            Some(q) => escaped = c == '\\' && q != '`',
            None => match c {
                '\'' | '"' | '`' => quote = Some(c),
                '{' => depth = depth.saturating_add(1),
                '}' if depth > 0 => depth -= 1,
                '}' => {
                    let (inner, tail) = text.split_at_checked(at)?;
                    return Some((inner, tail.strip_prefix("}}")?));
                }
                _ => {}
            },
        }
        // An expression may be 4 KiB: nothing longer is looked at, which keeps this linear.
        if at > flowforge_model::limits::EXPRESSION_BYTES.saturating_mul(2) {
            break;
        }
    }
    // Broken quotes: the plain end, so that the expression's own error is reported.
    text.split_once("}}")
}

#[cfg(test)]
mod tests {
    use super::RawSegment::{Expression, Literal, Reference};
    use super::*;

    #[test]
    fn tags_are_found_and_trimmed() {
        assert_eq!(
            parse_text("a {{ inputs.parameters.x }}{{=1 + 1}} b").unwrap(),
            [
                Literal("a "),
                Reference("inputs.parameters.x"),
                Expression("1 + 1".into()),
                Literal(" b")
            ]
        );
        assert_eq!(parse_text("").unwrap(), [Literal("")]);
        assert_eq!(parse_text("a } b }}").unwrap(), [Literal("a } b }}")]);
    }

    #[test]
    fn an_expression_may_hold_braces_and_quoted_braces() {
        assert_eq!(
            parse_text("{{=toJson({'a': {'b': 1}})}}!").unwrap(),
            [Expression("toJson({'a': {'b': 1}})".into()), Literal("!")]
        );
        assert_eq!(parse_text("{{='}}'}}").unwrap(), [Expression("'}}'".into())]);
    }

    #[test]
    fn broken_tags_are_named() {
        assert_eq!(
            parse_text("x {{foo").unwrap_err().to_string(),
            "the tag {{foo is not closed by }}"
        );
        assert_eq!(parse_text("{{ }}").unwrap_err(), TagError::Empty);
        assert!(matches!(parse_text("{{=1 +}}"), Err(TagError::Expression { .. })));
    }
}
