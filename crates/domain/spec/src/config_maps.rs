//! `ConfigMap`s that came with a document: their values are settled when it is compiled, so that a
//! run keeps what it began with.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use crate::grammar;
use crate::located::{Entry, Node, quote};
use crate::outline::Doc;

/// What Argo wants on a `ConfigMap` before it reads parameters from it.
const PARAMETER_LABEL: (&str, &str) = ("workflows.argoproj.io/configmap-type", "Parameter");

/// All that came with the document, by name.
#[derive(Debug, Default)]
pub(crate) struct ConfigMaps<'a> {
    by_name: BTreeMap<&'a str, &'a Node>,
    /// Names that were looked for in vain.
    missing: RefCell<BTreeSet<&'a str>>,
}

/// What a reference to one key came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    /// The value.
    Value(&'a str),
    /// Not there, and that is fine.
    Absent,
    /// Not there; reported.
    Missing,
}

impl<'a> ConfigMaps<'a> {
    /// Adds a manifest of the kind `ConfigMap`. `false` if there is one of this name already.
    pub(crate) fn add(&mut self, name: &'a str, manifest: &'a Node) -> bool {
        self.by_name.insert(name, manifest).is_none()
    }

    /// Names that were looked for in vain.
    pub(crate) fn missing(&self) -> Vec<String> {
        self.missing.borrow().iter().map(|name| (*name).to_owned()).collect()
    }
}

impl<'a> Doc<'a> {
    /// The entries of a `ConfigMap`, or nothing if it is not there; reports that unless it is
    /// `optional`.
    pub(crate) fn config_map(&self, at: &'a Node, optional: bool) -> Option<&'a [Entry]> {
        let name = self.report.string(at)?;
        if name.contains("{{") {
            let message = "the name of a ConfigMap cannot hold tags: it is read before the run";
            self.report.error("unsupported", at, message, "name it, or use a parameter's value");
            return None;
        }
        let Some(manifest) = self.config_maps.by_name.get(name).copied() else {
            self.config_maps.missing.borrow_mut().insert(name);
            if !optional && !self.alone {
                let known = self.config_maps.by_name.keys().copied();
                let mut hint = self.report.did_you_mean(name, known);
                if hint.is_empty() {
                    hint = format!("add the ConfigMap {name} to the text, behind a line ---");
                }
                let message = format!("there is no ConfigMap {}", quote(name));
                self.report.error("missing_config_map", at, message, hint);
            }
            return None;
        };
        Some(manifest.field("data").and_then(Node::entries).unwrap_or(&[]))
    }

    /// The value of one key, if it is there.
    pub(crate) fn config_value(&self, name: &'static str, key: &str) -> Option<&'a str> {
        let manifest = self.config_maps.by_name.get(name);
        if manifest.is_none() {
            self.config_maps.missing.borrow_mut().insert(name);
        }
        manifest?.field("data")?.field(key)?.text()
    }

    /// What `{name, key, optional}` names. `given` says that there is another value to use.
    pub(crate) fn config_key(&self, node: &'a Node, given: bool) -> Key<'a> {
        if !self.report.fields(node, &grammar::CONFIG_KEY) {
            return Key::Missing;
        }
        let optional = node.field("optional").and_then(|node| self.report.boolean(node));
        let absent = given || optional.unwrap_or(false) || self.alone;
        let otherwise = if absent { Key::Absent } else { Key::Missing };
        let name = self.report.required(node, &grammar::CONFIG_KEY, "name");
        let key = self.report.required(node, &grammar::CONFIG_KEY, "key");
        let (Some(name), Some(key)) = (name, key) else { return Key::Missing };
        let (Some(entries), Some(wanted)) =
            (self.config_map(name, absent), self.report.string(key))
        else {
            return otherwise;
        };
        let Some(entry) = entries.iter().find(|entry| &*entry.key == wanted) else {
            if !absent {
                let known = entries.iter().map(|entry| &*entry.key);
                let hint = self.report.did_you_mean(wanted, known);
                let message = format!(
                    "the ConfigMap {} has no key {}",
                    quote(name.text().unwrap_or("")),
                    quote(wanted)
                );
                self.report.error("missing_config_map", key, message, hint);
            }
            return otherwise;
        };
        // A value of several documents' data is text, as Kubernetes keeps it.
        self.report.string(&entry.node).map_or(Key::Missing, Key::Value)
    }

    /// The value of a parameter: as [`Self::config_key`], and looks for Argo's label.
    pub(crate) fn config_parameter(&self, node: &'a Node, given: bool) -> Key<'a> {
        let found = self.config_key(node, given);
        let (key, value) = PARAMETER_LABEL;
        let manifest = node
            .field("name")
            .and_then(Node::text)
            .and_then(|name| self.config_maps.by_name.get(name));
        let labels = manifest.and_then(|m| m.field("metadata")?.field("labels"));
        let labelled = labels.and_then(|labels| labels.field(key)?.text()) == Some(value);
        if matches!(found, Key::Value(_)) && !labelled {
            let message = "Argo reads parameters only from ConfigMaps that say so";
            let hint = format!("label it {key}: {value}");
            self.report.warning("unlabelled", node, message, hint);
        }
        found
    }
}
