//! What is in a text, without running it.

use std::collections::BTreeSet;

use crate::document::Source;
use crate::library::{DocumentKind, Library, Sheet};
use crate::located::{self, Entry, Located, Node, Place, Value};
use crate::merge::Merged;
use crate::metadata;
use crate::problem::{Problem, Problems};
use crate::report::Report;
use crate::{Options, cron, yaml_out};

/// A document of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentInfo {
    /// What it is.
    pub kind: DocumentKind,
    /// Its kind as it is written; empty in the native form.
    pub kind_name: String,
    /// Its name, or the beginning of it (`metadata.generateName`).
    pub name: Option<String>,
    /// Its line in the text, from 1.
    pub line: u32,
}

/// A document that another one refers to and that is not in the text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// What it has to be.
    pub kind: DocumentKind,
    /// Its name.
    pub name: String,
}

/// A document that can be kept for others to refer to.
#[derive(Clone, Debug)]
pub struct StoredTemplate {
    /// `WorkflowTemplate`, `ClusterWorkflowTemplate` or `ConfigMap`.
    pub kind: DocumentKind,
    /// `metadata.name`.
    pub name: String,
    /// `metadata.labels`.
    pub labels: Vec<(String, String)>,
    /// `metadata.annotations`.
    pub annotations: Vec<(Box<str>, Box<str>)>,
    /// The annotation `workflows.argoproj.io/description`.
    pub description: Option<String>,
    /// Things that are accepted but deserve a look; what it refers to is looked for when it is used.
    pub warnings: Vec<Problem>,
}

impl Sheet<'_> {
    /// What the document says it is.
    pub(crate) fn info(&self) -> DocumentInfo {
        let text = |node: &Node| node.text().map(str::to_owned);
        DocumentInfo {
            kind: self.kind,
            kind_name: self.root.field("kind").and_then(text).unwrap_or_default(),
            name: self.name().and_then(|(node, _)| text(node)),
            line: self.root.place.line,
        }
    }
}

/// The documents of a text, in its order, by what they say they are.
///
/// # Errors
/// The text is not YAML or JSON, or too large.
pub fn documents(source: &str) -> Result<Vec<DocumentInfo>, Problems> {
    let located = located::read(source)?;
    let infos = located.documents.iter().map(|document| Sheet::of(&document.root).info());
    Ok(infos.collect())
}

/// What a text refers to that is not in it, each once: add it and ask again, for it may refer to
/// more. Empty for a text that cannot be read.
#[must_use]
pub fn missing(source: &str) -> Vec<Missing> {
    // Most texts refer to nothing and need not be read for that.
    if !["emplateRef", "onfigMap"].iter().any(|part| source.contains(part)) {
        return Vec::new();
    }
    let Ok(Located { documents, .. }) = located::read(source) else {
        return Vec::new();
    };
    let library = Library::of(&documents);
    let with_spec = library.sheets.iter().filter(|sheet| sheet.spec().is_some());
    // Templates beside a workflow count as far as it uses them.
    let runnable = with_spec.clone().any(|sheet| !sheet.kind.is_template());
    let mut out = BTreeSet::new();
    for sheet in with_spec.filter(|sheet| sheet.kind.is_template() != runnable) {
        let Ok(merged) = Merged::of(sheet, &library) else { continue };
        let report = Report::new(&documents);
        let source = Source { sheet: *sheet, library: &library, merged: &merged };
        out.extend(source.compile(&report, &Options::default()).missing);
    }
    out.into_iter().collect()
}

/// What is to be said about a text.
#[derive(Clone, Debug, Default)]
pub struct Linted {
    /// Every problem of every document, in the order of their places, at most
    /// `limits::REPORTED_ERRORS`.
    pub problems: Problems,
    /// Things that are accepted but deserve a look.
    pub warnings: Vec<Problem>,
}

/// Checks every document of a text for itself, with the others to refer to.
#[must_use]
pub fn lint(source: &str, options: &Options) -> Linted {
    let Located { documents, faults } = match located::read(source) {
        Ok(located) => located,
        Err(problem) => return Linted { problems: problem.into(), warnings: Vec::new() },
    };
    let library = Library::of(&documents);
    let around = Report::new(&documents);
    library.check(&around, None);
    let mut problems = Problems { list: faults, omitted: 0 };
    let mut warnings = Vec::new();
    let mut keep = |report: &Report<'_>, compiled: Vec<Problem>| {
        warnings.extend(compiled);
        warnings.extend(report.warnings());
        problems.add(report.errors(Vec::new()));
    };
    for sheet in library.sheets.iter().filter(|sheet| sheet.kind.holds_spec()) {
        let report = Report::new(&documents);
        if sheet.kind.is_schedule() {
            cron::check(&report, sheet);
        } else if sheet.kind.is_template() {
            metadata::require_name(&report, sheet);
        }
        let merged = match Merged::of(sheet, &library) {
            Ok(merged) => merged,
            Err(problem) => {
                report.error(problem.code, sheet.root, problem.message, "");
                Merged::default()
            }
        };
        let source = Source { sheet: *sheet, library: &library, merged: &merged };
        let compiled = source.compile(&report, options).compiled;
        keep(&report, compiled.map(|compiled| compiled.warnings).unwrap_or_default());
    }
    keep(&around, Vec::new());
    warnings.sort_by_key(|problem| (problem.line, problem.column));
    warnings.dedup();
    problems.sort();
    Linted { problems, warnings }
}

/// Checks a document that is to be kept: its templates as far as they can be checked without the
/// workflow that will use them, or its values.
///
/// # Errors
/// Every problem of the document, as [`crate::compile`].
pub fn template(source: &str) -> Result<StoredTemplate, Problems> {
    let Located { documents, faults } = located::read(source)?;
    if let [_, second, ..] = documents.as_slice() {
        let message = "the text holds several documents".to_owned();
        let hint = "store one at a time";
        return Err(located::fault("several_documents", second.root.place, message, hint).into());
    }
    let library = Library::of(&documents);
    let Some(sheet) = library.sheets.first() else {
        return Err(Problems::default());
    };
    let merged = Merged::of(sheet, &library)?;
    let report = Report::new(&documents);
    let mut warnings = Vec::new();
    let head = if sheet.kind == DocumentKind::ConfigMap {
        let head = metadata::manifest(&report, sheet);
        check_values(&report, sheet.root);
        head
    } else if sheet.kind.is_template() {
        let source = Source { sheet: *sheet, library: &library, merged: &merged };
        let compiled = source.compile(&report, &Options::default()).compiled;
        warnings.extend(compiled.map(|compiled| compiled.warnings).unwrap_or_default());
        // What is wrong around the spec was reported with it.
        metadata::manifest(&Report::new(&documents), sheet)
    } else {
        let at = sheet.root.field("kind").unwrap_or(sheet.root);
        let message = "this document is not kept for others to refer to";
        let hint = "store a WorkflowTemplate, a ClusterWorkflowTemplate or a ConfigMap";
        report.error("unsupported", at, message, hint);
        return Err(report.errors(faults));
    };
    metadata::require_name(&report, sheet);
    if report.has_errors() || !faults.is_empty() {
        return Err(report.errors(faults));
    }
    Ok(StoredTemplate {
        kind: sheet.kind,
        name: head.name.unwrap_or_default(),
        labels: head.labels,
        annotations: head.annotations,
        description: head.description,
        warnings: warnings.into_iter().chain(report.warnings()).collect(),
    })
}

/// The values of a `ConfigMap` are texts.
fn check_values<'a>(report: &Report<'a>, root: &'a Node) {
    let Some(data) = root.field("data") else { return };
    let Some(entries) = data.entries() else {
        let message = format!("expected values (a map), found {}", data.describe());
        report.error("wrong_type", data, message, "");
        return;
    };
    for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
        report.string(&entry.node);
    }
}

/// A workflow that is all of a stored template: a text to submit or to store.
/// `entrypoint` is another template than the one it names itself.
#[must_use]
pub fn workflow_of(kind: DocumentKind, name: &str, entrypoint: Option<&str>) -> String {
    let at = Place::default();
    let text = |text: &str| Node { place: at, value: Value::Quoted(text.into()) };
    let map = |entries: Vec<(&str, Node)>| {
        let entries = entries.into_iter();
        let entries =
            entries.map(|(key, node)| Entry { place: at, key: key.into(), node }).collect();
        Node { place: at, value: Value::Map(entries) }
    };
    let mut reference = vec![("name", text(name))];
    if kind == DocumentKind::ClusterWorkflowTemplate {
        let yes = Node { place: at, value: Value::Plain("true".into()) };
        reference.push(("clusterScope", yes));
    }
    let mut spec = vec![("workflowTemplateRef", map(reference))];
    spec.extend(entrypoint.map(|entrypoint| ("entrypoint", text(entrypoint))));
    yaml_out::write(&map(vec![
        ("apiVersion", text("argoproj.io/v1alpha1")),
        ("kind", text("Workflow")),
        ("metadata", map(vec![("generateName", text(&format!("{name}-")))])),
        ("spec", map(spec)),
    ]))
}
