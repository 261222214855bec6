//! Artifacts of one attempt: fetched before its process starts, kept after it has ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::slice::from_ref;

use flowforge_model::artifact::{Artifact, StageIn, StageOut};
use flowforge_model::attempt::{Failure, FailureClass};
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::{ArtifactError, Artifacts};

use crate::attempt::told;
use crate::mapping;
use crate::mapping::layout::{Mounted, Source};
use crate::outputs::Places;
use crate::supervise::Control;

/// Fetches all inputs to where the process will see them: into a volume that it sees there, or
/// below `folder`, to be mounted. `mounts` are the volumes and get what is mounted beside them.
pub(crate) fn fetch(
    artifacts: &dyn Artifacts,
    inputs: &[StageIn],
    (folder, mounts): (&Path, &mut Vec<Mounted>),
    control: &Control,
) -> Result<(), Failure> {
    let volumes = mounts.clone();
    let covers: Vec<PathBuf> = volumes.iter().map(|mounted| mounted.at.clone()).collect();
    for (number, input) in inputs.iter().enumerate() {
        let fault = |reason, why: &str| {
            failure(reason, format!("input artifact {}: {} {why}", input.name, input.path))
        };
        if !input.path.starts_with('/') {
            return Err(fault(Reason::ArtifactInvalid, "is not absolute"));
        }
        if let Some(why) = mapping::refused(&input.path) {
            return Err(fault(Reason::ArtifactInvalid, why));
        }
        let at = mapping::settle(Path::new(&input.path), &covers);
        let around = volumes.iter().filter(|volume| at != volume.at && at.starts_with(&volume.at));
        let inside = match around.max_by_key(|volume| volume.at.as_os_str().len()) {
            Some(Mounted { at: root, source: Source::Host(host), .. }) => {
                let made = in_volume(host, at.strip_prefix(root).unwrap_or(&at));
                Some(made.map_err(|why| fault(Reason::NotPossible, &why))?)
            }
            _ => None,
        };
        let to = inside.clone().unwrap_or_else(|| folder.join(number.to_string()));
        let found = artifacts.fetch(input, &to, &|| control.asked().is_some());
        if found.map_err(|error| moved(error, control))? && inside.is_none() {
            mounts.push(Mounted { at, source: Source::Host(to), read_only: false });
        }
    }
    Ok(())
}

/// Makes room for an artifact in a volume; what an earlier task left there goes.
fn in_volume(volume: &Path, path: &Path) -> Result<PathBuf, String> {
    let to = volume.join(path);
    let parent = to.parent().unwrap_or(volume);
    let made = fs::create_dir_all(parent).and_then(|()| parent.canonicalize());
    let real = made.map_err(|error| format!("{}: {error}", path.display()))?;
    if !real.starts_with(volume) {
        return Err(format!("{} leads out of the volume", path.display()));
    }
    let name = to.file_name().unwrap_or_default();
    let to = real.join(name);
    let cleared = match to.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(&to),
        Ok(_) => fs::remove_file(&to),
        Err(_) => Ok(()),
    };
    cleared.map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(to)
}

/// Checks the paths of outputs before anything starts.
pub(crate) fn check_outputs(outputs: &[StageOut]) -> Result<(), Failure> {
    for output in outputs {
        if let Some(why) = mapping::refused(&output.path) {
            return Err(invalid(output, why));
        }
    }
    Ok(())
}

/// Keeps all outputs; `paths` are where they are, without links.
pub(crate) fn keep(
    artifacts: &dyn Artifacts,
    (places, control): (&Places, &Control),
    outputs: &[StageOut],
    paths: &[PathBuf],
) -> Result<Vec<(String, Artifact)>, Failure> {
    let mut kept = Vec::with_capacity(outputs.len());
    for (output, path) in outputs.iter().zip(paths) {
        let found = places.find(path).map_err(|why| invalid(output, &why))?;
        let Some(found) = found else {
            if output.optional {
                continue;
            }
            let message =
                format!("output artifact {}: {} was not written", output.name, output.path);
            return Err(failure(Reason::ArtifactMissing, message));
        };
        let artifact = artifacts
            .keep(&found.path, output, &|| control.asked().is_some())
            .map_err(|error| moved(error, control))?;
        kept.extend(artifact.map(|artifact| (output.name.clone(), artifact)));
    }
    Ok(kept)
}

/// Keeps what a process that failed has left; what is missing or cannot be kept is left out.
pub(crate) fn keep_some(
    artifacts: &dyn Artifacts,
    (places, control): (&Places, &Control),
    outputs: &[StageOut],
    paths: &[PathBuf],
) -> Vec<(String, Artifact)> {
    let mut all = Vec::new();
    for (output, path) in outputs.iter().zip(paths) {
        match keep(artifacts, (places, control), from_ref(output), from_ref(path)) {
            Ok(kept) => all.extend(kept),
            Err(failure) => tracing::debug!(why = failure.message, "an artifact is not kept"),
        }
    }
    all
}

fn invalid(output: &StageOut, why: &str) -> Failure {
    let message = format!("output artifact {}: {} {why}", output.name, output.path);
    failure(Reason::ArtifactInvalid, message)
}

/// The failure of an artifact that could not be moved.
fn moved(error: ArtifactError, control: &Control) -> Failure {
    if let Some(ask) = control.asked() {
        return told(ask);
    }
    let ArtifactError { reason, transient, message } = error;
    let class = if transient { FailureClass::Transient } else { FailureClass::Error };
    Failure { class, reason, message }
}

fn failure(reason: Reason, message: String) -> Failure {
    Failure { class: FailureClass::Error, reason, message }
}
