//! Until an object is as it should be: by a watch, never by asking again and again.

use flowforge_model::attempt::Failure;
use flowforge_model::object::Condition;
use flowforge_model::status::Reason;
use futures_util::StreamExt as _;
use kube::api::{GetParams, WatchEvent, WatchParams};
use kube::core::Request;
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::answer::{self, No};
use super::caller::{Caller, silence};
use super::place::Place;
use super::user;
use crate::access::PATIENCE;
use crate::answer::Again;
use crate::backoff::Backoff;
use crate::watch::{SESSION, SHORT, SILENCE};

/// What is waited for.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) success: Option<Condition>,
    /// With how it was written.
    pub(super) failure: Option<(Condition, String)>,
}

/// What a session of a watch came to.
enum Over {
    /// The object is as it should be.
    Done(Value),
    /// Nothing is decided: it is read and watched again.
    Again,
}

impl Conditions {
    /// Whether it is as it should be. Failure is looked for first; without a success to wait for, what does not
    /// fail is done, as in Argo.
    fn met(&self, place: &Place, object: &Value) -> Result<bool, Failure> {
        if let Some((_, written)) = self.failure.as_ref().filter(|(failure, _)| failure.any(object))
        {
            let status = object.pointer("/status").map(ToString::to_string).unwrap_or_default();
            let status: String = status.chars().take(500).collect();
            let message =
                format!("{} meets its failureCondition {written:?}: status {status}", place.what);
            return Err(user(Reason::ObjectFailed, message));
        }
        Ok(self.success.as_ref().is_none_or(|success| success.all(object)))
    }
}

/// Waits from the version that `object` is.
pub(super) async fn wait(
    caller: &Caller<'_>,
    place: &Place,
    conditions: &Conditions,
    mut object: Value,
) -> Result<Value, Failure> {
    let uid = text(&object, "/metadata/uid");
    let mut backoff = Backoff::default();
    loop {
        if text(&object, "/metadata/uid") != uid {
            return Err(gone(place));
        }
        if conditions.met(place, &object)? {
            return Ok(object);
        }
        let began = Instant::now();
        let version = text(&object, "/metadata/resourceVersion");
        let watched = session(caller, place, conditions, (&uid, &version)).await;
        match watched.map_err(|no| no.failure(&place.what))? {
            Over::Done(object) => return Ok(object),
            Over::Again if began.elapsed() > SHORT => backoff = Backoff::default(),
            Over::Again => tokio::time::sleep(backoff.next()).await,
        }
        let request = Request::new(place.path.clone()).get(&place.name, &GetParams::default());
        object = match caller.ask(request).await {
            Ok(object) => object,
            Err(No::Missing(_)) => return Err(gone(place)),
            Err(no) => return Err(no.failure(&place.what)),
        };
    }
}

async fn session(
    caller: &Caller<'_>,
    place: &Place,
    conditions: &Conditions,
    (uid, version): (&str, &str),
) -> Result<Over, No> {
    let how =
        WatchParams::default().fields(&format!("metadata.name={}", place.name)).timeout(SESSION);
    let request = caller.signed(Request::new(place.path.clone()).watch(&how, version))?;
    let events = caller.desk.cluster.client.request_events::<Value>(request);
    let events = match timeout(PATIENCE, events).await {
        Ok(events) => events.map_err(|error| answer::read(&error)),
        Err(_) => Err(No::Again(silence())),
    };
    let events = match events {
        Ok(events) => events,
        Err(no) => return over(no),
    };
    let mut events = std::pin::pin!(events);
    loop {
        let Ok(event) = timeout(SILENCE, events.next()).await else {
            return over(No::Again(silence()));
        };
        let object = match event {
            None => return Ok(Over::Again),
            Some(Err(error)) => return over(answer::read(&error)),
            Some(Ok(WatchEvent::Bookmark(_))) => continue,
            // The history that it needs is gone: it is read again.
            Some(Ok(WatchEvent::Error(status))) if status.code == 410 => return Ok(Over::Again),
            Some(Ok(WatchEvent::Error(status))) => return over(answer::of_status(&status)),
            Some(Ok(WatchEvent::Deleted(object))) => {
                if text(&object, "/metadata/uid") == uid {
                    // Its last state may be what was waited for.
                    return match conditions.met(place, &object) {
                        Ok(true) => Ok(Over::Done(object)),
                        Ok(false) => Err(No::Never(gone(place))),
                        Err(failure) => Err(No::Never(failure)),
                    };
                }
                continue;
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => object,
        };
        if text(&object, "/metadata/uid") == uid
            && conditions.met(place, &object).map_err(No::Never)?
        {
            return Ok(Over::Done(object));
        }
    }
}

/// A watch that broke is begun again; one that may not be is the end.
fn over(no: No) -> Result<Over, No> {
    match no {
        No::Again(Again { why, .. }) => {
            tracing::debug!(%why, "an object is watched again");
            Ok(Over::Again)
        }
        No::Exists | No::Missing(_) | No::Nowhere(_) | No::Never(_) => Err(no),
    }
}

fn gone(place: &Place) -> Failure {
    let message = format!("{} was deleted while it was waited for", place.what);
    user(Reason::ObjectFailed, message)
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn failure_is_looked_for_first_and_without_success_nothing_is_waited_for() {
        let place = Place { path: String::new(), name: "a".into(), what: "Job a".into() };
        let of = |success: Option<&str>, failure: Option<&str>| {
            let read = |source: &str| Condition::parse(source).expect(source);
            let failure = failure.map(|source| (read(source), source.to_owned()));
            Conditions { success: success.map(read), failure }
        };
        let object = json!({ "status": { "failed": 1, "succeeded": 1 } });
        let (one, none) = (Some("status.succeeded > 0"), Some("status.failed > 9"));
        let met = |success, failure| of(success, failure).met(&place, &object);
        assert_eq!(met(None, None), Ok(true));
        assert_eq!(met(None, none), Ok(true));
        assert_eq!(met(one, none), Ok(true));
        assert_eq!(met(Some("status.succeeded > 1"), none), Ok(false));
        let failure = met(one, Some("status.none, status.failed > 0")).expect_err("failed");
        assert_eq!(
            failure.message,
            "Job a meets its failureCondition \"status.none, status.failed > 0\": status {\"failed\":1,\"succeeded\":1}"
        );
    }
}
