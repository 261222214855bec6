//! Tenants, departments, groups and projects: the same requests at every level.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_model::cluster::ClusterName;
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::Level;
use flowforge_organization::{Edit, Lookup, Node, Organization};
use flowforge_wire::{Entity, Page};
use uuid::Uuid;

use super::{edit, etag, if_match, show};
use crate::Shared;
use crate::backend::Backend;
use crate::body::optional_json;
use crate::cursor::Scope;
use crate::envelope::Fields;
use crate::problem::{Code, Failure, shown};
use crate::projects::naming;
use crate::query::Query;
use crate::workflows::after_page;

/// A page of the entities of a level, oldest first.
pub(super) async fn list(
    shared: &Arc<Shared>,
    level: Level,
    uri: &Uri,
) -> Result<Json<Page<Entity>>, Failure> {
    let query = Query::parse(uri, &["parent_id", "tenant_id", "name", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let text = |name| query.one(name).map(|value| value.map(str::to_owned));
    let (parent, tenant, prefix) = (text("parent_id")?, text("tenant_id")?, text("name")?);
    let scope = Scope::new(&["entities", &format!("{level} {parent:?} {tenant:?} {prefix:?}")]);
    let after = match query.one("cursor")? {
        Some(cursor) => Some(EntityId(Uuid::from_bytes(scope.open(cursor)?))),
        None => None,
    };
    let read = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let bad = |name: &str, text: &str, why: &Lookup| {
            Failure::at(Code::BadParameter, format!("?{name}"), naming(text, why))
        };
        let parent = match &parent {
            Some(text) => Some(all.find_any(text).map_err(|why| bad("parent_id", text, &why))?.id),
            None => None,
        };
        let tenant = match &tenant {
            Some(text) => {
                let found = all.find(Level::Tenant, text);
                Some(found.map_err(|why| bad("tenant_id", text, &why))?.id)
            }
            None => None,
        };
        let wanted = |node: &&Node| {
            node.level == level
                && parent.is_none_or(|parent| node.parent == Some(parent))
                && tenant.is_none_or(|tenant| node.tenant == tenant)
                && prefix.as_ref().is_none_or(|prefix| node.name.starts_with(&**prefix))
                && after.is_none_or(|after| node.id > after)
        };
        let room = usize::try_from(limit + 1).unwrap_or(usize::MAX);
        let mut rows: Vec<&Node> = all.nodes().filter(wanted).take(room).collect();
        let last = after_page(&mut rows, limit).map(|node| node.id);
        let items = rows.into_iter().map(|node| show::entity(&all, node)).collect();
        Ok::<_, Failure>((last, items))
    };
    let (last, items) = shared.call(read).await?;
    Ok(Json(Page { items, next_cursor: last.map(|id| scope.seal(id.0.as_bytes())) }))
}

/// A new entity.
pub(super) async fn create(
    shared: &Arc<Shared>,
    level: Level,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    Query::parse(uri, &[])?;
    let text = optional_json(shared, headers, body).await?;
    let mut fields = Fields::read(&text)?;
    if !fields.has("name") {
        fields.missing("/name", "`name` is missing");
    }
    let name = fields.string("name").unwrap_or_default();
    let parent = fields.string("parent_id");
    let quota = fields.string("quota_id");
    let cluster = cluster(&mut fields);
    fields.finish()?;
    let inner = Arc::clone(shared);
    let id = EntityId(Uuid::now_v7());
    // Read before anything is done: a broken clock is no reason for half of it.
    let _ = inner.now();
    let work = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let parent = match (&parent, level) {
            (None, Level::Tenant) => None,
            (None, _) => Some(EntityId::DEFAULT_TENANT),
            (Some(text), _) => Some(above(&all, text)?),
        };
        let quota = quota.map(|text| named(&all, &text)).transpose()?;
        let wish = Edit::Create { id, level, parent, name, quota, cluster };
        let (_, all) = edit(&inner, backend, wish)?;
        let node = all.node(id).ok_or_else(|| gone(level))?;
        Ok::<_, Failure>((node.version, show::entity(&all, node)))
    };
    let (version, made) = shared.call(work).await?;
    let location = format!("/api/v1/{level}s/{}", made.id);
    let head = [(LOCATION, location), (ETAG, etag(version))];
    Ok((StatusCode::CREATED, head, Json(made)).into_response())
}

/// One entity, by id, path or name.
pub(super) async fn get(
    shared: &Arc<Shared>,
    level: Level,
    which: String,
    uri: &Uri,
) -> Result<Response, Failure> {
    Query::parse(uri, &[])?;
    let read = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let node = find(&all, level, &which)?;
        Ok::<_, Failure>((node.version, show::entity(&all, node)))
    };
    let (version, found) = shared.call(read).await?;
    Ok(([(ETAG, etag(version))], Json(found)).into_response())
}

/// Another name, parent, quota or cluster.
pub(super) async fn update(
    shared: &Arc<Shared>,
    (level, which): (Level, String),
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let clamp = Query::parse(uri, &["clamp"])?.flag("clamp")?;
    let version = if_match(headers)?;
    let text = optional_json(shared, headers, body).await?;
    let mut fields = Fields::read(&text)?;
    let name = fields.string("name");
    let parent = fields.string("parent_id");
    let asked = (fields.has("quota_id"), fields.has("cluster"));
    let quota = fields.string("quota_id");
    let cluster = cluster(&mut fields);
    fields.finish()?;
    let inner = Arc::clone(shared);
    let work = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let id = find(&all, level, &which)?.id;
        let parent = parent.map(|text| above(&all, &text)).transpose()?;
        let quota = quota.map(|text| named(&all, &text)).transpose()?;
        let (quota, cluster) = (asked.0.then_some(quota), asked.1.then_some(cluster));
        let wish = Edit::Update { id, version, name, parent, quota, cluster, clamp };
        let (_, all) = edit(&inner, backend, wish)?;
        let node = all.node(id).ok_or_else(|| gone(level))?;
        Ok::<_, Failure>((node.version, show::entity(&all, node)))
    };
    let (version, changed) = shared.call(work).await?;
    Ok(([(ETAG, etag(version))], Json(changed)).into_response())
}

/// Deletes an entity, at once or when it has drained.
pub(super) async fn delete(
    shared: &Arc<Shared>,
    (level, which): (Level, String),
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let query = Query::parse(uri, &["drain", "cascade"])?;
    let (drain, cascade) = (query.flag("drain")?, query.flag("cascade")?);
    let version = if_match(headers)?;
    let inner = Arc::clone(shared);
    let work = move |backend: &dyn Backend| {
        let id = find(&*backend.organization()?, level, &which)?.id;
        edit(&inner, backend, Edit::Delete { id, version, drain, cascade })?;
        backend.reap(inner.now())?;
        let all = backend.organization()?;
        Ok::<_, Failure>(all.node(id).map(|node| show::entity(&all, node)))
    };
    Ok(match shared.call(work).await? {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(left) => (StatusCode::ACCEPTED, Json(left)).into_response(),
    })
}

/// What a path names.
pub(super) fn find<'a>(
    all: &'a Organization,
    level: Level,
    text: &str,
) -> Result<&'a Node, Failure> {
    all.find(level, text).map_err(|why| unfound(text, &why))
}

/// A path that names nothing, or several.
pub(super) fn unfound(text: &str, why: &Lookup) -> Failure {
    let code = match why {
        Lookup::Missing(_) => Code::NotFound,
        Lookup::Ambiguous(_) => Code::UnknownReference,
    };
    Failure::new(code, naming(text, why))
}

/// The cluster that a project is to run in.
fn cluster(fields: &mut Fields<'_>) -> Option<ClusterName> {
    fields.value("cluster", "the name of a cluster: 1 to 63 of a-z, 0-9 and -, no - at either end")
}

/// What `parent_id` names.
fn above(all: &Organization, text: &str) -> Result<EntityId, Failure> {
    let found = all.find_any(text).map(|node| node.id);
    found.map_err(|why| Failure::at(Code::UnknownReference, "/parent_id", naming(text, &why)))
}

/// What `quota_id` names.
fn named(all: &Organization, text: &str) -> Result<QuotaId, Failure> {
    let found = all.find_quota(text).map(|quota| quota.id);
    found.map_err(|why| Failure::at(Code::UnknownReference, "/quota_id", naming(text, &why)))
}

/// Deleted right after it was written.
pub(super) fn gone(level: Level) -> Failure {
    Failure::new(Code::NotFound, shown(&format!("the {level} was deleted meanwhile")))
}
