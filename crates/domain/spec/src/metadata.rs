//! What stands around the specs: versions, names, labels, annotations.

use flowforge_model::limits::{DESCRIPTION_BYTES, LABELS, NAME_BYTES};

use crate::grammar;
use crate::library::{DocumentKind, Sheet};
use crate::located::{Node, quote};
use crate::names::Dialect;
use crate::report::Report;

/// Argo's annotation for a description.
const DESCRIPTION: &str = "workflows.argoproj.io/description";
/// Bytes of one annotation. Kubernetes keeps 256 KiB for all of an object.
const ANNOTATION_BYTES: usize = 256 * 1024;

/// What stands around a spec.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// `metadata.name`, or `metadata.generateName` as it stands.
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(Box<str>, Box<str>)>,
}

/// Our own form: everything at the top.
pub(crate) fn native<'a>(report: &Report<'a>, root: &'a Node) -> Option<Head> {
    if !report.fields(root, &grammar::NATIVE) {
        return None;
    }
    let version = report.required(root, &grammar::NATIVE, "version");
    if let Some(version) = version.filter(|node| node.text() != Some("1.0")) {
        let message = format!("version {} is not known", version.describe());
        let hint = "write version: \"1.0\"";
        report.error("unsupported_version", version, message, hint);
    }
    let name = root.field("name").and_then(|node| {
        let name = report.string(node)?;
        Dialect::Native.check_name(report, node, name, "a workflow");
        Some(name.to_owned())
    });
    let description = report.optional_string(root, "description");
    if let Some(node) = root.field("description")
        && description.is_some_and(|text| text.len() > DESCRIPTION_BYTES)
    {
        let message = format!("a description has at most {DESCRIPTION_BYTES} bytes");
        report.error("limit", node, message, "shorten it");
    }
    Some(Head {
        name,
        description: description.map(str::to_owned),
        labels: labels(report, root.field("labels")),
        annotations: Vec::new(),
    })
}

/// Argo's form: `apiVersion`, `kind`, `metadata`, and a spec that is checked by who reads it.
pub(crate) fn manifest<'a>(report: &Report<'a>, sheet: &Sheet<'a>) -> Head {
    let root = sheet.root;
    let fields = sheet.kind.grammar();
    report.fields(root, fields);
    report.required(root, fields, "kind");
    let wanted = match sheet.kind {
        DocumentKind::ConfigMap => "v1",
        DocumentKind::Native
        | DocumentKind::Workflow
        | DocumentKind::WorkflowTemplate
        | DocumentKind::ClusterWorkflowTemplate
        | DocumentKind::CronWorkflow
        | DocumentKind::NativeSchedule
        | DocumentKind::Other => "argoproj.io/v1alpha1",
    };
    if let Some(version) = report.required(root, fields, "apiVersion")
        && version.text() != Some(wanted)
    {
        let message = format!("apiVersion {} is not known", version.describe());
        report.error("unsupported_version", version, message, format!("write {wanted}"));
    }
    match root.field("metadata") {
        Some(metadata) if report.fields(metadata, &grammar::METADATA) => {
            read(report, metadata, sheet)
        }
        _ => Head::default(),
    }
}

/// Reports what is wrong around the spec of a document that others refer to.
pub(crate) fn library_head<'a>(report: &Report<'a>, sheet: &Sheet<'a>) {
    manifest(report, sheet);
    require_name(report, sheet);
}

/// Reports a document that cannot be referred to.
pub(crate) fn require_name<'a>(report: &Report<'a>, sheet: &Sheet<'a>) {
    if !matches!(sheet.name(), Some((_, false))) {
        let message = format!("a {} needs a name to be referred to", sheet.kind.name());
        report.error("missing_field", sheet.root, message, "add metadata.name");
    }
}

fn read<'a>(report: &Report<'a>, metadata: &'a Node, sheet: &Sheet<'a>) -> Head {
    let annotations = annotations(report, metadata.field("annotations"));
    let description = annotations.iter().find(|(key, _)| &**key == DESCRIPTION);
    let description = description.map(|(_, text)| cut(text.trim(), DESCRIPTION_BYTES).to_owned());
    let mut head = Head {
        labels: labels(report, metadata.field("labels")),
        description,
        annotations,
        name: None,
    };
    if let Some((node, generated)) = sheet.name()
        && let Some(name) = report.string(node)
    {
        let label = if generated { name.trim_end_matches('-') } else { name };
        // Kubernetes allows dots in names of objects; everything else is a label.
        let fine = label.split('.').all(crate::names::is_dns_label);
        if !fine || name.len() > NAME_BYTES {
            let message = format!("{} is no name for a {}", quote(name), called(sheet.kind));
            report.error("bad_name", node, message, "use a-z, 0-9, - and . inside");
        }
        head.name = Some(name.to_owned());
    }
    head
}

fn called(kind: DocumentKind) -> &'static str {
    if kind.is_workflow() { "workflow" } else { kind.name() }
}

/// The beginning of a text, at a character's border.
fn cut(text: &str, bytes: usize) -> &str {
    let fits = text.char_indices().map(|(at, c)| at.saturating_add(c.len_utf8()));
    let end = fits.take_while(|end| *end <= bytes).last().unwrap_or(0);
    text.get(..end).unwrap_or("")
}

/// Labels of a workflow or of templates.
pub(crate) fn labels<'a>(report: &Report<'a>, labels: Option<&'a Node>) -> Vec<(String, String)> {
    let Some(labels) = labels else {
        return Vec::new();
    };
    let Some(entries) = labels.entries() else {
        let message = format!("expected labels (a map), found {}", labels.describe());
        report.error("wrong_type", labels, message, "");
        return Vec::new();
    };
    if entries.len() > LABELS {
        let message = format!("{} labels; at most {LABELS} are kept", entries.len());
        report.error("limit", labels, message, "remove some");
    }
    let mut out = Vec::new();
    for entry in entries.iter().take(LABELS) {
        let bad = |c: char| !(c.is_ascii_alphanumeric() || "-_./".contains(c));
        if entry.key.is_empty() || entry.key.len() > NAME_BYTES || entry.key.contains(bad) {
            let message = format!("{} is no name for a label", quote(&entry.key));
            report.error("bad_name", entry, message, "use letters, digits, - _ . and /");
            continue;
        }
        if entry.key.starts_with("flowforge.io/") {
            let message = format!("{} is reserved", quote(&entry.key));
            report.error("reserved_name", entry, message, "choose another prefix");
            continue;
        }
        let Some(value) = report.string(&entry.node) else {
            continue;
        };
        if value.len() > NAME_BYTES {
            let message = format!("a label has at most {NAME_BYTES} bytes");
            report.error("limit", &entry.node, message, "shorten it");
        }
        out.push((entry.key.to_string(), value.to_owned()));
    }
    out
}

/// Annotations: any texts under any names.
pub(crate) fn annotations<'a>(
    report: &Report<'a>,
    annotations: Option<&'a Node>,
) -> Vec<(Box<str>, Box<str>)> {
    let Some(annotations) = annotations else {
        return Vec::new();
    };
    let Some(entries) = annotations.entries() else {
        let message = format!("expected annotations (a map), found {}", annotations.describe());
        report.error("wrong_type", annotations, message, "");
        return Vec::new();
    };
    let mut bytes = 0_usize;
    let mut out = Vec::new();
    for entry in entries {
        let Some(value) = report.string(&entry.node) else {
            continue;
        };
        bytes = bytes.saturating_add(entry.key.len()).saturating_add(value.len());
        out.push((entry.key.clone(), value.into()));
    }
    if bytes > ANNOTATION_BYTES {
        let message = format!("{bytes} bytes of annotations; at most {ANNOTATION_BYTES} are kept");
        report.error("limit", annotations, message, "remove some");
    }
    out
}
