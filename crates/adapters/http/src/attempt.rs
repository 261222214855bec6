//! One HTTP task, from its order to its report.

use std::time::{Duration, Instant};

use flowforge_model::attempt::{
    Fact, FactKind, Failure, FailureClass, Report, Request, Work, WorkOrder,
};
use flowforge_model::limits;
use flowforge_model::status::Reason;

use crate::client::{Call, Client, Payload};
use crate::condition::{Seen, fault};
use crate::error::HttpError;
use crate::log::Log;
use crate::runner::Shared;
use crate::secret;

/// Sends the request and reports what came of it. `client` is this attempt's own: whoever wants
/// it to end shuts the client down.
pub(crate) fn run(shared: &Shared, order: &WorkOrder, client: &Client) -> Report {
    let Work::Request(request) = &order.work else {
        let failure = Failure {
            class: FailureClass::Error,
            reason: Reason::NotPossible,
            message: "this is no HTTP request".to_owned(),
        };
        return shared.failed(failure);
    };
    let setup = &shared.setup;
    let started_at = setup.clock.now();
    setup.facts.deliver(Fact { key: order.key, kind: FactKind::Started(started_at) });
    let log = Log { key: order.key, logs: &*setup.logs, clock: &*setup.clock };
    let begun = Instant::now();
    let asked = ask(shared, request, order.deadline.map(Duration::from), client, &log);
    let (failure, result) = match asked {
        Ok(body) => (None, Some(body)),
        Err(failure) => (Some(failure), None),
    };
    let took = begun.elapsed().as_millis();
    match &failure {
        None => log.say(&format!("succeeded after {took} ms")),
        Some(failure) => log.say(&format!("failed after {took} ms: {}", failure.message)),
    }
    Report {
        started_at: Some(started_at),
        finished_at: setup.clock.now(),
        exit_code: None,
        failure,
        outputs: Vec::new(),
        artifacts: Vec::new(),
        result,
    }
}

fn ask(
    shared: &Shared,
    request: &Request,
    deadline: Option<Duration>,
    client: &Client,
    log: &Log<'_>,
) -> Result<String, Failure> {
    let headers = secret::headers(&request.headers, &*shared.setup.secrets);
    let headers = headers.map_err(|message| Failure {
        class: FailureClass::Error,
        reason: Reason::SecretMissing,
        message,
    })?;
    log.say(&format!("{} {}", request.method, request.url));
    let timeout = Duration::from(request.timeout);
    let late = deadline.is_some_and(|deadline| deadline < timeout);
    let failed = |error: HttpError| {
        if late && matches!(error, HttpError::TimedOut(_)) {
            return Failure {
                class: FailureClass::User,
                reason: Reason::Deadline,
                message: "stopped: it ran longer than its deadline".to_owned(),
            };
        }
        let class = if error.transient() { FailureClass::Transient } else { class(&error) };
        http_failed(class, error.to_string())
    };
    let call = Call {
        method: &request.method,
        url: &request.url,
        headers: &headers,
        timeout: Some(deadline.map_or(timeout, |deadline| deadline.min(timeout))),
        insecure: request.insecure,
        redirects: true,
    };
    let payload = match request.body.as_bytes() {
        [] => Payload::None,
        bytes => Payload::Bytes(bytes),
    };
    let answer = client.send(&call, payload).map_err(failed)?;
    let status = answer.status;
    let received: Vec<_> = answer.headers().map(|(name, value)| (name.to_owned(), value)).collect();
    let bytes = answer.bytes(limits::OUTPUT_BYTES).map_err(failed)?;
    log.say(&format!("answer {status}, {} bytes", bytes.len()));
    let body = String::from_utf8_lossy(&bytes).into_owned();
    let seen = Seen { status, headers: &received, body: &body };
    match fault(request, &seen) {
        None => Ok(body),
        Some(message) => Err(http_failed(FailureClass::User, message)),
    }
}

/// Whose fault it is that there is no answer.
fn class(error: &HttpError) -> FailureClass {
    match error {
        HttpError::Invalid(_) => FailureClass::User,
        HttpError::NoAnswer(_) | HttpError::TimedOut(_) => FailureClass::Transient,
        HttpError::Refused { .. } | HttpError::Untrusted(_) | HttpError::Stopped => {
            FailureClass::Error
        }
    }
}

fn http_failed(class: FailureClass, message: String) -> Failure {
    Failure { class, reason: Reason::HttpFailed, message }
}
