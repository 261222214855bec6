//! What paths name.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{NodeIx, WorkflowId};

use crate::problem::{Code, Failure};

/// The workflow that a path names, and what of it.
#[derive(Debug)]
pub(crate) struct WorkflowPath {
    pub(crate) id: WorkflowId,
    /// The second name in the path; empty if there is none.
    pub(crate) inner: String,
}

impl<S: Send + Sync> FromRequestParts<S> for WorkflowPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let missing = || Failure::new(Code::NotFound, "there is no such workflow");
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let mut values = params.iter().map(|(_, value)| value);
        let id = values.next().and_then(workflow_id).ok_or_else(missing)?;
        let inner = values.next().unwrap_or("").to_owned();
        Ok(Self { id, inner })
    }
}

/// The artifact that a path names.
#[derive(Debug)]
pub(crate) struct ArtifactPath {
    pub(crate) id: WorkflowId,
    pub(crate) task: String,
    pub(crate) name: String,
}

impl<S: Send + Sync> FromRequestParts<S> for ArtifactPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let WorkflowPath { id, inner: task } =
            WorkflowPath::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::new(Code::NotFound, Code::NotFound.text()))?;
        let name = params.iter().nth(2).map(|(_, value)| value.to_owned()).unwrap_or_default();
        Ok(Self { id, task, name })
    }
}

/// The attempt that a path names: workflow, node, number.
#[derive(Debug)]
pub(crate) struct AttemptPath(pub(crate) AttemptKey);

impl<S: Send + Sync> FromRequestParts<S> for AttemptPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let missing = || Failure::new(Code::NotFound, "there is no such attempt");
        let params =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| missing())?;
        let mut values = params.iter().map(|(_, value)| value);
        let mut key = || {
            let workflow = workflow_id(values.next()?)?;
            let node = NodeIx(values.next()?.parse().ok()?);
            Some(AttemptKey { workflow, node, number: values.next()?.parse().ok()? })
        };
        key().map(Self).ok_or_else(missing)
    }
}

/// The only name in a path.
#[derive(Debug)]
pub(crate) struct Name(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::new(Code::NotFound, Code::NotFound.text()))?;
        let first = params.iter().next();
        Ok(Self(first.map_or("", |(_, value)| value).to_owned()))
    }
}

/// The two names in a path.
#[derive(Debug)]
pub(crate) struct Names(pub(crate) String, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::new(Code::NotFound, Code::NotFound.text()))?;
        let mut values = params.iter().map(|(_, value)| value.to_owned());
        let mut next = || values.next().unwrap_or_default();
        Ok(Self(next(), next()))
    }
}

/// One id, one spelling: lower case with hyphens.
pub(crate) fn workflow_id(text: &str) -> Option<WorkflowId> {
    let id: WorkflowId = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}

/// An artifact of the attempt that a path names, by the artifact's name.
#[derive(Debug)]
pub(crate) struct AttemptArtifactPath(pub(crate) AttemptKey, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for AttemptArtifactPath {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let AttemptPath(key) = AttemptPath::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params = params.map_err(|_| Failure::new(Code::NotFound, Code::NotFound.text()))?;
        let name = params.iter().nth(3).map(|(_, value)| value.to_owned()).unwrap_or_default();
        Ok(Self(key, name))
    }
}
