//! The routes themselves.

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use flowforge_model::attempt::{AttemptKey, Report, WorkOrder};
use flowforge_model::id::{EntityId, PodUid};
use flowforge_model::limits;
use flowforge_model::time::Timestamp;
use flowforge_ports::logs::{LogLine, SHIPPED_LINES, Shipment};
use flowforge_ports::pod_calls::{
    ATTEMPTS, LINES_BYTES, Lines, Outcome, REPORT_BYTES, StartRequest, Started, Told,
};
use flowforge_ports::pods::{Asking, Begin, Finish, Refusal};

use super::keys::{Doubt, Pod};
use super::{PodAccess, artifacts, token};
use crate::backend::Backend;
use crate::path::AttemptPath;
use crate::problem::{Code, Failure};
use crate::{Shared, blocking, body};

/// Bytes of a question whether to begin.
const START_BYTES: usize = 4 * 1024;

type Service = State<Arc<Shared>>;

/// All of them.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    let of = |what: &str| format!("{ATTEMPTS}/{{workflow}}/{{node}}/{{number}}/{what}");
    Router::new()
        .route(&of("start"), post(start))
        .route(&of("result"), post(result))
        .route(&of("logs"), post(lines))
        .route(&of("artifacts/{name}"), put(artifacts::keep))
        .route(&of("inputs/{name}"), get(artifacts::fetch))
        .route(&of("lists/{name}"), get(artifacts::list))
}

/// Lets the first pod begin that asks, and no other; of a gang the first of each member, when all are there. It
/// must be one that an executor made for this attempt: its cluster says who it is, its name says for what.
async fn start(
    State(shared): Service,
    AttemptPath(key): AttemptPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Started>, Failure> {
    let access = access(&shared)?;
    let mut pod = believe(&shared, &access, bearer(&headers)?).await?;
    let asked: StartRequest = body::json(&shared, &headers, body, START_BYTES).await?;
    if pod.uid != asked.pod || !key.id().is_pod(&pod.name, asked.member) {
        return Err(unauthorized());
    }
    // Who makes pods in another namespace of the cluster can give them any name.
    let project = EntityId::of_namespace(&pod.namespace).ok_or_else(unauthorized)?;
    let clusters = std::mem::take(&mut pod.clusters);
    let StartRequest { pod, member, early } = asked;
    let asking = Asking { pod, project: Some(project), clusters, member, early };
    let at = shared.now();
    let begin = move |_: &dyn Backend| {
        let token = token::sign(&access.signing_key()?, key, pod);
        let begun = access.begin(asking, key, at)?;
        let token = token.ok_or_else(|| Failure::new(Code::Internal, Code::Internal.text()))?;
        Ok::<_, Failure>((token, begun))
    };
    match shared.call(begin).await? {
        (token, Begin::Run(order)) => Ok(Json(Started { token, order: *order })),
        (_, Begin::Wait) => Err(waits()),
        (_, Begin::Refused(refusal)) => Err(refused(refusal)),
    }
}

/// Takes the end of an attempt, or of a member of it. The first that is told of it counts.
async fn result(
    State(shared): Service,
    AttemptPath(key): AttemptPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Told>, Failure> {
    let access = access(&shared)?;
    let pod = known(&shared, &access, key, &headers).await?;
    let _room = Arc::clone(&access.0.reports).acquire_owned().await;
    let report: Report = body::json(&shared, &headers, body, REPORT_BYTES).await?;
    check(&report)?;
    let at = shared.now();
    let report = in_time(report, at);
    let finish = move |_: &dyn Backend| {
        // The pod has begun: this only reads what it was told to do.
        let Begin::Run(order) = access.0.pods.begin(Asking::begun(pod), key, at)? else {
            return Ok(Finish::Late);
        };
        declared(&order, &report)?;
        access.finish(pod, key, report)
    };
    let outcome = match shared.call(finish).await? {
        Finish::Taken => Outcome::Taken,
        Finish::Late => Outcome::Late,
    };
    Ok(Json(Told { outcome }))
}

/// Takes in lines, each once however often it comes. What was answered with success is kept.
async fn lines(
    State(shared): Service,
    AttemptPath(key): AttemptPath,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Told>, Failure> {
    let access = access(&shared)?;
    let pod = known(&shared, &access, key, &headers).await?;
    let lines: Lines = body::json(&shared, &headers, body, LINES_BYTES).await?;
    let from = (pod, lines.container);
    let shipment = Shipment::from(lines);
    check_lines(key, &shipment)?;
    let room = Arc::clone(&access.0.intakes);
    blocking(&room, move || access.take_in(from, &shipment)).await??;
    Ok(Json(Told { outcome: Outcome::Taken }))
}

/// The order of an attempt that is open, for the pod that has begun it.
pub(super) async fn order(
    shared: &Shared,
    key: AttemptKey,
    headers: &HeaderMap,
) -> Result<WorkOrder, Failure> {
    let access = access(shared)?;
    let pod = known(shared, &access, key, headers).await?;
    let at = shared.now();
    // The pod has begun: this only reads.
    let begin = move |_: &dyn Backend| access.0.pods.begin(Asking::begun(pod), key, at);
    match shared.call(begin).await? {
        Begin::Run(order) => Ok(*order),
        Begin::Wait => Err(waits()),
        Begin::Refused(refusal) => Err(refused(refusal)),
    }
}

fn access(shared: &Shared) -> Result<PodAccess, Failure> {
    let none = || Failure::new(Code::NotFound, "there is no such path");
    shared.config.pods.clone().ok_or_else(none)
}

/// The token that a request carries.
fn bearer(headers: &HeaderMap) -> Result<&str, Failure> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unauthorized());
    };
    let (scheme, token) =
        value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or_else(unauthorized)?;
    let token = token.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        Ok(token)
    } else {
        Err(unauthorized())
    }
}

/// The pod that its cluster's token is bound to.
async fn believe(shared: &Shared, access: &PodAccess, token: &str) -> Result<Pod, Failure> {
    for missing in [false, true] {
        let keys = match access.0.keys.cached(missing) {
            Some(keys) => keys,
            None => {
                let asked = access.clone();
                let clusters = shared.call(move |_| asked.0.pods.clusters()).await?;
                access.0.keys.learn(&clusters)
            }
        };
        match keys.pod(token) {
            Ok(pod) => return Ok(pod),
            Err(Doubt::UnknownKey) => {}
            Err(Doubt::Wrong) => break,
        }
    }
    Err(unauthorized())
}

/// The pod that the attempt's token was given to.
async fn known(
    shared: &Shared,
    access: &PodAccess,
    key: AttemptKey,
    headers: &HeaderMap,
) -> Result<PodUid, Failure> {
    let token = bearer(headers)?;
    let signing_key = match access.0.signing_key.get() {
        Some(key) => *key,
        None => {
            let access = access.clone();
            shared.call(move |_| access.signing_key()).await?
        }
    };
    token::pod_of(&signing_key, key, token).ok_or_else(unauthorized)
}

fn unauthorized() -> Failure {
    Failure::new(Code::Unauthorized, "this token does not let a pod speak of this attempt")
}

fn waits() -> Failure {
    Failure::new(Code::GangWaiting, Code::GangWaiting.text())
}

fn refused(refusal: Refusal) -> Failure {
    let code = match refusal {
        Refusal::Over => Code::AttemptOver,
        Refusal::Another => Code::AttemptTaken,
        Refusal::Stopped => Code::AttemptStopped,
    };
    Failure::new(code, code.text())
}

/// A node's clock may be wrong, and a task may say what it likes: nothing ends before it began, or later than
/// now.
fn in_time(mut report: Report, now: Timestamp) -> Report {
    report.finished_at = report.finished_at.clamp(Timestamp(0), now);
    let until = report.finished_at;
    report.started_at = report.started_at.map(|at| at.clamp(Timestamp(0), until));
    report
}

/// What a runner may say.
fn check(report: &Report) -> Result<(), Failure> {
    let invalid =
        |pointer: &str, detail: String| Failure::at(Code::InvalidRequest, pointer, detail);
    let most = limits::OUTPUT_BYTES;
    if let Some((name, _)) = report.outputs.iter().find(|(_, value)| value.len() > most) {
        return Err(invalid(
            "/outputs",
            format!("the output {name:.64} has more than {most} bytes"),
        ));
    }
    let (total, most) =
        (report.outputs.iter().map(|(_, value)| value.len()).sum(), limits::OUTPUTS_TOTAL_BYTES);
    if most < total {
        return Err(invalid("/outputs", format!("the outputs have more than {most} bytes")));
    }
    if report.result.as_ref().is_some_and(|result| result.len() > limits::RESULT_BYTES) {
        let detail = format!("the result has more than {} bytes", limits::RESULT_BYTES);
        return Err(invalid("/result", detail));
    }
    let message = report.failure.as_ref().map_or(0, |failure| failure.message.len());
    if message > limits::MESSAGE_BYTES {
        let detail = format!("the message has more than {} bytes", limits::MESSAGE_BYTES);
        return Err(invalid("/failure/message", detail));
    }
    Ok(())
}

/// A pod gives what its order names, each at most once.
fn declared(order: &WorkOrder, report: &Report) -> Result<(), Failure> {
    let mut left: HashSet<&str> = order.outputs.iter().map(|output| &*output.name).collect();
    if let Some((name, _)) = report.outputs.iter().find(|(name, _)| !left.remove(&**name)) {
        let detail = format!("the order names no output {name:.64}, or it is given twice");
        return Err(Failure::at(Code::InvalidRequest, "/outputs", detail));
    }
    artifacts::declared(order, report)
}

fn check_lines(key: AttemptKey, shipment: &Shipment) -> Result<(), Failure> {
    let invalid = |pointer: &str, detail: &str| Failure::at(Code::InvalidRequest, pointer, detail);
    if shipment.lines.len() > SHIPPED_LINES {
        let detail = format!("at most {SHIPPED_LINES} lines come at once");
        return Err(invalid("/lines", &detail));
    }
    if shipment.seq == 0 || shipment.seq.checked_add(SHIPPED_LINES as u64).is_none() {
        return Err(invalid("/seq", "lines are numbered from 1 on"));
    }
    let ours = |line: &LogLine| line.node == key.node && line.attempt == key.number;
    if shipment.workflow != key.workflow || !shipment.lines.iter().all(ours) {
        return Err(invalid("/lines", "these are lines of another attempt"));
    }
    if shipment.lines.iter().any(|line| line.text.len() > limits::LOG_LINE_BYTES) {
        let detail = format!("a line has at most {} bytes", limits::LOG_LINE_BYTES);
        return Err(invalid("/lines", &detail));
    }
    Ok(())
}
