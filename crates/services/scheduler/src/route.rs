//! The way of an API server to the scheduler that leads.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use flowforge_http::{Allow, Call, Client, Header, Payload};
use flowforge_ports::explain::{Answer, ExplainError, Explains, Question};
use flowforge_ports::leases::{Leader, Leaders, Role};
use tokio::runtime::Handle;

use crate::Desk;
use crate::service::{PATH, Posed};

/// For one answer: more than the scheduler's own patience.
const ANSWER: Duration = Duration::from_secs(8);
/// Bytes of an answer: a hundred explanations have some 300 KB.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;
/// Of a refusal, so much is shown.
const SHOWN: usize = 200;

/// Finds the leader in the store at every question, and asks it: here, or over HTTP. Whoever it finds
/// answers only if it leads in that epoch. Call it on a blocking thread of a tokio runtime.
pub struct Route<S> {
    store: Arc<S>,
    here: Option<Desk>,
    client: Client,
    token: Option<String>,
}

impl<S> fmt::Debug for Route<S> {
    /// Without the token: debug text ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Route").finish_non_exhaustive()
    }
}

impl<S: Leaders> Route<S> {
    /// By what the store says. `here` is the scheduler of this process, if it has one; without the
    /// token that all share, only that one is asked.
    #[must_use]
    pub fn new(store: Arc<S>, here: Option<Desk>, token: Option<String>) -> Self {
        Self { store, here, client: Client::new(Allow::everything()), token }
    }

    fn over_http(&self, leader: &Leader, question: &Question) -> Result<Answer, ExplainError> {
        let away = |why: &str| ExplainError::Away(why.to_owned());
        let Some(token) = &self.token else {
            return Err(away("set scheduler.token_file for API servers and schedulers alike"));
        };
        let Some(url) = &leader.url else {
            return Err(away("the one that leads does not listen: set scheduler.token_file there"));
        };
        let header = |name: &str, value: String, secret| Header {
            name: name.to_owned(),
            value: value.into_bytes(),
            secret,
        };
        let headers = [
            header("authorization", format!("Bearer {token}"), true),
            header("content-type", "application/json".to_owned(), false),
        ];
        let url = format!("{}{PATH}", url.trim_end_matches('/'));
        let call = Call {
            method: "POST",
            url: &url,
            headers: &headers,
            timeout: Some(ANSWER),
            insecure: false,
            redirects: false,
        };
        let posed = Posed { epoch: leader.epoch, question: question.clone() };
        let said = |error: String| ExplainError::Away(format!("{url}: {error}"));
        let body = serde_json::to_vec(&posed).map_err(|error| said(error.to_string()))?;
        let answer = self.client.send(&call, Payload::Bytes(&body));
        let answer = answer.map_err(|error| said(error.to_string()))?;
        let status = answer.status;
        let bytes = answer.bytes(ANSWER_BYTES).map_err(|error| said(error.to_string()))?;
        if status != 200 {
            let what: String = String::from_utf8_lossy(&bytes).chars().take(SHOWN).collect();
            return Err(said(format!("status {status}, {what}")));
        }
        serde_json::from_slice(&bytes).map_err(|error| said(error.to_string()))
    }
}

impl<S: Leaders> Explains for Route<S> {
    fn ask(&self, question: &Question) -> Result<Answer, ExplainError> {
        let led = Handle::current().block_on(self.store.leader(Role::Scheduler));
        let led = led.map_err(|error| ExplainError::Away(error.to_string()))?;
        let leader = led.ok_or_else(|| ExplainError::Away("nobody leads now".to_owned()))?;
        // The one in this process may stand by while another leads.
        let here = self.here.as_ref().map(|desk| desk.ask(leader.epoch, question.clone()));
        match here {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(_)) if leader.url.is_some() && self.token.is_some() => {
                self.over_http(&leader, question)
            }
            Some(Err(error)) => Err(error),
            None => self.over_http(&leader, question),
        }
    }
}
