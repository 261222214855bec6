//! The environment of a container.

use std::collections::BTreeMap;

use flowforge_model::artifact::{SecretKey, SecretVariables};
use flowforge_model::limits::{ENV_BYTES, ENV_VARS};
use flowforge_model::plan::Value;
use flowforge_model::text::{Reference, Segment, Text, WorkflowField};

use crate::config_maps::Key;
use crate::grammar;
use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;

/// Variables in order, each name once, but for those that a secret could stand over.
#[derive(Default)]
struct Environment {
    values: Vec<(Box<str>, Value)>,
    secrets: Vec<SecretVariables>,
    /// Where each name stands; whether `env` gave it, or only `envFrom`.
    places: BTreeMap<String, (usize, bool)>,
    bytes: usize,
}

impl<'a> Doc<'a> {
    /// `envFrom`, then `env` over it.
    pub(crate) fn environment(
        &self,
        node: &'a Node,
        names: &Names<'_, 'a>,
    ) -> (Vec<(Box<str>, Value)>, Vec<SecretVariables>) {
        let mut out = Environment::default();
        self.environment_from(node, &mut out);
        for item in self.report.list_field(node, "env", "variables") {
            self.variable(item, names, &mut out);
        }
        let list = node.field("env").or(node.field("envFrom")).unwrap_or(node);
        if out.values.len() > ENV_VARS {
            let message = format!("{} variables; at most {ENV_VARS} are passed", out.values.len());
            self.report.error("limit", list, message, "pass a file or one JSON variable");
        }
        if out.bytes > ENV_BYTES {
            let message =
                format!("{} bytes of environment; at most {ENV_BYTES} are passed", out.bytes);
            self.report.error("limit", list, message, "pass a file");
        }
        (out.values, out.secrets)
    }

    fn variable(&self, item: &'a Node, names: &Names<'_, 'a>, out: &mut Environment) {
        if !self.report.fields(item, &grammar::ENV) {
            return;
        }
        let Some(at) = self.report.required(item, &grammar::ENV, "name") else {
            return;
        };
        let Some(name) = self.report.string(at).filter(|name| self.check_variable(at, name)) else {
            return;
        };
        if out.places.get(name).is_some_and(|(_, fixed)| *fixed) {
            let message = format!("the variable {} is set twice", quote(name));
            self.report.error("duplicate_name", at, message, "keep one of them");
            return;
        }
        out.bytes = out.bytes.saturating_add(name.len());
        let value = match (item.field("value"), item.field("valueFrom")) {
            (Some(_), Some(from)) => {
                let message = format!("the variable {} has value and valueFrom", quote(name));
                self.report.error("conflict", from, message, "keep one of them");
                None
            }
            (Some(value), None) => {
                self.check_length(value);
                out.bytes = out.bytes.saturating_add(value.text().map_or(0, str::len));
                self.text(value, names).map(Value::Text)
            }
            (None, Some(from)) => self.value_of_variable(from),
            (None, None) => Some(Value::Text(Text::plain(""))),
        };
        if let Some(value) = value {
            out.set(name, value, true);
        }
    }

    fn value_of_variable(&self, from: &'a Node) -> Option<Value> {
        if !self.report.fields(from, &grammar::ENV_VALUE_FROM) {
            return None;
        }
        if let (Some(field), Some([_])) = (from.field("fieldRef"), from.entries()) {
            return self.pod_field(field);
        }
        match (from.field("secretKeyRef"), from.field("configMapKeyRef")) {
            // Another source, which was refused by name.
            (None, None) if from.entries().is_some_and(|entries| !entries.is_empty()) => None,
            (Some(secret), None) => self.secret_key(secret).map(Value::Secret),
            (None, Some(key)) => match self.config_key(key, false) {
                Key::Value(text) => Some(Value::Text(Text::plain(text))),
                // As in Kubernetes the variable is then not set.
                Key::Absent | Key::Missing => None,
            },
            _ => {
                let message = "valueFrom needs exactly one source";
                let hint = "give it a secretKeyRef or a configMapKeyRef";
                self.report.error("conflict", from, message, hint);
                None
            }
        }
    }

    /// A field of the pod that an attempt has as well.
    fn pod_field(&self, node: &'a Node) -> Option<Value> {
        if !self.report.fields(node, &grammar::FIELD_REF) {
            return None;
        }
        let at = self.report.required(node, &grammar::FIELD_REF, "fieldPath")?;
        let path = self.report.string(at)?;
        let tag =
            |reference| Some(Value::Text(Text::Parts([Segment::Reference(reference)].into())));
        match path {
            "metadata.name" => tag(Reference::PodName),
            "metadata.namespace" => tag(Reference::Workflow(WorkflowField::Namespace)),
            "spec.serviceAccountName" => {
                tag(Reference::Workflow(WorkflowField::ServiceAccountName))
            }
            "spec.nodeName" => Some(Value::Text(Text::plain("localhost"))),
            "status.podIP" | "status.hostIP" => Some(Value::Text(Text::plain("127.0.0.1"))),
            _ => {
                let message = format!("a local process has no pod with a field {}", quote(path));
                let hint = "it has metadata.name, metadata.namespace, spec.nodeName, \
                            spec.serviceAccountName, status.podIP and status.hostIP; or use a tag";
                self.report.error("unsupported", at, message, hint);
                None
            }
        }
    }

    /// `{name, key, optional}` of a secret. The value is read where the task runs.
    pub(crate) fn secret_key(&self, node: &'a Node) -> Option<SecretKey> {
        if !self.report.fields(node, &grammar::CONFIG_KEY) {
            return None;
        }
        let part = |key: &str| {
            let field = self.report.required(node, &grammar::CONFIG_KEY, key)?;
            self.fixed_name(field, "a secret")
        };
        let (name, key) = (part("name"), part("key"));
        let optional = node.field("optional").and_then(|node| self.report.boolean(node));
        Some(SecretKey { name: name?, key: key?, optional: optional.unwrap_or(false) })
    }

    /// A name of a secret or key: no tags, and no way out of a directory.
    pub(crate) fn fixed_name(&self, node: &'a Node, of: &str) -> Option<String> {
        let name = self.report.string(node)?;
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.contains("{{") {
            let message = format!("a name of {of} cannot hold tags");
            self.report.error("unsupported", node, message, "name it");
            return None;
        }
        if name.is_empty() || name.len() > 253 || !name.chars().all(fine) || name.starts_with("..")
        {
            let message = format!("{} is no name of {of}", quote(name));
            self.report.error("bad_name", node, message, "use letters, digits, -, _ and .");
            return None;
        }
        if name == "." {
            let message = format!("'.' is no name of {of}");
            self.report.error("bad_name", node, message, "use letters, digits, -, _ and .");
            return None;
        }
        Some(name.to_owned())
    }

    fn secret_variables(&self, from: &'a Node, prefix: &str, at: usize) -> Option<SecretVariables> {
        if !self.report.fields(from, &grammar::CONFIG_REF) {
            return None;
        }
        let name = self.report.required(from, &grammar::CONFIG_REF, "name")?;
        let name = self.fixed_name(name, "a secret")?;
        let optional = from.field("optional").and_then(|node| self.report.boolean(node));
        let optional = optional.unwrap_or(false);
        Some(SecretVariables { prefix: prefix.to_owned(), name, optional, at })
    }

    fn environment_from(&self, node: &'a Node, out: &mut Environment) {
        for item in self.report.list_field(node, "envFrom", "sources") {
            if !self.report.fields(item, &grammar::ENV_FROM) {
                continue;
            }
            let prefix = item.field("prefix").and_then(|node| self.report.string(node));
            let prefix = prefix.unwrap_or("");
            if let Some(from) = item.field("secretRef") {
                let at = out.values.len();
                out.secrets.extend(self.secret_variables(from, prefix, at));
            }
            let Some(from) = item.field("configMapRef") else { continue };
            if !self.report.fields(from, &grammar::CONFIG_REF) {
                continue;
            }
            let optional = from.field("optional").and_then(|node| self.report.boolean(node));
            let Some(name) = self.report.required(from, &grammar::CONFIG_REF, "name") else {
                continue;
            };
            for entry in self.config_map(name, optional.unwrap_or(false)).unwrap_or(&[]) {
                // Kubernetes leaves out what cannot be a variable.
                let Some(value) = entry.node.text() else { continue };
                let name = format!("{prefix}{}", entry.key);
                if is_variable(&name) {
                    let bytes = name.len().saturating_add(value.len());
                    out.bytes = out.bytes.saturating_add(bytes);
                    out.set(&name, Value::Text(Text::plain(value)), false);
                }
            }
        }
    }

    fn check_variable(&self, node: &'a Node, name: &str) -> bool {
        if name.starts_with("FLOWFORGE_") {
            let message =
                format!("{} is reserved: FLOWFORGE_ variables are set for the task", quote(name));
            self.report.error("reserved_name", node, message, "choose another name");
            return false;
        }
        if !is_variable(name) {
            let message = format!("{} is no name of a variable", quote(name));
            let hint = "use letters, digits and _";
            self.report.error("bad_name", node, message, hint);
            return false;
        }
        true
    }
}

impl Environment {
    /// Sets a variable; the last one of a name counts.
    fn set(&mut self, name: &str, value: Value, fixed: bool) {
        let end = self.values.len();
        // What stands before a secret does not count when the secret has the name as well.
        let after = self.secrets.last().map_or(0, |secret| secret.at);
        if self.places.get(name).is_some_and(|(at, _)| *at < after) {
            self.places.insert(name.to_owned(), (end, fixed));
        }
        let (at, given) = self.places.entry(name.to_owned()).or_insert((end, fixed));
        *given |= fixed;
        match self.values.get_mut(*at) {
            Some(slot) => slot.1 = value,
            None => self.values.push((name.into(), value)),
        }
    }
}

fn is_variable(name: &str) -> bool {
    let bad = |c: char| c == '=' || c.is_control() || c.is_whitespace();
    !name.is_empty() && !name.contains(bad) && !name.starts_with("FLOWFORGE_")
}
