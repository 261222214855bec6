//! Documents that are kept to be referred to: workflow templates and config maps, in versions.

use std::fmt;
use std::future::Future;

use flowforge_model::id::EntityId;
use flowforge_model::time::Timestamp;

use crate::store::StoreError;

/// What kind of document is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TemplateKind {
    /// `ClusterWorkflowTemplate`: of all projects.
    ClusterWorkflowTemplate,
    /// `ConfigMap`: of a project.
    ConfigMap,
    /// `WorkflowTemplate`: of a project.
    WorkflowTemplate,
}

impl TemplateKind {
    /// All kinds, in the order of their storage forms.
    pub const ALL: [Self; 3] =
        [Self::ClusterWorkflowTemplate, Self::ConfigMap, Self::WorkflowTemplate];

    /// The storage form.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::WorkflowTemplate => "workflow_template",
            Self::ClusterWorkflowTemplate => "cluster_workflow_template",
            Self::ConfigMap => "config_map",
        }
    }

    /// Reads the storage form back.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// The word of documents, `kind`.
    #[must_use]
    pub fn manifest(self) -> &'static str {
        match self {
            Self::WorkflowTemplate => "WorkflowTemplate",
            Self::ClusterWorkflowTemplate => "ClusterWorkflowTemplate",
            Self::ConfigMap => "ConfigMap",
        }
    }

    /// The kind whose [`Self::manifest`] is `word`.
    #[must_use]
    pub fn of_manifest(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.manifest() == word)
    }

    /// There is one of a name for all projects, rather than one in each.
    #[must_use]
    pub fn shared(self) -> bool {
        self == Self::ClusterWorkflowTemplate
    }
}

/// Which stored document, over all its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateId {
    /// Its kind.
    pub kind: TemplateKind,
    /// Its project; none for a kind that is shared by all.
    pub project: Option<EntityId>,
    /// Its name, unique among its kind and project.
    pub name: String,
}

impl TemplateId {
    /// The document that `name` means in `project`.
    #[must_use]
    pub fn new(kind: TemplateKind, project: EntityId, name: &str) -> Self {
        let project = if kind.shared() { None } else { Some(project) };
        Self { kind, project, name: name.to_owned() }
    }
}

/// A document to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTemplate {
    /// Which.
    pub id: TemplateId,
    /// Its text.
    pub document: String,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// Who sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// What became of a document that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its version.
    pub version: u32,
    /// The text was that of the latest version already.
    pub unchanged: bool,
}

/// One version of a document, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateView {
    /// Which document.
    pub id: TemplateId,
    /// From 1, rising; never used twice, not even after a deletion.
    pub version: u32,
    /// Labels.
    pub labels: Vec<(String, String)>,
    /// When it was put.
    pub created_at: Timestamp,
    /// Who sent it.
    pub created_by: String,
}

impl fmt::Display for TemplateView {
    /// For people: kind, name and version.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TemplateId { kind, name, .. } = &self.id;
        write!(f, "{} {name}, version {}", kind.manifest(), self.version)
    }
}

/// One version of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTemplate {
    /// What there is beside the text.
    pub view: TemplateView,
    /// The text.
    pub document: String,
}

/// Which documents are wanted, by kind, project and name. Empty fields want all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateFilter {
    /// Only these kinds.
    pub kinds: Vec<TemplateKind>,
    /// Only those of this project and those shared by all.
    pub project: Option<EntityId>,
    /// Only names that begin so.
    pub name_prefix: Option<String>,
    /// Only with all of these labels.
    pub labels: Vec<(String, String)>,
    /// Only after this one.
    pub after: Option<TemplateId>,
}

/// Keeps documents. Implementations: PostgreSQL, SQLite, memory.
pub trait Templates: Send + Sync + 'static {
    /// Keeps all of `new`, or none: each as the next version of its document, unless its text is
    /// that of the latest version, which stays the latest then (with its old labels and time).
    /// Versions that are older than the newest `limits::TEMPLATE_VERSIONS` are forgotten.
    ///
    /// # Errors
    /// `Refused` if there is no such project; `Unavailable`.
    fn put(
        &self,
        new: Vec<NewTemplate>,
    ) -> impl Future<Output = Result<Vec<Put>, StoreError>> + Send;

    /// A version of a document, the latest if `version` is none.
    ///
    /// # Errors
    /// `NotFound`: there is none, or it is deleted; `Corrupt`.
    fn template(
        &self,
        id: TemplateId,
        version: Option<u32>,
    ) -> impl Future<Output = Result<StoredTemplate, StoreError>> + Send;

    /// The latest versions of documents, at most `limit`, by kind, project and name.
    ///
    /// # Errors
    /// `Unavailable`.
    fn templates(
        &self,
        filter: TemplateFilter,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<TemplateView>, StoreError>> + Send;

    /// Versions of a document that are older than `before`, the newest first, at most `limit`.
    ///
    /// # Errors
    /// `NotFound`.
    fn versions(
        &self,
        id: TemplateId,
        before: Option<u32>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<TemplateView>, StoreError>> + Send;

    /// Deletes all versions of a document. Workflows that were submitted with it keep their copy.
    ///
    /// # Errors
    /// `NotFound`.
    fn delete_template(
        &self,
        id: TemplateId,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
