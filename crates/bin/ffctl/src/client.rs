//! Requests to the server, and what its answers mean for us.

use std::fmt::Write as _;
use std::io::Read as _;
use std::time::Duration;

use flowforge_wire::{Page, Problem, Task, Workflow};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body, BodyReader, RequestBuilder};

use crate::endpoint::{Place, Server};
use crate::exit::{Exit, Failure};

/// A local server that is there accepts at once; one behind a tunnel within this.
const CONNECT: Duration = Duration::from_secs(5);
/// Compiling the largest documents takes seconds.
const ANSWER: Duration = Duration::from_secs(60);
/// Streams send a heartbeat every 15 s: three of them were lost.
const QUIET: Duration = Duration::from_secs(45);
/// One page: 1000 tasks, most of them far below the 4 MiB of outputs that each may have.
const ANSWER_BYTES: u64 = 1 << 30;
/// Rows per page: the most the server gives.
pub(crate) const PAGE: &str = "1000";

/// One part of a path, with everything escaped that would mean something in it.
pub(crate) fn part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _written = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Pairs of a query.
pub(crate) type Query<'a> = &'a [(&'a str, &'a str)];

/// A server to talk to. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    place: Place,
    server: Server,
}

impl Client {
    pub(crate) fn new(place: Place) -> Result<Self, Failure> {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // The token goes to the server that was named and nowhere else.
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_per_write(Some(ANSWER))
            .timeout_per_read(Some(ANSWER))
            .user_agent(concat!("ffctl/", env!("CARGO_PKG_VERSION")))
            .build();
        let server = place.server()?;
        Ok(Self { agent: config.new_agent(), place, server })
    }

    /// The same, with the server where it is to be found now.
    pub(crate) fn again(&self) -> Result<Self, Failure> {
        Ok(Self { server: self.place.server()?, ..self.clone() })
    }

    /// See [`Place::may_move`].
    pub(crate) fn may_move(&self) -> bool {
        self.place.may_move()
    }

    pub(crate) fn url(&self) -> &str {
        &self.server.url
    }

    pub(crate) fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, Failure> {
        let request = self.agent.get(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        self.read(request.call())
    }

    /// An answer that is text.
    pub(crate) fn text(&self, path: &str, query: Query<'_>) -> Result<String, Failure> {
        let bytes = self.bytes(self.open(path, query)?.into_body())?;
        String::from_utf8(bytes).map_err(|_| {
            Failure::new(Exit::Server, format!("{} answers with what is no text", self.url()))
        })
    }

    /// An answer whose body is still to be read.
    pub(crate) fn open(&self, path: &str, query: Query<'_>) -> Result<Response<Body>, Failure> {
        let request = self.agent.get(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        self.accept(request.call())
    }

    /// Posts documents.
    pub(crate) fn post_yaml<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        text: &str,
    ) -> Result<T, Failure> {
        let request = self.agent.post(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        self.read(request.header("content-type", "application/yaml").send(text))
    }

    /// Deletes something; what the server says about it, if it says anything.
    pub(crate) fn delete<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<Option<T>, Failure> {
        let request = self.agent.delete(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        let answer = self.accept(request.call())?;
        if answer.status().as_u16() == 204 {
            return Ok(None);
        }
        self.read(Ok(answer)).map(Some)
    }

    /// Puts nothing: the path says what is wanted.
    pub(crate) fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
    ) -> Result<T, Failure> {
        let request = self.agent.put(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        self.read(request.send_empty())
    }

    /// Puts JSON.
    pub(crate) fn put_json<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.agent.put(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        self.read(request.send_json(body))
    }

    /// Changes what the JSON names.
    pub(crate) fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.agent.patch(self.address(path));
        let request = self.let_in(request.query_pairs(query.iter().copied()));
        self.read(request.send_json(body))
    }

    /// Posts JSON, or nothing.
    pub(crate) fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&str>,
    ) -> Result<T, Failure> {
        let mut request = self.let_in(self.agent.post(self.address(path)));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.read(match body {
            Some(body) => request.send_json(body),
            None => request.send_empty(),
        })
    }

    /// Opens a stream of server-sent events behind the event `after`.
    pub(crate) fn stream(
        &self,
        path: &str,
        query: Query<'_>,
        after: Option<&str>,
    ) -> Result<BodyReader<'static>, Failure> {
        let request = self.agent.get(self.address(path));
        let mut request = self
            .let_in(request.query_pairs(query.iter().copied()))
            .header("accept", "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        let config = request.config().timeout_per_read(Some(QUIET)).build();
        let answer = self.accept(config.call())?;
        Ok(answer.into_body().into_reader())
    }

    pub(crate) fn workflow(&self, id: &str) -> Result<Workflow, Failure> {
        self.get(&format!("/api/v1/workflows/{id}"), &[])
    }

    /// All leaves of a workflow, with attempts and outputs.
    pub(crate) fn tasks(&self, id: &str) -> Result<Vec<Task>, Failure> {
        let path = format!("/api/v1/workflows/{id}/tasks");
        self.pages(&path, &[("limit", PAGE)], usize::MAX)
    }

    /// A list from its first page until it ends or has `most` rows.
    pub(crate) fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: Query<'_>,
        most: usize,
    ) -> Result<Vec<T>, Failure> {
        let mut page: Page<T> = self.get(path, query)?;
        let mut rows = page.items;
        while let Some(cursor) = page.next_cursor.as_deref().filter(|_| rows.len() < most) {
            let query = [query, &[("cursor", cursor)]].concat();
            page = self.get(path, &query)?;
            rows.append(&mut page.items);
        }
        rows.truncate(most);
        Ok(rows)
    }

    fn address(&self, path: &str) -> String {
        format!("{}{path}", self.server.url)
    }

    fn let_in<B>(&self, request: RequestBuilder<B>) -> RequestBuilder<B> {
        match &self.server.token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    fn read<T: DeserializeOwned>(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Failure> {
        let bytes = self.bytes(self.accept(answer)?.into_body())?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let url = self.url();
            let what = format!("{url} does not answer like a FlowForge server: {error}");
            Failure::new(Exit::Server, what)
        })
    }

    fn bytes(&self, mut body: Body) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        body.with_config()
            .limit(ANSWER_BYTES)
            .reader()
            .read_to_end(&mut bytes)
            .map_err(|error| self.broken(&error.into()))?;
        Ok(bytes)
    }

    /// Only answers of success; the others say what is wrong.
    fn accept(
        &self,
        answer: Result<Response<Body>, ureq::Error>,
    ) -> Result<Response<Body>, Failure> {
        let answer = answer.map_err(|error| self.broken(&error))?;
        let status = answer.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(answer);
        }
        let bytes = answer
            .into_body()
            .into_with_config()
            .limit(ANSWER_BYTES)
            .read_to_vec()
            .unwrap_or_default();
        if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
            let mut problem = Box::new(problem);
            problem.status = status;
            return Err(Failure::Refused { problem, document: None });
        }
        let what = format!("{} answers with status {status}", self.url());
        Err(Failure::new(Exit::of_answer(status, ""), what))
    }

    fn broken(&self, error: &ureq::Error) -> Failure {
        let url = self.url();
        match error {
            ureq::Error::Io(inner) if inner.kind() == std::io::ErrorKind::ConnectionRefused => {
                Failure::Absent { url: url.to_owned() }
            }
            _ => Failure::new(Exit::Server, format!("{url}: {error}")),
        }
    }
}
