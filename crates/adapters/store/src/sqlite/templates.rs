//! Documents to be referred to, in versions.

use flowforge_model::id::EntityId;
use flowforge_model::limits::TEMPLATE_VERSIONS;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::{
    NewTemplate, Put, StoredTemplate, TemplateFilter, TemplateId, TemplateKind, TemplateView,
    Templates,
};
use rusqlite::{Row, Transaction, params, params_from_iter};
use uuid::Uuid;

use super::SqliteStore;
use super::codec::{self, Compressed, get};
use super::error::from_sqlite;
use super::intake;
use super::load::{Bound, rows};

/// The only tenant there is.
const TENANT: i64 = 1;

/// The columns that [`view`] reads, in its order.
macro_rules! columns {
    () => {
        "t.kind, p.uid, t.name, t.version, t.labels, t.created_at, t.created_by"
    };
}
/// The versions of one document, `?1` kind, `?2` project id or 0, `?3` name.
macro_rules! versions {
    () => {
        " FROM template t LEFT JOIN project p ON p.id = t.project \
         WHERE t.tenant = 1 AND t.kind = ?1 AND coalesce(t.project, 0) = ?2 AND t.name = ?3"
    };
}

impl Templates for SqliteStore {
    async fn put(&self, new: Vec<NewTemplate>) -> Result<Vec<Put>, StoreError> {
        // Compressed before the write lock is taken.
        let packed = new.iter().map(|one| codec::compress(&one.document));
        let packed: Vec<Compressed> = packed.collect::<Result<_, _>>()?;
        self.write(|tx| new.iter().zip(&packed).map(|(one, packed)| put(tx, one, packed)).collect())
    }

    async fn template(
        &self,
        id: TemplateId,
        version: Option<u32>,
    ) -> Result<StoredTemplate, StoreError> {
        self.read(|tx| {
            let found = match key(tx, &id)? {
                Some(key) => one(tx, &id, key, version)?,
                None => None,
            };
            found.ok_or(StoreError::NotFound)
        })
    }

    async fn templates(
        &self,
        filter: TemplateFilter,
        limit: u32,
    ) -> Result<Vec<TemplateView>, StoreError> {
        self.read(|tx| latest(tx, &filter, limit))
    }

    async fn versions(
        &self,
        id: TemplateId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<TemplateView>, StoreError> {
        self.read(|tx| {
            let key = key(tx, &id)?.ok_or(StoreError::NotFound)?;
            if one(tx, &id, key, None)?.is_none() {
                return Err(StoreError::NotFound);
            }
            rows(
                tx,
                concat!(
                    "SELECT ",
                    columns!(),
                    versions!(),
                    " AND t.deleted_at IS NULL AND t.version < ?4 ORDER BY t.version DESC LIMIT ?5"
                ),
                params![id.kind.as_str(), key, id.name, before.unwrap_or(u32::MAX), limit],
                view,
            )
        })
    }

    async fn delete_template(&self, id: TemplateId, at: Timestamp) -> Result<(), StoreError> {
        self.write(|tx| {
            let key = key(tx, &id)?.ok_or(StoreError::NotFound)?;
            let marked = tx
                .prepare_cached(
                    "UPDATE template SET deleted_at = ?4 WHERE tenant = 1 AND kind = ?1 \
                     AND coalesce(project, 0) = ?2 AND name = ?3 AND deleted_at IS NULL",
                )
                .and_then(|mut update| {
                    update.execute(params![id.kind.as_str(), key, id.name, at.0])
                })
                .map_err(from_sqlite)?;
            if marked == 0 { Err(StoreError::NotFound) } else { Ok(()) }
        })
    }
}

/// The project's id, 0 for what is shared by all; none if there is no such project.
fn key(tx: &Transaction<'_>, id: &TemplateId) -> Result<Option<i64>, StoreError> {
    let Some(project) = id.project else {
        return Ok(Some(0));
    };
    match intake::project(tx, project) {
        Ok((project, _)) => Ok(Some(project)),
        Err(StoreError::Refused(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn put(tx: &Transaction<'_>, new: &NewTemplate, packed: &Compressed) -> Result<Put, StoreError> {
    let id = &new.id;
    let key = id.project.map_or(Ok(0), |project| intake::project(tx, project).map(|of| of.0))?;
    if let Some(latest) = one(tx, id, key, None)?
        && latest.document == new.document
    {
        return Ok(Put { version: latest.view.version, unchanged: true });
    }
    let last: u32 = tx
        .prepare_cached(concat!("SELECT coalesce(max(t.version), 0)", versions!()))
        .and_then(|mut select| {
            select.query_row(params![id.kind.as_str(), key, id.name], |row| row.get(0))
        })
        .map_err(from_sqlite)?;
    let version = last
        .checked_add(1)
        .ok_or_else(|| StoreError::Conflict("version numbers overflow".to_owned()))?;
    let labels = codec::to_json(&new.labels)?;
    tx.prepare_cached(
        "INSERT INTO template (tenant, project, kind, name, version, labels, created_at, \
         created_by, bytes, zstd) VALUES (?1, nullif(?2, 0), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .and_then(|mut insert| {
        insert.execute(params![
            TENANT,
            key,
            id.kind.as_str(),
            id.name,
            version,
            labels,
            new.at.0,
            new.by,
            packed.bytes,
            packed.zstd,
        ])
    })
    .map_err(from_sqlite)?;
    tx.prepare_cached(
        "DELETE FROM template WHERE tenant = 1 AND kind = ?1 AND coalesce(project, 0) = ?2 \
         AND name = ?3 AND version <= ?4",
    )
    .and_then(|mut delete| {
        let old = version.saturating_sub(TEMPLATE_VERSIONS);
        delete.execute(params![id.kind.as_str(), key, id.name, old])
    })
    .map_err(from_sqlite)?;
    Ok(Put { version, unchanged: false })
}

/// A version that is not deleted, the latest if none is named.
fn one(
    tx: &Transaction<'_>,
    id: &TemplateId,
    key: i64,
    version: Option<u32>,
) -> Result<Option<StoredTemplate>, StoreError> {
    let sql = concat!(
        "SELECT ",
        columns!(),
        ", t.bytes, t.zstd",
        versions!(),
        " AND t.deleted_at IS NULL AND (?4 IS NULL OR t.version = ?4) \
         ORDER BY t.version DESC LIMIT 1"
    );
    let found = rows(tx, sql, params![id.kind.as_str(), key, id.name, version], |row| {
        let document = codec::decompress(get(row, 7)?, &get::<Vec<u8>>(row, 8)?)?;
        Ok(StoredTemplate { view: view(row)?, document })
    })?;
    Ok(found.into_iter().next())
}

/// A page of the latest versions.
fn latest(
    tx: &Transaction<'_>,
    filter: &TemplateFilter,
    limit: u32,
) -> Result<Vec<TemplateView>, StoreError> {
    let mut sql = concat!(
        "SELECT ",
        columns!(),
        " FROM template t LEFT JOIN project p ON p.id = t.project WHERE t.tenant = 1 \
         AND t.deleted_at IS NULL AND t.version = (SELECT max(o.version) FROM template o \
         WHERE o.tenant = t.tenant AND o.kind = t.kind \
         AND coalesce(o.project, 0) = coalesce(t.project, 0) AND o.name = t.name)"
    )
    .to_owned();
    let mut bound: Vec<Bound> = Vec::new();
    let mut also = |condition: &str, values: Vec<Bound>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        bound.extend(values);
    };
    if !filter.kinds.is_empty() {
        let marks = vec!["?"; filter.kinds.len()].join(", ");
        let kinds = filter.kinds.iter().map(|kind| Box::new(kind.as_str()) as Bound);
        also(&format!("t.kind IN ({marks})"), kinds.collect());
    }
    if let Some(project) = filter.project {
        also("(t.project IS NULL OR p.uid = ?)", vec![Box::new(project.0)]);
    }
    if let Some(prefix) = &filter.name_prefix {
        also(
            "substr(t.name, 1, length(?)) = ?",
            vec![Box::new(prefix.clone()), Box::new(prefix.clone())],
        );
    }
    for (key, value) in &filter.labels {
        also(
            "EXISTS (SELECT 1 FROM json_each(t.labels) l \
             WHERE l.value ->> 0 = ? AND l.value ->> 1 = ?)",
            vec![Box::new(key.clone()), Box::new(value.clone())],
        );
    }
    if let Some(after) = &filter.after {
        also(
            "(t.kind, coalesce(p.uid, x''), t.name) > (?, ?, ?)",
            vec![
                Box::new(after.kind.as_str()),
                Box::new(after.project.map_or_else(Vec::new, |id| id.0.as_bytes().to_vec())),
                Box::new(after.name.clone()),
            ],
        );
    }
    sql.push_str(" ORDER BY t.kind, coalesce(p.uid, x''), t.name LIMIT ?");
    bound.push(Box::new(limit));
    rows(tx, &sql, params_from_iter(bound), view)
}

/// Reads [`columns`].
fn view(row: &Row<'_>) -> Result<TemplateView, StoreError> {
    Ok(TemplateView {
        id: TemplateId {
            kind: codec::word(row, 0, TemplateKind::parse)?,
            project: get::<Option<[u8; 16]>>(row, 1)?.map(|id| EntityId(Uuid::from_bytes(id))),
            name: get(row, 2)?,
        },
        version: get(row, 3)?,
        labels: codec::pairs(row, 4)?,
        created_at: codec::time(row, 5)?,
        created_by: get(row, 6)?,
    })
}
