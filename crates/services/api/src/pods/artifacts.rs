//! Artifacts of pods. A pod has no stores and no keys: it names an artifact of its own order, and the
//! server moves the bytes. The pod packs and unpacks.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use flowforge_model::artifact::{Archive, Location, StageOut};
use flowforge_model::attempt::{AttemptKey, Report, WorkOrder};
use flowforge_ports::artifacts::{ArtifactBytes, ArtifactError};
use flowforge_ports::pod_calls::Unmoved;

use super::routes::order;
use super::transfer::{self, Inlet, Outlet};
use crate::Shared;
use crate::path::AttemptArtifactPath;
use crate::problem::{Code, Failure, shown};
use crate::query::{Query, bad};

type Service = State<Arc<Shared>>;

/// Sends what is at an input, as it is kept: 204 if nothing is, or a folder.
pub(super) async fn fetch(
    State(shared): Service,
    AttemptArtifactPath(key, name): AttemptArtifactPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let (stores, location, below) = input(&shared, (key, name), &headers, &uri).await?;
    let work = move |outlet: &mut Outlet| match stores.read(&location, &below)? {
        Some(mut bytes) => outlet.pour(&mut *bytes),
        None => Ok(()),
    };
    send((&shared, key), work).await
}

/// Sends the keys below an input: 204 if there are none.
pub(super) async fn list(
    State(shared): Service,
    AttemptArtifactPath(key, name): AttemptArtifactPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let (stores, location, below) = input(&shared, (key, name), &headers, &uri).await?;
    let work = move |outlet: &mut Outlet| {
        stores.list(&location, &below, &mut |key| {
            let line = serde_json::Value::from(key).to_string();
            outlet.write(format!("{line}\n").as_bytes())
        })
    };
    send((&shared, key), work).await
}

/// Keeps an output, whole or not at all; the same again replaces it. Answers when it is durable.
pub(super) async fn keep(
    State(shared): Service,
    AttemptArtifactPath(key, name): AttemptArtifactPath,
    headers: HeaderMap,
    uri: Uri,
    body: Body,
) -> Result<Response, Failure> {
    let below = below(&uri)?;
    let stores = stores(&shared)?;
    let order = order(&shared, key, &headers).await?;
    let output = order.artifacts_out.into_iter().find(|output| output.name == name);
    let output = output.ok_or_else(|| undeclared("output", &name))?;
    if !below.is_empty() && output.archive != Archive::None {
        return Err(bad("below", "an archive is one object: it has nothing below it"));
    }
    let turn = shared.transfers.take(key).await?;
    let (feed, inlet) = transfer::pipe();
    let keeping = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        stores.write(&output.location, &below, &mut Inlet::new(inlet))
    });
    let fed = transfer::feed(&shared.config.limits, body, feed).await;
    // What was cut has failed there as well: nothing of it is left when this is answered.
    let kept = keeping.await.map_err(|error| {
        tracing::error!(%error, "the keeping of an artifact panicked");
        Failure::new(Code::Internal, Code::Internal.text())
    })?;
    fed?;
    Ok(match kept {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => unmoved(error),
    })
}

/// A pod gives what its order names, each at most once, and where the order says.
pub(super) fn declared(order: &WorkOrder, report: &Report) -> Result<(), Failure> {
    let mut given = HashSet::new();
    for (name, artifact) in &report.artifacts {
        let ours = |output: &&StageOut| {
            output.name == *name
                && output.location == artifact.location
                && output.archive == artifact.archive
        };
        let known = order.artifacts_out.iter().any(|output| ours(&output));
        if !known || artifact.sub_path.is_some() || !given.insert(name) {
            let detail = format!(
                "the order names no artifact {} at that place, or it is given twice",
                shown(name)
            );
            return Err(Failure::at(Code::InvalidRequest, "/artifacts", detail));
        }
    }
    Ok(())
}

async fn input(
    shared: &Shared,
    (key, name): (AttemptKey, String),
    headers: &HeaderMap,
    uri: &Uri,
) -> Result<(Arc<dyn ArtifactBytes>, Location, String), Failure> {
    let below = below(uri)?;
    let stores = stores(shared)?;
    let order = order(shared, key, headers).await?;
    let mut inputs = order.artifacts_in.into_iter().filter(|input| input.name == name);
    let location = inputs.find_map(|input| input.artifact).map(|artifact| artifact.location);
    Ok((stores, location.ok_or_else(|| undeclared("input", &name))?, below))
}

/// Says yes when the first bytes are there: until then `work` may fail with an answer of its own.
async fn send(
    (shared, key): (&Shared, AttemptKey),
    work: impl FnOnce(&mut Outlet) -> Result<(), ArtifactError> + Send + 'static,
) -> Result<Response, Failure> {
    let turn = shared.transfers.take(key).await?;
    let (mut outlet, opened, body) =
        Outlet::new(shared.config.limits.body_timeout, shared.closing.watch());
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let done = work(&mut outlet);
        outlet.close(done);
    });
    match opened.await {
        Ok(Ok(true)) => Ok(([(CONTENT_TYPE, "application/octet-stream")], body).into_response()),
        Ok(Ok(false)) => Ok(StatusCode::NO_CONTENT.into_response()),
        Ok(Err(error)) => Ok(unmoved(error)),
        Err(_) => Err(Failure::new(Code::Internal, Code::Internal.text())),
    }
}

fn stores(shared: &Shared) -> Result<Arc<dyn ArtifactBytes>, Failure> {
    let none = || Failure::new(Code::Refused, "this server keeps no artifacts");
    shared.config.artifacts.clone().ok_or_else(none)
}

/// Empty, or a path with a slash before it.
fn below(uri: &Uri) -> Result<String, Failure> {
    let query = Query::parse(uri, &["below"])?;
    let below = query.one("below")?.unwrap_or_default();
    if below.is_empty() || below.starts_with('/') {
        return Ok(below.to_owned());
    }
    Err(bad("below", "`below` begins with a slash"))
}

fn undeclared(side: &str, name: &str) -> Failure {
    let detail = format!("the order names no {side} artifact `{}`", shown(name));
    Failure::new(Code::NotFound, detail)
}

/// What the stores say is not this server's failure: the pod tells of it.
fn unmoved(error: ArtifactError) -> Response {
    let ArtifactError { reason, transient, message } = error;
    (StatusCode::UNPROCESSABLE_ENTITY, Json(Unmoved { reason, transient, message })).into_response()
}
