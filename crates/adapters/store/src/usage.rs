//! Between rows of the history of usage and the nouns: what does not depend on the database.

use std::collections::BTreeMap;

use flowforge_model::id::EntityId;
use flowforge_model::quota::{Dimension, Level};
use flowforge_model::time::Timestamp;
use flowforge_model::usage::{Measured, Seen};
use flowforge_ports::store::StoreError;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::{from_json, to_json};

/// The part of a row that is one text: most dimensions are neither used nor limited.
#[derive(Serialize, Deserialize)]
struct Body {
    waiting: Seen,
    running: Seen,
    used: BTreeMap<Dimension, Used>,
}

#[derive(Serialize, Deserialize)]
struct Used {
    #[serde(flatten)]
    seen: Seen,
    limit: Option<u64>,
}

/// The key of whose it is: the installation has no id.
pub(crate) fn whose(entity: Option<EntityId>) -> Uuid {
    entity.map_or(Uuid::nil(), |id| id.0)
}

pub(crate) fn body(row: &Measured) -> Result<String, StoreError> {
    let each = Dimension::ALL.into_iter().zip(row.used.into_iter().zip(row.limits));
    let used = each
        .filter(|(_, (seen, limit))| *seen != Seen::default() || limit.is_some())
        .map(|(dimension, (seen, limit))| (dimension, Used { seen, limit }));
    to_json(&Body { waiting: row.waiting, running: row.running, used: used.collect() })
}

/// A row from its columns.
pub(crate) fn row(
    (entity, at): (Option<EntityId>, Timestamp),
    level: Option<Level>,
    looks: u32,
    body: &str,
) -> Result<Measured, StoreError> {
    let Body { waiting, running, used } = from_json(body)?;
    let mut row = Measured { level, looks, waiting, running, ..Measured::new(at, entity) };
    for (dimension, Used { seen, limit }) in used {
        if let Some(place) = row.used.get_mut(dimension as usize) {
            *place = seen;
        }
        if let Some(place) = row.limits.get_mut(dimension as usize) {
            *place = limit;
        }
    }
    Ok(row)
}
