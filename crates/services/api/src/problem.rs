//! Errors as they leave the server: one table of codes, one type that handlers fail with.
//!
//! A [`Failure`] is rendered in one place only, `router::finish`, which knows the request's id.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use flowforge_ports::store::StoreError;
use flowforge_wire::{Finding, Problem};

macro_rules! codes {
    ($($name:ident = $slug:literal, $status:ident, $title:literal, $text:literal;)+) => {
        /// The kinds of problems; their words are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code { $($name,)+ }

        impl Code {
            /// All kinds.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];
            /// The word for programs.
            pub(crate) fn slug(self) -> &'static str {
                match self { $(Self::$name => $slug,)+ }
            }
            /// The status it goes with.
            pub(crate) fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }
            /// The kind in a few words.
            pub(crate) fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }
            /// What it means and what to do.
            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    BadRequest = "bad_request", BAD_REQUEST, "Bad request",
        "The request cannot be understood. `detail` names the part.";
    MalformedJson = "malformed_json", BAD_REQUEST, "Malformed JSON",
        "The body is not JSON as this server takes it: UTF-8, one value, no duplicate keys, no NUL characters, at most 64 levels. `errors` names the place.";
    InvalidRequest = "invalid_request", BAD_REQUEST, "Invalid request",
        "A field is unknown, missing or of the wrong type. `errors` names every one.";
    BadParameter = "bad_parameter", BAD_REQUEST, "Bad query parameter",
        "A query parameter is unknown, repeated or has a value that it cannot have. `errors` names it.";
    BadCursor = "bad_cursor", BAD_REQUEST, "Bad cursor",
        "A cursor belongs to the list, the filter and the place it was given out for. Begin the list anew.";
    TooManyPoints = "too_many_points", BAD_REQUEST, "Too many points",
        "A chart has at most 1,000 points, and is made of at most 50,000 intervals. Ask for a longer step or a shorter time.";
    BadIdempotencyKey = "bad_idempotency_key", BAD_REQUEST, "Bad idempotency key",
        "An Idempotency-Key has 1 to 255 visible ASCII characters.";
    Unauthorized = "unauthorized", UNAUTHORIZED, "Not authenticated",
        "Send the token as `Authorization: Bearer TOKEN`. `flowforge dev` writes it to `endpoint.json` in its data directory.";
    NotFound = "not_found", NOT_FOUND, "Not found",
        "There is no such thing here, or no such path.";
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, "Method not allowed",
        "The path exists, the method does not. The header `Allow` lists those that do.";
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, "Not acceptable",
        "The header `Accept` admits none of the forms in which this is available.";
    RequestTimeout = "request_timeout", REQUEST_TIMEOUT, "Request timeout",
        "The body did not arrive in time.";
    Conflict = "conflict", CONFLICT, "Conflict",
        "The name is taken, or the row changed at the same time.";
    Refused = "refused", CONFLICT, "Not possible now",
        "The workflow is in a state in which this cannot be asked. `detail` names it.";
    AttemptOver = "attempt_over", GONE, "The attempt is over",
        "The attempt has ended, or there never was one. A pod that asks has nothing to do.";
    AttemptTaken = "attempt_taken", CONFLICT, "Another pod has begun it",
        "Another pod has begun this attempt. This one has nothing to do.";
    AttemptStopped = "attempt_stopped", CONFLICT, "The attempt is to be stopped",
        "Somebody wants the attempt stopped, and it has not begun: it does not begin any more.";
    GangWaiting = "gang_waiting", TOO_EARLY, "Others of its gang are missing",
        "This pod is a member of a gang, and other members are not ready yet. It is to ask again.";
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, "Changed meanwhile",
        "The version in `If-Match` is not the current one. Read it again, and repeat the change if it is still wanted.";
    NotEmpty = "not_empty", CONFLICT, "Not empty",
        "Something stands below it. Delete that first, or all of it with `?cascade=true`.";
    Unfinished = "unfinished_workflows", CONFLICT, "Workflows are unfinished",
        "Workflows of the project are unfinished. Wait for them, or delete it with `?drain=true`: it takes no new ones and goes with the last.";
    Draining = "draining", CONFLICT, "Being deleted",
        "It is being deleted and takes nothing new.";
    InUse = "in_use", CONFLICT, "In use",
        "Entities name this quota. Give them another one first.";
    LimitAboveAncestor = "limit_above_ancestor", UNPROCESSABLE_ENTITY, "Limit above an ancestor's",
        "No limit may be above that of an entity above. `errors` names every one that is. Lower them first, or all of them at once with `?clamp=true`.";
    InvalidQuota = "invalid_quota", UNPROCESSABLE_ENTITY, "Invalid quota",
        "A limit is a whole number that is not negative, or a quantity such as `4000m` or `8Gi`, or `null` for none; a weight is 1 to 1000. `errors` names every one that is not.";
    Misplaced = "misplaced", UNPROCESSABLE_ENTITY, "Misplaced",
        "Departments and groups stand below a tenant or a department, projects below a tenant or a group, tenants below nothing.";
    Cycle = "cycle", UNPROCESSABLE_ENTITY, "Below itself",
        "Nothing stands below itself.";
    OtherTenant = "other_tenant", UNPROCESSABLE_ENTITY, "Another tenant's",
        "Nothing moves from one tenant to another, or names what belongs to another.";
    TooDeep = "too_deep", UNPROCESSABLE_ENTITY, "Too deep",
        "A tenant has at most 8 levels, itself and its projects included.";
    TooMany = "too_many", UNPROCESSABLE_ENTITY, "Too many",
        "There are 100,000 tenants, departments, groups and projects, or as many quotas.";
    UnknownReference = "unknown_reference", UNPROCESSABLE_ENTITY, "Names what is not there",
        "A field names a parent, tenant or quota that is not there, or that several names mean. `errors` says which.";
    TooLarge = "too_large", PAYLOAD_TOO_LARGE, "Too large",
        "A body has at most 16 MiB. Large data belongs into files, many tasks come from loops.";
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, "Unsupported media type",
        "Send `application/json` or, where a workflow document is wanted, `application/yaml`; in UTF-8, not compressed.";
    InvalidWorkflow = "invalid_workflow", UNPROCESSABLE_ENTITY, "Invalid workflow",
        "The workflow document or a value that goes with it is wrong. `errors` lists everything, with line, column and a hint where there is one. Nothing was stored.";
    KeyReused = "idempotency_key_reused", UNPROCESSABLE_ENTITY, "Idempotency key reused",
        "The Idempotency-Key was used with another request. Use a new key for a new request.";
    TooManyStreams = "too_many_streams", TOO_MANY_REQUESTS, "Too many streams",
        "Too many event or log streams are open. Close some, or read pages.";
    TooManyTransfers = "too_many_transfers", TOO_MANY_REQUESTS, "Too many transfers",
        "An attempt moves at most 4 artifacts at a time. Wait for one of them.";
    Internal = "internal", INTERNAL_SERVER_ERROR, "Internal error",
        "The server failed. Its log has the details under the request's id.";
    Corrupt = "corrupt", INTERNAL_SERVER_ERROR, "Unreadable row",
        "A stored row cannot be read. The server's log has the details under the request's id; `flowforge doctor` looks at the whole database.";
    Unavailable = "unavailable", SERVICE_UNAVAILABLE, "Unavailable",
        "The database did not answer, or this server is not in charge. Whether a write was done is unknown: repeat it with the same Idempotency-Key.";
    QueueUnavailable = "queue_unavailable", SERVICE_UNAVAILABLE, "Queue unavailable",
        "The queue between servers does not answer. Workflows are taken and carried on without it, more slowly; only what is in it cannot be shown.";
    SchedulerUnavailable = "scheduler_unavailable", SERVICE_UNAVAILABLE, "Scheduler unavailable",
        "The scheduler that decides cannot be asked now. Workflows go on without that; only why something waits and who uses what cannot be said. Servers of their own need `scheduler.token_file`, the same for API servers and schedulers, and a `scheduler.listen` that API servers reach; after a change of leaders it takes some seconds.";
    LogsUnavailable = "logs_unavailable", SERVICE_UNAVAILABLE, "Logs unavailable",
        "The output of tasks cannot be read now: the log aggregator does not answer. Everything else works, and no output is lost meanwhile: executors keep it.";
}

/// Why a request is not answered as wished.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    detail: String,
    errors: Vec<Finding>,
    omitted: u64,
}

impl Failure {
    /// A failure with its detail for people.
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), errors: Vec::new(), omitted: 0 }
    }

    /// A failure that is the fault of one place, a query parameter as `?name`.
    pub(crate) fn at(code: Code, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::with(code, vec![finding(code.slug(), pointer, detail)], 0)
    }

    /// A failure with everything that is wrong.
    pub(crate) fn with(code: Code, errors: Vec<Finding>, omitted: u64) -> Self {
        let total = u64::try_from(errors.len()).unwrap_or(u64::MAX).saturating_add(omitted);
        let first = errors.first().map_or("", |one| &one.detail);
        let detail =
            if total > 1 { format!("{first} (and {} more)", total - 1) } else { first.to_owned() };
        Self { code, detail, errors, omitted }
    }

    /// The same of a part of a body, which stands at `pointer`. Places are those of the body.
    pub(crate) fn within(mut self, pointer: &str) -> Self {
        for found in &mut self.errors {
            if !found.pointer.starts_with(pointer) {
                found.pointer.insert_str(0, pointer);
            }
        }
        if self.errors.is_empty() {
            self.errors = vec![finding(self.code.slug(), pointer, self.detail.clone())];
        }
        self
    }

    /// What is wrong, if places are known.
    pub(crate) fn into_errors(self) -> (Vec<Finding>, u64) {
        if self.errors.is_empty() {
            (vec![finding(self.code.slug(), "", self.detail)], self.omitted)
        } else {
            (self.errors, self.omitted)
        }
    }

    /// The document of the answer.
    pub(crate) fn document(self, path: &str, request_id: &str) -> Problem {
        Problem {
            r#type: format!("/problems/{}", self.code.slug()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail,
            instance: Some(path.chars().take(256).collect()),
            code: self.code.slug().to_owned(),
            request_id: request_id.to_owned(),
            errors: self.errors,
            omitted: self.omitted,
        }
    }
}

/// One thing that is wrong, without a line.
pub(crate) fn finding(
    code: &str,
    pointer: impl Into<String>,
    detail: impl Into<String>,
) -> Finding {
    Finding {
        pointer: pointer.into(),
        detail: detail.into(),
        code: code.to_owned(),
        ..Finding::default()
    }
}

/// What a client sent, escaped and cut to 64 characters, to be shown to people.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(64).flat_map(char::escape_debug).collect();
    if text.chars().nth(64).is_some() {
        short.push('…');
    }
    short
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Failure {
    /// The one table from what a store cannot do to what a client is told. Inner details go to
    /// the log only.
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::NotFound => Code::NotFound,
            StoreError::Conflict(_) => Code::Conflict,
            StoreError::Refused(_) => Code::Refused,
            StoreError::KeyReused => Code::KeyReused,
            StoreError::Corrupt(_) => Code::Corrupt,
            StoreError::Fenced
            | StoreError::Overtaken(_)
            | StoreError::FutureSchema { .. }
            | StoreError::Unavailable(_) => Code::Unavailable,
        };
        let detail = match error {
            StoreError::Conflict(text) | StoreError::Refused(text) => text,
            StoreError::NotFound => "there is no such workflow, task or project".to_owned(),
            StoreError::KeyReused => error.to_string(),
            inner => {
                tracing::error!(error = %inner, "the store failed");
                code.text().to_owned()
            }
        };
        Self::new(code, detail)
    }
}

impl Failure {
    /// What a client is told of logs that cannot be read. Inner details go to the log only.
    pub(crate) fn of_logs(error: &std::io::Error) -> Self {
        tracing::error!(%error, "the logs cannot be read");
        Self::new(Code::LogsUnavailable, Code::LogsUnavailable.text())
    }

    /// What a pod is told of lines that cannot be taken in. Inner details go to the log only.
    pub(crate) fn of_intake(error: &std::io::Error) -> Self {
        tracing::error!(%error, "lines of a pod cannot be taken in");
        Self::new(Code::LogsUnavailable, "the lines cannot be taken in now: send them again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_echoed_is_escaped_and_cut() {
        assert_eq!(shown("a\r\nb\u{202e}"), "a\\r\\nb\\u{202e}");
        assert_eq!(shown(&"x".repeat(1000)).chars().count(), 65);
    }

    #[test]
    fn inner_details_of_the_store_stay_inside() {
        let failure = Failure::from(StoreError::Unavailable("/secret/path".to_owned()));
        let document = failure.document("/x", "r");
        assert_eq!(document.status, 503);
        assert!(!document.detail.contains("secret"));
    }
}
