//! Stored templates and config maps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Time;

/// One version of a stored document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Template {
    /// `WorkflowTemplate`, `ClusterWorkflowTemplate` or `ConfigMap`; expect more.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The id of its project; none for a `ClusterWorkflowTemplate`, which all projects share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// From 1; each change is the next.
    pub version: u32,
    /// Labels of the document.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When this version was stored.
    pub created_at: Time,
    /// Who stored it.
    pub created_by: String,
    /// Its text. Not in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// What became of the documents that were applied, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Applied {
    /// One for each document.
    pub items: Vec<AppliedTemplate>,
    /// What deserves a look. Places are those of the text that was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<crate::problem::Finding>,
}

/// What became of one document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppliedTemplate {
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its version now.
    pub version: u32,
    /// It was stored just so already.
    pub unchanged: bool,
}

/// A stored document to submit a workflow from, in the place of `dag_spec`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TemplateRef {
    /// `WorkflowTemplate`, `ClusterWorkflowTemplate` or `CronWorkflow`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Which version; the latest if it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
}
