//! Tenants, departments, groups, projects and quotas: requests to edits, and what came of them.

mod entities;
pub(crate) mod input;
pub(crate) mod quotas;
pub(crate) mod routes;
mod show;

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::IF_MATCH;
use flowforge_model::id::EntityId;
use flowforge_model::limits::REPORTED_ERRORS;
use flowforge_model::quota::Level;
use flowforge_organization::{Decision, Edit, Organization, Refusal};

pub(crate) use show::field;

use crate::Shared;
use crate::backend::Backend;
use crate::problem::{Code, Failure, finding};

/// Deletes what has drained, again and again. Every server does: whoever comes second finds nothing.
pub(crate) async fn reap(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(shared.config.limits.reap).await;
        let at = shared.now();
        match shared.call(move |backend| backend.reap(at)).await {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tracing::info!(entities = ?gone, "deleted what has drained"),
            Err(failure) => tracing::warn!(code = failure.code.slug(), "nothing was deleted"),
        }
    }
}

/// Makes an edit; what came of it, and everything as it is then.
fn edit(
    shared: &Shared,
    backend: &dyn Backend,
    edit: Edit,
) -> Result<(Decision, Arc<Organization>), Failure> {
    let decision = backend.edit(edit, shared.now())?.map_err(|refusal| refused(&refusal))?;
    Ok((decision, backend.organization()?))
}

/// The version that a change is meant for: `If-Match: "3"`; none for `*` or without the header.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let refused = || {
        let detail = "`If-Match` is the `ETag` of an earlier answer, such as `\"3\"`, or `*`";
        Failure::new(Code::BadRequest, detail)
    };
    let value = match (values.next(), values.next()) {
        (None, _) => return Ok(None),
        (Some(value), None) => value.to_str().map_err(|_| refused())?.trim(),
        (Some(_), Some(_)) => return Err(refused()),
    };
    if value == "*" {
        return Ok(None);
    }
    let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    quoted.and_then(crate::query::digits).map(Some).ok_or_else(refused)
}

/// The entity of a level that a text means.
pub(crate) fn found(all: &Organization, level: Level, text: &str) -> Result<EntityId, Failure> {
    entities::find(all, level, text).map(|node| node.id)
}

fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// The one table from what is not done to what a client is told.
pub(crate) fn refused(refusal: &Refusal) -> Failure {
    let (code, pointer) = match refusal {
        Refusal::Missing("parent") => (Code::UnknownReference, "/parent_id"),
        Refusal::Missing("quota") => (Code::UnknownReference, "/quota_id"),
        Refusal::Missing(_) => (Code::NotFound, ""),
        Refusal::Stale { .. } => (Code::PreconditionFailed, ""),
        Refusal::BadName(_) => (Code::InvalidRequest, "/name"),
        Refusal::NameTaken(_) => (Code::Conflict, "/name"),
        Refusal::Misplaced { .. } => (Code::Misplaced, "/parent_id"),
        Refusal::Cycle => (Code::Cycle, "/parent_id"),
        Refusal::OtherTenant => (Code::OtherTenant, ""),
        Refusal::TooDeep(_) => (Code::TooDeep, "/parent_id"),
        Refusal::TooMany => (Code::TooMany, ""),
        Refusal::TooManyClusters => (Code::TooMany, "/cluster"),
        Refusal::NoCluster(_) => (Code::InvalidRequest, "/cluster"),
        Refusal::BadLimit(dimension) => (Code::InvalidQuota, field(*dimension)),
        Refusal::Exceeding(_) => (Code::LimitAboveAncestor, ""),
        Refusal::Draining(_) => (Code::Draining, ""),
        Refusal::NotEmpty(_) => (Code::NotEmpty, ""),
        Refusal::Busy(_) => (Code::Unfinished, ""),
        Refusal::Default(_) => (Code::Refused, ""),
        Refusal::InUse(_) => (Code::InUse, ""),
    };
    if let Refusal::Exceeding(offenders) = refusal {
        let omitted = offenders.len().saturating_sub(REPORTED_ERRORS);
        let shown = offenders.iter().take(REPORTED_ERRORS).map(|one| {
            let pointer = format!("/{}", field(one.dimension));
            finding(code.slug(), pointer, show::offender(one))
        });
        let omitted = u64::try_from(omitted).unwrap_or(u64::MAX);
        return Failure::with(code, shown.collect(), omitted);
    }
    match pointer {
        "" => Failure::new(code, refusal.to_string()),
        field if field.starts_with('/') => Failure::at(code, field, refusal.to_string()),
        field => Failure::at(code, format!("/{field}"), refusal.to_string()),
    }
}
