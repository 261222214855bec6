//! What an aggregator is asked over HTTP.

use std::fmt;
use std::io;
use std::time::Duration;

use flowforge_http::{Allow, Call, Client, Header, HttpError, Payload};
use flowforge_model::id::WorkflowId;
use flowforge_ports::logs::{LogCursor, LogPage, LogQuery, LogRead};

/// For one answer. Sealing a large log takes seconds.
const ANSWER: Duration = Duration::from_secs(20);
/// For a page of lines: somebody waits for it.
const PAGE: Duration = Duration::from_secs(10);
/// For whether it is there.
const GLANCE: Duration = Duration::from_secs(2);
/// Bytes of an answer: a page of lines that are all control characters has 7 MiB.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;
/// Of a refusal, so much is shown.
const SHOWN: usize = 200;

/// Why an aggregator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AggregatorError {
    /// It did not answer.
    #[error("the log aggregator does not answer: {0}")]
    Away(#[from] HttpError),
    /// It answered that it will not, or cannot.
    #[error("the log aggregator refuses with status {status}: {what}")]
    Refused {
        /// Of HTTP.
        status: u16,
        /// The beginning of its answer.
        what: String,
    },
    /// Its answer means nothing to us.
    #[error("the answer is not that of a log aggregator: {0}")]
    Unreadable(#[from] serde_json::Error),
}

impl AggregatorError {
    /// The same request will be refused for ever.
    #[must_use]
    pub fn hopeless(&self) -> bool {
        matches!(self, Self::Refused { status: 400 | 413 | 422, .. })
    }
}

impl From<AggregatorError> for io::Error {
    fn from(error: AggregatorError) -> Self {
        Self::other(error)
    }
}

/// Where an aggregator is, and by which right it is asked. Clones share their connections.
#[derive(Clone)]
pub struct Aggregator {
    client: Client,
    url: String,
    headers: Vec<Header>,
}

impl fmt::Debug for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregator").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Aggregator {
    /// The one at `http://HOST:PORT`, with the token that all who use it share.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        let header = |name: &str, value: String, secret| {
            let (name, value) = (name.to_owned(), value.into_bytes());
            Header { name, value, secret }
        };
        Self {
            client: Client::new(Allow::everything()),
            url: url.trim_end_matches('/').to_owned(),
            headers: vec![
                header("authorization", format!("Bearer {token}"), true),
                header("content-type", "application/json".to_owned(), false),
            ],
        }
    }

    /// Sends [`flowforge_ports::logs::Shipments`].
    pub(crate) fn ship(&self, body: &str) -> Result<(), AggregatorError> {
        self.ask("POST", "/v1/shipments", Payload::Bytes(body.as_bytes()), ANSWER).map(drop)
    }

    pub(crate) fn read(
        &self,
        workflow: WorkflowId,
        query: &LogQuery,
        after: LogCursor,
        limit: usize,
    ) -> Result<LogPage, AggregatorError> {
        let read = LogRead { query: query.clone(), after, limit };
        let body = serde_json::to_vec(&read)?;
        let path = format!("/v1/workflows/{workflow}/read");
        let answer = self.ask("POST", &path, Payload::Bytes(&body), PAGE)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    pub(crate) fn seal(&self, workflow: WorkflowId) -> Result<(), AggregatorError> {
        let path = format!("/v1/workflows/{workflow}/seal");
        self.ask("POST", &path, Payload::None, ANSWER).map(drop)
    }

    pub(crate) fn delete(&self, workflow: WorkflowId) -> Result<(), AggregatorError> {
        let path = format!("/v1/workflows/{workflow}");
        self.ask("DELETE", &path, Payload::None, ANSWER).map(drop)
    }

    pub(crate) fn ready(&self) -> Result<(), AggregatorError> {
        self.ask("GET", "/v1/ready", Payload::None, GLANCE).map(drop)
    }

    fn ask(
        &self,
        method: &str,
        path: &str,
        payload: Payload<'_>,
        timeout: Duration,
    ) -> Result<Vec<u8>, AggregatorError> {
        let url = format!("{}{path}", self.url);
        let call = Call {
            method,
            url: &url,
            headers: &self.headers,
            timeout: Some(timeout),
            insecure: false,
            redirects: false,
        };
        let answer = self.client.send(&call, payload)?;
        let status = answer.status;
        let bytes = answer.bytes(ANSWER_BYTES)?;
        if (200..300).contains(&status) {
            return Ok(bytes);
        }
        let what = String::from_utf8_lossy(&bytes).chars().take(SHOWN).collect();
        Err(AggregatorError::Refused { status, what })
    }
}
