//! Workflows that tasks start: manifests of `resource`.

use flowforge_model::object::Action;
use flowforge_model::plan::{Body, Child, Object};
use flowforge_model::text::{Segment, Text, mark, unmark};

use crate::library::{DocumentKind, Sheet};
use crate::located::{self, Node, Root, Value, quote};
use crate::outline::Doc;
use crate::{Problem, yaml_out};

/// The document that a text with marked values ([`mark`]) is: each value is part of the scalar that it stands in,
/// whatever it holds.
///
/// # Errors
/// The text is no YAML.
pub fn fill(marked: &str) -> Result<String, Problem> {
    let mut documents = located::read_as_written(marked, Root::Map)?.documents;
    let texts = documents.iter_mut().map(|document| {
        unmark_all(&mut document.root);
        yaml_out::write(&document.root)
    });
    Ok(texts.collect::<Vec<_>>().join("---\n"))
}

fn unmark_all(node: &mut Node) {
    match &mut node.value {
        Value::Plain(text) | Value::Quoted(text) => *text = unmark(text).into(),
        Value::List(items) => items.iter_mut().for_each(unmark_all),
        Value::Map(entries) => {
            for entry in entries {
                entry.key = unmark(&entry.key).into();
                unmark_all(&mut entry.node);
            }
        }
    }
}

impl<'a> Doc<'a> {
    /// A `resource` whose object is a workflow is one that is started here; any other is asked of a
    /// cluster.
    pub(crate) fn child_or_object(&self, node: &'a Node, object: Object) -> Option<Body> {
        let Some((kind, name)) = object.manifest.as_ref().and_then(kind_of) else {
            return Some(Body::Object(Box::new(object)));
        };
        let at = node.field("action").unwrap_or(node);
        if !matches!(kind, DocumentKind::Native | DocumentKind::Workflow) {
            let message = format!(
                "resource cannot hold a {}: it is kept here, not in a cluster",
                quote(&name)
            );
            self.report.error("unsupported", node, message, "apply it with `ffctl template apply`");
            return None;
        }
        let (Action::Create | Action::Apply, Some(manifest)) = (object.action, object.manifest)
        else {
            let message = "a workflow can only be created by resource";
            let hint = "write action: create; a task that starts a workflow waits for its end by \
                        successCondition and failureCondition";
            self.report.error("unsupported", at, message, hint);
            return None;
        };
        let (success, failure) = (object.success, object.failure);
        Some(Body::Child(Box::new(Child { manifest, success, failure })))
    }
}

/// The kind of document that a manifest is, and its word for it, if it is one of those that are kept here
/// whatever its tags stand for.
pub(crate) fn kind_of(manifest: &Text) -> Option<(DocumentKind, String)> {
    let text = match manifest {
        Text::Plain(text) => text.to_string(),
        Text::Parts(parts) => {
            let part = |part: &Segment| match part {
                Segment::Literal(text) => text.to_string(),
                Segment::Reference(_) | Segment::Expression(_) => mark("tag"),
            };
            parts.iter().map(part).collect()
        }
    };
    let documents = located::read_as_written(&text, Root::Map).ok()?.documents;
    let root = &documents.first()?.root;
    let of_argo = root
        .field("apiVersion")
        .and_then(Node::text)
        .is_some_and(|version| version.starts_with("argoproj.io/"));
    let native = root.field("version").is_some() && root.field("kind").is_none();
    let kind = Sheet::of(root).kind;
    let name = root.field("kind").and_then(Node::text).unwrap_or("document");
    let ours = (of_argo || native) && kind != DocumentKind::Other;
    ours.then(|| (kind, name.to_owned()))
}
