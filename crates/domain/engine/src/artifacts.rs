//! Artifacts: from the names in a document to what an executor fetches and keeps.

use flowforge_expr::RenderError;
use flowforge_model::artifact::{
    Archive, Artifact, HttpLocation, Location, S3Location, StageIn, StageOut,
};
use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::NodeKind;
use flowforge_model::id::NodeIx;
use flowforge_model::plan::{
    ArtifactRef, ArtifactSource, InputArtifact, OutputArtifact, OutputArtifactSource, Place,
    PlaceKind, Plan, Template,
};
use flowforge_model::status::Reason;
use flowforge_model::text::Text;

use crate::Result;
use crate::order::{given, text};
use crate::run::Run;
use crate::scope::View;
use crate::values::{Fault, Valued, inputs_of};

/// The artifacts a leaf reads.
pub(crate) fn stage_in(template: &Template, view: &View<'_>) -> Valued<Vec<StageIn>> {
    let mut staged = Vec::with_capacity(template.artifacts_in.len());
    for input in &template.artifacts_in {
        let Some(path) = &input.path else { continue };
        let artifact = view.input_artifact(&input.name)?;
        if artifact.is_none() && !input.optional {
            let message = format!("inputs.artifacts.{} was not supplied", input.name);
            return Err(Fault::new(Reason::ArtifactMissing, message));
        }
        staged.push(StageIn {
            name: input.name.to_string(),
            path: text(path, view)?,
            artifact,
            optional: input.optional,
            mode: input.mode,
            recurse: input.recurse,
        });
    }
    Ok(staged)
}

/// The artifacts a leaf gives.
pub(crate) fn stage_out(
    template: &Template,
    key: AttemptKey,
    view: &View<'_>,
) -> Valued<Vec<StageOut>> {
    let mut staged = Vec::with_capacity(template.artifacts_out.len());
    for output in &template.artifacts_out {
        let OutputArtifactSource::Path { path, keep, archive } = &output.source else {
            continue;
        };
        let location = match keep {
            Some(kind) => location(kind, view)?,
            None => Location::Repository { key: own_key(key, output, *archive) },
        };
        staged.push(StageOut {
            name: output.name.to_string(),
            path: text(path, view)?,
            location,
            archive: *archive,
            optional: output.optional,
        });
    }
    Ok(staged)
}

/// `WORKFLOW/TASK/ATTEMPT/NAME.tgz`: no attempt writes over what another has kept.
fn own_key(key: AttemptKey, output: &OutputArtifact, archive: Archive) -> String {
    let suffix = match archive {
        Archive::TarGz => ".tgz",
        Archive::Zip => ".zip",
        Archive::None => "",
    };
    let task = key.workflow.task(key.node);
    format!("{}/{task}/{}/{}{suffix}", key.workflow, key.number, output.name)
}

/// The artifacts of a dag or steps template that has succeeded.
pub(crate) fn group_artifacts(
    template: &Template,
    view: &View<'_>,
) -> Valued<Vec<(String, Artifact)>> {
    let mut artifacts = Vec::with_capacity(template.artifacts_out.len());
    for output in &template.artifacts_out {
        let OutputArtifactSource::From(source) = &output.source else {
            continue;
        };
        match view.artifact(source)? {
            Some(artifact) => artifacts.push((output.name.to_string(), artifact)),
            None if output.optional => {}
            None => {
                let message = format!("outputs.artifacts.{}: there is none", output.name);
                return Err(Fault::new(Reason::ArtifactMissing, message));
            }
        }
    }
    Ok(artifacts)
}

impl View<'_> {
    /// The artifact an input of this instance stands for; none if nobody gave one.
    pub(crate) fn input_artifact(&self, name: &str) -> Valued<Option<Artifact>> {
        input_artifact(self.plan, self.run, self.node, name)
            .unwrap_or_else(|bug| Err(Fault::new(Reason::Error, bug.to_string())))
    }

    /// The artifact that a source names; none if there is none.
    pub(crate) fn artifact(&self, source: &ArtifactSource) -> Valued<Option<Artifact>> {
        let (found, part) = match source {
            ArtifactSource::From(of, part) => (self.artifact_at(of)?, part),
            ArtifactSource::Expression(source, part) => (self.computed(source)?, part),
            ArtifactSource::Place(place) => return Ok(Some(placed(place, self)?)),
        };
        let part = part.as_ref().map(|part| text(part, self)).transpose()?;
        Ok(found.map(|artifact| part_of(artifact, part)))
    }

    fn artifact_at(&self, of: &ArtifactRef) -> Valued<Option<Artifact>> {
        match of {
            ArtifactRef::Input(name) => self.input_artifact(name),
            ArtifactRef::Sibling { slot, name } => self.sibling_artifact(*slot, name),
            ArtifactRef::Workflow(name) => {
                let all = self.run.state.outputs.iter().flat_map(|outputs| &outputs.artifacts);
                Ok(named(all, name))
            }
        }
    }

    fn sibling_artifact(&self, slot: u32, name: &str) -> Valued<Option<Artifact>> {
        let node = self.at_slot(slot).and_then(|ix| self.run.nodes.get(ix.index()));
        if node.is_some_and(|node| node.kind == NodeKind::Loop) {
            let message = format!("the artifacts {name} of a loop cannot be one artifact");
            return Err(Fault::new(Reason::ArtifactMissing, message));
        }
        let outputs = node.and_then(|node| node.outputs());
        Ok(named(outputs.into_iter().flat_map(|outputs| &outputs.artifacts), name))
    }

    /// The artifact that an expression chooses.
    fn computed(&self, source: &str) -> Valued<Option<Artifact>> {
        let text = match flowforge_expr::expression(source, self) {
            Ok(text) => text,
            Err(RenderError::Nil(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        serde_json::from_str(&text).map(Some).map_err(|_| {
            let message = format!("fromExpression {source:?} yields no artifact");
            Fault::new(Reason::ExpressionError, message)
        })
    }
}

fn input_artifact(
    plan: &Plan,
    run: &Run,
    ix: NodeIx,
    name: &str,
) -> Result<Valued<Option<Artifact>>> {
    let caller = run.caller(plan, ix)?;
    let shared = plan.artifacts.iter().find(|(known, _)| **known == *name);
    let shared = shared.map(|(_, source)| source).filter(|_| caller.call.group.is_none());
    if let Some(source) = caller.call.artifact(name).or(shared) {
        match caller.view(plan, run, run.context.created_at).artifact(source) {
            Ok(None) => {}
            given => return Ok(given),
        }
    }
    let declared = &run.template(plan, ix)?.artifacts_in;
    let declared = declared.iter().find(|input| *input.name == *name);
    let Some(InputArtifact { default: Some(default), .. }) = declared else {
        return Ok(Ok(None));
    };
    Ok(match inputs_of(plan, run, ix)? {
        Ok(inputs) => View::new(plan, run, ix, &inputs, run.context.created_at).artifact(default),
        Err(fault) => Err(fault),
    })
}

fn named<'n>(
    mut artifacts: impl Iterator<Item = &'n (String, Artifact)>,
    name: &str,
) -> Option<Artifact> {
    artifacts.find(|(known, _)| *known == *name).map(|(_, artifact)| artifact.clone())
}

fn part_of(artifact: Artifact, part: Option<String>) -> Artifact {
    let sub_path = match (artifact.sub_path, part) {
        (Some(outer), Some(part)) => Some(format!("{outer}/{part}")),
        (outer, part) => outer.or(part),
    };
    Artifact { sub_path, ..artifact }
}

fn placed(place: &Place, view: &View<'_>) -> Valued<Artifact> {
    Ok(Artifact {
        location: location(&place.kind, view)?,
        archive: place.archive,
        sub_path: place.sub_path.as_ref().map(|path| text(path, view)).transpose()?,
    })
}

fn location(kind: &PlaceKind, view: &View<'_>) -> Valued<Location> {
    Ok(match kind {
        PlaceKind::Repository(key) => Location::Repository { key: clean(key, view)? },
        PlaceKind::S3(at, key) => {
            Location::S3(S3Location { key: text(key, view)?, ..S3Location::clone(at) })
        }
        PlaceKind::Http(url, headers) => {
            let header =
                |(name, value): &(Box<str>, _)| Ok((name.to_string(), given(value, view)?));
            let headers = headers.iter().map(header).collect::<Valued<_>>()?;
            Location::Http(HttpLocation { url: text(url, view)?, headers })
        }
        PlaceKind::Raw(data) => Location::Raw { data: text(data, view)? },
    })
}

/// A key below the root of the repository: nothing leads out of it.
fn clean(key: &Text, view: &View<'_>) -> Valued<String> {
    let full = text(key, view)?;
    let key = full.trim_matches('/');
    if key.is_empty() || key.split('/').any(|part| matches!(part, "" | "." | "..")) {
        let message = format!("{full:?} is no key of an artifact: its parts need names");
        return Err(Fault::new(Reason::ArtifactInvalid, message));
    }
    Ok(key.to_owned())
}
