//! Finds the `{{...}}` tags of a string.

use crate::error::{TagError, cut};

/// A piece of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawSegment<'a> {
    /// Text between tags.
    Literal(&'a str),
    /// The trimmed name in `{{name}}`.
    Reference(&'a str),
    /// The trimmed source in `{{=source}}`; it parses.
    Expression(&'a str),
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
        let (inner, after, expression) = if let Some(inner) = tag.trim_start().strip_prefix('=') {
            let (inner, after) =
                split_expression(inner).ok_or_else(|| TagError::Unclosed(cut(tag)))?;
            (inner.trim(), after, true)
        } else {
            let (inner, after) =
                tag.split_once("}}").ok_or_else(|| TagError::Unclosed(cut(tag)))?;
            if inner.contains("{{") {
                return Err(TagError::Nested(cut(inner)));
            }
            (inner.trim(), after, false)
        };
        if inner.is_empty() {
            return Err(TagError::Empty);
        }
        if expression {
            crate::parse_check(inner)
                .map_err(|cause| TagError::Expression { source_text: cut(inner), cause })?;
            out.push(RawSegment::Expression(inner));
        } else {
            out.push(RawSegment::Reference(inner));
        }
        rest = after;
    }
    if !rest.is_empty() || out.is_empty() {
        out.push(RawSegment::Literal(rest));
    }
    Ok(out)
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
            [Literal("a "), Reference("inputs.parameters.x"), Expression("1 + 1"), Literal(" b")]
        );
        assert_eq!(parse_text("").unwrap(), [Literal("")]);
        assert_eq!(parse_text("a } b }}").unwrap(), [Literal("a } b }}")]);
    }

    #[test]
    fn an_expression_may_hold_braces_and_quoted_braces() {
        assert_eq!(
            parse_text("{{=toJson({'a': {'b': 1}})}}!").unwrap(),
            [Expression("toJson({'a': {'b': 1}})"), Literal("!")]
        );
        assert_eq!(parse_text("{{='}}'}}").unwrap(), [Expression("'}}'")]);
    }

    #[test]
    fn broken_tags_are_named() {
        assert_eq!(
            parse_text("x {{foo").unwrap_err().to_string(),
            "the tag {{foo is not closed by }}"
        );
        assert_eq!(parse_text("{{ }}").unwrap_err(), TagError::Empty);
        assert!(matches!(parse_text("{{a.{{b}}}}"), Err(TagError::Nested(_))));
        assert!(matches!(parse_text("{{=1 +}}"), Err(TagError::Expression { .. })));
    }
}
