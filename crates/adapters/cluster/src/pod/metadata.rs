//! Labels and annotations that a document gives its pods.

use std::collections::BTreeMap;

use flowforge_model::attempt::{Failure, WorkOrder};
use flowforge_model::labels::{check_key, is_label_value};
use flowforge_model::limits::POD_METADATA_BYTES;
use serde::Deserialize;

use crate::refusal::not_possible;

/// They are added to ours, and none of them has a key of ours.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Asked {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// What an order says, if a cluster takes it and it is for documents to say.
pub(super) fn asked(order: &WorkOrder) -> Result<Asked, Failure> {
    let Some(json) = &order.pod_metadata else { return Ok(Asked::default()) };
    let wrong = |why: String| not_possible(format!("the metadata of its pod: {why}"));
    let asked: Asked = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
    for key in asked.labels.keys().chain(asked.annotations.keys()) {
        check_key(key).map_err(|why| wrong(format!("{key:.80?}: {why}")))?;
    }
    if let Some((key, value)) = asked.labels.iter().find(|(_, value)| !is_label_value(value)) {
        let why = "has a value that is no label's: at most 63 letters, digits, -, _ and ., letters or digits at \
                   both ends; an annotation may be any text";
        return Err(wrong(format!("the label {key} {why}, found {value:.80?}")));
    }
    let all = asked.labels.iter().chain(&asked.annotations);
    let bytes: usize = all.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > POD_METADATA_BYTES {
        let why = format!("it has {bytes} bytes; at most {POD_METADATA_BYTES} are kept");
        return Err(wrong(why));
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::pod::tests::{order, process};

    fn said(asked: &serde_json::Value) -> String {
        let mut order = order(process());
        order.pod_metadata = Some(asked.to_string().into());
        super::asked(&order).err().map(|failure| failure.message).unwrap_or_default()
    }

    #[test]
    fn what_values_make_of_it_is_judged() {
        let fine = json!({"labels": {"team": "a.b", "empty": ""}, "annotations": {"x.y/note": "any, \n text"}});
        assert_eq!(said(&fine), "");
        for (asked, why) in [
            (json!({"labels": {"flowforge.io/attempt-id": "x"}}), "not for documents"),
            (
                json!({"annotations": {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}}),
                "not for documents",
            ),
            (json!({"labels": {"app.kubernetes.io/managed-by": "flowforge"}}), "not for documents"),
            (json!({"labels": {"a": "b c"}}), "the label a has a value"),
            (json!({"labels": {"": "b"}}), "a key has"),
            (json!({"annotations": {"a": "x".repeat(40_000)}}), "40001 bytes"),
            (json!({"labels": {"a": 1}}), "invalid type"),
            (json!({"finalizers": []}), "unknown field `finalizers`"),
        ] {
            assert!(said(&asked).contains(why), "{asked:.80}: {}", said(&asked));
        }
    }
}
