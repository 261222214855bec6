//! Which object a manifest is about, and what of it is nobody's to write in a workflow.

use serde_json::Value;

use super::Action;

/// What is ours: labels that pods and objects are found by.
const RESERVED: &str = "flowforge.io/";
/// The same in the paths of a JSON patch.
const RESERVED_POINTER: &str = "flowforge.io~1";
/// What keeps the pods of projects apart and within their limits, and what holds secrets.
const KEPT: [(&str, &str); 4] = [
    ("NetworkPolicy", "it keeps projects apart"),
    ("ResourceQuota", "it keeps projects within their limits"),
    ("LimitRange", "it keeps projects within their limits"),
    ("Secret", "its values would be kept with the workflow"),
];

/// What a manifest says of the object that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Group, if it has one, and version: `batch/v1`, `v1`.
    pub api_version: String,
    /// `Job`
    pub kind: String,
    /// Its name, or how that begins if it is `generated`.
    pub name: String,
    /// It has a name of its own for each attempt.
    pub generated: bool,
    /// The namespace that it names.
    pub namespace: Option<String>,
}

/// No object that a task may ask for, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadManifest(String);

fn bad<T>(why: impl Into<String>) -> Result<T, BadManifest> {
    Err(BadManifest(why.into()))
}

impl Subject {
    /// Reads it off a manifest.
    ///
    /// # Errors
    /// What is missing, or what a workflow may not write.
    pub fn of(action: Action, manifest: &Value) -> Result<Self, BadManifest> {
        let Value::Object(map) = manifest else {
            return bad("a manifest is a map with apiVersion, kind and metadata");
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let needed = |key: &str| {
            let found = text(map.get(key)).filter(|text| !text.is_empty());
            found.ok_or_else(|| BadManifest(format!("the manifest has no {key}")))
        };
        let (api_version, kind) = (needed("apiVersion")?, needed("kind")?);
        if !is_api_version(&api_version) {
            return bad(format!("{api_version:?} is no apiVersion: write v1 or batch/v1"));
        }
        if map.contains_key("items") && kind.ends_with("List") {
            return bad("one task asks for one object: write each of the list in its own task");
        }
        let metadata = map.get("metadata");
        let field = |key: &str| text(metadata.and_then(|metadata| metadata.get(key)));
        let (name, generated) = match (field("name"), field("generateName")) {
            (Some(name), _) => (name, false),
            (None, Some(prefix)) if action == Action::Create => (prefix, true),
            (None, Some(_)) => {
                return bad(format!(
                    "metadata.generateName is for create: {} needs metadata.name",
                    action.as_str()
                ));
            }
            (None, None) => return bad("the manifest has no metadata.name"),
        };
        may_be(&kind)?;
        is_name(&name)?;
        may_say(manifest)?;
        Ok(Self { api_version, kind, name, generated, namespace: field("namespace") })
    }
}

/// Whether a task may ask for objects of this kind, of whatever group.
///
/// # Errors
/// Why not.
pub fn may_be(kind: &str) -> Result<(), BadManifest> {
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return bad(format!("{kind:?} is no kind"));
    }
    match KEPT.iter().find(|(kept, _)| *kept == kind) {
        Some((kept, why)) => bad(format!("no task asks for a {kept}: {why}")),
        None => Ok(()),
    }
}

/// Whether a text can be the name of an object, and nothing else in an address.
///
/// # Errors
/// Why not.
pub fn is_name(name: &str) -> Result<(), BadManifest> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
    let dots = name.bytes().all(|b| b == b'.');
    if name.len() > 253 || dots || !name.bytes().all(fine) {
        return bad(format!("{name:?} is no name of an object"));
    }
    Ok(())
}

/// Whether a manifest or a patch leaves alone what is ours.
///
/// # Errors
/// What it may not say.
pub fn may_say(value: &Value) -> Result<(), BadManifest> {
    match value {
        Value::Object(map) => map.iter().try_for_each(|(key, value)| {
            let pointer = matches!(key.as_str(), "path" | "from")
                && value.as_str().is_some_and(|text| text.contains(RESERVED_POINTER));
            if key.starts_with(RESERVED) || pointer {
                return bad(format!("{RESERVED} is not for manifests: objects are found by it"));
            }
            may_say(value)
        }),
        Value::Array(list) => list.iter().try_for_each(may_say),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

fn is_api_version(text: &str) -> bool {
    let part = |part: &str| {
        !part.is_empty()
            && !part.bytes().all(|b| b == b'.')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
    };
    match text.split_once('/') {
        Some((group, version)) => part(group) && part(version),
        None => part(text),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn told(action: Action, manifest: &Value) -> String {
        match Subject::of(action, manifest) {
            Ok(Subject { api_version, kind, name, generated, namespace }) => {
                format!("{api_version} {kind} {name} {generated} {namespace:?}")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_manifest_says_which_object_it_is_about() {
        let job = |metadata: Value| json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata });
        let named = job(json!({ "name": "a", "generateName": "b-", "namespace": "n" }));
        assert_eq!(told(Action::Get, &named), "batch/v1 Job a false Some(\"n\")");
        let generated = job(json!({ "generateName": "b-" }));
        assert_eq!(told(Action::Create, &generated), "batch/v1 Job b- true None");
        let rows = [
            (generated, "metadata.generateName is for create: apply needs metadata.name"),
            (json!([]), "a manifest is a map with apiVersion, kind and metadata"),
            (json!({ "kind": "Job" }), "the manifest has no apiVersion"),
            (json!({ "apiVersion": "v1" }), "the manifest has no kind"),
            (job(json!({})), "the manifest has no metadata.name"),
            (job(json!({ "name": "a/b" })), "\"a/b\" is no name of an object"),
            (job(json!({ "name": ".." })), "\"..\" is no name of an object"),
            (
                json!({ "apiVersion": "../v1", "kind": "Job" }),
                "\"../v1\" is no apiVersion: write v1 or batch/v1",
            ),
            (
                json!({ "apiVersion": "v1", "kind": "List", "items": [] }),
                "one task asks for one object: write each of the list in its own task",
            ),
            (
                json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "a" } }),
                "no task asks for a Secret: its values would be kept with the workflow",
            ),
            (
                job(json!({ "name": "a", "labels": { "flowforge.io/cluster": "x" } })),
                "flowforge.io/ is not for manifests: objects are found by it",
            ),
        ];
        for (manifest, wanted) in rows {
            assert_eq!(told(Action::Apply, &manifest), wanted, "{manifest}");
        }
    }

    #[test]
    fn a_patch_leaves_alone_what_is_ours() {
        let path = json!([{ "op": "add", "path": "/metadata/labels/flowforge.io~1x", "value": 1 }]);
        assert!(may_say(&path).is_err());
        assert!(may_say(&json!({ "a": [{ "flowforge.io/x": 1 }] })).is_err());
        assert!(may_say(&json!([{ "op": "add", "path": "/metadata/labels/x" }])).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_stays_one_place_in_an_address(
            api_version in "[a-z./]{0,6}", kind in "[A-Za-z./]{0,4}", name in "[a-z./%?#:]{0,5}",
        ) {
            let manifest = json!({
                "apiVersion": api_version, "kind": kind, "metadata": { "name": name },
            });
            if let Ok(subject) = Subject::of(Action::Get, &manifest) {
                let address = format!("{}|{}|{}", subject.api_version, subject.kind, subject.name);
                prop_assert!(!address.contains(['%', '?', '#']), "{address}");
                prop_assert!(subject.api_version.matches('/').count() <= 1);
                let parts = subject.api_version.split('/').chain([&*subject.kind, &*subject.name]);
                for part in parts {
                    prop_assert!(!part.is_empty() && part != "." && part != "..", "{address}");
                    prop_assert!(!part.contains('/'));
                }
            }
        }
    }
}
