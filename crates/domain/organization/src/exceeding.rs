//! No limit is above that of an ancestor: it would promise what cannot be had. Siblings may
//! together promise more than their parent has.

use std::collections::BTreeSet;
use std::fmt;

use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::{Amounts, Dimension, Quota};

use crate::edit::{Change, Clamped};
use crate::refusal::Refusal;
use crate::tree::{NamedQuota, Node, Organization};

/// A limit above that of an ancestor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offender {
    /// Whose limit.
    pub entity: EntityId,
    /// Its path.
    pub path: String,
    /// Of what.
    pub dimension: Dimension,
    /// The limit, in the unit of [`Amounts`].
    pub limit: u64,
    /// The ancestor with the lowest limit.
    pub ancestor: EntityId,
    /// Its path.
    pub ancestor_path: String,
    /// Its limit.
    pub allowed: u64,
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, dimension, limit, ancestor_path, allowed, .. } = self;
        let unit = unit(*dimension);
        let (limit, allowed) = (limit / unit, allowed / unit);
        let word = dimension.as_str();
        write!(f, "{word} {limit} of {path} is more than the {allowed} of {ancestor_path}")
    }
}

/// How much one unit of a limit is: rows and the API count memory in MiB and storage in GiB.
#[must_use]
pub fn unit(dimension: Dimension) -> u64 {
    match dimension {
        Dimension::MemoryRequest | Dimension::MemoryLimit => 1 << 20,
        Dimension::Storage => 1 << 30,
        Dimension::CpuRequest
        | Dimension::CpuLimit
        | Dimension::Gpu
        | Dimension::Pods
        | Dimension::Workflows => 1,
    }
}

/// Limits that a row can hold.
pub(crate) fn sound(quota: &Quota) -> Result<(), Refusal> {
    for dimension in Dimension::ALL {
        let fits = |limit: u64| limit <= Amounts::MOST && limit.is_multiple_of(unit(dimension));
        if !quota.limit(dimension).is_none_or(fits) {
            return Err(Refusal::BadLimit(dimension));
        }
    }
    Ok(())
}

/// The lowest limits on the way down, and whose they are.
type Lowest = [Option<(u64, EntityId)>; Dimension::COUNT];

/// Every limit of a tenant that is above one of an ancestor, from the top.
pub(crate) fn offenders(organization: &Organization, tenant: EntityId) -> Vec<Offender> {
    let mut found = Vec::new();
    let mut lowest = std::collections::BTreeMap::new();
    for node in organization.subtree(tenant) {
        let above = node.parent.and_then(|parent| lowest.get(&parent)).copied();
        let mut here: Lowest = above.unwrap_or_default();
        let quota = organization.quota_of(node).map(|named| named.quota).unwrap_or_default();
        for (dimension, slot) in Dimension::ALL.into_iter().zip(&mut here) {
            let Some(limit) = quota.limit(dimension) else {
                continue;
            };
            match *slot {
                Some((allowed, ancestor)) if limit > allowed => {
                    let found_one = (dimension, limit, ancestor, allowed);
                    found.push(offender(organization, node, found_one));
                }
                _ => *slot = Some((limit, node.id)),
            }
        }
        lowest.insert(node.id, here);
    }
    found
}

fn offender(
    organization: &Organization,
    node: &Node,
    (dimension, limit, ancestor, allowed): (Dimension, u64, EntityId, u64),
) -> Offender {
    let above = organization.node(ancestor);
    Offender {
        entity: node.id,
        path: organization.path(node),
        dimension,
        limit,
        ancestor,
        ancestor_path: above.map_or_else(String::new, |above| organization.path(above)),
        allowed,
    }
}

/// Lowers every limit that is above one of an ancestor, except those of `kept`: they are what was
/// asked for. A quota that several name is lowered for all of them. Refuses if that is not enough.
pub(crate) fn clamp(
    organization: &mut Organization,
    tenant: EntityId,
    kept: Option<QuotaId>,
) -> Result<(Vec<Change>, Vec<Clamped>), Refusal> {
    let (mut touched, mut clamped) = (BTreeSet::new(), Vec::<Clamped>::new());
    // Each round lowers something, and a limit is only ever lowered to another one that is there.
    loop {
        let found = offenders(organization, tenant);
        if found.is_empty() {
            break;
        }
        let quota_of = |one: &Offender| organization.node(one.entity).and_then(|node| node.quota);
        if found.iter().any(|one| quota_of(one).is_none() || quota_of(one) == kept) {
            return Err(Refusal::Exceeding(found));
        }
        for one in found {
            let quota = organization.node(one.entity).and_then(|node| node.quota);
            let Some(named) = quota.and_then(|id| organization.quota(id)).cloned() else {
                continue;
            };
            lower(organization, &mut clamped, &named, (one.dimension, one.allowed));
            touched.insert(named.id);
        }
    }
    let rows = touched.iter().filter_map(|id| organization.quota(*id));
    let changes = rows.map(|row| NamedQuota { version: row.version + 1, ..row.clone() });
    let changes: Vec<Change> = changes.map(Change::Quota).collect();
    organization.apply(&changes);
    Ok((changes, clamped))
}

fn lower(
    organization: &mut Organization,
    clamped: &mut Vec<Clamped>,
    named: &NamedQuota,
    (dimension, to): (Dimension, u64),
) {
    let Some(from) = named.quota.limit(dimension).filter(|from| *from > to) else {
        return;
    };
    let mut after = named.clone();
    if let Some(slot) = after.quota.limits.get_mut(dimension as usize) {
        *slot = Some(to);
    }
    for user in organization.users(named.id) {
        let same = |one: &&mut Clamped| one.entity == user.id && one.dimension == dimension;
        match clamped.iter_mut().find(same) {
            Some(earlier) => earlier.to = to,
            None => clamped.push(Clamped {
                entity: user.id,
                path: organization.path(user),
                dimension,
                from,
                to,
            }),
        }
    }
    organization.apply(&[Change::Quota(after)]);
}
