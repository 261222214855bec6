//! Work that was given up: shown, and driven again.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use flowforge_model::attempt::AttemptKey;
use flowforge_model::event::Command;
use flowforge_model::status::{Reason, WorkflowStatus};
use flowforge_ports::catalog::AttemptView;
use flowforge_ports::nudge::Nudge;
use flowforge_ports::queue::{self, DeadLetterId};
use flowforge_ports::store::StoreError;
use flowforge_wire::{DeadAttempt, DeadLetter, Page, Redriven, RedrivenAttempt, Time};

use crate::Shared;
use crate::backend::Backend;
use crate::body::optional_json;
use crate::cursor::Scope;
use crate::envelope::Fields;
use crate::path::Name;
use crate::problem::{Code, Failure};
use crate::query::Query;
use crate::queue::QueueAccess;
use crate::workflows::after_page;

/// List dead letters
///
/// Work that executors took again and again without ever acknowledging it, or that this version cannot
/// read, the oldest first. Its attempts fail as `dispatch_poisoned` and are tried again.
#[utoipa::path(
    get, path = "/api/v1/dead-letters", tag = "dead-letters",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
    ),
    responses((status = 200, description = "A part of the list", body = Page<DeadLetter>))
)]
pub(crate) async fn list(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
) -> Result<Json<Page<DeadLetter>>, Failure> {
    let query = Query::parse(&uri, &["limit", "cursor"])?;
    let limit = query.limit(50)?;
    let scope = Scope::new(&["dead-letters"]);
    let after = query.one("cursor")?.map(|cursor| scope.open_text(cursor)).transpose()?;
    let after = after.map(DeadLetterId);
    let Some(queue) = shared.config.queue.clone() else {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    };
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let read = move |_: &dyn Backend| {
        let mut rows = queue.dead_letters(after.as_ref(), most)?;
        // One page of the queue is no larger than one of ours: whether more follows is asked for.
        if let Some(last) = rows.last().filter(|_| rows.len() == most) {
            let last = last.id.clone();
            rows.append(&mut queue.dead_letters(Some(&last), 1)?);
        }
        Ok::<_, Failure>(rows)
    };
    let mut rows = shared.call(read).await?;
    let next_cursor = after_page(&mut rows, limit).map(|last| scope.seal(last.id.0.as_bytes()));
    Ok(Json(Page { items: rows.into_iter().map(show).collect(), next_cursor }))
}

/// Show a dead letter
#[utoipa::path(
    get, path = "/api/v1/dead-letters/{id}", tag = "dead-letters",
    params(("id" = String, Path, description = "The letter's id")),
    responses((status = 200, description = "The letter", body = DeadLetter))
)]
pub(crate) async fn get(
    State(shared): State<Arc<Shared>>,
    Name(id): Name,
    uri: Uri,
) -> Result<Json<DeadLetter>, Failure> {
    Query::parse(&uri, &[])?;
    let queue = queue_of(&shared)?;
    let read = move |_: &dyn Backend| queue.dead_letter(&id);
    Ok(Json(show(shared.call(read).await?)))
}

/// Redrive a dead letter
///
/// Takes it away and retries the workflows that failed because one of its attempts was given up. What is
/// still open is sent again by the scheduler; of several who redrive a letter one gets its attempts. Where
/// the database did not answer the outcome is `unknown`: look at the workflow, and retry it.
#[utoipa::path(
    post, path = "/api/v1/dead-letters/{id}/redrive", tag = "dead-letters",
    params(("id" = String, Path, description = "The letter's id")),
    responses((status = 200, description = "What became of its attempts", body = Redriven))
)]
pub(crate) async fn redrive(
    State(shared): State<Arc<Shared>>,
    Name(id): Name,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Redriven>, Failure> {
    Query::parse(&uri, &[])?;
    let text = optional_json(&shared, &headers, body).await?;
    Fields::read(&text)?.finish()?;
    let queue = queue_of(&shared)?;
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let letter = queue.dead_letter(&id)?;
        let keys = queue.redrive(&letter.id)?;
        let outcomes = outcomes(&keys, |key| try_again(&inner, backend, key));
        Ok::<_, Failure>(outcomes)
    };
    Ok(Json(Redriven { attempts: shared.call(work).await? }))
}

/// What became of each attempt. The letter is taken already: one that fails stops none of the others.
fn outcomes(
    keys: &[AttemptKey],
    again: impl Fn(AttemptKey) -> Result<&'static str, StoreError>,
) -> Vec<RedrivenAttempt> {
    let one = |key: &AttemptKey| {
        let outcome = again(*key).unwrap_or_else(|error| {
            tracing::error!(workflow = %key.workflow, %error, "an attempt may not be redriven");
            "unknown"
        });
        RedrivenAttempt {
            workflow_id: key.workflow.to_string(),
            node: key.node.0,
            attempt: key.number,
            outcome: outcome.to_owned(),
        }
    };
    keys.iter().map(one).collect()
}

/// Retries the workflow that failed with this attempt; what became of the attempt.
fn try_again(
    shared: &Shared,
    backend: &dyn Backend,
    key: AttemptKey,
) -> Result<&'static str, StoreError> {
    match retry(shared, backend, key) {
        Err(StoreError::NotFound) => Ok("gone"),
        // Another attempt of the same letter, or a user, was first.
        Err(StoreError::Refused(_) | StoreError::Conflict(_)) => Ok("over"),
        outcome => outcome,
    }
}

fn retry(
    shared: &Shared,
    backend: &dyn Backend,
    key: AttemptKey,
) -> Result<&'static str, StoreError> {
    let status = backend.workflow(key.workflow)?.state.status;
    let attempts = backend.attempts(key.workflow, key.node, key.node)?;
    if attempts.iter().any(|attempt| attempt.number > key.number) {
        return Ok("superseded");
    }
    if !status.terminal() {
        return Ok("open");
    }
    // One that ran, and failed by itself, is none of the queue's.
    let poisoned = |attempt: &AttemptView| {
        attempt.number == key.number && attempt.reason == Some(Reason::DispatchPoisoned)
    };
    if status != WorkflowStatus::Failed || !attempts.iter().any(poisoned) {
        return Ok("over");
    }
    backend.ask(key.workflow, Command::Retry, shared.now())?;
    (shared.config.nudge)(Nudge { workflow: key.workflow, plan: None });
    Ok("retried")
}

fn queue_of(shared: &Shared) -> Result<QueueAccess, Failure> {
    let none = || Failure::new(Code::NotFound, "there is no such dead letter");
    shared.config.queue.clone().ok_or_else(none)
}

fn show(letter: queue::DeadLetter) -> DeadLetter {
    let attempt = |dispatch: &queue::Dispatch| DeadAttempt {
        workflow_id: dispatch.key.workflow.to_string(),
        node: dispatch.key.node.0,
        attempt: dispatch.key.number,
        sent_at: Time(dispatch.sent_at),
    };
    DeadLetter {
        id: letter.id.0,
        reason: letter.reason,
        buried_at: Time(letter.buried_at),
        attempts: letter.dispatches.iter().map(attempt).collect(),
    }
}

#[cfg(test)]
mod tests {
    use flowforge_model::id::{NodeIx, WorkflowId};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn an_attempt_that_fails_stops_none_of_the_others() {
        let key = |number| AttemptKey {
            workflow: WorkflowId(Uuid::from_u128(u128::from(number))),
            node: NodeIx(1),
            number,
        };
        let of = outcomes(&[key(1), key(2), key(3)], |key| match key.number {
            2 => Err(StoreError::Unavailable("away".to_owned())),
            _ => Ok("retried"),
        });
        let of: Vec<_> = of.iter().map(|one| (one.attempt, one.outcome.as_str())).collect();
        assert_eq!(of, [(1, "retried"), (2, "unknown"), (3, "retried")]);
    }
}
