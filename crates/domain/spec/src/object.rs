//! `resource`: an object of a Kubernetes cluster as a task.

use flowforge_model::object::{Action, Condition, PatchKind, Reading, Subject, may_say};
use flowforge_model::plan::{Body, Object, OutputSource};
use flowforge_model::text::{Reference, Segment, Text};

use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::Names;
use crate::{child, grammar};

/// What `flags` may hold beside type and name, of a deletion: it is so without them.
const IGNORE_NOT_FOUND: [&str; 2] = ["--ignore-not-found", "--ignore-not-found=true"];

/// Type and name of an object.
type Target = (Text, Text);

impl<'a> Doc<'a> {
    pub(crate) fn object(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Body> {
        if !self.report.fields(node, &grammar::OBJECT) {
            return None;
        }
        let action = self.report.required(node, &grammar::OBJECT, "action");
        let action = action.and_then(|at| self.action(at, node.field("mergeStrategy")));
        let condition = |key| node.field(key).map(|node| self.object_condition(node, names));
        let (success, failure) = (condition("successCondition"), condition("failureCondition"));
        self.unowned(node);
        let action = action?;
        let target = node.field("flags").map(|flags| self.flags(flags, action, names));
        let manifest = node.field("manifest").filter(|node| !node.is_null());
        let target = target.unwrap_or(Some(None))?;
        let manifest = manifest.map(|node| self.manifest(node, (action, target.is_some()), names));
        let sends = !matches!(action, Action::Get | Action::Delete);
        if manifest.is_none() && (sends || target.is_none()) {
            let message = "resource needs a manifest";
            let hint = "write the object as YAML, with apiVersion, kind and metadata.name";
            self.report.error("missing_field", node, message, hint);
            return None;
        }
        if action == Action::Delete
            && let Some(at) = node.field("successCondition").or(node.field("failureCondition"))
        {
            let message = "an object that is deleted has no fields to wait for";
            self.report.error("conflict", at, message, "remove the condition");
        }
        let object = Object {
            action,
            manifest: optional(manifest)?,
            target,
            success: optional(success)?,
            failure: optional(failure)?,
        };
        self.child_or_object(node, object)
    }

    fn action(&self, node: &'a Node, merge: Option<&'a Node>) -> Option<Action> {
        let kind = merge.and_then(|node| self.patch_kind(node));
        let action = match self.report.string(node)? {
            "get" => Action::Get,
            "create" => Action::Create,
            "apply" => Action::Apply,
            "replace" => Action::Replace,
            "delete" => Action::Delete,
            "patch" if merge.is_none() => Action::Patch(PatchKind::Strategic),
            "patch" => Action::Patch(kind?),
            other => {
                let message = format!("{} is no action", quote(other));
                let hint = "write get, create, apply, replace, patch or delete";
                self.report.error("bad_value", node, message, hint);
                return None;
            }
        };
        Some(action)
    }

    fn patch_kind(&self, node: &'a Node) -> Option<PatchKind> {
        match self.report.string(node)? {
            "strategic" => Some(PatchKind::Strategic),
            "merge" => Some(PatchKind::Merge),
            "json" => Some(PatchKind::Json),
            other => {
                let message = format!("{} is no way to merge", quote(other));
                self.report.error("bad_value", node, message, "write strategic, merge or json");
                None
            }
        }
    }

    /// Nothing in the cluster stands for a workflow, so nothing there can own its objects.
    fn unowned(&self, node: &'a Node) {
        if let Some(field) = node.field("setOwnerReference")
            && self.report.boolean(field) == Some(true)
        {
            let message = "setOwnerReference is not supported: no object stands for a workflow";
            let hint = "delete the object in a task, in onExit say";
            self.report.error("unsupported", field, message, hint);
        }
    }

    /// Arguments of `kubectl`: those that name the object. `None` if something was reported.
    fn flags(
        &self,
        node: &'a Node,
        action: Action,
        names: &Names<'_, 'a>,
    ) -> Option<Option<Target>> {
        let mut words = Vec::new();
        for item in node.items() {
            let word = self.report.string(item)?;
            if action == Action::Delete && IGNORE_NOT_FOUND.contains(&word) {
                continue;
            }
            if word.starts_with('-') {
                let message = format!("flag {} is not supported: kubectl is not run", quote(word));
                let hint = "flags may name the object: its type and its name";
                self.report.error("unsupported", item, message, hint);
                return None;
            }
            words.push(item);
        }
        match words[..] {
            [] => Some(None),
            [kind, name] if !matches!(action, Action::Create | Action::Apply | Action::Replace) => {
                Some(Some((self.object_text(kind, names)?, self.object_text(name, names)?)))
            }
            _ => {
                let message = "flags may only name the object of get, patch and delete";
                let hint = "write its type and its name as two items, or apiVersion, kind and \
                            metadata.name in the manifest";
                self.report.error("unsupported", node, message, hint);
                None
            }
        }
    }

    fn manifest(
        &self,
        node: &'a Node,
        (action, named): (Action, bool),
        names: &Names<'_, 'a>,
    ) -> Option<Text> {
        let text = self.object_text(node, names)?;
        // One with tags is looked at when its values are known; what is kept here is no object.
        let object = text.as_plain().filter(|_| child::kind_of(&text).is_none());
        if let Some(Err(why)) = object.map(|text| judge(action, named, text)) {
            let hint = "write one object as YAML, with apiVersion, kind and metadata.name";
            self.report.error("bad_manifest", node, why, hint);
            return None;
        }
        Some(text)
    }

    /// A text of the object.
    fn object_text(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        let of_pod = |part: &Segment| matches!(part, Segment::Reference(Reference::PodName));
        if let Text::Parts(parts) = &text
            && parts.iter().any(of_pod)
        {
            let message = "pod.name has no value here: no pod runs a resource";
            let hint = "name the pod, or take its name as a parameter";
            self.report.error("unsupported", node, message, hint);
            return None;
        }
        Some(text)
    }

    fn object_condition(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        if let Some(Err(cause)) = text.as_plain().map(Condition::parse) {
            let message = format!("{} is no condition: {cause}", node.describe());
            let hint = "write it as a label selector: status.succeeded > 9, status.phase in (A, B)";
            self.report.error("bad_condition", node, message, hint);
            return None;
        }
        Some(text)
    }

    /// An output that is read of the object.
    pub(crate) fn object_output(
        &self,
        key: &str,
        node: &'a Node,
        names: &Names<'_, 'a>,
    ) -> Option<OutputSource> {
        let text = self.text(node, names)?;
        let json_path = key == "jsonPath";
        let read = if json_path { Reading::json_path } else { Reading::jq };
        if let Some(Err(cause)) = text.as_plain().map(read) {
            let message = format!("{key} {} cannot be read: {cause}", node.describe());
            let hint = "write a plain path, or pass the object on and read it in a script";
            self.report.error("unsupported", node, message, hint);
            return None;
        }
        Some(if json_path { OutputSource::JsonPath(text) } else { OutputSource::JqFilter(text) })
    }
}

/// What can be said of a manifest before its task begins.
fn judge(action: Action, named: bool, text: &str) -> Result<(), String> {
    let manifest = crate::manifest(text)?;
    let judged = if named { may_say(&manifest) } else { Subject::of(action, &manifest).map(drop) };
    judged.map_err(|error| error.to_string())
}

/// `None` if there is something and it was wrong.
fn optional(text: Option<Option<Text>>) -> Option<Option<Text>> {
    text.map_or(Some(None), |text| text.map(Some))
}
