//! Tenants, departments, groups, projects and quotas: reading all of them, and editing one.

use std::future::Future;
use std::sync::Arc;

use flowforge_model::id::EntityId;
use flowforge_model::quota::Entity;
use flowforge_model::time::Timestamp;
pub use flowforge_organization::{Decision, Edit, Organization, Refusal};

use crate::store::StoreError;

/// What became of an edit: what was written, or everything that is wrong with it.
pub type Edited = Result<Decision, Refusal>;

/// Keeps the organization. Edits come one after another, each decided by
/// [`flowforge_organization::decide`] about what is there. Implementations: PostgreSQL, SQLite, memory.
pub trait Organizations: Send + Sync + 'static {
    /// Everything, as of a moment after the call began. Asks for one number while nothing changed.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn organization(&self) -> impl Future<Output = Result<Arc<Organization>, StoreError>> + Send;

    /// Rises with every change, whoever made it.
    ///
    /// # Errors
    /// `Unavailable`.
    fn organization_version(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// Makes an edit, or refuses it and changes nothing. After a deletion returned, no workflow
    /// is inserted below what drains.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn edit(
        &self,
        edit: Edit,
        at: Timestamp,
    ) -> impl Future<Output = Result<Edited, StoreError>> + Send;

    /// Deletes what has drained; what that was, from the bottom. Cheap if nothing drains.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn reap(&self, at: Timestamp)
    -> impl Future<Output = Result<Vec<EntityId>, StoreError>> + Send;

    /// All entities, each after its parent, and the version they are of: what a scheduler needs.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn hierarchy(&self) -> impl Future<Output = Result<(u64, Vec<Entity>), StoreError>> + Send {
        async {
            let organization = self.organization().await?;
            Ok((organization.version, organization.entities()))
        }
    }

    /// The same, unless it is still of this version.
    ///
    /// # Errors
    /// `Unavailable`, `Corrupt`.
    fn other_hierarchy(
        &self,
        version: u64,
    ) -> impl Future<Output = Result<Option<(u64, Vec<Entity>)>, StoreError>> + Send {
        async move {
            match self.organization_version().await? == version {
                true => Ok(None),
                false => self.hierarchy().await.map(Some),
            }
        }
    }
}
