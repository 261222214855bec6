//! The claims of workflows, which go with them.

use std::io::ErrorKind;
use std::path::PathBuf;

use flowforge_model::id::WorkflowId;
use flowforge_model::status::WorkflowStatus;
use flowforge_ports::catalog::Catalog;
use flowforge_ports::store::StoreError;
use flowforge_process::{volumes_of_workflows, workflow_volumes};

/// How a workflow stands, as far as its claims care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stands {
    /// It was deleted.
    Gone,
    /// It is needed no more: as Argo's default `OnWorkflowSuccess`.
    Succeeded,
    /// It runs, or a user may retry it.
    Needed,
}

impl Stands {
    /// What is known of it; of one that cannot be read, that it is needed.
    pub(crate) async fn of(catalog: &impl Catalog, workflow: WorkflowId) -> Self {
        match catalog.workflow(workflow).await {
            Ok(view) if view.state.status == WorkflowStatus::Succeeded => Self::Succeeded,
            Err(StoreError::NotFound) => Self::Gone,
            Ok(_) | Err(_) => Self::Needed,
        }
    }
}

/// The folders of claims.
#[derive(Debug)]
pub(crate) struct Claims {
    volumes: PathBuf,
}

impl Claims {
    /// Claims below the folder of volumes.
    pub(crate) fn new(volumes: PathBuf) -> Self {
        Self { volumes }
    }

    /// Removes the claims of a workflow that has ended, if it needs them no more.
    pub(crate) fn release(&self, workflow: WorkflowId, stands: impl Fn(WorkflowId) -> Stands) {
        let folder = workflow_volumes(&self.volumes, workflow);
        if !folder.exists() || stands(workflow) == Stands::Needed {
            return;
        }
        match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%workflow, %error, "claims of an ended workflow cannot be removed");
            }
            _ => {}
        }
    }

    /// Removes what a server left that was killed before it could.
    pub(crate) fn sweep(&self, stands: impl Fn(WorkflowId) -> Stands) {
        let entries = std::fs::read_dir(volumes_of_workflows(&self.volumes));
        let names = entries.into_iter().flatten().flatten().map(|entry| entry.file_name());
        for id in names.filter_map(|name| name.to_str()?.parse().ok()) {
            self.release(id, &stands);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_go_with_success_and_with_their_workflow() {
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::new(dir.path().to_owned());
        let id =
            |n: u32| -> WorkflowId { format!("01890a5d-ac96-774b-bcce-{n:012x}").parse().unwrap() };
        let stands = |workflow: WorkflowId| match workflow {
            one if one == id(1) => Stands::Gone,
            two if two == id(2) => Stands::Succeeded,
            _ => Stands::Needed,
        };
        let left = || (1..=3).filter(|n| workflow_volumes(dir.path(), id(*n)).exists()).count();
        claims.sweep(stands);
        for n in 1..=3 {
            std::fs::create_dir_all(workflow_volumes(dir.path(), id(n)).join("claim/deep"))
                .unwrap();
        }
        claims.release(id(3), stands);
        assert_eq!(left(), 3);
        claims.release(id(2), stands);
        assert_eq!(left(), 2);
        claims.sweep(stands);
        assert_eq!(left(), 1);
        assert!(workflow_volumes(dir.path(), id(3)).exists());
    }
}
