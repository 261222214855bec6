//! The document as a whole.

use flowforge_model::plan::{Call, Plan, TemplateIx, Ttl};

use crate::grammar;
use crate::library::{DocumentKind, Library, Sheet};
use crate::located::{Node, quote};
use crate::merge::Merged;
use crate::metadata::{self, Head};
use crate::names::Dialect;
use crate::outline::Doc;
use crate::recursion;
use crate::references::Names;
use crate::report::Report;
use crate::scope::OWN;
use crate::{Compiled, Options};

/// What is compiled, and what it may refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) sheet: Sheet<'a>,
    pub(crate) library: &'a Library<'a>,
    pub(crate) merged: &'a Merged,
}

impl<'a> Source<'a> {
    /// Reads what stands around the spec, and the spec with what it refers to.
    fn open(&self, report: &'a Report<'a>) -> Option<(Dialect, Head, &'a Node)> {
        if self.sheet.kind == DocumentKind::Native {
            let head = metadata::native(report, self.sheet.root)?;
            return Some((Dialect::Native, head, self.sheet.root));
        }
        let head = metadata::manifest(report, &self.sheet);
        let written = report.required(self.sheet.root, self.sheet.kind.grammar(), "spec")?;
        let spec = self.merged.spec.as_ref().unwrap_or(written);
        report.fields(spec, &grammar::SPEC).then_some((Dialect::Argo, head, spec))
    }
}

/// Compiles a tree; `None` if errors were reported.
pub(crate) fn compile<'a>(
    report: &'a Report<'a>,
    source: Source<'a>,
    options: &Options,
) -> Option<Compiled> {
    source.library.check(report);
    let (dialect, head, spec) = source.open(report)?;
    let mut doc = Doc::read(report, dialect, spec, (source.library, source.merged));
    doc.check_stored_spec(spec);
    let parameters = doc.workflow_parameters(spec, &options.parameters);
    let volumes = doc.read_workflow_volumes(spec);
    let artifacts = doc.workflow_artifacts(spec);
    doc.given_artifacts = artifacts.iter().map(|(name, _)| name.clone()).collect();
    let templates = doc.compile_templates();
    let kind = match dialect {
        Dialect::Argo => &grammar::SPEC,
        Dialect::Native => &grammar::NATIVE,
    };
    // What a stored spec that is not there would have given is not missed again.
    let stored = spec.field("workflowTemplateRef").is_some() && source.merged.spec.is_none();
    let required = |key| if stored { spec.field(key) } else { report.required(spec, kind, key) };
    required("templates");
    let entrypoint = required("entrypoint").and_then(|node| doc.root_template(node));
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
        annotations: head.annotations,
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

impl<'a> Doc<'a> {
    fn compile_templates(&self) -> Vec<flowforge_model::plan::Template> {
        let count = u32::try_from(self.templates.len()).unwrap_or(u32::MAX);
        (0..count).filter_map(|ix| self.compile_template(TemplateIx(ix))).collect()
    }

    /// A template that is called by the workflow itself: its inputs are workflow parameters.
    fn root_template(&self, node: &'a Node) -> Option<TemplateIx> {
        let ix = self.template(OWN, node)?;
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

    /// Reports a `workflowTemplateRef` that leads nowhere.
    fn check_stored_spec(&self, spec: &'a Node) {
        let kind = &grammar::WORKFLOW_TEMPLATE_REF;
        let Some(node) = spec.field("workflowTemplateRef") else { return };
        if !self.report.fields(node, kind) {
            return;
        }
        let flag = node.field("clusterScope").and_then(|flag| self.report.boolean(flag));
        let cluster = flag.unwrap_or(false);
        if let Some(at) = self.report.required(node, kind, "name")
            && let Some(name) = self.report.string(at)
            && self.library.template(cluster, name).is_none()
        {
            self.missing_template(at, cluster, name);
        }
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
