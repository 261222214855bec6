//! A text with the stored documents it refers to behind it: what was resolved when a workflow was
//! submitted is part of what is kept of it, whatever becomes of the templates later.

use std::collections::BTreeSet;

use flowforge_model::limits::{BODY_BYTES, TEMPLATE_DEPTH};

use crate::inspect::{Missing, missing};

/// A text and what was added to it. Whoever knows what is stored adds what is [`Bundle::missing`]
/// until nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    text: String,
    /// In the order of their lines.
    added: Vec<Added>,
    /// What is not stored either.
    absent: BTreeSet<Missing>,
    rounds: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Added {
    /// Its first line, from 1.
    line: u32,
    what: String,
}

impl Bundle {
    /// A text to which nothing was added yet.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self { text, ..Self::default() }
    }

    /// What the text refers to, is not in it and was not said to be absent. Empty after as many
    /// questions as templates may be nested, and for a text that is too large.
    pub fn missing(&mut self) -> Vec<Missing> {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > TEMPLATE_DEPTH || self.text.len() > BODY_BYTES {
            return Vec::new();
        }
        let mut all = missing(&self.text);
        all.retain(|one| !self.absent.contains(one));
        all
    }

    /// Adds a stored document, which people know as `what`.
    pub fn add(&mut self, what: String, document: &str) {
        if !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.push_str("---\n");
        let breaks = self.text.bytes().filter(|byte| *byte == b'\n').count();
        let line = u32::try_from(breaks).unwrap_or(u32::MAX).saturating_add(1);
        self.text.push_str(document);
        self.added.push(Added { line, what });
    }

    /// It is not stored: the compiler reports it in its place.
    pub fn absent(&mut self, missing: Missing) {
        self.absent.insert(missing);
    }

    /// The text as it is now.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text as it is now.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text
    }

    /// What was added and has this line of the text, and which of its own lines that is; none for
    /// a line of the text as it came.
    #[must_use]
    pub fn place(&self, line: u32) -> Option<(&str, u32)> {
        let added = self.added.iter().take_while(|one| one.line <= line).last()?;
        Some((&added.what, line.saturating_sub(added.line).saturating_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DocumentKind;

    #[test]
    fn lines_of_what_was_added_are_known() {
        let mut bundle = Bundle::new("a: 1\nb: 2".to_owned());
        bundle.add("one".to_owned(), "x: 1\n");
        bundle.add("two".to_owned(), "y: 1\nz: 2");
        assert_eq!(bundle.text(), "a: 1\nb: 2\n---\nx: 1\n---\ny: 1\nz: 2");
        let places: Vec<_> = (1..=7).map(|line| bundle.place(line)).collect();
        let (one, two) = (|line| Some(("one", line)), |line| Some(("two", line)));
        assert_eq!(places, [None, None, None, one(1), one(2), two(1), two(2)]);
    }

    #[test]
    fn what_is_missing_is_asked_for_until_it_is_there_or_absent() {
        let head = "apiVersion: argoproj.io/v1alpha1\nmetadata: {name: x}\n";
        let text = |kind: &str, spec: &str| format!("{head}kind: {kind}\nspec: {{{spec}}}\n");
        let workflow = text("Workflow", "workflowTemplateRef: {name: a}");
        let mut bundle = Bundle::new(workflow);
        let wanted =
            |name: &str| Missing { kind: DocumentKind::WorkflowTemplate, name: name.to_owned() };
        assert_eq!(bundle.missing(), [wanted("a")]);
        let inner = "entrypoint: m, templates: [{name: m, steps: [[{name: s, templateRef: {name: b, template: t}}]]}]";
        let stored = text("WorkflowTemplate", inner).replace("name: x", "name: a");
        bundle.add("a".to_owned(), &stored);
        assert_eq!(bundle.missing(), [wanted("b")]);
        bundle.absent(wanted("b"));
        assert!(bundle.missing().is_empty());
    }
}
