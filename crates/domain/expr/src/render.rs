//! Puts values into a text.

use std::borrow::Cow;

use flowforge_model::text::{Reference, Segment, Text};

use crate::error::{RenderError, cut};
use crate::lang::{Environment, Outcome};

/// What the tags of a text stand for, where the text is used: plain ones by [`Self::reference`],
/// the names of expressions by the [`Environment`].
pub trait Scope: Environment {
    /// The value of a plain tag; `None` if it has none here.
    fn reference(&self, reference: &Reference) -> Option<Cow<'_, str>>;

    /// How a sibling is written, `tasks.a` or `steps.a`: for messages only.
    fn sibling(&self, slot: u32) -> Option<String> {
        let _ = slot;
        None
    }
}

/// Puts the values of `scope` into `text` in a single pass. What comes out is never scanned
/// again: `{{`, quotes and newlines of a value arrive as they are.
///
/// # Errors
/// The first tag without a value, or the first expression that fails.
pub fn render<'t>(text: &'t Text, scope: &dyn Scope) -> Result<Cow<'t, str>, RenderError> {
    render_with(text, scope, |value| value)
}

/// The same, with each value written as `write` does, so that whoever reads the whole can tell
/// values from the text around them.
///
/// # Errors
/// As [`render`].
pub fn render_with<'t>(
    text: &'t Text,
    scope: &dyn Scope,
    write: impl for<'v> Fn(Cow<'v, str>) -> Cow<'v, str>,
) -> Result<Cow<'t, str>, RenderError> {
    let parts = match text {
        Text::Plain(text) => return Ok(Cow::Borrowed(text)),
        Text::Parts(parts) => parts,
    };
    let mut out = String::new();
    for part in parts {
        match part {
            Segment::Literal(text) => out.push_str(text),
            Segment::Reference(reference) => {
                let value = scope.reference(reference).ok_or_else(|| {
                    RenderError::Unresolved(crate::human(reference, &|slot| scope.sibling(slot)))
                })?;
                out.push_str(&write(value));
            }
            Segment::Expression(source) => {
                out.push_str(&write(expression(source, scope)?.into()));
            }
        }
    }
    Ok(Cow::Owned(out))
}

/// The value of an expression as a text: a string as it is, anything else as compact JSON.
///
/// # Errors
/// It fails, or it is nil.
pub fn expression(source: &str, env: &dyn Environment) -> Result<String, RenderError> {
    let value = crate::evaluate(source, env)
        .map_err(|cause| RenderError::Expression { source_text: cut(source), cause })?;
    value.into_text().ok_or_else(|| RenderError::Nil(cut(source)))
}

/// What an expression decides.
///
/// # Errors
/// It fails, or it is neither true nor false.
pub fn decide(source: &str, env: &dyn Environment) -> Result<bool, RenderError> {
    let value = crate::evaluate(source, env)
        .map_err(|cause| RenderError::Expression { source_text: cut(source), cause })?;
    let value = match value {
        Outcome::Bool(value) => return Ok(value),
        Outcome::Nil => "nil".to_owned(),
        Outcome::Text(text) => format!("\"{}\"", cut(&text)),
        Outcome::Json(text) => cut(&text),
    };
    Err(RenderError::NotBool { source_text: cut(source), value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::lang::Entry;

    struct One(String);

    impl Environment for One {
        fn entry(&self, path: &[&str]) -> Entry<'_> {
            match path {
                ["inputs"] | ["inputs", "parameters"] => Entry::Map,
                ["inputs", "parameters", "x"] => Entry::Text(Cow::Borrowed(&self.0)),
                _ => Entry::Absent,
            }
        }
        fn keys(&self, _path: &[&str]) -> Vec<String> {
            Vec::new()
        }
    }

    impl Scope for One {
        fn reference(&self, reference: &Reference) -> Option<Cow<'_, str>> {
            matches!(reference, Reference::Input(_)).then(|| Cow::Borrowed(self.0.as_str()))
        }
        fn sibling(&self, _slot: u32) -> Option<String> {
            Some("tasks.a".into())
        }
    }

    fn text(parts: Vec<Segment>) -> Text {
        Text::Parts(parts.into())
    }

    #[test]
    fn a_reference_without_a_value_is_named() {
        let sibling = Reference::Sibling {
            slot: 0,
            field: flowforge_model::text::SiblingField::Output("x".into()),
        };
        let text = text(vec![Segment::Reference(sibling)]);
        let error = render(&text, &One(String::new()));
        assert_eq!(error.unwrap_err().to_string(), "{{tasks.a.outputs.parameters.x}} has no value");
    }

    #[test]
    fn expressions_render_as_strings_or_compact_json() {
        let cases = [
            ("1 + 1", "2"),
            ("1.0", "1"),
            ("1e21", "1e+21"),
            ("'a' + 'b'", "ab"),
            ("[1, 'a']", "[1,\"a\"]"),
            ("inputs.parameters.x", "{{x}}"),
        ];
        for (source, expected) in cases {
            let text = text(vec![Segment::Expression(source.into())]);
            assert_eq!(render(&text, &One("{{x}}".into())).unwrap(), expected, "{source}");
        }
        let nil = text(vec![Segment::Expression("nil".into())]);
        assert!(matches!(render(&nil, &One(String::new())), Err(RenderError::Nil(_))));
    }

    #[test]
    fn values_can_be_told_from_the_text_around_them() {
        let text = text(vec![
            Segment::Literal("$(A) ".into()),
            Segment::Reference(Reference::Input("x".into())),
            Segment::Expression("inputs.parameters.x".into()),
        ]);
        fn doubled(value: Cow<'_, str>) -> Cow<'_, str> {
            if value.contains('$') { value.replace('$', "$$").into() } else { value }
        }
        let out = render_with(&text, &One("$(B)".into()), doubled).unwrap();
        assert_eq!(out, "$(A) $$(B)$$(B)");
    }

    proptest! {
        /// Whatever a value holds, it arrives as it is, once, and nothing beside it changes.
        #[test]
        fn a_value_is_data(value in "(\\{\\{|\\}\\}|=|[ -~\\n\"'$\\\\]|\\PC){0,40}") {
            let text = text(vec![
                Segment::Literal("<{{".into()),
                Segment::Reference(Reference::Input("x".into())),
                Segment::Literal("|".into()),
                Segment::Expression("inputs.parameters.x".into()),
                Segment::Literal("}}>".into()),
            ]);
            let out = render(&text, &One(value.clone())).unwrap();
            prop_assert_eq!(out, format!("<{{{{{value}|{value}}}}}>"));
        }
    }
}
