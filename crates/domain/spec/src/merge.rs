//! Trees laid over trees, as Argo does with `workflowTemplateRef` and `templateDefaults`: maps are
//! merged, lists of named things are merged by name, anything else is replaced.

use std::collections::BTreeMap;

use flowforge_model::limits::DOCUMENT_VALUES;

use crate::library::{Library, Sheet};
use crate::located::{Entry, Node, Place, Value, fault};
use crate::problem::Problem;
use crate::task::sites;

/// What a template is one of.
const BODIES: [&str; 10] = [
    "container",
    "script",
    "dag",
    "steps",
    "suspend",
    "containerSet",
    "resource",
    "http",
    "data",
    "plugin",
];
/// Fields of templates that run something themselves.
const LEAF_ONLY: [&str; 3] = ["activeDeadlineSeconds", "timeout", "daemon"];

/// Fields of templates that run containers, of which a gang has one only.
const AROUND: [&str; 2] = ["initContainers", "sidecars"];

/// The trees that were made by merging. They outlive all that refers to them.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// The spec of the workflow, if it refers to a stored one.
    pub(crate) spec: Option<Node>,
    /// Templates with the defaults of the workflow, by the place of the template.
    pub(crate) templates: BTreeMap<Place, Node>,
}

impl Merged {
    /// Merges what the workflow asks for. What it refers to in vain is left alone: it is reported
    /// by who reads the workflow.
    ///
    /// # Errors
    /// The result would be too large.
    pub(crate) fn of(workflow: &Sheet<'_>, library: &Library<'_>) -> Result<Self, Problem> {
        let Some(spec) = workflow.spec() else {
            return Ok(Self::default());
        };
        let mut merger = Merger { left: DOCUMENT_VALUES };
        let too_large = |()| {
            let message = format!("merged, the document has more than {DOCUMENT_VALUES} values");
            fault("too_large", spec.place, message, "write the templates out")
        };
        let stored = stored_spec(spec, library);
        let spec_of_ref =
            stored.map(|stored| merger.merge(stored, spec, "")).transpose().map_err(too_large)?;
        let mut merged = Self { spec: spec_of_ref, templates: BTreeMap::new() };
        let whole = merged.spec.as_ref().unwrap_or(spec);
        let defaults = whole.field("templateDefaults").filter(|node| node.entries().is_some());
        if let Some(defaults) = defaults {
            merged.templates = merger.all_templates(whole, library, defaults).map_err(too_large)?;
        }
        Ok(merged)
    }
}

/// The spec that `workflowTemplateRef` names.
fn stored_spec<'a>(spec: &Node, library: &Library<'a>) -> Option<&'a Node> {
    let reference = spec.field("workflowTemplateRef")?;
    let cluster = reference.field("clusterScope").and_then(Node::text) == Some("true");
    let stored = library.template(cluster, reference.field("name")?.text()?)?;
    stored.spec().filter(|node| node.entries().is_some())
}

/// Copies nodes as long as there is room.
struct Merger {
    left: usize,
}

impl Merger {
    fn all_templates(
        &mut self,
        spec: &Node,
        library: &Library<'_>,
        defaults: &Node,
    ) -> Result<BTreeMap<Place, Node>, ()> {
        let stored = library.sheets.iter().filter(|sheet| sheet.kind.is_template());
        let specs = stored.filter_map(Sheet::spec).chain([spec]);
        let mut open: Vec<&Node> = specs.flat_map(templates).collect();
        // No need to begin if it cannot end well.
        let copies = values(defaults).saturating_mul(open.len());
        if copies > self.left {
            return Err(());
        }
        let mut out = BTreeMap::new();
        while let Some(template) = open.pop() {
            open.extend(sites(template).filter_map(|site| site.field("inline")));
            if template.entries().is_some() {
                out.insert(template.place, self.with_defaults(template, defaults)?);
            }
        }
        Ok(out)
    }

    /// A template over the defaults that fit its kind.
    fn with_defaults(&mut self, template: &Node, defaults: &Node) -> Result<Node, ()> {
        let body = BODIES.iter().find(|key| has(template, key)).copied();
        let leaf = !matches!(body, Some("dag" | "steps" | "suspend"));
        let fits = |key: &str| {
            let other_body = BODIES.contains(&key) && Some(key) != body;
            let only_leaf = LEAF_ONLY.contains(&key) && !leaf;
            let only_composite = key == "parallelism" && !matches!(body, Some("dag" | "steps"));
            let one_container = key == "gang" && !matches!(body, Some("container" | "script"));
            let containers = AROUND.contains(&key)
                && (has(template, "gang")
                    || !matches!(body, Some("container" | "script" | "containerSet")));
            let no_retry = key == "retryStrategy" && body == Some("suspend");
            !(key == "name"
                || other_body
                || only_leaf
                || only_composite
                || one_container
                || containers
                || no_retry)
        };
        let base: Vec<&Entry> =
            defaults.entries().unwrap_or(&[]).iter().filter(|entry| fits(&entry.key)).collect();
        self.merge_maps(template.place, &base, template.entries().unwrap_or(&[]), "")
    }

    /// `over` laid over `base`; `key` is the field they stand in.
    fn merge(&mut self, base: &Node, over: &Node, key: &str) -> Result<Node, ()> {
        match (&base.value, &over.value) {
            (Value::Map(under), Value::Map(entries)) => {
                let under: Vec<&Entry> = under.iter().collect();
                self.merge_maps(over.place, &under, entries, key)
            }
            (Value::List(under), Value::List(items)) => match merge_key(key) {
                Some(by) => self.merge_lists(over.place, (under, items), (key, by)),
                None => self.copy(over),
            },
            _ => self.copy(over),
        }
    }

    fn merge_maps(
        &mut self,
        place: Place,
        base: &[&Entry],
        over: &[Entry],
        of: &str,
    ) -> Result<Node, ()> {
        self.take(1)?;
        // A value given takes the place of a source of values.
        let given = over.iter().any(|entry| entry.key.as_ref() == "value");
        let replaced = |key: &str| given && key == "valueFrom" && merge_key(of).is_some();
        let by_key: BTreeMap<&str, &Entry> = over.iter().map(|e| (&*e.key, e)).collect();
        let mut out = Vec::new();
        for entry in base.iter().filter(|entry| !replaced(&entry.key)) {
            out.push(match by_key.get(&*entry.key) {
                Some(over) if !over.node.is_null() => Entry {
                    place: over.place,
                    key: over.key.clone(),
                    node: self.merge(&entry.node, &over.node, &entry.key)?,
                },
                _ => self.copy_entry(entry)?,
            });
        }
        let known: BTreeMap<&str, ()> = base.iter().map(|e| (&*e.key, ())).collect();
        for entry in over.iter().filter(|entry| !known.contains_key(&*entry.key)) {
            out.push(self.copy_entry(entry)?);
        }
        Ok(Node { place, value: Value::Map(out.into()) })
    }

    /// Items of the same name are merged, new ones follow.
    fn merge_lists(
        &mut self,
        place: Place,
        (base, over): (&[Node], &[Node]),
        (key, by): (&str, &str),
    ) -> Result<Node, ()> {
        self.take(1)?;
        let name = |node: &Node| node.field(by).and_then(Node::text).map(str::to_owned);
        let by_name: BTreeMap<String, &Node> =
            over.iter().filter_map(|item| Some((name(item)?, item))).collect();
        let mut out = Vec::new();
        let mut known = BTreeMap::new();
        for item in base {
            let named = name(item);
            let over = named.as_ref().and_then(|name| by_name.get(name));
            out.push(match over {
                Some(over) => self.merge(item, over, key)?,
                None => self.copy(item)?,
            });
            known.extend(named.map(|name| (name, ())));
        }
        for item in over {
            if name(item).is_none_or(|name| !known.contains_key(&name)) {
                out.push(self.copy(item)?);
            }
        }
        Ok(Node { place, value: Value::List(out.into()) })
    }

    fn copy_entry(&mut self, entry: &Entry) -> Result<Entry, ()> {
        Ok(Entry { place: entry.place, key: entry.key.clone(), node: self.copy(&entry.node)? })
    }

    fn copy(&mut self, node: &Node) -> Result<Node, ()> {
        self.take(1)?;
        let value = match &node.value {
            Value::Plain(text) => Value::Plain(text.clone()),
            Value::Quoted(text) => Value::Quoted(text.clone()),
            Value::List(items) => {
                let items: Result<Vec<Node>, ()> = items.iter().map(|i| self.copy(i)).collect();
                Value::List(items?.into())
            }
            Value::Map(entries) => {
                let entries: Result<Vec<Entry>, ()> =
                    entries.iter().map(|entry| self.copy_entry(entry)).collect();
                Value::Map(entries?.into())
            }
        };
        Ok(Node { place: node.place, value })
    }

    fn take(&mut self, count: usize) -> Result<(), ()> {
        self.left = self.left.checked_sub(count).ok_or(())?;
        Ok(())
    }
}

/// What the items of a list are merged by.
fn merge_key(key: &str) -> Option<&'static str> {
    Some(match key {
        "parameters" | "artifacts" | "templates" | "env" | "volumes" | "containers"
        | "initContainers" | "sidecars" | "imagePullSecrets" | "tasks" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "hostAliases" => "ip",
        "ports" => "containerPort",
        _ => return None,
    })
}

/// How many values a tree is.
fn values(node: &Node) -> usize {
    let below: usize = match &node.value {
        Value::Plain(_) | Value::Quoted(_) => 0,
        Value::List(items) => items.iter().map(values).sum(),
        Value::Map(entries) => entries.iter().map(|entry| values(&entry.node)).sum(),
    };
    below.saturating_add(1)
}

fn has(node: &Node, key: &str) -> bool {
    node.entries().unwrap_or(&[]).iter().any(|entry| &*entry.key == key)
}

/// The templates of a spec.
fn templates(spec: &Node) -> Vec<&Node> {
    match spec.field("templates").map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().collect(),
        Some(Value::Map(entries)) => entries.iter().map(|entry| &entry.node).collect(),
        Some(Value::Plain(_) | Value::Quoted(_)) | None => Vec::new(),
    }
}
