//! What never fits: a need above a limit of a project or of somebody above it.

use std::fmt;

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Amounts, Dimension, Level};

use crate::exceeding::unit;
use crate::tree::Organization;

/// A limit that a need is above, however little is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooNarrow {
    /// Of what.
    pub dimension: Dimension,
    /// How much is needed, in the unit of [`Amounts`].
    pub need: u64,
    /// The limit.
    pub limit: u64,
    /// On which level.
    pub level: Level,
    /// Whose limit.
    pub entity: EntityId,
    /// Its path.
    pub path: String,
}

impl fmt::Display for TooNarrow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { dimension, need, limit, level, path, .. } = self;
        let unit = unit(*dimension);
        let (need, limit) = (need.div_ceil(unit), limit / unit);
        write!(
            f,
            "{dimension} {need} is more than the {limit} that the quota of {level} {path} allows"
        )
    }
}

impl Organization {
    /// Everything on the way from a project to its tenant that a need is above; nothing if there is no
    /// such project.
    #[must_use]
    pub fn too_narrow_for(&self, project: EntityId, need: &Amounts) -> Vec<TooNarrow> {
        let mut found = Vec::new();
        let Some(node) = self.node(project) else { return found };
        for node in std::iter::once(node).chain(self.above(node)) {
            let Some(named) = self.quota_of(node) else { continue };
            for dimension in Dimension::ALL {
                let (need, limit) = (need.get(dimension), named.quota.limit(dimension));
                if let Some(limit) = limit.filter(|limit| need > *limit) {
                    let (level, entity, path) = (node.level, node.id, self.path(node));
                    found.push(TooNarrow { dimension, need, limit, level, entity, path });
                }
            }
        }
        found
    }
}
