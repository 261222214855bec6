//! What texts and `from` call artifacts.

use flowforge_model::plan::{ArtifactRef, ArtifactSource};
use flowforge_model::text::{Reference, Text};

use crate::located::{Node, quote};
use crate::outline::Doc;
use crate::references::{Names, Unresolved, unresolved};

impl<'a> Doc<'a> {
    /// The source that `from` names, and the part of it to take.
    pub(crate) fn artifact_from(
        &self,
        node: &'a Node,
        part: Option<Text>,
        names: &Names<'_, 'a>,
    ) -> Option<ArtifactSource> {
        let reference = self.artifact_reference(node, names)?;
        Some(ArtifactSource::From(reference, part))
    }

    /// What `{{...}}` of `from` names.
    fn artifact_reference(&self, node: &'a Node, names: &Names<'_, 'a>) -> Option<ArtifactRef> {
        let source = self.report.string(node)?;
        let tag = source.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
        let tag = tag.unwrap_or(source).trim();
        let parts: Vec<&str> = tag.split('.').collect();
        let found = match parts.as_slice() {
            ["inputs", "artifacts", name] => self.input_artifact_name(name, names),
            [root @ ("tasks" | "steps"), task, "outputs", "artifacts", name] => {
                self.sibling_artifact(node, root, (task, name), names)
            }
            ["workflow", "outputs", "artifacts", name] => self.workflow_artifact(name),
            _ => {
                let message = format!("{} names no artifact", quote(source));
                let hint = "write it like {{tasks.NAME.outputs.artifacts.x}} or \
                            {{inputs.artifacts.x}}";
                self.report.error("unknown_reference", node, message, hint);
                return None;
            }
        };
        match found {
            Ok(found) => Some(found),
            Err(e) => {
                self.report.error(e.code, node, e.message, e.hint);
                None
            }
        }
    }

    /// Where the container writes an artifact.
    pub(crate) fn output_artifact_path(
        &self,
        name: &str,
        names: &Names<'_, 'a>,
    ) -> Result<Reference, Unresolved> {
        let outline = names.template.and_then(|ix| self.outline(ix));
        let artifacts = outline.map_or(&[][..], |outline| &outline.artifacts_out);
        if artifacts.contains(&name) {
            return Ok(Reference::OutputArtifactPath(name.into()));
        }
        let hint = self.report.did_you_mean(name, artifacts.iter().copied());
        let message = format!("the template has no output artifact {}", quote(name));
        Err(unresolved("unknown_output", message, hint))
    }

    /// An input artifact of the template that holds the text.
    pub(crate) fn input_artifact_name(
        &self,
        name: &str,
        names: &Names<'_, 'a>,
    ) -> Result<ArtifactRef, Unresolved> {
        let outline = names.template.and_then(|ix| self.outline(ix));
        let inputs = outline.map_or(&[][..], |outline| &outline.artifacts_in);
        if inputs.iter().any(|input| input.name == name) {
            return Ok(ArtifactRef::Input(name.into()));
        }
        let mut hint = self.report.did_you_mean(name, inputs.iter().map(|input| input.name));
        if hint.is_empty() {
            hint = "declare it in inputs.artifacts of the template".to_owned();
        }
        let message = format!("there is no input artifact {}", quote(name));
        Err(unresolved("unknown_artifact", message, hint))
    }

    /// An artifact of a sibling: its name and the artifact's.
    pub(crate) fn sibling_artifact(
        &self,
        node: &'a Node,
        root: &str,
        (task, name): (&str, &str),
        names: &Names<'_, 'a>,
    ) -> Result<ArtifactRef, Unresolved> {
        let slot = self.sibling_slot(node, root, task, names)?;
        let template = names.siblings.and_then(|(s, _)| *s.templates.get(slot as usize)?);
        // Without one the template itself is the problem and is reported already.
        if let Some(outline) = template.and_then(|ix| self.outline(ix))
            && !outline.artifacts_out.contains(&name)
        {
            let known = outline.artifacts_out.iter().copied();
            let mut hint = self.report.did_you_mean(name, known);
            if hint.is_empty() {
                hint = "declare it in outputs.artifacts of that template".to_owned();
            }
            let message = format!(
                "the template {} has no output artifact {}",
                quote(outline.name),
                quote(name)
            );
            return Err(unresolved("unknown_output", message, hint));
        }
        Ok(ArtifactRef::Sibling { slot, name: name.into() })
    }

    /// An artifact that is exported under a `globalName`.
    pub(crate) fn workflow_artifact(&self, name: &str) -> Result<ArtifactRef, Unresolved> {
        if self.artifact_globals.contains(name) || self.alone {
            return Ok(ArtifactRef::Workflow(name.into()));
        }
        let message = format!("no artifact is exported under the globalName {}", quote(name));
        let hint = self.report.did_you_mean(name, self.artifact_globals.iter().copied());
        Err(unresolved("unknown_output", message, hint))
    }
}
