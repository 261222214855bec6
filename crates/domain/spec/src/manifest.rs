//! Manifests of objects, as text: one YAML or JSON document to a JSON value.

use serde_json::{Map, Value as Json};

use crate::located::{self, Node, Root, Value};
use crate::{items, typing};

/// Reads a manifest, within the budgets of documents. Words and numbers mean what they do for `kubectl` (YAML 1.1).
///
/// # Errors
/// What is wrong with it, and where.
pub fn manifest(source: &str) -> Result<Json, String> {
    let told = |problem: &crate::Problem| {
        format!("line {} of the manifest: {}", problem.line, problem.message)
    };
    let located =
        located::read_as_written(source, Root::MapOrList).map_err(|problem| told(&problem))?;
    if let Some(fault) = located.faults.first() {
        return Err(told(fault));
    }
    match &*located.documents {
        [one] if one.prefix.is_empty() => Ok(json(&one.root)),
        _ => Err("a manifest holds one object: write each in its own task".to_owned()),
    }
}

fn json(node: &Node) -> Json {
    match &node.value {
        Value::Quoted(text) => Json::String(text.to_string()),
        Value::Plain(_) if node.is_null() => Json::Null,
        Value::Plain(text) => {
            let written = typing::as_go_writes(text).unwrap_or_else(|| text.to_string());
            let word = items::is_json_word(&written);
            let value = word.then(|| serde_json::from_str(&written).ok()).flatten();
            value.unwrap_or_else(|| Json::String(text.to_string()))
        }
        Value::List(list) => Json::Array(list.iter().map(json).collect()),
        Value::Map(entries) => {
            let entry = |entry: &located::Entry| (entry.key.to_string(), json(&entry.node));
            Json::Object(entries.iter().map(entry).collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::manifest;

    #[test]
    fn words_and_numbers_mean_what_they_do_for_kubectl() {
        let text = "a: yes\nb: 010\nc: 1.50\nd: '5'\ne: ~\nf: 1:30\ng: |\n  x\nh: [1, true, null]\ni: {j: k}\nl: 2001-01-01\nm: -3\n";
        let wanted = json!({
            "a": true, "b": 8, "c": 1.5, "d": "5", "e": null, "f": "1:30", "g": "x\n",
            "h": [1, true, null], "i": { "j": "k" }, "l": "2001-01-01", "m": -3,
        });
        assert_eq!(manifest(text), Ok(wanted));
        assert_eq!(manifest("- op: add\n  value: 1\n"), Ok(json!([{ "op": "add", "value": 1 }])));
        assert_eq!(manifest("{\"a\": \"1\", \"b\": 1}"), Ok(json!({ "a": "1", "b": 1 })));
        assert_eq!(
            manifest("kind: Workflow\nspec: {entrypoint: yes}"),
            Ok(json!({ "kind": "Workflow", "spec": { "entrypoint": true } })),
        );
    }

    #[test]
    fn what_is_not_one_object_is_refused() {
        let rows = [
            "a: 1\n---\nb: 2",
            "",
            "a: 1\na: 2",
            "a: [",
            "kind: List\napiVersion: v1\nitems: [{kind: A}, {kind: B}]",
        ];
        for text in rows {
            assert!(manifest(text).is_err(), "{text:?}: {:?}", manifest(text));
        }
    }

    proptest! {
        #[test]
        fn json_comes_back_as_it_is(text in "\\PC{0,10}", number in any::<i64>(), yes: bool) {
            let value = json!({ "a": text, "b": [number, yes, null] });
            prop_assert_eq!(manifest(&value.to_string()), Ok(value));
        }
    }
}
