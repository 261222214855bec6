//! The input artifacts of an attempt, put where its container will see them before that begins.

use std::path::{Path, PathBuf};

use flowforge_model::artifact::StageIn;
use flowforge_model::attempt::{Failure, FailureClass, WorkOrder};
use flowforge_model::status::Reason;
use flowforge_ports::artifacts::Artifacts;

use super::{Warden, told_to_end};
use crate::artifacts;
use crate::mapping::layout::{Mounted, Source};

/// Fetches what the attempt asks for: into the volume that is mounted around its path, which has to be
/// mounted there in this container as well, or into `folder`, under its number among the inputs, to be
/// mounted at its path.
///
/// # Errors
/// What the attempt ends with. `Lost` if this was told to end.
pub fn fetch_inputs(
    order: &WorkOrder,
    folder: &Path,
    artifacts: &dyn Artifacts,
    warden: &Warden,
) -> Result<(), Failure> {
    // Nobody looks for them where there is no such process.
    let Some(process) = order.main() else { return Ok(()) };
    let mut mounts: Vec<Mounted> = process
        .mounts
        .iter()
        .map(|mount| {
            let at: PathBuf = Path::new(&mount.path).components().collect();
            let real = at.canonicalize().unwrap_or_else(|_| at.clone());
            Mounted { at, source: Source::Host(real), read_only: mount.read_only }
        })
        .collect();
    let to = (folder, &mut mounts);
    let fetched = artifacts::fetch(artifacts, &order.artifacts_in, to, warden.control());
    fetched.map_err(|failure| if warden.asked() { told_to_end() } else { failure })
}

/// What must be there is there: whoever made the container has put it there.
pub(super) fn check(inputs: &[StageIn]) -> Result<(), Failure> {
    let missing =
        |input: &&StageIn| !input.optional && Path::new(&input.path).symlink_metadata().is_err();
    let Some(StageIn { name, path, .. }) = inputs.iter().find(missing) else {
        return Ok(());
    };
    Err(Failure {
        class: FailureClass::Error,
        reason: Reason::ArtifactMissing,
        message: format!(
            "input artifact {name}: {path} was not put in place before the task began"
        ),
    })
}
