//! What may be asked, and what comes of it.

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::{Dimension, Level, Quota};

use crate::tree::{NamedQuota, Node, Organization};

/// One thing that somebody wants changed. `version` is that of the row the wish was made for; none
/// does not care.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A new entity.
    Create {
        /// Its id.
        id: EntityId,
        /// What it is.
        level: Level,
        /// What it stands below; none for a tenant.
        parent: Option<EntityId>,
        /// Its name.
        name: String,
        /// The quota it names.
        quota: Option<QuotaId>,
        /// Of a project, the cluster that it names.
        cluster: Option<ClusterName>,
    },
    /// Another name, another parent, another quota, another cluster. What is none stays.
    Update {
        /// Which.
        id: EntityId,
        /// Its row's version.
        version: Option<u64>,
        /// Its new name.
        name: Option<String>,
        /// What it stands below from now on.
        parent: Option<EntityId>,
        /// The quota it names from now on; `Some(None)` for none.
        quota: Option<Option<QuotaId>>,
        /// The cluster that it names from now on; `Some(None)` for none.
        cluster: Option<Option<ClusterName>>,
        /// Limits below that are higher are lowered.
        clamp: bool,
    },
    /// It goes, as soon as nothing below it is unfinished.
    Delete {
        /// Which.
        id: EntityId,
        /// Its row's version.
        version: Option<u64>,
        /// Although workflows are unfinished: no new ones start, those end.
        drain: bool,
        /// With all that is below it; drains.
        cascade: bool,
    },
    /// A new quota.
    CreateQuota {
        /// Its id.
        id: QuotaId,
        /// Whose.
        tenant: EntityId,
        /// Its name.
        name: String,
        /// What it allows.
        quota: Quota,
    },
    /// Another name or other limits, for all who name it. What is none stays.
    UpdateQuota {
        /// Which.
        id: QuotaId,
        /// Its row's version.
        version: Option<u64>,
        /// Its new name.
        name: Option<String>,
        /// What it allows from now on.
        quota: Option<Quota>,
        /// Limits below that are higher are lowered.
        clamp: bool,
    },
    /// A quota that nobody names goes.
    DeleteQuota {
        /// Which.
        id: QuotaId,
        /// Its row's version.
        version: Option<u64>,
    },
    /// What one entity may use, and nobody else: changes its quota if that is its alone, else it
    /// names a new one from now on.
    SetQuota {
        /// Whose.
        entity: EntityId,
        /// Its quota's version.
        version: Option<u64>,
        /// The id of a quota that may be new.
        id: QuotaId,
        /// What it allows.
        quota: Quota,
        /// Limits below that are higher are lowered.
        clamp: bool,
    },
}

impl Edit {
    /// Projects whose unfinished workflows matter to [`crate::decide`].
    #[must_use]
    pub fn concerns(&self, organization: &Organization) -> Vec<EntityId> {
        let Self::Delete { id, .. } = self else {
            return Vec::new();
        };
        let below = organization.subtree(*id).into_iter();
        below.filter(|node| node.level == Level::Project).map(|node| node.id).collect()
    }
}

/// A row that changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// As it is from now on.
    Node(Node),
    /// Not there any more.
    NodeGone(EntityId, Level),
    /// As it is from now on.
    Quota(NamedQuota),
    /// Not there any more.
    QuotaGone(QuotaId),
}

/// A limit that was lowered, so that it is not above that of an ancestor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clamped {
    /// Whose.
    pub entity: EntityId,
    /// Its path.
    pub path: String,
    /// Of what.
    pub dimension: Dimension,
    /// What it was, in the unit of [`flowforge_model::quota::Amounts`].
    pub from: u64,
    /// What it is.
    pub to: u64,
}

/// What an edit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An entity.
    Entity(EntityId),
    /// A quota.
    Quota(QuotaId),
}

/// What comes of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What it was of.
    pub subject: Subject,
    /// All rows that change, in the order in which they may be written.
    pub changes: Vec<Change>,
    /// Limits that were lowered with it.
    pub clamped: Vec<Clamped>,
}
