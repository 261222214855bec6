//! Requests in the name of a project's account, each tried until there is an answer that counts.

use std::future::Future;

use flowforge_model::attempt::Failure;
use flowforge_model::id::EntityId;
use flowforge_model::status::Reason;
use http::{HeaderValue, Request};
use kube::core::request::Error as Unbuilt;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::answer::{self, No};
use super::refused;
use crate::access::PATIENCE;
use crate::answer::{Again, Answer};
use crate::backoff::Backoff;
use crate::namespaces::SERVICE_ACCOUNT;
use crate::pace::Kind;
use crate::refusal::{error, not_possible};
use crate::runner::Desk;

/// Whom a request is for, in the words of Kubernetes. The account has the rights that somebody gave it in its
/// namespace, and the groups of all service accounts; the executor may be nobody else.
const IMPERSONATE: &str = "impersonate-user";

/// A request, or why there is none.
pub(super) type Built = Result<Request<Vec<u8>>, Unbuilt>;

/// Asks for one attempt.
pub(super) struct Caller<'a> {
    pub(super) desk: &'a Desk,
    project: EntityId,
    account: HeaderValue,
    /// Whose turns it takes; none until the project was looked up.
    tenant: Option<EntityId>,
    began: Instant,
}

/// There was no answer in time.
pub(super) fn silence() -> Again {
    let why = "the cluster did not answer in time".to_owned();
    Again { why, pause: None, unknown: true, ill: true }
}

impl<'a> Caller<'a> {
    pub(super) fn new(desk: &'a Desk, project: EntityId) -> Result<Self, Failure> {
        let account = format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", project.namespace());
        let account = HeaderValue::try_from(account).map_err(|_| not_possible("no account"))?;
        Ok(Self { desk, project, account, tenant: None, began: Instant::now() })
    }

    /// The namespace is there, with the account.
    pub(super) async fn ensure(&mut self) -> Result<(), Failure> {
        let once = || async {
            let later = |why| No::Again(Again { why, pause: None, unknown: false, ill: false });
            let project = self.desk.ports.projects.project(self.project).await.map_err(later)?;
            let gone = || No::Never(not_possible("its project is not there any more"));
            let project = project.ok_or_else(gone)?;
            let (client, config) = (&self.desk.cluster.client, &self.desk.config);
            let made = self.desk.namespaces.ensure(client, config, (self.project, &project)).await;
            made.map(|()| project.tenant).map_err(|answer| match answer {
                Answer::Again(again) => No::Again(again),
                Answer::Never(failure) => No::Never(failure),
                Answer::Exists | Answer::Missing | Answer::NoNamespace | Answer::Another => {
                    later("the namespace is not there".to_owned())
                }
            })
        };
        let tenant = self.tried(once).await.map_err(|no| no.failure("the namespace"))?;
        self.tenant = Some(tenant);
        Ok(())
    }

    /// Sends it as the project's account. The answer is the object, or the last word about it.
    pub(super) async fn ask(&self, request: Built) -> Result<Value, No> {
        let request = self.signed(request)?;
        self.tried(|| self.once(&request)).await
    }

    /// The same, once.
    pub(super) async fn once(&self, request: &Request<Vec<u8>>) -> Result<Value, No> {
        let mut turn = None;
        if request.method() != http::Method::GET {
            turn =
                Some(self.desk.pace.turn(Kind::Create(self.tenant.unwrap_or(self.project))).await);
        }
        let asked = self.desk.cluster.client.request::<Value>(request.clone());
        let answer = timeout(PATIENCE, asked).await;
        drop(turn);
        match answer {
            Ok(answer) => answer.map_err(|error| answer::read(&error)),
            Err(_) => Err(No::Again(silence())),
        }
    }

    /// The request, in the name of the account.
    pub(super) fn signed(&self, request: Built) -> Result<Request<Vec<u8>>, No> {
        let mut request = request.map_err(|error| No::Never(refused(error.to_string())))?;
        request.headers_mut().insert(IMPERSONATE, self.account.clone());
        Ok(request)
    }

    /// Again and again, while that may help.
    pub(super) async fn tried<T, F>(&self, once: impl Fn() -> F) -> Result<T, No>
    where
        F: Future<Output = Result<T, No>>,
    {
        let mut backoff = Backoff::default();
        loop {
            let again = match once().await {
                Err(No::Again(again)) => again,
                Err(No::Nowhere(why)) => {
                    self.desk.namespaces.forget(self.project);
                    return Err(No::Nowhere(why));
                }
                other => return other,
            };
            // An answer that says no often enough is one. Without any, nothing is known, and it goes on.
            if !again.unknown && self.began.elapsed() > self.desk.config.bounds.start.into() {
                let message = format!("the cluster did not do it in time: {}", again.why);
                return Err(No::Never(error(Reason::ObjectRefused, message)));
            }
            self.desk.pause(&again, &mut backoff).await;
        }
    }
}

impl No {
    /// How the attempt ends for it.
    pub(super) fn failure(self, what: &str) -> Failure {
        match self {
            Self::Never(failure) => failure,
            Self::Missing(why) => refused(format!("{what} is not there: {why}")),
            Self::Exists => refused(format!("{what} is there already, and not of this attempt")),
            Self::Nowhere(why) => error(Reason::NamespaceUnavailable, why),
            Self::Again(again) => error(Reason::ObjectRefused, again.why),
        }
    }
}
