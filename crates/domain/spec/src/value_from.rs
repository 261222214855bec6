//! `valueFrom` of parameters that are given: values of `ConfigMap`s and of expressions.

use flowforge_model::text::{Segment, Text};

use crate::config_maps::Key;
use crate::grammar;
use crate::located::Node;
use crate::outline::Doc;
use crate::references::Names;

impl<'a> Doc<'a> {
    /// What `valueFrom` gives, its own default included. `otherwise` says that there is another
    /// value to use when it gives none.
    pub(crate) fn given_from(
        &self,
        from: &'a Node,
        otherwise: bool,
        names: &Names<'_, 'a>,
    ) -> Option<Text> {
        if !self.report.fields(from, &grammar::GIVEN_FROM) {
            return None;
        }
        let default = from.field("default");
        match (from.field("configMapKeyRef"), from.field("expression")) {
            (Some(key), None) => match self.config_parameter(key, otherwise || default.is_some()) {
                Key::Value(value) => Some(Text::plain(value)),
                Key::Absent => self.text(default?, names),
                Key::Missing => None,
            },
            (None, Some(node)) => {
                let source = self.report.string(node)?;
                let source = self.expression(node, source, names)?;
                Some(Text::Parts([Segment::Expression(source)].into()))
            }
            _ => {
                // Refused sources were reported by name.
                if !grammar::GIVEN_FROM.refused_keys().any(|key| from.field(key).is_some()) {
                    let message = "valueFrom needs exactly one source";
                    let hint = "give it a configMapKeyRef or an expression";
                    self.report.error("conflict", from, message, hint);
                }
                None
            }
        }
    }

    /// The value of a parameter of the workflow that its `valueFrom` names in a `ConfigMap`.
    pub(crate) fn workflow_value_from(&self, item: &'a Node) -> Option<&'a str> {
        let from = item.field("valueFrom")?;
        if !self.report.fields(from, &grammar::GIVEN_FROM) {
            return None;
        }
        if let Some(expression) = from.field("expression") {
            let message = "a parameter of the workflow has its value before anything runs";
            self.report.error("unsupported", expression, message, "write the value");
            return None;
        }
        let default = from.field("default").or(item.field("default"));
        let key = self.report.required(from, &grammar::GIVEN_FROM, "configMapKeyRef")?;
        match self.config_parameter(key, default.is_some()) {
            Key::Value(value) => Some(value),
            Key::Absent => self.report.string(default?),
            Key::Missing => None,
        }
    }
}
