//! `{{inputs.parameters.{{item}}}}`: tags whose name holds tags.
//!
//! Argo replaces the inner tag and reads the result again. Here the whole becomes an expression,
//! `inputs.parameters[item]`: what the inner tag stands for names one part of the outer one and is
//! never read as anything else.

use super::split_expression;
use crate::error::{TagError, cut};

/// Levels of tags in tags.
const LEVELS: usize = 4;

/// The expression that a tag with tags inside stands for, and what follows the tag. `tag` begins
/// behind its `{{`.
///
/// # Errors
/// It is not closed, nested too deeply, or its first name is not written out.
pub(super) fn expression(tag: &str) -> Result<(String, &str), TagError> {
    let mut reader = Reader { tag, rest: tag };
    let source = reader.name(0)?;
    Ok((source, reader.rest))
}

/// A part of a name between dots.
#[derive(Default)]
struct Part {
    /// Pieces of an expression that are joined; texts are quoted already.
    pieces: Vec<String>,
    /// The text, while the part is nothing but text.
    plain: Option<String>,
}

struct Reader<'t> {
    tag: &'t str,
    rest: &'t str,
}

impl Reader<'_> {
    fn unclosed<T>(&self) -> Result<T, TagError> {
        Err(TagError::Unclosed(cut(self.tag)))
    }

    /// Reads a name up to and with its `}}`.
    fn name(&mut self, level: usize) -> Result<String, TagError> {
        if level >= LEVELS {
            return Err(TagError::Nested(cut(self.tag)));
        }
        let mut parts = vec![Part::default()];
        loop {
            let Some(at) = self.rest.find(['{', '}']) else {
                return self.unclosed();
            };
            let (text, tail) = self.rest.split_at_checked(at).unwrap_or((self.rest, ""));
            push_text(&mut parts, text);
            if let Some(after) = tail.strip_prefix("}}") {
                self.rest = after;
                return self.joined(parts);
            }
            let Some(inner) = tail.strip_prefix("{{") else {
                return Err(TagError::Nested(cut(self.tag)));
            };
            let value = self.inner(inner, level)?;
            if let Some(part) = parts.last_mut() {
                part.close();
                part.pieces.push(value);
            }
        }
    }

    /// The expression of a tag inside of the name.
    fn inner(&mut self, inner: &str, level: usize) -> Result<String, TagError> {
        let behind = |text: &str| self.rest.len().saturating_sub(text.len());
        let Some(source) = inner.trim_start().strip_prefix('=') else {
            let skipped = behind(inner);
            self.rest = self.rest.get(skipped..).unwrap_or("");
            return self.name(level.saturating_add(1));
        };
        let Some((source, after)) = split_expression(source) else {
            return self.unclosed();
        };
        let value = format!("string({})", source.trim());
        let skipped = behind(after);
        self.rest = self.rest.get(skipped..).unwrap_or("");
        Ok(value)
    }

    fn joined(&self, parts: Vec<Part>) -> Result<String, TagError> {
        let mut out = String::new();
        for (place, mut part) in parts.into_iter().enumerate() {
            let plain = if part.pieces.is_empty() { part.plain.take() } else { None };
            let plain = plain.map(|text| text.trim().to_owned());
            part.close();
            match (place, plain) {
                (0, Some(name)) if is_name(&name) => out.push_str(&name),
                (0, _) => return Err(TagError::Nested(cut(self.tag))),
                (_, Some(name)) if is_name(&name) => {
                    out.push('.');
                    out.push_str(&name);
                }
                (_, Some(name)) => out.push_str(&format!("[{}]", quoted(&name))),
                (_, None) => out.push_str(&format!("[{}]", part.pieces.join(" + "))),
            }
        }
        Ok(out)
    }
}

impl Part {
    /// Makes the text so far a piece.
    fn close(&mut self) {
        if let Some(text) = self.plain.take()
            && !text.trim().is_empty()
        {
            self.pieces.push(quoted(text.trim()));
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    for (place, piece) in text.split('.').enumerate() {
        if place > 0 {
            parts.push(Part::default());
        }
        if let Some(part) = parts.last_mut()
            && !piece.is_empty()
        {
            part.plain.get_or_insert_default().push_str(piece);
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A text as an expression.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

#[cfg(test)]
mod tests {
    use crate::error::TagError;
    use crate::tags::{RawSegment, parse_text};

    fn source(text: &str) -> String {
        match parse_text(text).unwrap().as_slice() {
            [RawSegment::Expression(source)] => source.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_tag_in_a_tag_names_a_part_of_it() {
        let cases = [
            ("{{inputs.parameters.{{item}}}}", "inputs.parameters[item]"),
            ("{{ inputs.parameters.{{ item.key }} }}", "inputs.parameters[item.key]"),
            ("{{inputs.parameters.a-{{item}}-b}}", "inputs.parameters['a-' + item + '-b']"),
            (
                "{{tasks.{{inputs.parameters.my-p}}.outputs.result}}",
                "tasks[inputs.parameters['my-p']].outputs.result",
            ),
            (
                "{{workflow.parameters.{{inputs.parameters.{{item}}}}}}",
                "workflow.parameters[inputs.parameters[item]]",
            ),
            (
                "{{inputs.parameters.p{{=asInt(item) + 1}}}}",
                "inputs.parameters['p' + string(asInt(item) + 1)]",
            ),
            ("{{inputs.parameters.it's-{{item}}}}", "inputs.parameters['it\\'s-' + item]"),
        ];
        for (text, expected) in cases {
            assert_eq!(source(text), expected, "{text}");
        }
        let around = parse_text("a {{x.{{y}}}} b").unwrap();
        assert_eq!(around.len(), 3);
    }

    #[test]
    fn what_cannot_be_named_is_refused() {
        for text in ["{{{{a}}.b}}", "{{x{{a}}.b}}", "{{a.{{b.{{c.{{d.{{e}}}}}}}}}}"] {
            assert!(matches!(parse_text(text), Err(TagError::Nested(_))), "{text}");
        }
        for text in ["{{a.{{b}}", "{{a.{{b", "{{a.{{=b}}"] {
            assert!(matches!(parse_text(text), Err(TagError::Unclosed(_))), "{text}");
        }
    }
}
