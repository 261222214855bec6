//! The document as a whole.

use flowforge_model::limits::WORKFLOW_RETRIES;
use flowforge_model::plan::{Plan, TemplateIx};

use crate::grammar;
use crate::inspect::Missing;
use crate::library::{DocumentKind, Library, Sheet};
use crate::located::Node;
use crate::lock_chains;
use crate::merge::Merged;
use crate::metadata::{self, Head};
use crate::names::Dialect;
use crate::outline::Doc;
use crate::recursion;
use crate::references::Names;
use crate::report::Report;
use crate::{Compiled, Options};

/// What is compiled, and what it may refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) sheet: Sheet<'a>,
    pub(crate) library: &'a Library<'a>,
    pub(crate) merged: &'a Merged,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// `None` if errors were reported.
    pub(crate) compiled: Option<Compiled>,
    /// What it refers to that is not there.
    pub(crate) missing: Vec<Missing>,
}

impl<'a> Source<'a> {
    /// Compiles it.
    pub(crate) fn compile(&self, report: &'a Report<'a>, options: &Options) -> Outcome {
        let Some((dialect, head, spec)) = self.open(report) else {
            return Outcome { compiled: None, missing: Vec::new() };
        };
        let mut doc = Doc::read(report, dialect, spec, (self.library, self.merged));
        doc.alone = self.alone();
        doc.discover(spec);
        let stored_spec_is_there = doc.check_stored_spec(spec);
        let plan = self.plan(&mut doc, (spec, stored_spec_is_there), options);
        let priority = doc.priority(spec);
        let labels = doc.all_labels(spec, head.labels);
        let missing = doc.all_missing();
        if !report.has_errors() {
            recursion::check(&doc, &plan);
            recursion::check_exit_uses(&doc, &plan);
            lock_chains::check(&doc, &plan);
        }
        let compiled = (!report.has_errors()).then(|| Compiled {
            plan: Plan { annotations: doc.all_annotations(spec, head.annotations), ..plan },
            name: head.name,
            description: head.description,
            labels,
            priority,
            warnings: report.warnings(),
        });
        Outcome { compiled, missing }
    }

    /// Stored templates are read without the workflow that will use them.
    fn alone(&self) -> bool {
        self.sheet.kind.is_template()
    }

    /// Reads what stands around the spec, and the spec with what it refers to.
    fn open(&self, report: &'a Report<'a>) -> Option<(Dialect, Head, &'a Node)> {
        if self.sheet.kind == DocumentKind::Native {
            let head = metadata::native(report, self.sheet.root)?;
            return Some((Dialect::Native, head, self.sheet.root));
        }
        if self.sheet.kind.is_schedule() {
            // What stands around it is read with the schedule.
            let spec = self.merged.spec.as_ref().or(self.sheet.spec())?;
            let native = self.sheet.kind == DocumentKind::NativeSchedule;
            let (dialect, kind) = if native {
                (Dialect::Native, &grammar::NATIVE)
            } else {
                (Dialect::Argo, &grammar::SPEC)
            };
            return report.fields(spec, kind).then(|| (dialect, Head::default(), spec));
        }
        let head = metadata::manifest(report, &self.sheet);
        let written = report.required(self.sheet.root, self.sheet.kind.grammar(), "spec")?;
        let spec = self.merged.spec.as_ref().unwrap_or(written);
        report.fields(spec, &grammar::SPEC).then_some((Dialect::Argo, head, spec))
    }

    fn plan(&self, doc: &mut Doc<'a>, (spec, whole): (&'a Node, bool), options: &Options) -> Plan {
        let report = doc.report;
        let parameters = doc.workflow_parameters(spec, &options.parameters);
        doc.values = parameters.iter().cloned().collect();
        doc.patch = doc.read_patch(spec, doc.templates.len());
        let volumes = doc.read_workflow_volumes(spec);
        let artifacts = doc.workflow_artifacts(spec);
        doc.given_artifacts = artifacts.iter().map(|(name, _)| name.clone()).collect();
        let templates = doc.compile_templates();
        let kind = match doc.dialect {
            Dialect::Argo => &grammar::SPEC,
            Dialect::Native => &grammar::NATIVE,
        };
        let required = |key| if whole { report.required(spec, kind, key) } else { spec.field(key) };
        required("templates");
        let entrypoint = if doc.alone { spec.field("entrypoint") } else { required("entrypoint") };
        let entrypoint = entrypoint.and_then(|node| doc.root_template(node));
        let (on_exit, hooks) = doc.workflow_hooks(spec);
        let retry = spec
            .field("retryStrategy")
            .map(|node| doc.retry(node, &Names { leaf: true, tried: true, ..Names::WORKFLOW }));
        Plan {
            default_retry: match (retry, doc.dialect) {
                (Some(retry), _) => retry,
                (None, Dialect::Native) => options.default_retry.clone(),
                (None, Dialect::Argo) => None,
            },
            max_retries: doc.optional_whole(spec, "maxRetries", 0, WORKFLOW_RETRIES),
            active_deadline: doc.seconds(spec, "activeDeadlineSeconds", 1),
            ttl: doc.ttl(spec),
            parallelism: doc.optional_whole(spec, "parallelism", 1, u32::MAX),
            suspend: spec.field("suspend").and_then(|node| report.boolean(node)).unwrap_or(false),
            on_exit,
            hooks,
            artifacts,
            annotations: Vec::new(),
            service_account: report.optional_string(spec, "serviceAccountName").map(Into::into),
            locks: doc.locks(spec, &Names::WORKFLOW),
            volumes,
            entrypoint: entrypoint.unwrap_or(TemplateIx(0)),
            parameters,
            templates,
        }
    }
}

impl<'a> Doc<'a> {
    fn compile_templates(&self) -> Vec<flowforge_model::plan::Template> {
        let count = u32::try_from(self.templates.len()).unwrap_or(u32::MAX);
        (0..count).filter_map(|ix| self.compile_template(TemplateIx(ix))).collect()
    }

    /// Reports a `workflowTemplateRef` that leads nowhere.
    /// `false` if what it would have given is not there.
    fn check_stored_spec(&self, spec: &'a Node) -> bool {
        let kind = &grammar::WORKFLOW_TEMPLATE_REF;
        let Some(node) = spec.field("workflowTemplateRef") else { return true };
        if !self.report.fields(node, kind) {
            return false;
        }
        let flag = node.field("clusterScope").and_then(|flag| self.report.boolean(flag));
        let cluster = flag.unwrap_or(false);
        let at = self.report.required(node, kind, "name");
        let Some((at, name)) = at.and_then(|at| Some((at, self.report.string(at)?))) else {
            return false;
        };
        let found = self.library.template(cluster, name).is_some();
        if !found {
            self.missing_template(at, cluster, name);
        }
        found
    }

    /// Everything it refers to that is not there.
    fn all_missing(&self) -> Vec<Missing> {
        let templates = self.missing.borrow();
        let templates = templates.iter().map(|(cluster, name)| Missing {
            kind: if *cluster {
                DocumentKind::ClusterWorkflowTemplate
            } else {
                DocumentKind::WorkflowTemplate
            },
            name: (*name).to_owned(),
        });
        let config_maps = self.config_maps.missing().into_iter();
        let config_maps = config_maps.map(|name| Missing { kind: DocumentKind::ConfigMap, name });
        templates.chain(config_maps).collect()
    }
}
