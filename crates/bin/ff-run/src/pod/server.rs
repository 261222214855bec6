//! Requests to the server.

use std::fmt;
use std::time::Duration;

use flowforge_ports::pod_calls::{ATTEMPTS, Unmoved};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::{Agent, Body, SendBody};

use super::FATAL;
use super::settings::Settings;

/// A server that is there accepts within this.
const CONNECT: Duration = Duration::from_secs(5);
/// And has answered within this, also to the largest report.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes of an artifact flow, or come to be durable, within this: a transfer takes as long as it takes.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes of an answer: a work order of the largest document.
const ANSWER_BYTES: u64 = 64 * 1024 * 1024;
/// Characters shown of an answer that is no problem document.
const SHOWN: usize = 200;

/// The server, asked about one attempt. Clones share their connections.
#[derive(Clone)]
pub(super) struct Server {
    agent: Agent,
    url: String,
    token: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

/// What is read of a problem document.
#[derive(Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

/// Why the server did not do what it was asked.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    /// A stable word.
    pub(super) code: String,
    /// For people.
    pub(super) why: String,
    /// Of an answer.
    status: Option<u16>,
}

/// Why an artifact did not move.
pub(super) enum Unsent {
    /// The server did not do it.
    Trouble(Trouble),
    /// It says what its stores say.
    Said(Unmoved),
}

impl Trouble {
    /// Nobody answered.
    pub(super) fn away(code: &str, why: String) -> Self {
        Self { code: code.to_owned(), why, status: None }
    }

    /// The answer will not change.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.status, Some(409 | 410 | 413))
    }

    /// The server is there, and so is this member: others of its gang are not.
    pub(super) fn waits_for_others(&self) -> bool {
        self.status == Some(425)
    }

    /// When an answer that hardly changes is taken for final.
    pub(super) fn fatal_after(&self) -> Duration {
        if self.is_client_error() { FATAL } else { Duration::MAX }
    }

    /// These lines will never be taken. A server without the path is one of an earlier version.
    pub(super) fn refuses_lines(&self) -> bool {
        self.is_client_error() && self.status != Some(404)
    }

    /// It is the request's fault, as far as the server can tell.
    fn is_client_error(&self) -> bool {
        let passes = |status: &u16| !matches!(status, 408 | 425 | 429);
        self.status.filter(passes).is_some_and(|status| (400..500).contains(&status))
    }
}

impl Server {
    pub(super) fn new(settings: &Settings) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Tokens go to the server that was named and nowhere else.
            .max_redirects(0)
            .proxy(None)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .user_agent(concat!("ff-run/", env!("CARGO_PKG_VERSION")))
            .build();
        let endpoint = settings.endpoint.trim_end_matches('/');
        let url = format!("{endpoint}{ATTEMPTS}/{}", settings.key);
        Self { agent: config.new_agent(), url, token: String::new() }
    }

    /// The same, asked with this token.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Asks once.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        what: &str,
        body: &impl Serialize,
    ) -> Result<T, Trouble> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Trouble::away("bad_request", error.to_string()))?;
        let answer = self.send(what, &body)?;
        serde_json::from_slice(&answer).map_err(|error| {
            let why = format!("{} does not answer as a FlowForge server: {error}", self.url);
            Trouble::away("bad_answer", why)
        })
    }

    /// Sends lines, written already.
    pub(super) fn lines(&self, body: &[u8]) -> Result<(), Trouble> {
        self.send("logs", body).map(drop)
    }

    fn send(&self, what: &str, body: &[u8]) -> Result<Vec<u8>, Trouble> {
        let answer = self
            .agent
            .post(format!("{}/{what}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .content_type("application/json")
            .send(body)
            .map_err(|error| self.away(&error))?;
        let status = answer.status().as_u16();
        let bytes = self.whole(answer.into_body())?;
        if (200..300).contains(&status) { Ok(bytes) } else { Err(self.refusal(status, &bytes)) }
    }

    /// What is at `path` of this attempt; none if nothing is.
    pub(super) fn get(&self, path: &str) -> Result<Option<Body>, Unsent> {
        let request = self.agent.get(format!("{}/{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.config().timeout_global(None).timeout_per_read(Some(SILENCE));
        let answer = request.build().call().map_err(|error| Unsent::Trouble(self.away(&error)))?;
        match answer.status().as_u16() {
            204 => Ok(None),
            200 => Ok(Some(answer.into_body())),
            status => Err(self.unsent(status, answer.into_body())),
        }
    }

    /// Sends a body to `path` of this attempt. The server is asked first whether it wants it.
    pub(super) fn put(&self, path: &str, body: SendBody<'_>) -> Result<(), Unsent> {
        let request = self.agent.put(format!("{}/{path}", self.url));
        let request = request.header("authorization", format!("Bearer {}", self.token));
        let request = request.header("expect", "100-continue");
        let request = request.config().timeout_global(None);
        let request = request.timeout_per_read(Some(SILENCE)).timeout_per_write(Some(SILENCE));
        let answer = request.build().send(body);
        let answer = answer.map_err(|error| Unsent::Trouble(self.away(&error)))?;
        match answer.status().as_u16() {
            200..300 => Ok(()),
            status => Err(self.unsent(status, answer.into_body())),
        }
    }

    fn unsent(&self, status: u16, body: Body) -> Unsent {
        let bytes = match self.whole(body) {
            Ok(bytes) => bytes,
            Err(trouble) => return Unsent::Trouble(trouble),
        };
        match serde_json::from_slice::<Unmoved>(&bytes) {
            Ok(said) if status == 422 => Unsent::Said(said),
            _ => Unsent::Trouble(self.refusal(status, &bytes)),
        }
    }

    fn away(&self, error: &ureq::Error) -> Trouble {
        Trouble::away("server_away", format!("{}: {error}", self.url))
    }

    fn whole(&self, mut body: Body) -> Result<Vec<u8>, Trouble> {
        let read = body.with_config().limit(ANSWER_BYTES).read_to_vec();
        read.map_err(|error| self.away(&error))
    }

    fn refusal(&self, status: u16, bytes: &[u8]) -> Trouble {
        let (code, why) = match serde_json::from_slice::<Problem>(bytes) {
            Ok(Problem { code, detail }) => (code, detail),
            Err(_) => {
                let text = String::from_utf8_lossy(bytes);
                ("bad_answer".to_owned(), text.chars().take(SHOWN).collect())
            }
        };
        let why = format!("{} answers with status {status}: {why}", self.url);
        Trouble { code, why, status: Some(status) }
    }
}
