//! What may stand where, and be called how.

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::EntityId;
use flowforge_model::limits::{CLUSTERS, ORGANIZATION_DEPTH};
use flowforge_model::quota::Level;

use crate::find::is_name;
use crate::refusal::Refusal;
use crate::tree::{Node, Organization};

/// The tenant of something of this level below this parent; none if it is a tenant itself.
pub(crate) fn tenant_below(
    organization: &Organization,
    level: Level,
    parent: Option<EntityId>,
) -> Result<Option<EntityId>, Refusal> {
    let above = match parent {
        None => None,
        Some(id) => Some(organization.node(id).ok_or(Refusal::Missing("parent"))?),
    };
    let of = above.map(|above| above.level);
    if !level.fits_below(of) {
        return Err(Refusal::Misplaced { level, parent: of });
    }
    match above {
        Some(above) if above.draining => Err(Refusal::Draining(organization.path(above))),
        Some(above) => {
            let depth = organization.above(above).count() + 2;
            if depth > ORGANIZATION_DEPTH {
                return Err(Refusal::TooDeep(depth));
            }
            Ok(Some(above.tenant))
        }
        None => Ok(None),
    }
}

/// A name that nobody else has below this parent.
pub(crate) fn name_free(
    organization: &Organization,
    (id, parent): (EntityId, Option<EntityId>),
    name: &str,
) -> Result<(), Refusal> {
    if !is_name(name) {
        return Err(Refusal::BadName(name.chars().take(64).collect()));
    }
    match organization.child(parent, name) {
        Some(other) if other.id != id => Err(Refusal::NameTaken(name.to_owned())),
        _ => Ok(()),
    }
}

/// Whether all of it may stand below another parent.
pub(crate) fn movable(
    organization: &Organization,
    node: &Node,
    parent: EntityId,
) -> Result<(), Refusal> {
    let below = organization.subtree(node.id);
    if below.iter().any(|one| one.id == parent) {
        return Err(Refusal::Cycle);
    }
    if organization.node(parent).is_some_and(|to| to.tenant != node.tenant) {
        return Err(Refusal::OtherTenant);
    }
    let tenant = tenant_below(organization, node.level, Some(parent))?;
    if tenant != Some(node.tenant) {
        return Err(Refusal::OtherTenant);
    }
    let depth_of = |one: &Node| organization.above(one).count();
    let height = below.iter().map(|one| depth_of(one)).max().unwrap_or(0) - depth_of(node);
    let above = organization.node(parent).map_or(0, |to| depth_of(to) + 1);
    let depth = above + 1 + height;
    if depth > ORGANIZATION_DEPTH {
        return Err(Refusal::TooDeep(depth));
    }
    Ok(())
}

/// Only projects name clusters, and not too many.
pub(crate) fn in_cluster(
    organization: &Organization,
    level: Level,
    cluster: Option<&ClusterName>,
) -> Result<(), Refusal> {
    let Some(cluster) = cluster else { return Ok(()) };
    if level != Level::Project {
        return Err(Refusal::NoCluster(level));
    }
    let named = organization.clusters();
    let full = named.len() >= CLUSTERS && !named.contains(cluster);
    if full { Err(Refusal::TooManyClusters) } else { Ok(()) }
}
