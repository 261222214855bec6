//! The document as a whole.

use flowforge_model::limits::{DESCRIPTION_BYTES, LABELS, NAME_BYTES};
use flowforge_model::plan::{Call, Plan, TemplateIx, Ttl};

use crate::grammar;
use crate::located::{Node, quote};
use crate::names::Dialect;
use crate::outline::Doc;
use crate::recursion;
use crate::references::Names;
use crate::report::Report;
use crate::{Compiled, Options};

/// What stands around the spec.
#[derive(Default)]
struct Head {
    name: Option<String>,
    description: Option<String>,
    labels: Vec<(String, String)>,
}

/// Compiles a tree; `None` if errors were reported.
pub(crate) fn compile<'a>(
    report: &'a Report<'a>,
    root: &'a Node,
    options: &Options,
) -> Option<Compiled> {
    let manifest = ["apiVersion", "kind", "spec"].iter().any(|key| root.field(key).is_some());
    let (dialect, head, spec) = if manifest {
        let (head, spec) = read_manifest(report, root)?;
        (Dialect::Argo, head, spec)
    } else {
        (Dialect::Native, read_native(report, root)?, root)
    };
    let mut doc = Doc::read(report, dialect, spec);
    let parameters = doc.workflow_parameters(spec, &options.parameters);
    let volumes = doc.read_workflow_volumes(spec);
    let artifacts = doc.workflow_artifacts(spec);
    doc.given_artifacts = artifacts.iter().map(|(name, _)| name.clone()).collect();
    let templates = doc.compile_templates();
    let entrypoint = {
        let kind = if manifest { &grammar::SPEC } else { &grammar::NATIVE };
        report.required(spec, kind, "templates");
        let entrypoint = report.required(spec, kind, "entrypoint");
        entrypoint.and_then(|node| doc.root_template(node))
    };
    let on_exit = spec.field("onExit").map(|node| doc.root_template(node));
    let retry = spec
        .field("retryStrategy")
        .map(|node| doc.retry(node, &Names { leaf: true, ..Names::WORKFLOW }));
    let plan = Plan {
        default_retry: match (retry, dialect) {
            (Some(retry), _) => retry,
            (None, Dialect::Native) => options.default_retry.clone(),
            (None, Dialect::Argo) => None,
        },
        active_deadline: doc.seconds(spec, "activeDeadlineSeconds", 1),
        ttl: doc.ttl(spec),
        parallelism: report.optional_u32(spec, "parallelism", 1, u32::MAX),
        suspend: spec.field("suspend").and_then(|node| report.boolean(node)).unwrap_or(false),
        on_exit: on_exit.flatten().map(Call::of),
        hooks: Vec::new(),
        artifacts,
        annotations: Vec::new(),
        service_account: None,
        locks: doc.locks(spec, &Names::WORKFLOW),
        volumes,
        entrypoint: entrypoint.unwrap_or(TemplateIx(0)),
        parameters,
        templates,
    };
    let priority = doc.priority(spec);
    if report.has_errors() {
        return None;
    }
    recursion::check(&doc, &plan);
    recursion::check_exit_uses(&doc, &plan);
    (!report.has_errors()).then(|| Compiled {
        plan,
        name: head.name,
        description: head.description,
        labels: head.labels,
        priority,
        warnings: report.warnings(),
    })
}

/// Our own form: everything at the top.
fn read_native<'a>(report: &Report<'a>, root: &'a Node) -> Option<Head> {
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
        labels: read_labels(report, root.field("labels")),
    })
}

/// Argo's form: `apiVersion`, `kind`, `metadata`, `spec`.
fn read_manifest<'a>(report: &Report<'a>, root: &'a Node) -> Option<(Head, &'a Node)> {
    report.fields(root, &grammar::MANIFEST);
    if let Some(kind) = report.required(root, &grammar::MANIFEST, "kind")
        && kind.text() != Some("Workflow")
    {
        let message = format!("the kind {} is not supported", kind.describe());
        report.error("unsupported", kind, message, "submit a Workflow");
        return None;
    }
    if let Some(version) = report.required(root, &grammar::MANIFEST, "apiVersion")
        && version.text() != Some("argoproj.io/v1alpha1")
    {
        let message = format!("apiVersion {} is not known", version.describe());
        let hint = "write argoproj.io/v1alpha1";
        report.error("unsupported_version", version, message, hint);
    }
    let head = match root.field("metadata") {
        Some(metadata) if report.fields(metadata, &grammar::METADATA) => {
            read_metadata(report, metadata)
        }
        _ => Head::default(),
    };
    let spec = report.required(root, &grammar::MANIFEST, "spec")?;
    report.fields(spec, &grammar::SPEC).then_some((head, spec))
}

fn read_metadata<'a>(report: &Report<'a>, metadata: &'a Node) -> Head {
    let mut head =
        Head { labels: read_labels(report, metadata.field("labels")), ..Head::default() };
    let named = metadata.field("name").or(metadata.field("generateName"));
    if let Some(node) = named
        && let Some(name) = report.string(node)
    {
        let label = metadata.field("name").map_or(name.trim_end_matches('-'), |_| name);
        // Kubernetes allows dots in names of objects; everything else is a label.
        let fine = label.split('.').all(crate::names::is_dns_label);
        if !fine || name.len() > NAME_BYTES {
            let message = format!("{} is no name for a workflow", quote(name));
            report.error("bad_name", node, message, "use a-z, 0-9, - and . inside");
        }
        head.name = Some(name.to_owned());
    }
    head
}

fn read_labels<'a>(report: &Report<'a>, labels: Option<&'a Node>) -> Vec<(String, String)> {
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

impl<'a> Doc<'a> {
    fn compile_templates(&self) -> Vec<flowforge_model::plan::Template> {
        let count = u32::try_from(self.templates.len()).unwrap_or(u32::MAX);
        (0..count).filter_map(|ix| self.compile_template(TemplateIx(ix))).collect()
    }

    /// A template that is called by the workflow itself: its inputs are workflow parameters.
    fn root_template(&self, node: &'a Node) -> Option<TemplateIx> {
        let ix = self.template(node)?;
        let outline = self.outline(ix)?;
        for input in &outline.inputs {
            if !input.optional && !self.parameters.contains(input.name) {
                let message = format!(
                    "nothing gives the input {} of the template {} a value",
                    quote(input.name),
                    quote(outline.name)
                );
                let hint = "declare a workflow parameter of this name, or give it a default";
                self.report.error("missing_argument", node, message, hint);
            }
        }
        for input in &outline.artifacts_in {
            if !input.optional && !self.given_artifacts.contains(input.name) {
                let message = format!(
                    "nothing gives the input {} of the template {} an artifact",
                    quote(input.name),
                    quote(outline.name)
                );
                let hint = "declare an artifact of this name in arguments.artifacts";
                self.report.error("missing_argument", node, message, hint);
            }
        }
        Some(ix)
    }

    fn ttl(&self, spec: &'a Node) -> Ttl {
        let Some(node) = spec.field("ttlStrategy") else {
            return Ttl::default();
        };
        if !self.report.fields(node, &grammar::TTL) {
            return Ttl::default();
        }
        Ttl {
            completion: self.seconds(node, "secondsAfterCompletion", 0),
            success: self.seconds(node, "secondsAfterSuccess", 0),
            failure: self.seconds(node, "secondsAfterFailure", 0),
        }
    }

    fn priority(&self, spec: &'a Node) -> Option<i32> {
        let node = spec.field("priority")?;
        let value = self.report.integer(node, i64::from(i32::MIN), i64::from(i32::MAX))?;
        i32::try_from(value).ok()
    }
}
