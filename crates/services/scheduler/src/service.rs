//! Answers the questions of API servers over HTTP: `POST /v1/explain` with the token that all share.

use std::fmt;
use std::io;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use flowforge_listen::{Bounds, Closing, carries};
use flowforge_ports::explain::{Answer, ENTITIES, ExplainError, Question};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::Desk;

/// The path of questions.
pub(crate) const PATH: &str = "/v1/explain";
/// Bytes of a question: a thousand entities that are simulated have some 400 KB.
const BODY_BYTES: usize = 1024 * 1024;
/// Questions at the same time; more wait.
const CALLS: usize = 16;

/// A question to the leader of an epoch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Posed {
    pub(crate) epoch: u64,
    pub(crate) question: Question,
}

/// The service of a scheduler. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct ExplainService(Arc<Shared>);

struct Shared {
    desk: Desk,
    token: String,
    calls: Arc<Semaphore>,
}

impl fmt::Debug for ExplainService {
    /// Without the token: debug text ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExplainService").finish_non_exhaustive()
    }
}

impl ExplainService {
    /// Asks at `desk`, for those who carry `token`.
    #[must_use]
    pub fn new(desk: Desk, token: String) -> Self {
        Self(Arc::new(Shared { desk, token, calls: Arc::new(Semaphore::new(CALLS)) }))
    }

    /// The routes as a service. Needs a tokio runtime.
    pub fn router(&self) -> Router {
        Router::new().route(PATH, post(explain)).with_state(Arc::clone(&self.0))
    }

    /// Serves until `shutdown` is ready.
    ///
    /// # Errors
    /// None at present; a broken connection ends alone.
    pub async fn serve(
        self,
        listener: TcpListener,
        bounds: Bounds,
        shutdown: impl Future<Output = ()> + Send,
    ) -> io::Result<()> {
        flowforge_listen::serve(listener, self.router(), (bounds, Closing::default()), shutdown)
            .await
    }
}

/// Why nothing is answered, in words for the log of who asked.
type Refused = (StatusCode, String);

fn bounded(question: &Question) -> bool {
    match question {
        Question::Usage(of) => of.len() <= ENTITIES,
        Question::Simulate(simulation) => simulation.bounded(),
        Question::Why(_) | Question::WhyWorkflow(_) | Question::Metrics => true,
    }
}

async fn explain(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Refused> {
    let refused = |status: StatusCode, why: &str| (status, why.to_owned());
    if !carries(&headers, &shared.token) {
        let why = "the bearer token is missing or wrong: scheduler.token_file names it";
        return Err(refused(StatusCode::UNAUTHORIZED, why));
    }
    let bytes = to_bytes(body, BODY_BYTES).await;
    let bytes = bytes.map_err(|_| refused(StatusCode::PAYLOAD_TOO_LARGE, "too much is asked"))?;
    let posed: Posed = serde_json::from_slice(&bytes)
        .map_err(|error| (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))?;
    if !bounded(&posed.question) {
        return Err(refused(StatusCode::UNPROCESSABLE_ENTITY, "too much is asked"));
    }
    let gone = || refused(StatusCode::SERVICE_UNAVAILABLE, "it is going down");
    let permit = Arc::clone(&shared.calls).acquire_owned().await.map_err(|_| gone())?;
    let held = move || {
        let _permit = permit;
        shared.desk.ask(posed.epoch, posed.question)
    };
    let answer = tokio::task::spawn_blocking(held).await.map_err(|_| gone())?;
    answer.map(Json).map_err(|error| match error {
        ExplainError::Away(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    })
}
