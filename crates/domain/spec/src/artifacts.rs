//! Artifacts that templates take and give, and that calls pass on.

use std::collections::BTreeSet;

use flowforge_model::plan::{
    ArtifactSource, InputArtifact, OutputArtifact, OutputArtifactSource, TemplateIx,
};
use flowforge_model::text::Text;

use crate::grammar::{self, Kind};
use crate::located::{Node, quote};
use crate::outline::{BodyKind, Doc, Outline, item_name};
use crate::references::Names;

/// An artifact a template takes.
#[derive(Debug)]
pub(crate) struct ArtifactOutline<'a> {
    pub(crate) name: &'a str,
    /// It may be missing, or has a source of its own.
    pub(crate) optional: bool,
}

/// Artifacts of one list.
const ARTIFACTS: usize = 256;

impl<'a> Doc<'a> {
    /// Names of the artifacts a template takes; reports their shape.
    pub(crate) fn artifact_outlines(&self, inputs: &'a Node) -> Vec<ArtifactOutline<'a>> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in self.artifact_list(inputs) {
            let Some(name) = self.artifact_name(item, &grammar::INPUT_ARTIFACT, &mut seen) else {
                continue;
            };
            let has = |key: &str| item.field(key).is_some();
            let optional = item.field("optional").and_then(Node::text) == Some("true");
            // A place that is refused is reported where it stands.
            let mut refused = grammar::INPUT_ARTIFACT.refused_keys();
            let placed = has("from") || grammar::PLACES.into_iter().any(has) || refused.any(has);
            out.push(ArtifactOutline { name, optional: optional || placed });
        }
        out
    }

    /// Names of the artifacts a template gives; reports their shape.
    pub(crate) fn artifact_names(&mut self, outputs: &'a Node) -> Vec<&'a str> {
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        for item in self.artifact_list(outputs) {
            out.extend(self.artifact_name(item, &grammar::OUTPUT_ARTIFACT, &mut seen));
            let global = item.field("globalName").and_then(|node| self.report.string(node));
            self.artifact_globals.extend(global);
        }
        out
    }

    fn artifact_list(&self, node: &'a Node) -> &'a [Node] {
        let items = self.report.list_field(node, "artifacts", "artifacts");
        if items.len() > ARTIFACTS {
            let message = format!("{} artifacts; at most {ARTIFACTS} are kept", items.len());
            self.report.error("limit", node, message, "put them into one folder");
            return &[];
        }
        items
    }

    fn artifact_name(
        &self,
        item: &'a Node,
        kind: &Kind,
        seen: &mut BTreeSet<&'a str>,
    ) -> Option<&'a str> {
        if !self.report.fields(item, kind) {
            return None;
        }
        item_name(self.report, item, kind, seen, "artifact")
    }

    /// The artifacts a template takes. Shape and names were reported with its outline.
    pub(crate) fn input_artifacts(
        &self,
        node: &'a Node,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Vec<InputArtifact> {
        let list = node.field("inputs").and_then(|inputs| inputs.field("artifacts"));
        let items = list.map_or(&[][..], Node::items);
        items.iter().filter_map(|item| self.input_artifact(item, kind, names)).collect()
    }

    fn input_artifact(
        &self,
        item: &'a Node,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Option<InputArtifact> {
        let name = item.field("name")?.text()?;
        let path = item.field("path").and_then(|node| self.artifact_path(node, names));
        if kind.processes() && item.field("path").is_none() {
            let message = format!("the artifact {} needs a path", quote(name));
            let hint = "add path: where the container finds it";
            self.report.error("missing_field", item, message, hint);
        }
        let flag = |key: &str| {
            let value = item.field(key).and_then(|node| self.report.boolean(node));
            value.unwrap_or(false)
        };
        let default = match item.field("from") {
            Some(from) => self.artifact_from(from, self.sub_path(item, names), names),
            None => self.place(item, names).map(ArtifactSource::Place),
        };
        Some(InputArtifact {
            name: name.into(),
            path,
            default,
            optional: flag("optional"),
            // Kubernetes' numbers are decimal in JSON and may be octal in YAML.
            mode: item.field("mode").and_then(|node| self.permissions(node)),
            recurse: flag("recurseMode"),
        })
    }

    fn artifact_path(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
        let text = self.text(node, names)?;
        let plain = text.as_plain();
        if plain.is_some_and(|path| {
            let inside = path.trim_start_matches('/').trim_end_matches('/');
            !crate::volumes::is_file_path(inside)
        }) {
            let message = format!("{} is no path of an artifact", node.describe());
            self.report.error("bad_path", node, message, "name a file or folder, without ..");
            return None;
        }
        Some(text)
    }

    /// Permission bits: octal with a leading 0 or 0o, decimal otherwise.
    fn permissions(&self, node: &'a Node) -> Option<u32> {
        let text = self.report.string(node)?;
        let octal = text.strip_prefix("0o").or(text.strip_prefix('0')).filter(|t| !t.is_empty());
        let mode = match octal {
            Some(digits) => u32::from_str_radix(digits, 8),
            None => text.parse(),
        };
        let mode = mode.ok().filter(|mode| *mode <= 0o777);
        if mode.is_none() {
            let message = format!("{} is no mode of a file", quote(text));
            self.report.error("bad_value", node, message, "write it like 0644");
        }
        mode
    }

    /// The artifacts a template gives.
    pub(crate) fn output_artifacts(
        &self,
        node: &'a Node,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Vec<OutputArtifact> {
        let list = node.field("outputs").and_then(|outputs| outputs.field("artifacts"));
        let items = list.map_or(&[][..], Node::items);
        items.iter().filter_map(|item| self.output_artifact(item, kind, names)).collect()
    }

    fn output_artifact(
        &self,
        item: &'a Node,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Option<OutputArtifact> {
        let name = item.field("name")?.text()?;
        let source = self.output_artifact_source(item, name, kind, names);
        let optional = item.field("optional").and_then(|node| self.report.boolean(node));
        let global_name = item.field("globalName").and_then(|node| self.global_name(node));
        Some(OutputArtifact {
            name: name.into(),
            source: source?,
            global_name,
            optional: optional.unwrap_or(false),
        })
    }

    fn output_artifact_source(
        &self,
        item: &'a Node,
        name: &str,
        kind: BodyKind,
        names: &Names<'_, 'a>,
    ) -> Option<OutputArtifactSource> {
        if kind.composite() {
            if let Some(path) = item.field("path") {
                let message = "a dag or steps writes no files of its own";
                let hint = "take the artifact from a task: from: \"{{tasks.NAME.outputs...}}\"";
                self.report.error("conflict", path, message, hint);
                return None;
            }
            return self.artifact_source(item, name, names).map(OutputArtifactSource::From);
        }
        if !kind.processes() {
            let message = "only containers and scripts write artifacts";
            self.report.error("conflict", item, message, "use an output parameter");
            return None;
        }
        for key in ["from", "fromExpression", "raw", "subPath"] {
            if let Some(field) = item.field(key) {
                let message = format!("{key} is not for artifacts that a container writes");
                self.report.error("conflict", field, message, "remove it");
            }
        }
        let path = self.report.required(item, &grammar::OUTPUT_ARTIFACT, "path")?;
        Some(OutputArtifactSource::Path {
            path: self.artifact_path(path, names)?,
            keep: self.place_kind(item, names),
            archive: self.archive(item).unwrap_or_default(),
        })
    }

    /// `globalName`, checked.
    pub(crate) fn global_name(&self, node: &'a Node) -> Option<Box<str>> {
        let name = self.report.string(node)?;
        if !crate::names::is_parameter_name(name) {
            let message = format!("{} is no name of an output", quote(name));
            self.report.error("bad_name", node, message, "use letters, digits, - and _");
        }
        Some(name.into())
    }

    /// Artifacts given to the inputs of `template`, all of which must have one.
    pub(crate) fn artifact_arguments(
        &self,
        node: &'a Node,
        name: &str,
        template: Option<TemplateIx>,
        names: &Names<'_, 'a>,
    ) -> Vec<(Box<str>, ArtifactSource)> {
        let outline = template.and_then(|ix| self.outline(ix));
        let mut seen = BTreeSet::new();
        let mut out = Vec::new();
        let items = node.field("arguments").map_or(&[][..], |node| self.artifact_list(node));
        for item in items {
            let Some(argument) = self.artifact_name(item, &grammar::ARGUMENT_ARTIFACT, &mut seen)
            else {
                continue;
            };
            if let Some(outline) = outline
                && !outline.artifacts_in.iter().any(|input| input.name == argument)
            {
                self.unknown_artifact(item, argument, outline);
            }
            let source = self.artifact_source(item, argument, names);
            out.extend(source.map(|source| (argument.into(), source)));
        }
        let inputs = outline.map_or(&[][..], |outline| &outline.artifacts_in);
        for input in inputs {
            if !input.optional && !seen.contains(input.name) {
                let message = format!(
                    "{} gives no artifact for the input {}",
                    quote(name),
                    quote(input.name)
                );
                let hint = format!("add it to arguments.artifacts of {name}, or make it optional");
                self.report.error("missing_argument", node, message, hint);
            }
        }
        out
    }

    fn unknown_artifact(&self, item: &'a Node, name: &str, of: &Outline<'a>) {
        let inputs = of.artifacts_in.iter().map(|input| input.name);
        let hint = self.report.did_you_mean(name, inputs);
        let message =
            format!("the template {} has no input artifact {}", quote(of.name), quote(name));
        // Argo drops them in silence.
        self.report.warning("unknown_argument", item, message, hint);
    }

    /// Artifacts of the workflow itself.
    pub(crate) fn workflow_artifacts(&self, spec: &'a Node) -> Vec<(Box<str>, ArtifactSource)> {
        self.artifact_arguments(spec, "the workflow", None, &Names::WORKFLOW)
    }

    /// `from`, `fromExpression` or a place.
    fn artifact_source(
        &self,
        item: &'a Node,
        name: &str,
        names: &Names<'_, 'a>,
    ) -> Option<ArtifactSource> {
        let refused = grammar::ARGUMENT_ARTIFACT.refused_keys();
        let sources = ["from", "fromExpression"].into_iter().chain(grammar::PLACES);
        if !sources.chain(refused).any(|key| item.field(key).is_some()) {
            let message = format!("the artifact {} comes from nowhere", quote(name));
            let hint = "give it from, fromExpression or a place like s3";
            self.report.error("missing_field", item, message, hint);
            return None;
        }
        let part = self.sub_path(item, names);
        match (item.field("from"), item.field("fromExpression")) {
            (Some(from), None) => self.artifact_from(from, part, names),
            (None, Some(node)) => {
                let source = self.report.string(node)?;
                let source = self.expression(node, source, names)?;
                Some(ArtifactSource::Expression(source, part))
            }
            (None, None) => self.place(item, names).map(ArtifactSource::Place),
            (Some(_), Some(second)) => {
                let message = "an artifact has from or fromExpression";
                self.report.error("conflict", second, message, "keep one of them");
                None
            }
        }
    }
}
