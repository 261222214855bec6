//! Documents to be referred to, in versions.

use flowforge_model::id::EntityId;
use flowforge_model::limits::TEMPLATE_VERSIONS;
use flowforge_model::time::Timestamp;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::{
    NewTemplate, Put, StoredTemplate, TemplateFilter, TemplateId, TemplateKind, TemplateView,
    Templates,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::PostgresStore;
use super::bind::{binds, int, optional_text, text};
use super::codec::{self, Compressed, get};
use super::intake;
use super::load::read;
use super::transaction::{Mode, Tx};

/// The only tenant there is.
const TENANT: i64 = 1;

/// The columns that [`view`] reads, in its order.
macro_rules! columns {
    () => {
        "t.kind, p.uid, t.name, t.version, t.labels, t.created_at, t.created_by"
    };
}
/// The versions of one document, `$1` kind, `$2` project id or 0, `$3` name.
macro_rules! versions {
    () => {
        " FROM template t LEFT JOIN project p ON p.id = t.project \
         WHERE t.tenant = 1 AND t.kind = $1 AND coalesce(t.project, 0) = $2 AND t.name = $3"
    };
}

const VERSIONS: &str = concat!(
    "SELECT ",
    columns!(),
    versions!(),
    " AND t.deleted_at IS NULL AND t.version < $4 ORDER BY t.version DESC LIMIT $5"
);

const ONE: &str = concat!(
    "SELECT ",
    columns!(),
    ", t.bytes, t.zstd",
    versions!(),
    " AND t.deleted_at IS NULL AND ($4::integer IS NULL OR t.version = $4) \
     ORDER BY t.version DESC LIMIT 1"
);

const LAST: &str = concat!("SELECT coalesce(max(t.version), 0)", versions!());

/// Two that put the same document take turns.
const TURN: &str =
    "SELECT pg_advisory_xact_lock(hashtextextended($1 || '/' || $2 || '/' || $3, 1))";

const INSERT: &str = "INSERT INTO template (tenant, project, kind, name, version, labels, \
     created_at, created_by, bytes, zstd) \
     VALUES ($1, nullif($2, 0), $3, $4, $5, $6, $7, $8, $9, $10)";

const CUT: &str = "DELETE FROM template WHERE tenant = 1 AND kind = $1 \
     AND coalesce(project, 0) = $2 AND name = $3 AND version <= $4";

const DELETE: &str = "UPDATE template SET deleted_at = $4 WHERE tenant = 1 AND kind = $1 \
     AND coalesce(project, 0) = $2 AND name = $3 AND deleted_at IS NULL";

const LATEST: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM template t LEFT JOIN project p ON p.id = t.project WHERE t.tenant = 1 \
     AND t.deleted_at IS NULL AND t.version = (SELECT max(o.version) FROM template o \
     WHERE o.tenant = t.tenant AND o.kind = t.kind \
     AND coalesce(o.project, 0) = coalesce(t.project, 0) AND o.name = t.name) \
     AND (cardinality($1::text[]) = 0 OR t.kind = ANY ($1)) \
     AND ($2::uuid IS NULL OR t.project IS NULL OR p.uid = $2) \
     AND ($3::text IS NULL OR starts_with(t.name, $3)) \
     AND NOT EXISTS (SELECT 1 FROM unnest($4::text[]) AS l WHERE strpos(t.labels, l) = 0) \
     AND ($5::text IS NULL OR (t.kind, coalesce(p.uid, '00000000-0000-0000-0000-000000000000'), t.name) > ($5, $6, $7)) \
     ORDER BY t.kind, coalesce(p.uid, '00000000-0000-0000-0000-000000000000'), t.name LIMIT $8"
);

impl Templates for PostgresStore {
    async fn put(&self, new: Vec<NewTemplate>) -> Result<Vec<Put>, StoreError> {
        let packed = new.iter().map(|one| codec::compress(&one.document));
        let packed: Vec<Compressed> = packed.collect::<Result<_, _>>()?;
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let mut order: Vec<&TemplateId> = new.iter().map(|one| &one.id).collect();
                order.sort_unstable();
                for id in order {
                    tx.rows(TURN, binds![id.kind.as_str(), project_text(id), text(&id.name)])
                        .await?;
                }
                let mut done = Vec::with_capacity(new.len());
                for (one, packed) in new.iter().zip(&packed) {
                    done.push(put(&mut tx, one, packed).await?);
                }
                Ok(done)
            })
        })
        .await
    }

    async fn template(
        &self,
        id: TemplateId,
        version: Option<u32>,
    ) -> Result<StoredTemplate, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let key = key(&mut tx, &id).await?.ok_or(StoreError::NotFound)?;
                one(&mut tx, &id, key, version).await?.ok_or(StoreError::NotFound)
            })
        })
        .await
    }

    async fn templates(
        &self,
        filter: TemplateFilter,
        limit: u32,
    ) -> Result<Vec<TemplateView>, StoreError> {
        self.read(Mode::Fresh, move |tx| Box::pin(async move { latest(tx, &filter, limit).await }))
            .await
    }

    async fn versions(
        &self,
        id: TemplateId,
        before: Option<u32>,
        limit: u32,
    ) -> Result<Vec<TemplateView>, StoreError> {
        self.read(Mode::Snapshot, move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let key = key(&mut tx, &id).await?.ok_or(StoreError::NotFound)?;
                if one(&mut tx, &id, key, None).await?.is_none() {
                    return Err(StoreError::NotFound);
                }
                let before = before.and_then(|n| i32::try_from(n).ok()).unwrap_or(i32::MAX);
                let mut values = binds![id.kind.as_str(), key, text(&id.name), before];
                values.extend(binds![i64::from(limit)]);
                read(&tx.rows(VERSIONS, values).await?, view)
            })
        })
        .await
    }

    async fn delete_template(&self, id: TemplateId, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut tx = tx;

                let key = key(&mut tx, &id).await?.ok_or(StoreError::NotFound)?;
                let values = binds![id.kind.as_str(), key, text(&id.name), at.0];
                match tx.execute(DELETE, values).await? {
                    0 => Err(StoreError::NotFound),
                    _ => Ok(()),
                }
            })
        })
        .await
    }
}

fn project_text(id: &TemplateId) -> String {
    id.project.map(|id| id.to_string()).unwrap_or_default()
}

/// The project's id, 0 for what is shared by all; none if there is no such project.
async fn key(tx: &mut Tx<'_>, id: &TemplateId) -> Result<Option<i64>, StoreError> {
    let Some(project) = id.project else {
        return Ok(Some(0));
    };
    match intake::project(tx, project).await {
        Ok((project, _)) => Ok(Some(project)),
        Err(StoreError::Refused(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

async fn put<'a>(
    tx: &mut Tx<'a>,
    new: &'a NewTemplate,
    packed: &'a Compressed,
) -> Result<Put, StoreError> {
    let id = &new.id;
    let kind = id.kind.as_str();
    let key = match id.project {
        None => 0,
        Some(project) => intake::project(tx, project).await?.0,
    };
    if let Some(latest) = one(tx, id, key, None).await?
        && latest.document == new.document
    {
        return Ok(Put { version: latest.view.version, unchanged: true });
    }
    let last = tx.rows(LAST, binds![kind, key, text(&id.name)]).await?;
    let last = last.first().map_or(Ok(0), |row| codec::number(row, 0))?;
    let version = last
        .checked_add(1)
        .ok_or_else(|| StoreError::Conflict("version numbers overflow".to_owned()))?;
    let labels = codec::to_json(&new.labels)?;
    let bytes = int(u32::try_from(packed.bytes).unwrap_or(u32::MAX))?;
    let mut values = binds![TENANT, key, kind, text(&id.name), int(version)?, labels, new.at.0];
    values.extend(binds![text(&new.by), bytes, packed.zstd.as_slice()]);
    tx.execute(INSERT, values).await?;
    let old = int(version.saturating_sub(TEMPLATE_VERSIONS))?;
    tx.execute(CUT, binds![kind, key, text(&id.name), old]).await?;
    Ok(Put { version, unchanged: false })
}

/// A version that is not deleted, the latest if none is named.
async fn one<'a>(
    tx: &mut Tx<'a>,
    id: &'a TemplateId,
    key: i64,
    version: Option<u32>,
) -> Result<Option<StoredTemplate>, StoreError> {
    // No version comes near the largest integer.
    let version = version.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
    let values = binds![id.kind.as_str(), key, text(&id.name), version];
    let found = read(&tx.rows(ONE, values).await?, |row| {
        Ok(StoredTemplate { view: view(row)?, document: codec::document(row, 7)? })
    })?;
    Ok(found.into_iter().next())
}

/// A page of the latest versions.
async fn latest<'a>(
    mut tx: Tx<'a>,
    filter: &'a TemplateFilter,
    limit: u32,
) -> Result<Vec<TemplateView>, StoreError> {
    let kinds: Vec<&str> = filter.kinds.iter().map(|kind| kind.as_str()).collect();
    let after = filter.after.as_ref();
    let mut values = binds![
        kinds,
        filter.project.map(|id| id.0),
        optional_text(filter.name_prefix.as_ref()),
        codec::pair_texts(&filter.labels)?,
    ];
    values.extend(binds![
        after.map(|id| id.kind.as_str()),
        after.map(|id| id.project.map_or(Uuid::nil(), |id| id.0)),
        after.map(|id| text(&id.name)),
        i64::from(limit),
    ]);
    read(&tx.rows(LATEST, values).await?, view)
}

/// Reads [`columns`].
fn view(row: &Row) -> Result<TemplateView, StoreError> {
    Ok(TemplateView {
        id: TemplateId {
            kind: codec::word(row, 0, TemplateKind::parse)?,
            project: get::<Option<Uuid>>(row, 1)?.map(EntityId),
            name: get(row, 2)?,
        },
        version: codec::number(row, 3)?,
        labels: codec::pairs(row, 4)?,
        created_at: codec::time(row, 5)?,
        created_by: get(row, 6)?,
    })
}
