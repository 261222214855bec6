//! What a text means: an id, a path or a name.

use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::Level;

use crate::tree::{NamedQuota, Node, Organization};

/// Why a text names nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lookup {
    /// There is nothing of this id, path or name.
    #[error("there is no such {0}")]
    Missing(&'static str),
    /// Several have the name; their paths, at most ten.
    #[error("several have this name: {}; write the path or the id", .0.join(", "))]
    Ambiguous(Vec<String>),
}

/// Shown of those who have a name.
const SHOWN: usize = 10;

impl Organization {
    /// The entity of a level that a text means: its id, its path from the tenant down, or its name
    /// where only one has it. `default` is the default tenant or project whoever else is called so.
    ///
    /// # Errors
    /// `Missing`, `Ambiguous`.
    pub fn find(&self, level: Level, text: &str) -> Result<&Node, Lookup> {
        let missing = Lookup::Missing(level.as_str());
        if let Ok(id) = text.parse::<EntityId>() {
            return self.node(id).filter(|node| node.level == level).ok_or(missing);
        }
        if text.contains('/') {
            let found = self.walk(text);
            return found.filter(|node| node.level == level).ok_or(missing);
        }
        let candidates = || self.named(level, text);
        let preferred = candidates().find(|node| {
            node.id == EntityId::DEFAULT_PROJECT || node.id == EntityId::DEFAULT_TENANT
        });
        let mut first = candidates();
        match (preferred, first.next(), first.next()) {
            (Some(node), ..) | (None, Some(node), None) => Ok(node),
            (None, None, _) => Err(missing),
            (None, Some(_), Some(_)) => {
                let paths = candidates().take(SHOWN).map(|node| self.path(node));
                Err(Lookup::Ambiguous(paths.collect()))
            }
        }
    }

    /// The entity of any level that an id or a path means; a name alone is that of a tenant.
    ///
    /// # Errors
    /// `Missing`.
    pub fn find_any(&self, text: &str) -> Result<&Node, Lookup> {
        let found = match text.parse::<EntityId>() {
            Ok(id) => self.node(id),
            Err(_) => self.walk(text),
        };
        found.ok_or(Lookup::Missing("tenant, department, group or project"))
    }

    /// The quota that a text means: its id, `tenant/name`, or its name where only one has it.
    ///
    /// # Errors
    /// `Missing`, `Ambiguous`.
    pub fn find_quota(&self, text: &str) -> Result<&NamedQuota, Lookup> {
        let missing = Lookup::Missing("quota");
        if let Some((tenant, name)) = text.split_once('/') {
            let tenant = self.find(Level::Tenant, tenant)?;
            return self.quota_named(tenant.id, name).ok_or(missing);
        }
        // Quotas of entities of their own are named by ids: a text may be both.
        if let Some(found) = text.parse::<QuotaId>().ok().and_then(|id| self.quota(id)) {
            return Ok(found);
        }
        let tenants = || self.children(None);
        let mut found = tenants().filter_map(|tenant| self.quota_named(tenant.id, text));
        match (found.next(), found.next()) {
            (Some(quota), None) => Ok(quota),
            (None, _) => Err(missing),
            (Some(_), Some(_)) => {
                let having = tenants().filter(|of| self.quota_named(of.id, text).is_some());
                let paths = having.take(SHOWN).map(|tenant| format!("{}/{text}", tenant.name));
                Err(Lookup::Ambiguous(paths.collect()))
            }
        }
    }

    fn walk(&self, path: &str) -> Option<&Node> {
        let mut at: Option<&Node> = None;
        for name in path.split('/') {
            at = Some(self.child(at.map(|node| node.id), name)?);
        }
        at
    }
}

/// As a Kubernetes namespace, `[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?`, and nothing that reads like an id.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| plain(byte) || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.parse::<EntityId>().is_err()
}
