//! Labels and annotations that a document gives its pods.

use std::collections::BTreeMap;

use flowforge_model::labels::{check_key, is_label_value};
use flowforge_model::limits::POD_METADATA_BYTES;
use flowforge_model::plan::Tree;
use flowforge_model::text::Text;

use crate::grammar;
use crate::located::{Entry, Node, quote};
use crate::outline::{BodyKind, Doc};
use crate::pod::has_pod;
use crate::references::Names;

const LABELS: &str = "labels";
const ANNOTATIONS: &str = "annotations";

impl<'a> Doc<'a> {
    /// Those of all pods of the workflow, and in their place those of the template that have the same keys.
    pub(crate) fn pod_metadata(
        &self,
        template: &'a Node,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Option<Box<Tree>> {
        if !has_pod(kind) {
            return None;
        }
        let shared = self.spec.field(grammar::POD_METADATA.key);
        let own = template.field(grammar::TEMPLATE_METADATA.key);
        let given = || shared.into_iter().chain(own);
        let last = given().last()?;
        let given: Vec<_> =
            given().filter(|node| self.report.fields(node, &grammar::LABELS_OF_PODS)).collect();
        let mut bytes = 0_usize;
        let fields = [LABELS, ANNOTATIONS].map(|what| {
            let mut all: BTreeMap<Box<str>, Text> = BTreeMap::new();
            for entry in given
                .iter()
                .filter_map(|node| node.field(what))
                .flat_map(|node| self.keyed(node, what))
            {
                self.check_entry(entry, what);
                all.extend(self.text(&entry.node, names).map(|text| (entry.key.clone(), text)));
            }
            for (key, text) in &all {
                let value = text.as_plain().map_or(0, str::len);
                bytes = bytes.saturating_add(key.len()).saturating_add(value);
            }
            let all = all.into_iter().map(|(key, text)| (key, Tree::Text(text)));
            (what.into(), Tree::Map(all.collect()))
        });
        if bytes > POD_METADATA_BYTES {
            let message = format!(
                "the labels and annotations of a pod have {bytes} bytes; at most {POD_METADATA_BYTES} are kept"
            );
            self.report.error(
                "limit",
                last,
                message,
                "pass large data as a parameter or an artifact",
            );
        }
        Some(Box::new(Tree::Map(fields.into())))
    }

    fn keyed(&self, node: &'a Node, what: &str) -> &'a [Entry] {
        let entries = node.entries();
        if entries.is_none() {
            let message = format!("expected {what} (a map of strings), found {}", node.describe());
            self.report.error("wrong_type", node, message, "");
        }
        entries.unwrap_or_default()
    }

    /// What can be known before the task begins.
    fn check_entry(&self, entry: &'a Entry, what: &str) {
        if let Err(why) = check_key(&entry.key) {
            let message = format!("{} is no key for {what} of pods: {why}", quote(&entry.key));
            self.report.error("bad_name", entry, message, "choose another one");
        }
        let value = entry.node.text().filter(|text| what == LABELS && !text.contains("{{"));
        if let Some(value) = value.filter(|value| !is_label_value(value)) {
            let message = format!("{} is no value for a label", quote(value));
            let hint = "a label has at most 63 letters, digits, -, _ and ., letters or digits at both ends; \
                        an annotation may be any text";
            self.report.error("bad_value", &entry.node, message, hint);
        }
    }
}
