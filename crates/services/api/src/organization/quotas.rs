//! Quotas, by name or of one entity.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_model::id::{EntityId, QuotaId};
use flowforge_model::quota::{Level, Quota as Limits};
use flowforge_organization::{Edit, NamedQuota, Node, Organization};
use flowforge_wire::{Page, Quota};
use uuid::Uuid;

use super::entities::{self, gone, unfound};
use super::{edit, etag, if_match, input, show};
use crate::Shared;
use crate::backend::Backend;
use crate::body::optional_json;
use crate::cursor::Scope;
use crate::envelope::Fields;
use crate::problem::{Code, Failure};
use crate::projects::naming;
use crate::query::Query;
use crate::workflows::after_page;

/// What an entity may use.
pub(super) async fn of(
    shared: &Arc<Shared>,
    level: Level,
    which: String,
    uri: &Uri,
) -> Result<Response, Failure> {
    Query::parse(uri, &[])?;
    let read = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let node = entities::find(&all, level, &which)?;
        let found = all.quota_of(node);
        Ok::<_, Failure>(found.map_or_else(|| show::unlimited(node), |one| show::quota(one, &[])))
    };
    let found = shared.call(read).await?;
    Ok(([(ETAG, etag(found.version))], Json(found)).into_response())
}

/// What an entity may use from now on.
pub(super) async fn set(
    shared: &Arc<Shared>,
    (level, which): (Level, String),
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let clamp = Query::parse(uri, &["clamp"])?.flag("clamp")?;
    let version = if_match(headers)?;
    let text = optional_json(shared, headers, body).await?;
    let inner = Arc::clone(shared);
    let work = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let node = entities::find(&all, level, &which)?;
        let (of, before) = (node.id, all.quota_of(node));
        let standing = before.map_or_else(|| fitting(&all, node), |one| one.quota);
        let quota = input::quota(Fields::read(&text)?, standing)?;
        // What is missing was taken from this row: it must be the one that is changed.
        let version = version.or(before.map(|one| one.version)).or(Some(0));
        let id = QuotaId(Uuid::now_v7());
        let wish = Edit::SetQuota { entity: of, version, id, quota, clamp };
        let (decision, all) = edit(&inner, backend, wish)?;
        let node = all.node(of).ok_or_else(|| gone(level))?;
        let row = all.quota_of(node).ok_or_else(|| gone(level))?;
        Ok::<_, Failure>(show::quota(row, &decision.clamped))
    };
    let set = again(shared, version.is_none(), work).await?;
    Ok(([(ETAG, etag(set.version))], Json(set)).into_response())
}

/// What an entity may use, and what it would where nothing is said: as a new quota, as far as ancestors
/// have it.
pub(crate) fn standing(all: &Organization, node: &Node) -> Limits {
    all.quota_of(node).map_or_else(|| fitting(all, node), |one| one.quota)
}

/// What a new quota allows where nothing is said, as far as ancestors have it.
fn fitting(all: &Organization, node: &Node) -> Limits {
    let mut quota = input::standard();
    for above in all.above(node).filter_map(|above| all.quota_of(above)) {
        for (limit, most) in quota.limits.iter_mut().zip(above.quota.limits) {
            *limit = limit.zip(most).map(|(limit, most)| limit.min(most)).or(*limit);
        }
    }
    quota
}

/// Does it again if somebody else was quicker, and the client has not said which version it means.
async fn again<T: Send + 'static>(
    shared: &Shared,
    again: bool,
    work: impl Fn(&dyn Backend) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    const TIMES: u32 = 10;
    let work = move |backend: &dyn Backend| {
        let mut tried = work(backend);
        for _ in 0..TIMES {
            match &tried {
                Err(failure) if again && failure.code == Code::PreconditionFailed => {
                    tried = work(backend);
                }
                _ => break,
            }
        }
        tried
    };
    shared.call(work).await
}

/// A page of quotas, oldest first.
pub(super) async fn list(shared: &Arc<Shared>, uri: &Uri) -> Result<Json<Page<Quota>>, Failure> {
    let query = Query::parse(uri, &["tenant_id", "limit", "cursor"])?;
    let limit = query.limit(50)?;
    let tenant = query.one("tenant_id")?.map(str::to_owned);
    let scope = Scope::new(&["quotas", &format!("{tenant:?}")]);
    let after = match query.one("cursor")? {
        Some(cursor) => Some(QuotaId(Uuid::from_bytes(scope.open(cursor)?))),
        None => None,
    };
    let read = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let tenant = match &tenant {
            None => None,
            Some(text) => {
                let found = all.find(Level::Tenant, text);
                let bad = |why| Failure::at(Code::BadParameter, "?tenant_id", naming(text, &why));
                Some(found.map_err(bad)?.id)
            }
        };
        let wanted = |one: &&NamedQuota| {
            tenant.is_none_or(|tenant| one.tenant == tenant)
                && after.is_none_or(|after| one.id > after)
        };
        let room = usize::try_from(limit + 1).unwrap_or(usize::MAX);
        let mut rows: Vec<&NamedQuota> = all.quotas().filter(wanted).take(room).collect();
        let last = after_page(&mut rows, limit).map(|one| one.id);
        let items = rows.into_iter().map(|one| show::quota(one, &[])).collect();
        Ok::<_, Failure>((last, items))
    };
    let (last, items) = shared.call(read).await?;
    Ok(Json(Page { items, next_cursor: last.map(|id| scope.seal(id.0.as_bytes())) }))
}

/// A new quota.
pub(super) async fn create(
    shared: &Arc<Shared>,
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
    let tenant = fields.string("tenant_id");
    let quota = input::quota(fields, input::standard())?;
    let inner = Arc::clone(shared);
    let id = QuotaId(Uuid::now_v7());
    let work = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let tenant = match &tenant {
            None => EntityId::DEFAULT_TENANT,
            Some(text) => {
                let bad =
                    |why| Failure::at(Code::UnknownReference, "/tenant_id", naming(text, &why));
                all.find(Level::Tenant, text).map_err(bad)?.id
            }
        };
        let (_, all) = edit(&inner, backend, Edit::CreateQuota { id, tenant, name, quota })?;
        Ok::<_, Failure>(show::quota(all.quota(id).ok_or_else(missing)?, &[]))
    };
    let made = shared.call(work).await?;
    let location = format!("/api/v1/quotas/{id}");
    let head = [(LOCATION, location), (ETAG, etag(made.version))];
    Ok((StatusCode::CREATED, head, Json(made)).into_response())
}

/// One quota, by id, `tenant/name`, or name.
pub(super) async fn get(
    shared: &Arc<Shared>,
    which: String,
    uri: &Uri,
) -> Result<Response, Failure> {
    Query::parse(uri, &[])?;
    let read = move |backend: &dyn Backend| {
        Ok::<_, Failure>(show::quota(find(&*backend.organization()?, &which)?, &[]))
    };
    let found = shared.call(read).await?;
    Ok(([(ETAG, etag(found.version))], Json(found)).into_response())
}

/// Another name or other limits.
pub(super) async fn update(
    shared: &Arc<Shared>,
    which: String,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let clamp = Query::parse(uri, &["clamp"])?.flag("clamp")?;
    let version = if_match(headers)?;
    let text = optional_json(shared, headers, body).await?;
    let inner = Arc::clone(shared);
    let work = move |backend: &dyn Backend| {
        let all = backend.organization()?;
        let row = find(&all, &which)?;
        let (id, before) = (row.id, row.version);
        let mut fields = Fields::read(&text)?;
        let name = fields.string("name");
        let quota = Some(input::quota(fields, row.quota)?);
        let version = version.or(Some(before));
        let wish = Edit::UpdateQuota { id, version, name, quota, clamp };
        let (decision, all) = edit(&inner, backend, wish)?;
        Ok::<_, Failure>(show::quota(all.quota(id).ok_or_else(missing)?, &decision.clamped))
    };
    let changed = again(shared, version.is_none(), work).await?;
    Ok(([(ETAG, etag(changed.version))], Json(changed)).into_response())
}

/// Deletes a quota that nobody names.
pub(super) async fn delete(
    shared: &Arc<Shared>,
    which: String,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<StatusCode, Failure> {
    Query::parse(uri, &[])?;
    let version = if_match(headers)?;
    let inner = Arc::clone(shared);
    let work = move |backend: &dyn Backend| {
        let id = find(&*backend.organization()?, &which)?.id;
        edit(&inner, backend, Edit::DeleteQuota { id, version })
    };
    shared.call(work).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn find<'a>(all: &'a Organization, text: &str) -> Result<&'a NamedQuota, Failure> {
    all.find_quota(text).map_err(|why| unfound(text, &why))
}

fn missing() -> Failure {
    Failure::new(Code::NotFound, "the quota was deleted meanwhile")
}
