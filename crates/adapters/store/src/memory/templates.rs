//! Documents to be referred to, in versions.

use std::collections::BTreeMap;
use std::ops::Bound;

use flowforge_model::limits::TEMPLATE_VERSIONS;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::{
    NewTemplate, Put, StoredTemplate, TemplateFilter, TemplateId, TemplateView, Templates,
};

use super::{MemoryStore, Rows, page};

/// Everything kept of one document.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    /// Number of the last version there ever was.
    last: u32,
    /// Empty once it is deleted.
    kept: BTreeMap<u32, StoredTemplate>,
}

impl Templates for MemoryStore {
    async fn put(&self, new: Vec<NewTemplate>) -> Result<Vec<Put>, StoreError> {
        let mut rows = self.rows();
        for one in &new {
            one.id.project.map_or(Ok(()), |project| rows.project(project).map(drop))?;
        }
        Ok(new.into_iter().map(|one| rows.put(one)).collect())
    }

    async fn template(
        &self,
        id: TemplateId,
        version: Option<u32>,
    ) -> Result<StoredTemplate, StoreError> {
        let rows = self.rows();
        let kept = &rows.templates.get(&id).ok_or(StoreError::NotFound)?.kept;
        let found = match version {
            Some(version) => kept.get(&version),
            None => kept.values().next_back(),
        };
        found.cloned().ok_or(StoreError::NotFound)
    }

    async fn templates(
        &self,
        filter: TemplateFilter,
        limit: u32,
    ) -> Result<Vec<TemplateView>, StoreError> {
        let rows = self.rows();
        let from = filter.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let latest = rows
            .templates
            .range((from, Bound::Unbounded))
            .filter_map(|(_, versions)| versions.kept.values().next_back())
            .filter(|one| wanted(&filter, &one.view));
        Ok(latest.take(page(limit)).map(|one| one.view.clone()).collect())
    }

    async fn versions(
        &self,
        id: TemplateId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<TemplateView>, StoreError> {
        let rows = self.rows();
        let versions = rows.templates.get(&id).ok_or(StoreError::NotFound)?;
        if versions.kept.is_empty() {
            return Err(StoreError::NotFound);
        }
        let older = versions.kept.range(..before.unwrap_or(u32::MAX)).rev();
        Ok(older.take(page(limit)).map(|(_, one)| one.view.clone()).collect())
    }

    async fn delete_template(&self, id: TemplateId, _at: Timestamp) -> Result<(), StoreError> {
        let mut rows = self.rows();
        let versions = rows.templates.get_mut(&id).ok_or(StoreError::NotFound)?;
        if versions.kept.is_empty() {
            return Err(StoreError::NotFound);
        }
        versions.kept.clear();
        Ok(())
    }
}

impl Rows {
    fn put(&mut self, new: NewTemplate) -> Put {
        let versions = self.templates.entry(new.id.clone()).or_default();
        let latest = versions.kept.values().next_back();
        if latest.is_some_and(|latest| latest.document == new.document) {
            return Put { version: versions.last, unchanged: true };
        }
        versions.last += 1;
        let version = versions.last;
        let view = TemplateView {
            id: new.id,
            version,
            labels: new.labels,
            created_at: new.at,
            created_by: new.by,
        };
        versions.kept.insert(version, StoredTemplate { view, document: new.document });
        versions.kept.remove(&version.saturating_sub(TEMPLATE_VERSIONS));
        Put { version, unchanged: false }
    }
}

fn wanted(filter: &TemplateFilter, view: &TemplateView) -> bool {
    let TemplateId { kind, project, name } = &view.id;
    (filter.kinds.is_empty() || filter.kinds.contains(kind))
        && filter.project.is_none_or(|wanted| project.is_none_or(|of| of == wanted))
        && filter.name_prefix.as_ref().is_none_or(|prefix| name.starts_with(&**prefix))
        && filter.labels.iter().all(|label| view.labels.contains(label))
}
