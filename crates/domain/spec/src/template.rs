//! One template.

use flowforge_model::limits::OUTPUTS_PER_TASK;
use flowforge_model::plan::{Body, Input, Output, OutputSource, Template, TemplateIx};
use flowforge_model::text::Text;

use crate::grammar;
use crate::located::{Node, quote};
use crate::names::Dialect;
use crate::outline::{BodyKind, Doc};
use crate::references::{Names, Siblings};
use crate::settled::late;

/// What the outputs of a template may name.
struct OutputPlace<'s, 'a> {
    kind: BodyKind,
    names: Names<'s, 'a>,
}

impl<'a> Doc<'a> {
    /// Compiles the template at `ix`; `None` if something in it was reported that leaves a hole.
    pub(crate) fn compile_template(&self, ix: TemplateIx) -> Option<Template> {
        let outline = self.outline(ix)?;
        let node = outline.node;
        let inputs = self.inputs(node);
        let (kind, body_node) = outline.body?;
        let tried = node.field("retryStrategy").is_some();
        let leaf = Names { template: Some(ix), leaf: kind.leaf(), tried, ..Names::WORKFLOW };
        let mut siblings = Siblings::default();
        let body = match kind {
            BodyKind::Container => self.container(body_node, &leaf).map(Body::Container),
            BodyKind::Script => self.script(body_node, &leaf),
            BodyKind::Suspend => self.suspend(body_node, &leaf),
            BodyKind::Dag => self.dag((ix, tried), body_node, &mut siblings).map(Body::Dag),
            BodyKind::Steps => self.steps((ix, tried), body_node, &mut siblings).map(Body::Steps),
            BodyKind::ContainerSet => self.container_set(node, body_node, &leaf),
            BodyKind::Http => self.http(body_node, &leaf),
            BodyKind::Object => self.object(body_node, &leaf),
        };
        let anywhere = |_: u32, _: &'a Node, _: &str| {};
        let place = OutputPlace {
            kind,
            names: Names {
                siblings: (!siblings.names.is_empty()).then_some((&siblings, &anywhere)),
                ..leaf
            },
        };
        let outputs = self.outputs(node, &place);
        let retry = node.field("retryStrategy").and_then(|node| {
            let retry_names = Names { leaf: true, tried: true, ..leaf };
            self.retry(node, &retry_names)
        });
        self.refuse_by_kind(node, kind);
        self.idle_probe(node, kind, body_node);
        self.refuse_deadline_of_child(node, body.as_ref());
        let (init, sidecars) = self.around(node, body.as_ref(), &leaf);
        let mut template = Template {
            name: outline.full.clone(),
            inputs,
            artifacts_in: self.input_artifacts(node, kind, &leaf),
            outputs,
            artifacts_out: self.output_artifacts(node, kind, &place.names),
            // A suspension has nothing to retry.
            retry: retry.filter(|_| kind != BodyKind::Suspend),
            active_deadline: node
                .field("activeDeadlineSeconds")
                .filter(|field| !late(field))
                .and_then(|_| self.seconds(node, "activeDeadlineSeconds", 1)),
            timeout: node
                .field("timeout")
                .filter(|node| !late(node))
                .and_then(|node| self.positive_duration(node)),
            parallelism: self
                .optional_whole(node, "parallelism", 1, u32::MAX)
                .filter(|_| kind.composite()),
            fail_fast: self.fail_fast(node, false),
            locks: self.locks(node, &leaf),
            memoize: self.memoize(node, &leaf),
            volumes: self.volumes(node, &leaf),
            init,
            gang: self.gang(node, kind),
            sidecars,
            daemon: self.daemon(node, (kind, body_node), &leaf),
            pod: self.pod(node, kind, &leaf),
            pod_patches: Vec::new(),
            pod_metadata: self.pod_metadata(node, kind, &leaf),
            late: self.late_settings(node, &Names { leaf: false, tried: false, ..leaf }),
            // Last: everything else that is wrong is said as well.
            body: body?,
        };
        self.patch_pods((node, kind, body_node), &leaf, &mut template);
        Some(template)
    }

    /// Whether nothing more begins after a failure. Of a dag that is Argo's default (not ours); of a
    /// template it has to be asked for.
    pub(crate) fn fail_fast(&self, node: &'a Node, default: bool) -> bool {
        let given = node.field("failFast").and_then(|field| self.report.boolean(field));
        given.unwrap_or(default)
    }

    fn refuse_deadline_of_child(&self, node: &'a Node, body: Option<&Body>) {
        if let (Some(Body::Child(_)), Some(field)) = (body, node.field("activeDeadlineSeconds")) {
            let message = "a template that starts a workflow has no activeDeadlineSeconds";
            let hint = "write timeout, or activeDeadlineSeconds into the workflow that it starts";
            self.report.error("unsupported", field, message, hint);
        }
    }

    /// Fields that only make sense with some bodies.
    fn refuse_by_kind(&self, node: &'a Node, kind: BodyKind) {
        let composite = kind.composite();
        for key in ["activeDeadlineSeconds", "timeout"] {
            if let Some(field) = node.field(key).filter(|_| composite) {
                let message = format!("{key} is for templates that run something themselves");
                let hint = "set it on the templates of the tasks, or activeDeadlineSeconds on the \
                            whole workflow";
                self.report.error("conflict", field, message, hint);
            }
        }
        if let Some(field) = node.field("parallelism").filter(|_| !composite) {
            let message = "parallelism is for templates with a dag or steps";
            let hint = "set it on the template that holds the tasks, or on the whole workflow";
            self.misplaced(field, message, hint);
        }
        if let Some(field) = node.field("retryStrategy").filter(|_| kind == BodyKind::Suspend) {
            let message = "a suspension has nothing to retry";
            self.misplaced(field, message, "remove retryStrategy");
        }
    }

    /// A field where it says nothing: Argo accepts it.
    fn misplaced(&self, field: &'a Node, message: &str, hint: &str) {
        match self.dialect {
            Dialect::Native => self.report.error("conflict", field, message, hint),
            Dialect::Argo => self.report.warning("no_effect", field, message, hint),
        }
    }

    fn inputs(&self, node: &'a Node) -> Vec<Input> {
        let Some(inputs) = node.field("inputs") else {
            return Vec::new();
        };
        // Shape and names were reported with the outline.
        let list = inputs.field("parameters").map_or(&[][..], Node::items);
        list.iter()
            .filter_map(|item| {
                let name = item.field("name")?.text()?;
                let choices = choices_quietly(item);
                let written = item.field("value").or(item.field("default"));
                let from = item.field("valueFrom").filter(|_| item.field("value").is_none());
                let from = from
                    .and_then(|from| self.given_from(from, written.is_some(), &Names::WORKFLOW));
                let default = from.or_else(|| {
                    let node = written?;
                    self.check_choice(node, &choices);
                    self.text(node, &Names::WORKFLOW)
                });
                Some(Input { name: name.into(), default, choices })
            })
            .collect()
    }

    /// Reports a constant that is not among the allowed values.
    pub(crate) fn check_choice<S: AsRef<str>>(&self, node: &'a Node, choices: &[S]) {
        let Some(text) = node.text() else { return };
        let allowed = choices.is_empty() || choices.iter().any(|c| c.as_ref() == text);
        if !allowed && !text.contains("{{") {
            let message = format!("{} is not one of the allowed values", quote(text));
            let values: Vec<&str> = choices.iter().take(10).map(AsRef::as_ref).collect();
            let hint = format!("allowed: {}", values.join(", "));
            self.report.error("not_in_enum", node, message, hint);
        }
    }

    fn outputs(&self, node: &'a Node, place: &OutputPlace<'_, 'a>) -> Vec<Output> {
        let Some(list) = node.field("outputs").and_then(|outputs| outputs.field("parameters"))
        else {
            return Vec::new();
        };
        let items = list.items();
        if items.len() > OUTPUTS_PER_TASK {
            let message = format!("{} outputs; at most {OUTPUTS_PER_TASK} are kept", items.len());
            self.report.error("limit", list, message, "write one JSON output");
        }
        items.iter().filter_map(|item| self.output(item, place)).collect()
    }

    fn output(&self, item: &'a Node, place: &OutputPlace<'_, 'a>) -> Option<Output> {
        let name = item.field("name")?.text()?;
        let from = self.report.required(item, &grammar::OUTPUT, "valueFrom")?;
        if !self.report.fields(from, &grammar::VALUE_FROM) {
            return None;
        }
        let mut source = None;
        let mut sources = 0;
        for key in ["path", "jsonPath", "jqFilter", "parameter", "expression", "supplied"] {
            let entries = from.entries().unwrap_or(&[]);
            let Some(entry) = entries.iter().find(|entry| &*entry.key == key) else {
                continue;
            };
            sources += 1;
            source = self.output_source(key, &entry.node, place);
        }
        if sources != 1 {
            let message = format!("the output {name} needs exactly one source, found {sources}");
            let hint =
                "give it a path (file of a container), jsonPath, parameter, expression or supplied";
            self.report.error("conflict", from, message, hint);
            return None;
        }
        Some(Output {
            name: name.into(),
            source: source?,
            default: from.field("default").and_then(|node| self.text(node, &place.names)),
            global_name: item.field("globalName").and_then(|node| self.global_name(node)),
        })
    }

    fn output_source(
        &self,
        key: &str,
        node: &'a Node,
        place: &OutputPlace<'_, 'a>,
    ) -> Option<OutputSource> {
        let composite = place.kind.composite();
        let (fits, who) = match key {
            "path" => (place.kind.processes(), "a container or script"),
            "supplied" => (place.kind == BodyKind::Suspend, "a suspension"),
            "jsonPath" | "jqFilter" => (place.kind == BodyKind::Object, "a resource"),
            _ => (composite, "a dag or steps"),
        };
        if !fits {
            let message = format!("valueFrom.{key} is for outputs of {who}");
            self.report.error("conflict", node, message, "");
            return None;
        }
        match key {
            "path" => {
                let path = self.report.string(node)?;
                if path.is_empty() {
                    let message = "the path of an output is empty";
                    self.report.error("bad_path", node, message, "name a file");
                }
                self.text(node, &place.names).map(OutputSource::Path)
            }
            "jsonPath" | "jqFilter" => self.object_output(key, node, &place.names),
            "parameter" => self.text(node, &place.names).map(OutputSource::Parameter),
            "expression" => {
                let source = self.report.string(node)?;
                self.expression(node, source, &place.names).map(OutputSource::Expression)
            }
            _ => Some(OutputSource::Supplied),
        }
    }

    fn suspend(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Body> {
        if node.is_null() {
            return Some(Body::Suspend(None));
        }
        if !self.report.fields(node, &grammar::SUSPEND) {
            return None;
        }
        let Some(duration) = node.field("duration") else {
            return Some(Body::Suspend(None));
        };
        let text: Text = self.text(duration, names)?;
        if text.as_plain().is_some() {
            self.report.duration(duration)?;
        }
        Some(Body::Suspend(Some(text)))
    }
}

/// The allowed values of a parameter whose outline was read, and reported on, before.
fn choices_quietly(parameter: &Node) -> Vec<Box<str>> {
    let items = parameter.field("enum").map_or(&[][..], Node::items);
    items.iter().filter_map(|n| n.text().map(Into::into)).collect()
}
