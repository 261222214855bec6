//! What clients send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::template::TemplateRef;

/// A workflow to submit: `dag_spec` or `template` says what it is. A bare workflow document (an
/// object without them) is accepted in its place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Submit {
    /// Id or name of the project; the default project if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// Name of the workflow, need not be unique, at most 253 bytes; that of the document if it
    /// is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For people; at most 16 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The workflow document: an object, or its YAML or JSON text in a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dag_spec: Option<Value>,
    /// A stored template to submit a workflow from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateRef>,
    /// Another template of the stored one to begin with. Only with `template`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// Values over the `arguments.parameters` of the document.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Labels, over those of the document; at most 64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Higher goes first; that of the document, or 0, if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

/// A parameter's value. Numbers and booleans become the text they are written with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ParameterValue {
    /// Text.
    Text(String),
    /// `true` or `false`.
    Flag(bool),
    /// A number.
    #[cfg_attr(feature = "openapi", schema(value_type = f64))]
    Number(serde_json::Number),
}

impl From<String> for ParameterValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// What `resume` may be given; an empty body resumes the workflow and all its suspensions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resume {
    /// Only this suspension; its dotted name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Values of its `supplied` outputs; needs `task`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, ParameterValue>,
}

/// What `resubmit` may change; an empty body repeats the workflow as it was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Resubmit {
    /// Another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Values over the parameters of the earlier submission.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Labels over those of the earlier submission.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Another priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submission_refuses_fields_it_does_not_know() {
        let good = r#"{"dag_spec":"entrypoint: a","parameters":{"a":1.50,"b":"x","c":true}}"#;
        let submit: Submit = serde_json::from_str(good).unwrap();
        assert_eq!(submit.parameters.len(), 3);
        for bad in [
            r#"{"dag_spec":{},"state":"RUNNING"}"#,
            r#"{"dag_spec":{},"parameters":{"a":[1]}}"#,
            r#"{"dag_spec":{},"priority":1.5}"#,
            r#"{"template":{"kind":"WorkflowTemplate"}}"#,
            r#"{"template":{"kind":"WorkflowTemplate","name":"a","namespace":"b"}}"#,
        ] {
            assert!(serde_json::from_str::<Submit>(bad).is_err(), "{bad}");
        }
    }
}
