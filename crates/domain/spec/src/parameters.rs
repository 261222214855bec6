//! `workflow.parameters`: the document's values under those of the submission.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::limits::PARAMETER_BYTES;

use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::{Doc, parameter_name};

impl<'a> Doc<'a> {
    /// The parameters of `spec` with their values; registers their names.
    pub(crate) fn workflow_parameters(
        &mut self,
        spec: &'a Node,
        given: &[(String, String)],
    ) -> Vec<(Box<str>, Box<str>)> {
        let report = self.report;
        let given: BTreeMap<&str, &str> =
            given.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let list = spec
            .field("arguments")
            .filter(|arguments| report.fields(arguments, &grammar::WORKFLOW_ARGUMENTS));
        let items = list.map_or(&[][..], |n| report.list_field(n, "parameters", "parameters"));
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in items {
            if !report.fields(item, &grammar::WORKFLOW_PARAMETER) {
                continue;
            }
            let Some(name) = parameter_name(report, item, &grammar::WORKFLOW_PARAMETER, &mut seen)
            else {
                continue;
            };
            let value = self.workflow_parameter_value(item, name, given.get(name).copied());
            out.extend(value.map(|value| (name.into(), value.into())));
        }
        for name in given.keys().filter(|name| !seen.contains(**name)) {
            let hint = report.did_you_mean(name, seen.iter().copied());
            let message = format!("the workflow has no parameter {}", quote(name));
            report.error("unknown_parameter", list.unwrap_or(spec), message, hint);
        }
        self.parameters = seen;
        out
    }

    /// The value of one parameter, checked.
    fn workflow_parameter_value<'v>(
        &self,
        item: &'a Node,
        name: &str,
        given: Option<&'v str>,
    ) -> Option<&'v str>
    where
        'a: 'v,
    {
        let choices = self.choices(item);
        let written = item.field("value").or(item.field("default"));
        if let Some(node) = written {
            self.report.string(node)?;
            if given.is_none() {
                self.check_choice(node, &choices);
            }
        }
        let from = item.field("valueFrom").filter(|_| item.field("value").is_none());
        if from.is_some() && given.is_none() {
            let value = self.workflow_value_from(item);
            // Without one the reason was reported, unless it may be missing.
            return value.or_else(|| self.absent_value(item, name));
        }
        let alone = self.alone.then_some("");
        let value = given.or_else(|| written.and_then(Node::text)).or(alone);
        let Some(value) = value else {
            let message = format!("the parameter {name} has no value");
            let hint = format!("give it one here, or with the submission ({name}=...)");
            self.report.error("missing_value", item, message, hint);
            return None;
        };
        if given.is_some() && !choices.is_empty() && !choices.contains(&value) {
            let message = format!("{} is not allowed for the parameter {name}", quote(value));
            let hint = format!("allowed: {}", choices.join(", "));
            self.report.error("not_in_enum", item, message, hint);
        }
        if value.len() > PARAMETER_BYTES || value.contains('\0') {
            let message = format!(
                "the parameter {name} must have at most {PARAMETER_BYTES} bytes and no NUL"
            );
            self.report.error("limit", item, message, "pass a file or a URL");
        }
        Some(value)
    }

    /// An optional key of a `ConfigMap` that is not there leaves a parameter without a value.
    fn absent_value(&self, item: &'a Node, name: &str) -> Option<&'static str> {
        if !self.report.has_errors() && !self.alone {
            let message = format!("the parameter {name} has no value");
            self.report.error("missing_value", item, message, "give it a default");
        }
        self.alone.then_some("")
    }
}
