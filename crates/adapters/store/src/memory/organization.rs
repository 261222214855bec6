//! Tenants, departments, groups, projects, quotas.

use std::sync::Arc;

use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_model::time::Timestamp;
use flowforge_organization::{Change, Edit, Node, Organization, decide, finished};
use flowforge_ports::organization::{Edited, Organizations};
use flowforge_ports::store::StoreError;

use super::{MemoryStore, Rows};
use crate::organization::{Busy, gone_of};
use crate::rules;

/// The organization of a store in memory: never without the default tenant and project.
#[derive(Clone, Debug)]
pub(super) struct Kept(pub(super) Arc<Organization>);

impl Default for Kept {
    fn default() -> Self {
        Self(Arc::new(Organization::fresh(Timestamp(0))))
    }
}

impl Organizations for MemoryStore {
    async fn organization(&self) -> Result<Arc<Organization>, StoreError> {
        Ok(Arc::clone(&self.rows().organization.0))
    }

    async fn organization_version(&self) -> Result<u64, StoreError> {
        Ok(self.rows().organization.0.version)
    }

    async fn edit(&self, edit: Edit, at: Timestamp) -> Result<Edited, StoreError> {
        let mut rows = self.rows();
        let decided = decide(&rows.organization.0, &edit, &rows.busy(), at);
        if let Ok(decision) = &decided {
            rows.reorganize(&decision.changes);
        }
        Ok(decided)
    }

    async fn reap(&self, _at: Timestamp) -> Result<Vec<EntityId>, StoreError> {
        let mut rows = self.rows();
        let changes = finished(&rows.organization.0, &rows.busy());
        rows.reorganize(&changes);
        Ok(gone_of(&changes))
    }
}

impl Rows {
    /// A project, of a tenant.
    pub(super) fn project(&self, id: EntityId) -> Result<&Node, StoreError> {
        let found = self.organization.0.node(id).filter(|node| node.level == Level::Project);
        found.ok_or_else(|| rules::no_project(id))
    }

    /// Refused if the project takes nothing new.
    pub(super) fn takes_work(&self, project: EntityId) -> Result<(), StoreError> {
        let project = self.project(project)?;
        if project.draining { Err(rules::draining(&project.name)) } else { Ok(()) }
    }

    /// The name of a project; its id once it is deleted.
    pub(super) fn namespace(&self, project: EntityId) -> String {
        let known = self.organization.0.node(project);
        known.map_or_else(|| project.to_string(), |node| node.name.clone())
    }

    fn busy(&self) -> Busy {
        let unfinished = self.workflows.values().filter(|kept| !kept.ended());
        unfinished.map(|kept| kept.new.project).collect()
    }

    fn reorganize(&mut self, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        let organization = Arc::make_mut(&mut self.organization.0);
        organization.apply(changes);
        organization.version += 1;
        for change in changes {
            if let Change::Node(Node { id, draining: true, .. }) = change {
                self.drop_schedules(*id);
            }
        }
    }
}
