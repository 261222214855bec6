//! Stories: news in, things to do out.

mod gangs;

use flowforge_model::attempt::FactKind;
use flowforge_model::daemon::Daemon;
use flowforge_model::time::Millis;
use serde_json::{Value, json};

use super::*;
use crate::pod::tests::{order, process};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// A book that tells what it wants in words.
struct Story {
    book: Book,
    id: AttemptId,
    place: Place,
    name: String,
}

impl Story {
    fn new() -> Self {
        Self::of(order(process()))
    }

    fn of_a_daemon() -> Self {
        let daemon = Some(Box::new(Daemon { probe: None }));
        Self::of(WorkOrder { daemon, ..order(process()) })
    }

    fn of(order: WorkOrder) -> Self {
        let order = Arc::new(order);
        let (id, name) = (order.attempt, order.pod_name(None));
        let place = Place { attempt: id, member: None };
        let mut story = Self { book: Book::new(Bounds::default()), id, place, name };
        let asks = story.book.start(&order, NOW);
        assert_eq!(told(&asks), "make");
        assert_eq!(told(&story.book.start(&order, NOW)), "", "the second is ignored");
        story
    }

    fn pod(&self, uid: &str, version: u64, status: &Value) -> Observed {
        serde_json::from_value(json!({
            "metadata": {
                "name": self.name, "namespace": "p", "uid": uid,
                "resourceVersion": version.to_string(),
                "creationTimestamp": "2023-11-14T22:13:00Z",
                "labels": { "flowforge.io/attempt-id": self.id.to_string() },
            },
            "status": status,
        }))
        .expect("a pod")
    }

    fn made(&mut self, uid: &str, version: u64, status: &Value) -> String {
        let pod = self.pod(uid, version, status);
        told(&self.book.found(self.place, pod, NOW))
    }

    fn seen(&mut self, uid: &str, version: u64, status: &Value) -> String {
        let pod = self.pod(uid, version, status);
        told(&self.book.seen(self.place, pod, NOW))
    }
}

fn told(asks: &[Ask]) -> String {
    let word = |ask: &Ask| match ask {
        Ask::Make(_, _) => "make".to_owned(),
        Ask::GiveUp(_) => "give up".to_owned(),
        Ask::Delete(_, pod) => format!("delete {}", pod.uid),
        Ask::Read(_, pod) => format!("read {}", pod.uid),
        Ask::Tell(Fact { kind: FactKind::Started(_), .. }) => "started".to_owned(),
        Ask::Tell(Fact { kind: FactKind::Ready { ip, .. }, .. }) => format!("ready at {ip}"),
        Ask::Tell(Fact { kind: FactKind::Finished(report), .. }) => {
            report.failure.as_ref().map_or("success".to_owned(), |f| f.reason.as_str().to_owned())
        }
    };
    asks.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn pending() -> Value {
    json!({ "phase": "Pending" })
}

fn container(state: &Value) -> Value {
    json!({ "phase": "Running", "containerStatuses": [{ "name": "main", "state": state,
        "ready": true, "restartCount": 0, "image": "", "imageID": "" }] })
}

fn running() -> Value {
    container(&json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } }))
}

fn ended(code: i32, message: Option<&str>) -> Value {
    container(&json!({ "terminated": { "exitCode": code, "message": message,
        "startedAt": "2023-11-14T22:13:10Z" } }))
}

#[test]
fn a_pod_runs_and_goes_when_its_end_is_durable() {
    let mut story = Story::new();
    assert_eq!(story.made("a", 1, &pending()), "");
    assert_eq!(story.seen("a", 2, &running()), "started");
    assert_eq!(story.seen("a", 2, &running()), "", "once");
    assert_eq!(story.seen("a", 3, &ended(0, Some("reported"))), "success");
    assert_eq!(story.seen("a", 4, &ended(0, Some("reported"))), "", "once");
    assert_eq!(told(&story.book.settled(story.id)), "delete a");
    assert_eq!(told(&story.book.settled(story.id)), "");
    assert_eq!(story.book.next(), None);
}

fn ready(status: Value) -> Value {
    let mut status = status;
    status["podIP"] = json!("10.0.0.7");
    status["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
    status
}

#[test]
fn a_daemon_is_ready_once_and_so_it_is_for_the_next_runner() {
    let mut story = Story::of_a_daemon();
    assert_eq!(story.made("a", 1, &pending()), "");
    assert_eq!(story.seen("a", 2, &running()), "started");
    assert_eq!(story.seen("a", 3, &ready(running())), "ready at 10.0.0.7");
    assert_eq!(story.seen("a", 4, &running()), "", "not ready any more");
    assert_eq!(story.seen("a", 5, &ready(running())), "", "once");
    let mut next = Story::of_a_daemon();
    assert_eq!(next.made("a", 5, &ready(running())), "started, ready at 10.0.0.7");
    let mut next = Story::of_a_daemon();
    let pod = next.pod("a", 5, &ready(running()));
    assert_eq!(told(&next.book.listed(vec![pod], NOW)), "started, ready at 10.0.0.7");
    let mut other = Story::new();
    assert_eq!(other.made("a", 1, &ready(running())), "started", "no daemon");
}

#[test]
fn older_news_and_pods_of_others_are_passed_over() {
    let mut story = Story::new();
    story.seen("a", 5, &running());
    assert_eq!(
        story.seen("a", 4, &ended(3, Some("reported"))),
        "",
        "from a server that lags behind"
    );
    assert_eq!(story.seen("b", 9, &ended(3, Some("reported"))), "", "another pod");
    let gone = story.pod("b", 9, &running());
    assert_eq!(told(&story.book.vanished(story.place, Some("b"), Some(&gone), NOW)), "");
    let mut other = story.pod("a", 9, &ended(3, Some("reported")));
    other.metadata.labels = None;
    let mut story = Story::new();
    assert_eq!(told(&story.book.found(story.place, other, NOW)), "name_conflict");
    let mut story = Story::new();
    let mut misnamed = story.pod("a", 1, &running());
    misnamed.metadata.name = Some("mine".to_owned());
    assert_eq!(told(&story.book.seen(story.place, misnamed, NOW)), "");
}

#[test]
fn a_pod_that_is_found_while_it_is_made_goes_when_that_has_an_answer() {
    let mut story = Story::new();
    assert_eq!(story.seen("1", 9, &ended(0, Some("reported"))), "started, success");
    assert_eq!(told(&story.book.settled(story.id)), "give up", "or another would be made");
    assert_eq!(story.made("1", 9, &ended(0, Some("reported"))), "delete 1");
    assert_eq!(told(&story.book.settled(story.id)), "", "forgotten");
}

#[test]
fn a_pod_that_is_found_while_it_is_given_up_has_not_failed() {
    let mut story = Story::new();
    assert_eq!(story.seen("1", 1, &running()), "started");
    let failure = error(Reason::PodRefused, "not in time".to_owned());
    assert_eq!(told(&story.book.not_made(story.place, failure, NOW)), "");
    assert_eq!(story.seen("1", 2, &ended(0, Some("reported"))), "success");
}

#[test]
fn who_waits_for_a_node_is_counted() {
    let none = json!({ "phase": "Pending", "conditions": [
        { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" }] });
    let mut story = Story::new();
    story.seen("1", 1, &pending());
    assert_eq!(story.book.homeless(), 0, "nobody has looked for a node yet");
    story.seen("1", 2, &none);
    assert_eq!(story.book.homeless(), 1);
    story.seen("1", 3, &running());
    assert_eq!(story.book.homeless(), 0);
    story.seen("1", 4, &none);
    story.book.vanished(story.place, None, None, NOW);
    assert_eq!(story.book.homeless(), 0);
}

#[test]
fn silence_is_waited_for_once() {
    let mut story = Story::new();
    assert_eq!(story.seen("a", 1, &ended(3, None)), "started");
    let due = story.book.next().expect("a look");
    assert_eq!(due, NOW.plus(Millis(10_000)));
    assert_eq!(told(&story.book.tick(NOW.plus(Millis(9_999)))), "");
    assert_eq!(told(&story.book.tick(due)), "exit_code");
    assert_eq!(story.book.next(), None);
}

#[test]
fn a_stop_deletes_once_and_the_end_is_told_as_stopped() {
    let mut story = Story::new();
    story.made("a", 1, &running());
    assert_eq!(told(&story.book.stop(story.id)), "delete a");
    assert_eq!(told(&story.book.stop(story.id)), "");
    assert_eq!(story.seen("a", 2, &ended(143, Some("reported"))), "stopped");
    assert_eq!(told(&story.book.stop(story.id)), "");
    assert_eq!(told(&story.book.settled(story.id)), "", "one delete is enough");
}

#[test]
fn a_stop_before_there_is_a_pod() {
    let mut story = Story::new();
    assert_eq!(told(&story.book.stop(story.id)), "give up");
    // It was made all the same.
    assert_eq!(story.seen("a", 1, &pending()), "delete a");
    assert_eq!(told(&story.book.vanished(story.place, Some("a"), None, NOW)), "stopped");
    let mut other = Story::new();
    let failure = error(Reason::Stopped, "");
    assert_eq!(told(&other.book.not_made(other.place, failure, NOW)), "stopped");
    assert_eq!(told(&other.book.settled(other.id)), "");
}

#[test]
fn what_is_missing_in_a_list_is_looked_for() {
    let mut story = Story::new();
    assert_eq!(told(&story.book.listed(Vec::new(), NOW)), "", "it may be in the making");
    story.seen("a", 7, &running());
    assert_eq!(told(&story.book.listed(Vec::new(), NOW)), "read a");
    assert_eq!(told(&story.book.vanished(story.place, Some("a"), None, NOW)), "pod_deleted");
    assert_eq!(told(&story.book.listed(Vec::new(), NOW)), "");
}

#[test]
fn a_list_counts_also_if_versions_went_back() {
    let mut story = Story::new();
    story.seen("a", 900, &running());
    let pod = story.pod("a", 3, &ended(0, Some("reported")));
    assert_eq!(told(&story.book.listed(vec![pod], NOW)), "success");
}

#[test]
fn a_pod_that_ended_and_vanished_has_ended() {
    let mut story = Story::new();
    story.seen("a", 1, &ended(3, None));
    let last = story.pod("a", 2, &ended(3, None));
    assert_eq!(told(&story.book.vanished(story.place, Some("a"), Some(&last), NOW)), "exit_code");
}

#[test]
fn a_pod_that_lost_its_labels_is_looked_for_before_it_counts_as_gone() {
    let mut story = Story::new();
    story.seen("a", 1, &running());
    let relabelled = story.pod("a", 2, &running());
    assert_eq!(told(&story.book.gone(story.place, &relabelled, NOW)), "read a");
    let mut going = story.pod("a", 3, &running());
    let at = serde_json::from_value(json!("2023-11-14T22:13:00Z")).expect("a time");
    going.metadata.deletion_timestamp = Some(at);
    assert_eq!(told(&story.book.gone(story.place, &going, NOW)), "pod_deleted");
}
