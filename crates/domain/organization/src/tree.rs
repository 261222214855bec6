//! All there is, by id, by parent and by name.

use std::collections::{BTreeMap, BTreeSet};

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::{Entity, Level, Quota};
use flowforge_model::time::Timestamp;

use crate::edit::Change;

/// A tenant, department, group or project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Which.
    pub id: EntityId,
    /// What it is.
    pub level: Level,
    /// Directly above it; nothing above a tenant.
    pub parent: Option<EntityId>,
    /// Its tenant; its own id if it is one.
    pub tenant: EntityId,
    /// Unique below its parent, whatever the level.
    pub name: String,
    /// The quota it names; without one it has no limits of its own.
    pub quota: Option<QuotaId>,
    /// Of a project, where its tasks run; none: in the cluster of whoever schedules.
    pub cluster: Option<ClusterName>,
    /// It takes nothing new, and is deleted when nothing below it is unfinished.
    pub draining: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// From 1; rises with each change of its row.
    pub version: u64,
}

/// Limits with a name, which several entities of a tenant may share. Each has as much as it says;
/// it is the limits that are shared, not what is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedQuota {
    /// Which.
    pub id: QuotaId,
    /// Whose.
    pub tenant: EntityId,
    /// Unique in its tenant.
    pub name: String,
    /// What it allows.
    pub quota: Quota,
    /// When it was created.
    pub created_at: Timestamp,
    /// From 1; rises with each change of its row.
    pub version: u64,
}

/// Everything that is not deleted, at one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Organization {
    /// Rises with every change of any row.
    pub version: u64,
    nodes: BTreeMap<EntityId, Node>,
    quotas: BTreeMap<QuotaId, NamedQuota>,
    /// Names below a parent.
    below: BTreeMap<(Option<EntityId>, String), EntityId>,
    named: BTreeMap<(Level, String), BTreeSet<EntityId>>,
    quota_names: BTreeMap<(EntityId, String), QuotaId>,
}

impl Organization {
    /// Joins rows. Takes them as they are: what a store holds was decided when it was written.
    #[must_use]
    pub fn new(
        version: u64,
        nodes: impl IntoIterator<Item = Node>,
        quotas: impl IntoIterator<Item = NamedQuota>,
    ) -> Self {
        let mut made = Self { version, ..Self::default() };
        nodes.into_iter().for_each(|node| made.put(node));
        quotas.into_iter().for_each(|quota| made.put_quota(quota));
        made
    }

    /// What a fresh installation has: a tenant and a project, both called `default`.
    #[must_use]
    pub fn fresh(at: Timestamp) -> Self {
        let tenant = Node {
            id: EntityId::DEFAULT_TENANT,
            level: Level::Tenant,
            parent: None,
            tenant: EntityId::DEFAULT_TENANT,
            name: "default".to_owned(),
            quota: None,
            cluster: None,
            draining: false,
            created_at: at,
            version: 1,
        };
        let project = Node {
            id: EntityId::DEFAULT_PROJECT,
            level: Level::Project,
            parent: Some(tenant.id),
            ..tenant.clone()
        };
        Self::new(1, [tenant, project], [])
    }

    /// An entity.
    #[must_use]
    pub fn node(&self, id: EntityId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// All entities, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// A quota.
    #[must_use]
    pub fn quota(&self, id: QuotaId) -> Option<&NamedQuota> {
        self.quotas.get(&id)
    }

    /// All quotas, by id.
    pub fn quotas(&self) -> impl Iterator<Item = &NamedQuota> {
        self.quotas.values()
    }

    /// The quota that an entity names.
    #[must_use]
    pub fn quota_of(&self, node: &Node) -> Option<&NamedQuota> {
        node.quota.and_then(|id| self.quotas.get(&id))
    }

    /// Who names a quota, by id.
    pub fn users(&self, quota: QuotaId) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(move |node| node.quota == Some(quota))
    }

    /// What stands directly below, by name; tenants below none.
    pub fn children(&self, parent: Option<EntityId>) -> impl Iterator<Item = &Node> {
        let ids = self.below.range((parent, String::new())..);
        let ids = ids.take_while(move |((of, _), _)| *of == parent);
        ids.filter_map(|(_, id)| self.nodes.get(id))
    }

    /// What has this name directly below.
    #[must_use]
    pub fn child(&self, parent: Option<EntityId>, name: &str) -> Option<&Node> {
        self.below.get(&(parent, name.to_owned())).and_then(|id| self.nodes.get(id))
    }

    /// Who has a name at a level, by id.
    pub(crate) fn named(&self, level: Level, name: &str) -> impl Iterator<Item = &Node> {
        let ids = self.named.get(&(level, name.to_owned())).into_iter().flatten();
        ids.filter_map(|id| self.nodes.get(id))
    }

    /// The quota of a tenant with this name.
    #[must_use]
    pub fn quota_named(&self, tenant: EntityId, name: &str) -> Option<&NamedQuota> {
        self.quota_names.get(&(tenant, name.to_owned())).and_then(|id| self.quotas.get(id))
    }

    /// The clusters that projects name.
    #[must_use]
    pub fn clusters(&self) -> BTreeSet<&ClusterName> {
        self.nodes.values().filter_map(|node| node.cluster.as_ref()).collect()
    }

    /// From directly above up to the tenant.
    pub fn above(&self, node: &Node) -> impl Iterator<Item = &Node> {
        let mut next = node.parent;
        let up = std::iter::from_fn(move || {
            let found = self.nodes.get(&next?)?;
            next = found.parent;
            Some(found)
        });
        // Rows that somebody wrote by hand may make a circle.
        up.take(self.nodes.len())
    }

    /// An entity and all below it, each after its parent.
    #[must_use]
    pub fn subtree(&self, id: EntityId) -> Vec<&Node> {
        let mut found: Vec<&Node> = self.nodes.get(&id).into_iter().collect();
        let mut at = 0;
        while let Some(node) = found.get(at) {
            found.extend(self.children(Some(node.id)));
            at += 1;
            if found.len() > self.nodes.len() {
                break;
            }
        }
        found
    }

    /// How it is called from the tenant down: `tenant/department/group/project`.
    #[must_use]
    pub fn path(&self, node: &Node) -> String {
        let mut names: Vec<&str> = self.above(node).map(|above| &*above.name).collect();
        names.reverse();
        names.push(&node.name);
        names.join("/")
    }

    /// Everything as the scheduler sees it, each after its parent. What drains is there: it runs.
    #[must_use]
    pub fn entities(&self) -> Vec<Entity> {
        let tenants = self.children(None).flat_map(|tenant| self.subtree(tenant.id));
        let entity = |node: &Node| Entity {
            id: node.id,
            level: node.level,
            parent: node.parent,
            name: node.name.clone(),
            quota: self.quota_of(node).map(|named| named.quota),
            cluster: node.cluster.clone(),
        };
        tenants.map(entity).collect()
    }

    /// After these changes. The version is whoever's who writes them.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Node(node) => self.put(node.clone()),
                Change::NodeGone(id, _) => self.remove(*id),
                Change::Quota(quota) => self.put_quota(quota.clone()),
                Change::QuotaGone(id) => self.remove_quota(*id),
            }
        }
    }

    fn put(&mut self, node: Node) {
        self.remove(node.id);
        self.below.insert((node.parent, node.name.clone()), node.id);
        self.named.entry((node.level, node.name.clone())).or_default().insert(node.id);
        self.nodes.insert(node.id, node);
    }

    fn remove(&mut self, id: EntityId) {
        let Some(old) = self.nodes.remove(&id) else {
            return;
        };
        self.below.remove(&(old.parent, old.name.clone()));
        if let Some(ids) = self.named.get_mut(&(old.level, old.name)) {
            ids.remove(&id);
        }
    }

    fn put_quota(&mut self, quota: NamedQuota) {
        self.remove_quota(quota.id);
        self.quota_names.insert((quota.tenant, quota.name.clone()), quota.id);
        self.quotas.insert(quota.id, quota);
    }

    fn remove_quota(&mut self, id: QuotaId) {
        if let Some(old) = self.quotas.remove(&id) {
            self.quota_names.remove(&(old.tenant, old.name));
        }
    }
}
