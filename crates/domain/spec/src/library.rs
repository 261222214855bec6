//! The documents of a text: which one is compiled, and which ones it may refer to.

use std::collections::{BTreeMap, BTreeSet};

use crate::grammar::{self, Kind};
use crate::located::{Document, Node, quote};
use crate::metadata;
use crate::problem::Problem;
use crate::report::Report;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DocumentKind {
    /// A workflow in the native form.
    Native,
    /// A workflow of Argo.
    Workflow,
    /// Templates of a project.
    WorkflowTemplate,
    /// Templates of all projects.
    ClusterWorkflowTemplate,
    /// A workflow and when to run it.
    CronWorkflow,
    /// The same in the native form.
    NativeSchedule,
    /// Values.
    ConfigMap,
    /// Anything else: it is refused.
    Other,
}

impl DocumentKind {
    /// Its name in a manifest; the native forms have those of Argo's.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Native | Self::Workflow => "Workflow",
            Self::WorkflowTemplate => "WorkflowTemplate",
            Self::ClusterWorkflowTemplate => "ClusterWorkflowTemplate",
            Self::CronWorkflow | Self::NativeSchedule => "CronWorkflow",
            Self::ConfigMap => "ConfigMap",
            Self::Other => "",
        }
    }

    /// Runs by itself.
    #[must_use]
    pub fn is_workflow(self) -> bool {
        matches!(self, Self::Native | Self::Workflow)
    }

    /// Runs a workflow again and again.
    #[must_use]
    pub fn is_schedule(self) -> bool {
        matches!(self, Self::CronWorkflow | Self::NativeSchedule)
    }

    /// Has a spec with templates.
    pub(crate) fn holds_spec(self) -> bool {
        self.is_workflow() || self.is_schedule() || self.is_template()
    }

    /// Holds templates for others.
    #[must_use]
    pub fn is_template(self) -> bool {
        matches!(self, Self::WorkflowTemplate | Self::ClusterWorkflowTemplate)
    }

    fn of(root: &Node) -> Self {
        let manifest = ["apiVersion", "kind", "spec"].iter().any(|key| root.field(key).is_some());
        if !manifest {
            // A schedule without one of the two is told that it misses the other.
            let schedule = ["workflow", "schedule"].iter().any(|key| root.field(key).is_some());
            return if schedule { Self::NativeSchedule } else { Self::Native };
        }
        match root.field("kind").and_then(Node::text) {
            // A missing kind is reported by whoever reads the manifest.
            None | Some("Workflow") => Self::Workflow,
            Some("WorkflowTemplate") => Self::WorkflowTemplate,
            Some("ClusterWorkflowTemplate") => Self::ClusterWorkflowTemplate,
            Some("CronWorkflow") => Self::CronWorkflow,
            Some("ConfigMap") => Self::ConfigMap,
            Some(_) => Self::Other,
        }
    }

    /// Its fields.
    pub(crate) fn grammar(self) -> &'static Kind {
        match self {
            Self::Native => &grammar::NATIVE,
            Self::Workflow
            | Self::WorkflowTemplate
            | Self::ClusterWorkflowTemplate
            | Self::Other => &grammar::MANIFEST,
            Self::CronWorkflow => &grammar::CRON_MANIFEST,
            Self::NativeSchedule => &grammar::NATIVE_SCHEDULE,
            Self::ConfigMap => &grammar::CONFIG_MAP,
        }
    }
}

/// A document that knows what it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sheet<'a> {
    pub(crate) kind: DocumentKind,
    pub(crate) root: &'a Node,
}

impl<'a> Sheet<'a> {
    pub(crate) fn of(root: &'a Node) -> Self {
        Self { kind: DocumentKind::of(root), root }
    }

    /// The field that names it, and whether it is only the beginning of the name.
    pub(crate) fn name(&self) -> Option<(&'a Node, bool)> {
        if matches!(self.kind, DocumentKind::Native | DocumentKind::NativeSchedule) {
            return Some((self.root.field("name")?, false));
        }
        let metadata = self.root.field("metadata")?;
        let given = metadata.field("name").map(|node| (node, false));
        given.or_else(|| Some((metadata.field("generateName")?, true)))
    }

    /// Where its templates and all about them stand.
    pub(crate) fn spec(&self) -> Option<&'a Node> {
        match self.kind {
            DocumentKind::Native => Some(self.root),
            DocumentKind::Workflow
            | DocumentKind::WorkflowTemplate
            | DocumentKind::ClusterWorkflowTemplate => self.root.field("spec"),
            DocumentKind::CronWorkflow => self.root.field("spec")?.field("workflowSpec"),
            DocumentKind::NativeSchedule => self.root.field("workflow"),
            DocumentKind::ConfigMap | DocumentKind::Other => None,
        }
    }
}

/// The documents that others refer to by name.
#[derive(Debug, Default)]
pub(crate) struct Library<'a> {
    /// All documents of the text, in its order.
    pub(crate) sheets: Vec<Sheet<'a>>,
    /// By whether they are of the cluster, and name.
    templates: BTreeMap<(bool, &'a str), Sheet<'a>>,
}

impl<'a> Library<'a> {
    pub(crate) fn of(documents: &'a [Document]) -> Self {
        let mut library = Self::default();
        for document in documents {
            let sheet = Sheet::of(&document.root);
            library.sheets.push(sheet);
            if sheet.kind.is_template()
                && let Some(name) = sheet.name().and_then(|(node, _)| node.text())
            {
                let cluster = sheet.kind == DocumentKind::ClusterWorkflowTemplate;
                library.templates.entry((cluster, name)).or_insert(sheet);
            }
        }
        library
    }

    /// The stored template of this name.
    pub(crate) fn template(&self, cluster: bool, name: &str) -> Option<Sheet<'a>> {
        self.templates.get(&(cluster, name)).copied()
    }

    /// Names of stored templates of one kind.
    pub(crate) fn template_names(&self, cluster: bool) -> impl Iterator<Item = &'a str> + '_ {
        let keys = self.templates.keys();
        keys.filter(move |(of_cluster, _)| *of_cluster == cluster).map(|(_, name)| *name)
    }

    /// The one workflow of the text.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub(crate) fn workflow(&self) -> Result<Sheet<'a>, Problem> {
        let mut workflows = self.sheets.iter().filter(|sheet| sheet.kind.is_workflow());
        match (workflows.next(), workflows.next()) {
            (Some(one), None) => Ok(*one),
            (Some(_), Some(second)) => {
                let hint = "hand in one workflow at a time, with the templates it refers to";
                Err(problem("several_documents", second, "the text holds several workflows", hint))
            }
            (None, _) => Err(self.no_workflow()),
        }
    }

    fn no_workflow(&self) -> Problem {
        let Some(first) = self.sheets.first() else {
            return Problem::default();
        };
        let (what, hint) = match first.kind {
            DocumentKind::Other => return unsupported(first),
            DocumentKind::ConfigMap => ("only values", "add the workflow that uses them"),
            DocumentKind::CronWorkflow | DocumentKind::NativeSchedule => {
                ("a schedule", "run its workflow with `ffctl run`, or store it")
            }
            DocumentKind::WorkflowTemplate | DocumentKind::ClusterWorkflowTemplate => {
                ("only templates", "run it with `ffctl run`, or store it")
            }
            DocumentKind::Native | DocumentKind::Workflow => ("a workflow", ""),
        };
        let message = format!("there is no workflow in the text, {what}");
        problem("no_workflow", first, &message, hint)
    }

    /// Reports documents that nothing can be done with, names that are taken, and what stands
    /// around the specs of all but `main`. Without one all specs are read for themselves, and what
    /// stands around them with them.
    pub(crate) fn check(&self, report: &Report<'a>, main: Option<&Sheet<'a>>) {
        let mut seen = BTreeSet::new();
        for sheet in &self.sheets {
            let read = main.is_none_or(|main| main.root.place == sheet.root.place);
            let at = sheet.root.field("kind").unwrap_or(sheet.root);
            match sheet.kind {
                DocumentKind::Native | DocumentKind::Workflow => continue,
                DocumentKind::Other => {
                    let found = unsupported(sheet);
                    report.error(found.code, at, found.message, found.hint.unwrap_or_default());
                    continue;
                }
                DocumentKind::CronWorkflow | DocumentKind::NativeSchedule => {
                    if !read {
                        let message = "the schedule beside the workflow is not stored";
                        let hint = "store it with a request of its own";
                        report.warning("no_effect", at, message, hint);
                    }
                    continue;
                }
                DocumentKind::ConfigMap => {
                    metadata::library_head(report, sheet);
                }
                DocumentKind::WorkflowTemplate | DocumentKind::ClusterWorkflowTemplate if !read => {
                    metadata::library_head(report, sheet);
                }
                DocumentKind::WorkflowTemplate | DocumentKind::ClusterWorkflowTemplate => {}
            }
            let Some((at, name)) = sheet.name().and_then(|(at, _)| Some((at, at.text()?))) else {
                continue;
            };
            if !seen.insert((sheet.kind, name)) {
                let kind = sheet.kind.name();
                let message = format!("there are two documents {kind} {}", quote(name));
                report.error("duplicate_document", at, message, "remove one of them");
            }
        }
    }
}

fn problem(code: &'static str, sheet: &Sheet<'_>, message: &str, hint: &str) -> Problem {
    crate::located::fault(code, sheet.root.place, message.to_owned(), hint)
}

fn unsupported(sheet: &Sheet<'_>) -> Problem {
    let at = sheet.root.field("kind").unwrap_or(sheet.root);
    let kind = at.text().unwrap_or("");
    let message = format!("the kind {} is not supported", quote(kind));
    let hint = match kind {
        "Secret" => "secrets are files on the server, never documents: NAME/KEY in its directory",
        "PersistentVolumeClaim" => "a claim is a directory on the server: nothing is to be made",
        _ => "submit a Workflow, with the templates and ConfigMaps it refers to",
    };
    let mut problem = crate::located::fault("unsupported", at.place, message, hint);
    "/kind".clone_into(&mut problem.pointer);
    problem
}
