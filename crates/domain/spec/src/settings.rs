//! Fields of a spec that are about the workflow as a whole.

use std::collections::BTreeMap;

use flowforge_expr::Outcome;
use flowforge_model::plan::Ttl;
use serde_json::{Map, Value as Json};

use crate::grammar;
use crate::located::{Node, quote};
use crate::metadata::{annotations, labels};
use crate::outline::Doc;
use crate::references::Names;

impl<'a> Doc<'a> {
    pub(crate) fn ttl(&self, spec: &'a Node) -> Ttl {
        let mut ttl =
            Ttl { completion: self.seconds(spec, "ttlSecondsAfterFinished", 0), ..Ttl::default() };
        let Some(node) = spec.field("ttlStrategy") else {
            return ttl;
        };
        if !self.report.fields(node, &grammar::TTL) {
            return ttl;
        }
        if let Some(legacy) = spec.field("ttlSecondsAfterFinished") {
            let message = "ttlStrategy says it already";
            self.report.error("conflict", legacy, message, "keep ttlStrategy");
        }
        ttl.completion = self.seconds(node, "secondsAfterCompletion", 0);
        ttl.success = self.seconds(node, "secondsAfterSuccess", 0);
        ttl.failure = self.seconds(node, "secondsAfterFailure", 0);
        ttl
    }

    pub(crate) fn priority(&self, spec: &'a Node) -> Option<i32> {
        let node = spec.field("priority")?;
        let value = self.whole(node, i64::from(i32::MIN), i64::from(i32::MAX))?;
        i32::try_from(value).ok()
    }

    /// Annotations of the workflow, those of `workflowMetadata` over its own.
    pub(crate) fn all_annotations(
        &self,
        spec: &'a Node,
        own: Vec<(Box<str>, Box<str>)>,
    ) -> Vec<(Box<str>, Box<str>)> {
        let metadata = spec.field("workflowMetadata");
        let more = metadata.and_then(|metadata| metadata.field("annotations"));
        over(own, annotations(self.report, more))
    }

    /// Labels of the workflow, those of `workflowMetadata` over its own.
    pub(crate) fn all_labels(
        &self,
        spec: &'a Node,
        own: Vec<(String, String)>,
    ) -> Vec<(String, String)> {
        let kind = &grammar::WORKFLOW_METADATA;
        let Some(metadata) =
            spec.field("workflowMetadata").filter(|node| self.report.fields(node, kind))
        else {
            return own;
        };
        let labels = over(own, labels(self.report, metadata.field("labels")));
        let Some(from) = metadata.field("labelsFrom") else {
            return labels;
        };
        let Some(entries) = from.entries() else {
            let message = format!("expected labels (a map), found {}", from.describe());
            self.report.error("wrong_type", from, message, "");
            return labels;
        };
        let mut computed = Vec::new();
        for entry in entries {
            if !self.report.fields(&entry.node, &grammar::LABEL) {
                continue;
            }
            let Some(node) = self.report.required(&entry.node, &grammar::LABEL, "expression")
            else {
                continue;
            };
            let value = self.label(spec, node, &labels);
            computed.extend(value.map(|value| (entry.key.to_string(), value)));
        }
        over(labels, computed)
    }

    /// The value of an expression of what is known before the workflow begins.
    fn label(&self, spec: &'a Node, node: &'a Node, labels: &[(String, String)]) -> Option<String> {
        let source = self.report.string(node)?;
        self.expression(node, source, &Names::WORKFLOW);
        if self.report.has_errors() || self.alone {
            return None;
        }
        let map = |pairs: &mut dyn Iterator<Item = (String, String)>| {
            Json::Object(pairs.map(|(key, value)| (key, Json::String(value))).collect())
        };
        let parameters =
            self.values.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        let mut workflow = Map::new();
        workflow.insert("parameters".to_owned(), map(&mut { parameters }));
        workflow.insert("labels".to_owned(), map(&mut labels.iter().cloned()));
        for (name, field) in [
            ("mainEntrypoint", "entrypoint"),
            ("priority", "priority"),
            ("serviceAccountName", "serviceAccountName"),
        ] {
            if let Some(text) = spec.field(field).and_then(Node::text) {
                workflow.insert(name.to_owned(), Json::String(text.to_owned()));
            }
        }
        let env = Json::Object(Map::from_iter([("workflow".to_owned(), Json::Object(workflow))]));
        match flowforge_expr::evaluate(source, &env) {
            Ok(Outcome::Text(value)) => Some(value),
            Ok(other) => {
                let shown = other.into_text().unwrap_or_else(|| "nil".to_owned());
                let message = format!("{} gives {shown}, no string", quote(source));
                self.report.error("bad_expression", node, message, "use string(...)");
                None
            }
            Err(cause) => {
                let message = format!("{} has no value: {cause}", quote(source));
                let hint = "a label is made of parameters and labels of the workflow";
                self.report.error("bad_expression", node, message, hint);
                None
            }
        }
    }
}

/// Pairs of both, the second ones counting where a key is in both.
fn over<T: Ord + Clone, V: Clone>(base: Vec<(T, V)>, more: Vec<(T, V)>) -> Vec<(T, V)> {
    if more.is_empty() {
        return base;
    }
    let mut all: BTreeMap<T, V> = base.into_iter().collect();
    all.extend(more);
    all.into_iter().collect()
}
