//! Stories: news in, ends out.

use flowforge_model::attempt::{Main, Program, Work, WorkOrder};
use serde_json::{Value, json};

use super::*;
use crate::pod::tests::{order, process};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const GRACE: Millis = Millis::from_secs(45);

/// One attempt, at a clock.
struct Story {
    lookout: Lookout,
    order: WorkOrder,
    stop: bool,
    now: Timestamp,
}

impl Story {
    fn new() -> Self {
        Self::of(order(process()))
    }

    fn of(order: WorkOrder) -> Self {
        let lookout = Lookout::new(Bounds::default(), GRACE);
        Self { lookout, order, stop: false, now: NOW }
    }

    fn pod(&self, (uid, member): (u128, Option<u32>), status: &Value) -> Observed {
        let mut labels = json!({ "flowforge.io/attempt-id": self.order.attempt.to_string() });
        if let Some(member) = member {
            labels["flowforge.io/member"] = json!(member.to_string());
        }
        serde_json::from_value(json!({
            "metadata": {
                "name": self.order.pod_name(member), "namespace": self.order.project.namespace(),
                "uid": uuid::Uuid::from_u128(uid).to_string(),
                "creationTimestamp": "2023-11-14T22:13:00Z", "labels": labels,
                "annotations": { "flowforge.io/attempt": self.order.key.to_string() },
            },
            "status": status,
        }))
        .expect("a pod")
    }

    fn seen(&mut self, uid: u128, status: &Value) {
        let pod = self.pod((uid, None), status);
        self.lookout.seen(pod, self.now);
    }

    /// What is said so many seconds later: whom it asks about, and what it then says of that.
    fn after(&mut self, seconds: u64) -> String {
        self.now = self.now.plus(Millis::from_secs(seconds));
        let due = self.lookout.due(self.now, 9);
        if due.is_empty() {
            return String::new();
        }
        assert_eq!(due, [self.order.key]);
        let awaited = Awaited { order: self.order.clone(), stop: self.stop };
        let Some((end, _)) = self.lookout.judge(&awaited, self.now) else {
            return "asks".to_owned();
        };
        let pods: Vec<u128> = end.pods.iter().map(|pod| pod.0.as_u128()).collect();
        let failure = end.report.failure.map(|failure| failure.reason.as_str());
        format!("{} {pods:?}", failure.unwrap_or("success"))
    }
}

fn container(phase: &str, state: &Value) -> Value {
    json!({ "phase": phase, "containerStatuses": [{ "name": "main", "state": state,
        "ready": true, "restartCount": 0, "image": "", "imageID": "" }] })
}

fn running() -> Value {
    container("Running", &json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } }))
}

fn ended(code: i32, reason: &str, at: &str) -> Value {
    let terminated = json!({ "exitCode": code, "reason": reason, "finishedAt": at });
    container("Failed", &json!({ "terminated": terminated }))
}

const AT: &str = "2023-11-14T22:13:15Z";

#[test]
fn an_end_is_told_when_it_has_stood_for_a_while() {
    let mut story = Story::new();
    story.seen(1, &running());
    assert_eq!(story.after(3600), "", "it runs");
    story.seen(1, &ended(137, "OOMKilled", AT));
    assert_eq!(story.after(44), "");
    story.seen(1, &ended(137, "OOMKilled", AT));
    assert_eq!(story.after(1), "oom_killed [1]", "hearing it again changes nothing");
    let id = story.order.attempt;
    story.lookout.over(id);
    assert_eq!(story.after(3600), "", "once");
    let pod = story.pod((1, None), &running());
    story.lookout.gone(pod, story.now);
    assert!(story.lookout.sights.is_empty() && story.lookout.due.is_empty(), "forgotten");
}

#[test]
fn what_changes_is_left_to_those_who_look_after_it() {
    let mut story = Story::new();
    for seconds in [0, 40, 40, 40] {
        assert_eq!(story.after(seconds), "");
        let message = json!({ "waiting": { "reason": "ContainerCreating", "message": seconds.to_string()
            + &story.now.0.to_string() } });
        story.seen(1, &container("Pending", &message));
    }
    assert_eq!(story.after(45), "asks", "it may yet begin");
    // 10 minutes from its creation, and the grace.
    assert_eq!(story.after(400), "");
    assert_eq!(story.after(60 + 200), "spawn_failed [1]");
}

#[test]
fn a_pod_that_is_gone_was_deleted_unless_it_had_ended() {
    let mut story = Story::new();
    story.seen(1, &running());
    let name = story.lookout.pods(story.order.attempt)[0].clone();
    story.lookout.listed(Vec::new(), story.now);
    assert_eq!(story.after(45), "pod_deleted [1]");
    // It was a list that had not heard of it: it is there.
    let pod = story.pod((1, None), &running());
    story.lookout.read(name.0, pod, story.now);
    assert_eq!(story.after(3600), "");
    story.seen(1, &ended(3, "Error", AT));
    story.lookout.vanished(name.0, &name.1, story.now);
    assert_eq!(story.after(45), "exit_code [1]");
}

#[test]
fn a_pod_that_was_made_again_stands_for_both() {
    let mut story = Story::new();
    story.seen(1, &running());
    story.seen(2, &ended(70, "Error", AT));
    assert_eq!(story.after(45), "exit_code [2, 1]");
}

#[test]
fn what_was_to_stop_has_stopped() {
    let mut story = Story::new();
    story.stop = true;
    story.seen(1, &ended(143, "Error", AT));
    assert_eq!(story.after(45), "stopped [1]");
}

#[test]
fn pods_of_others_are_not_ours() {
    let others: [fn(&mut Observed); 2] = [
        |pod| pod.metadata.namespace = Some("elsewhere".to_owned()),
        |pod| pod.metadata.name = Some("another".to_owned()),
    ];
    for change in others {
        let mut story = Story::new();
        let mut pod = story.pod((1, None), &ended(3, "Error", AT));
        change(&mut pod);
        story.lookout.seen(pod, NOW);
        assert_eq!(story.after(45), "asks");
    }
    let mut story = Story::new();
    let mut pod = story.pod((1, None), &ended(3, "Error", AT));
    pod.metadata.annotations = None;
    story.lookout.seen(pod, NOW);
    assert_eq!(story.after(45), "", "nobody knows which attempt it is");
}

fn gang(size: u32) -> Story {
    let mut gang = order(process());
    let main = Main::Gang { process: process(), size };
    gang.work = Work::Run(Box::new(Program { init: Vec::new(), main, sidecars: Vec::new() }));
    Story::of(gang)
}

fn member(story: &mut Story, index: u32, status: &Value) {
    let pod = story.pod((u128::from(index) + 1, Some(index)), status);
    story.lookout.seen(pod, story.now);
}

#[test]
fn a_gang_ends_with_its_last_member_as_the_first_that_failed() {
    let mut story = gang(3);
    member(&mut story, 0, &ended(143, "Error", "2023-11-14T22:13:20Z"));
    member(&mut story, 1, &ended(3, "Error", "2023-11-14T22:13:15Z"));
    member(&mut story, 2, &running());
    assert_eq!(story.after(45), "asks", "it is an executor's to delete what runs");
    member(&mut story, 2, &ended(143, "Error", "2023-11-14T22:13:30Z"));
    assert_eq!(story.after(45), "exit_code [2, 1, 3]");
    let awaited = Awaited { order: story.order.clone(), stop: false };
    let (end, since) = story.lookout.judge(&awaited, story.now).unwrap();
    assert_eq!(end.report.exit_code, Some(3));
    assert_eq!(since.plus(GRACE), story.now);
}

/// Members that have not begun, or have no pod, are waited for by nobody: once the end is told they never begin.
#[test]
fn a_gang_whose_member_failed_ends_with_the_last_that_has_begun() {
    let no_node = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled",
        "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available" }] });
    let mut story = gang(4);
    member(&mut story, 0, &running());
    member(&mut story, 1, &ended(3, "Error", AT));
    member(&mut story, 2, &no_node);
    let names = |story: &Story| -> Vec<_> {
        let unseen = story.lookout.unseen(&story.order).into_iter();
        unseen.map(|(place, name)| (place.member, name)).collect()
    };
    let last = (Some(3), story.order.pod_name(Some(3)));
    assert_eq!(names(&story), [last], "it may have been made unseen");
    assert_eq!(story.after(45), "asks", "the first may run, or wait for the others");
    member(&mut story, 0, &ended(143, "Error", "2023-11-14T22:13:30Z"));
    assert_eq!(story.after(45), "exit_code [2, 1]", "those that have not begun are not named");
}

#[test]
fn a_gang_none_of_whose_members_failed_is_waited_for() {
    let mut story = gang(2);
    member(&mut story, 0, &json!({ "phase": "Pending" }));
    assert_eq!(story.after(45), "asks", "the other may yet be made");
    assert_eq!(story.lookout.unseen(&story.order), []);
    let mut story = gang(2);
    story.stop = true;
    member(&mut story, 0, &json!({ "phase": "Pending" }));
    assert_eq!(story.after(45), "stopped []", "neither begins any more");
    // What has simply not begun is deleted by an executor, as ever.
    let mut alone = Story::new();
    alone.stop = true;
    alone.seen(1, &json!({ "phase": "Pending" }));
    assert_eq!(alone.after(45), "asks");
}
