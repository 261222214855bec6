//! Where an object is, and what is sent for it. Pure.

use flowforge_model::attempt::{Failure, Object, WorkOrder};
use flowforge_model::id::AttemptId;
use flowforge_model::object::{Action, PatchKind, Subject, is_name, may_be, may_say};
use kube::Resource as _;
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::refused;
use crate::labels::{ATTEMPT, WORKFLOW};

/// What a name that is generated is cut to, as Kubernetes does.
const NAME: usize = 63;

/// What an order asks for, before the cluster was asked what kind that is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wanted {
    pub(super) of: Of,
    pub(super) name: String,
    /// What is sent.
    pub(super) body: Value,
}

/// How a kind is named.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Of {
    /// `batch/v1`, `Job`
    Kind(String, String),
    /// `job`, `jobs`, `jobs.batch`
    Type(String),
}

/// Where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Of all of its kind in the namespace.
    pub(super) path: String,
    pub(super) name: String,
    /// For people.
    pub(super) what: String,
}

impl Wanted {
    /// Reads an order. Everything that is sent is judged here, after values were put in: whatever they are, the
    /// object is one of this namespace.
    ///
    /// # Errors
    /// What may not be asked for.
    pub(super) fn of(order: &WorkOrder, object: &Object) -> Result<Self, Failure> {
        let manifest = match &object.manifest {
            Some(text) => flowforge_spec::manifest(text).map_err(refused)?,
            None => Value::Null,
        };
        let namespace = order.project.namespace();
        let says = manifest.pointer("/metadata/namespace");
        if let Some(other) = says.filter(|said| said.as_str() != Some(&*namespace)) {
            return Err(refused(format!(
                "the object names the namespace {other}: a task has objects of its project's \
                 namespace only, {namespace}; leave the field out"
            )));
        }
        match &object.target {
            Some((kind, name)) => named(object.action, (kind, name), manifest),
            None => described(order, object.action, manifest),
        }
    }
}

fn named(action: Action, (kind, name): (&str, &str), body: Value) -> Result<Wanted, Failure> {
    let bad = |error: flowforge_model::object::BadManifest| refused(error.to_string());
    is_name(name).map_err(bad)?;
    may_say(&body).map_err(bad)?;
    let list = body.is_array();
    if list != (action == Action::Patch(PatchKind::Json)) && !body.is_null() {
        return Err(refused("a patch is a list of operations for json, and a map otherwise"));
    }
    Ok(Wanted { of: Of::Type(kind.to_ascii_lowercase()), name: name.to_owned(), body })
}

fn described(order: &WorkOrder, action: Action, mut body: Value) -> Result<Wanted, Failure> {
    if action == Action::Patch(PatchKind::Json) {
        return Err(refused(
            "a json patch does not say what it changes: name the object in flags, its type and \
             its name",
        ));
    }
    let subject = Subject::of(action, &body).map_err(|error| refused(error.to_string()))?;
    let Subject { api_version, kind, name, generated, .. } = subject;
    let name = if generated { own_name(order.attempt, &name) } else { name };
    let made = matches!(action, Action::Create | Action::Apply | Action::Replace);
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut)
        && made
    {
        metadata.remove("generateName");
        metadata.insert("name".to_owned(), json!(name));
        metadata.insert("namespace".to_owned(), json!(order.project.namespace()));
        if action == Action::Create {
            label(metadata, order)?;
        }
    }
    Ok(Wanted { of: Of::Kind(api_version, kind), name, body })
}

/// What was made is found again by this.
fn label(metadata: &mut serde_json::Map<String, Value>, order: &WorkOrder) -> Result<(), Failure> {
    let labels = metadata.entry("labels").or_insert_with(|| json!({}));
    if labels.is_null() {
        *labels = json!({});
    }
    let Some(labels) = labels.as_object_mut() else {
        return Err(refused("metadata.labels of the manifest is no map"));
    };
    labels.insert(ATTEMPT.to_owned(), json!(order.attempt.to_string()));
    labels.insert(WORKFLOW.to_owned(), json!(order.key.workflow.to_string()));
    Ok(())
}

/// The same for every try to make it, and different for each attempt.
fn own_name(attempt: AttemptId, prefix: &str) -> String {
    let pod = attempt.pod_name("", None);
    let hash = pod.strip_prefix("ff-").unwrap_or(&pod);
    let prefix: String = prefix.chars().take(NAME.saturating_sub(hash.len())).collect();
    format!("{prefix}{hash}")
}

/// It was made by this attempt.
pub(super) fn is_of(object: &Value, attempt: AttemptId) -> bool {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let label = labels.and_then(|labels| labels.get(ATTEMPT)).and_then(Value::as_str);
    label == Some(&*attempt.to_string())
}

impl Place {
    /// Where an object of this kind is.
    ///
    /// # Errors
    /// Kinds that no task asks for, under whatever name.
    pub(super) fn of(
        (resource, namespaced): &(ApiResource, bool),
        namespace: &str,
        name: &str,
    ) -> Result<Self, Failure> {
        let kind = &resource.kind;
        may_be(kind).map_err(|error| refused(error.to_string()))?;
        if !namespaced {
            return Err(refused(format!(
                "{kind} {name} is of the whole cluster: a task has objects of its project's \
                 namespace only"
            )));
        }
        let path = DynamicObject::url_path(resource, Some(namespace));
        Ok(Self { path, name: name.to_owned(), what: format!("{kind} {name}") })
    }
}

#[cfg(test)]
mod tests {
    use flowforge_model::attempt::{ObjectOutput, Work};
    use proptest::prelude::*;

    use super::*;
    use crate::pod::tests::{order, process};

    fn asked(action: Action, manifest: &str, target: Option<(&str, &str)>) -> Object {
        Object {
            action,
            manifest: Some(manifest.to_owned()),
            target: target.map(|(kind, name)| (kind.to_owned(), name.to_owned())),
            success: None,
            failure: None,
            outputs: Vec::<ObjectOutput>::new(),
        }
    }

    fn wanted(object: &Object) -> Result<Wanted, String> {
        let mut order = order(process());
        order.work = Work::Object(Box::new(object.clone()));
        Wanted::of(&order, object).map_err(|failure| failure.message)
    }

    const JOB: &str = "{apiVersion: batch/v1, kind: Job, metadata: {generateName: rand-}}";

    #[test]
    fn what_is_made_has_a_name_and_labels_of_its_attempt() {
        let made = wanted(&asked(Action::Create, JOB, None)).expect("a job");
        let again = wanted(&asked(Action::Create, JOB, None)).expect("a job");
        assert_eq!(made, again, "the same however often");
        let attempt = order(process()).attempt;
        assert!(is_of(&made.body, attempt) && !is_of(&json!({}), attempt));
        assert!(made.name.starts_with("rand-") && made.name.len() == 18, "{}", made.name);
        assert_eq!(made.body["metadata"]["name"], json!(made.name));
        assert_eq!(made.body["metadata"].get("generateName"), None);
        assert_eq!(own_name(attempt, &"x".repeat(300)).len(), NAME);
    }

    #[test]
    fn what_leaves_the_namespace_is_refused() {
        let other = "{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: kube-system}}";
        for action in [Action::Get, Action::Create, Action::Patch(PatchKind::Merge), Action::Delete]
        {
            let told = wanted(&asked(action, other, None)).expect_err("no");
            assert!(told.contains("kube-system"), "{told}");
        }
        let patch = "{metadata: {namespace: kube-system}}";
        let told = wanted(&asked(Action::Patch(PatchKind::Merge), patch, Some(("pod", "a"))));
        assert!(told.expect_err("no").contains("kube-system"));
        let rows = [("pod", "../../kube-system/pods/a"), ("pod", "a/status"), ("pod", "")];
        for target in rows {
            assert!(wanted(&asked(Action::Get, "", Some(target))).is_err(), "{target:?}");
        }
        let node = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "Node"));
        let told = Place::of(&(node, false), "n", "a").expect_err("no").message;
        assert!(told.starts_with("Node a is of the whole cluster"), "{told}");
        let policy = kube::core::GroupVersionKind::gvk("x", "v1", "NetworkPolicy");
        assert!(Place::of(&(ApiResource::from_gvk(&policy), true), "n", "a").is_err());
    }

    proptest! {
        /// Values are put into the text of a manifest: none of them leads out of the namespace.
        #[test]
        fn no_manifest_leaves_the_namespace(
            value in "[a-z:{}\\[\\],\"'\n /.%-]{0,24}|a\nnamespace: other|a, namespace: other|../b",
            action in prop::sample::select(vec![
                Action::Get, Action::Create, Action::Apply, Action::Replace, Action::Delete,
                Action::Patch(PatchKind::Strategic),
            ]),
            flow: bool,
        ) {
            let text = if flow {
                format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {value}}}}}")
            } else {
                format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n    a: {value}\n  name: b{value}\n")
            };
            let mut order = order(process());
            let object = asked(action, &text, None);
            order.work = Work::Object(Box::new(object.clone()));
            let namespace = order.project.namespace();
            if let Ok(wanted) = Wanted::of(&order, &object) {
                let said = wanted.body.pointer("/metadata/namespace").and_then(Value::as_str);
                prop_assert!(said.is_none_or(|said| said == namespace), "{wanted:?}");
                let kind = kube::core::GroupVersionKind::gvk("", "v1", "ConfigMap");
                let kind = (ApiResource::from_gvk(&kind), true);
                let place = Place::of(&kind, &namespace, &wanted.name);
                let place = place.map_err(|failure| TestCaseError::fail(failure.message))?;
                prop_assert_eq!(&place.path, &format!("/api/v1/namespaces/{namespace}/configmaps"));
                prop_assert!(!place.name.contains(['/', '?', '#', '%']) && !place.name.is_empty());
                prop_assert!(place.name != "." && place.name != "..");
            }
        }
    }
}
