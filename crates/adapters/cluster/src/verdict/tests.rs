//! Statuses as clusters write them, and what they mean.

use flowforge_model::attempt::{Main, Member, OutputFile, Process, Program, Work};
use serde_json::{Value, json};

use super::*;
use crate::pod::tests::{order, process};

const NOW: Timestamp = Timestamp(1_700_000_000_000);

fn pod(status: &Value, deletion: Option<&str>) -> Observed {
    let metadata =
        json!({ "creationTimestamp": "2023-11-14T22:13:00Z", "deletionTimestamp": deletion });
    serde_json::from_value(json!({ "metadata": metadata, "status": status })).expect("a pod")
}

fn main(state: &Value) -> Value {
    json!({ "phase": "Running", "containerStatuses": [status("main", state)] })
}

fn status(name: &str, state: &Value) -> Value {
    let image = "busybox";
    json!({ "name": name, "state": state, "ready": false, "restartCount": 0, "image": image, "imageID": "" })
}

fn terminated(code: i32, reason: &str, message: Option<&str>) -> Value {
    json!({ "terminated": {
        "exitCode": code, "reason": reason, "message": message,
        "startedAt": "2023-11-14T22:13:10Z", "finishedAt": "2023-11-14T22:13:15Z",
    } })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({
        "phase": "Pending",
        "containerStatuses": [status("main", &json!({ "waiting": { "reason": reason, "message": message } }))],
    })
}

/// In one line: what comes next at `after` ms from the first look.
fn told(pod: &Observed, stopped: bool, after: u64) -> String {
    told_of(&order(process()), pod, stopped, after)
}

fn told_of(order: &WorkOrder, pod: &Observed, stopped: bool, after: u64) -> String {
    let mut memory = Memory { stopped, ..Memory::default() };
    let bounds = Bounds::default();
    let first = look(order, pod, &mut memory, &bounds, NOW);
    let last = if after == 0 {
        first
    } else {
        look(order, pod, &mut memory, &bounds, NOW.plus(Millis(after)))
    };
    match last.next {
        Next::Wait(None) if last.started_at.is_some() => "runs".to_owned(),
        Next::Wait(None) => "waits".to_owned(),
        Next::Wait(Some(until)) => format!("waits {} ms", until.since(NOW).0),
        Next::Ended(report) => report_line(&report),
    }
}

fn report_line(report: &Report) -> String {
    let code = report.exit_code.map_or("-".to_owned(), |code| code.to_string());
    match &report.failure {
        None => format!("success {code}"),
        Some(f) => format!("{:?} {} {code}: {}", f.class, f.reason.as_str(), f.message),
    }
}

const SILENCE: u64 = 10_000;

const DELETED: Option<&str> = Some("2023-11-14T22:13:20Z");

/// A container that ended, looked at when its silence is over.
fn ended(code: i32, reason: &str, message: Option<&str>) -> String {
    told(&pod(&main(&terminated(code, reason, message)), None), false, SILENCE)
}

/// The same at first sight.
fn at_once(code: i32, message: &str, stopped: bool) -> String {
    told(&pod(&main(&terminated(code, "Error", Some(message))), None), stopped, 0)
}

#[test]
fn a_container_ended() {
    let silent = pod(&main(&terminated(0, "Completed", None)), None);
    let rows = [
        ("told 0", at_once(0, "reported\n", false)),
        ("told 3", at_once(3, "reported", false)),
        ("told, stopped", at_once(143, "reported", true)),
        ("unreported", at_once(3, "unreported: no route", false)),
        ("refused", at_once(88, "refused: another", false)),
        ("refused, stopped", at_once(88, "refused: stopped", true)),
        ("0 at first", told(&silent, false, 0)),
        ("0 later", ended(0, "Completed", None)),
        ("3", ended(3, "Error", None)),
        ("3, of its own words", ended(3, "Error", Some("I refused: it"))),
        ("137", ended(137, "Error", None)),
        ("oom", ended(137, "OOMKilled", None)),
        ("88 of the user", ended(88, "Error", None)),
        ("no runner", ended(128, "StartError", Some("exec: not found"))),
    ];
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn a_pod_ended() {
    let now = |status: &Value| told(&pod(status, None), false, 0);
    let later = |status: &Value| told(&pod(status, DELETED), false, SILENCE);
    let by = |code, reason: &str| main(&terminated(code, reason, None));
    let with = |mut status: Value, more: &Value| {
        for (key, value) in more.as_object().into_iter().flatten() {
            status[key] = value.clone();
        }
        status
    };
    let taint = json!({ "conditions": [{ "type": "DisruptionTarget", "status": "True",
        "reason": "DeletionByTaintManager", "message": "NoExecute taint" }] });
    let orphan = json!({ "phase": "Failed", "conditions": [{ "type": "DisruptionTarget",
        "status": "True", "reason": "DeletionByPodGC", "message": "node no longer exists" }] });
    let late = json!({ "phase": "Failed", "reason": "DeadlineExceeded" });
    let init = |code| {
        let ended = terminated(code, "Error", Some("no space"));
        json!({ "phase": "Pending", "initContainerStatuses": [status("flowforge-sdk-init", &ended)] })
    };
    let failed =
        |reason, message| json!({ "phase": "Failed", "reason": reason, "message": message });
    let lost = with(by(137, "ContainerStatusUnknown"), &json!({ "phase": "Failed" }));
    let rows = [
        ("stopped", told(&pod(&by(143, "Error"), DELETED), true, SILENCE)),
        ("deleted", later(&by(143, "Error"))),
        ("deleted, done", later(&by(0, "Completed"))),
        ("deleted, failed", later(&by(3, "Error"))),
        ("evicted", now(&failed("Evicted", "low on memory"))),
        ("drained", later(&with(by(143, "Error"), &taint))),
        ("drained, done", later(&with(by(0, "Completed"), &taint))),
        ("its node is gone", now(&with(main(&json!({ "running": {} })), &orphan))),
        ("deadline", told(&pod(&with(by(137, "Error"), &late), None), false, SILENCE)),
        ("refused by node", now(&failed("OutOfcpu", "no room"))),
        ("unknown end", now(&lost)),
        ("init 0", now(&init(0))),
        ("init 1", now(&init(1))),
        ("init 1, deleted", later(&init(1))),
    ];
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn a_pod_goes_on() {
    let running = main(&json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } }));
    let gone = Some("2023-11-14T22:10:00Z");
    let rows = [
        ("runs", told(&pod(&running, None), false, 0)),
        ("deleting", told(&pod(&running, DELETED), false, 0)),
        ("node lost", told(&pod(&running, gone), false, 0)),
        ("node lost, stopped", told(&pod(&running, gone), true, 0)),
        ("unknown", told(&pod(&json!({ "phase": "Unknown" }), None), false, 10_000_000)),
        ("nothing at all", told(&Observed::default(), false, 10_000_000)),
    ];
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn waits() {
    let unschedulable = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled",
        "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available" }] });
    let pull = waiting("ImagePullBackOff", "back-off pulling");
    let config = waiting("CreateContainerConfigError", "secret \"db\" not found");
    let root = waiting("CreateContainerConfigError", "container has runAsNonRoot");
    let minutes = |minutes: u64| minutes * 60_000;
    let rows = [
        ("pending", told(&pod(&json!({ "phase": "Pending" }), None), false, 0)),
        ("unschedulable", told(&pod(&unschedulable, None), false, minutes(9))),
        ("unschedulable too long", told(&pod(&unschedulable, None), false, minutes(10))),
        ("pull", told(&pod(&pull, None), false, 0)),
        ("pull too long", told(&pod(&pull, None), false, minutes(5))),
        ("never", told(&pod(&waiting("ErrImageNeverPull", "x"), None), false, 0)),
        ("no name", told(&pod(&waiting("InvalidImageName", "x"), None), false, 0)),
        ("secret", told(&pod(&config, None), false, 0)),
        ("secret too long", told(&pod(&config, None), false, minutes(1))),
        ("root", told(&pod(&root, None), false, minutes(1))),
        ("mount too long", told(&pod(&waiting("ContainerCreating", ""), None), false, minutes(10))),
    ];
    insta::assert_snapshot!(lines(&rows));
}

/// A pod whose artifacts are fetched, or were.
fn fetching(state: &Value, main: Option<&Value>) -> Observed {
    let mut all = json!({ "phase": "Pending",
        "initContainerStatuses": [status("flowforge-inputs", state)] });
    if let Some(main) = main {
        all["containerStatuses"] = json!([status("main", main)]);
    }
    pod(&all, None)
}

#[test]
fn artifacts_are_fetched_before() {
    let running = json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } });
    let pull = json!({ "waiting": { "reason": "ErrImagePull", "message": "no such image" } });
    let creating = json!({ "waiting": { "reason": "PodInitializing", "message": "" } });
    let hours = 3 * 3_600_000;
    let ended = |code, message| fetching(&terminated(code, "Error", message), None);
    let done = json!({ "terminated": { "exitCode": 0, "finishedAt": "2023-11-14T23:13:00Z" } });
    let first = |pod: &Observed, stopped| told(pod, stopped, 0);
    let rows = [
        ("for hours", told(&fetching(&running, None), false, hours)),
        ("no image", told(&fetching(&pull, None), false, 300_000)),
        ("done after an hour", told(&fetching(&done, Some(&creating)), false, 3_600_000)),
        ("done, and nothing came", told(&fetching(&done, Some(&creating)), false, hours)),
        ("told", first(&ended(1, Some("reported")), false)),
        ("unreported", first(&ended(1, Some("unreported: server_away: no route")), false)),
        ("killed", first(&ended(137, None), false)),
        ("refused", first(&ended(88, Some("refused: attempt_taken")), false)),
        ("refused, stopped", first(&ended(88, Some("refused: attempt_stopped")), true)),
    ];
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn a_pull_that_is_tried_again_is_the_same_trouble() {
    let bounds = Bounds::default();
    let order = order(process());
    let mut memory = Memory::default();
    let mut at = |reason: &str, ms: u64| {
        look(&order, &pod(&waiting(reason, ""), None), &mut memory, &bounds, NOW.plus(Millis(ms)))
    };
    at("ErrImagePull", 0);
    at("ContainerCreating", 100_000);
    at("ImagePullBackOff", 200_000);
    let last = at("ErrImagePull", 300_000);
    assert!(matches!(last.next, Next::Ended(_)), "{last:?}");
}

/// An order of several containers: `init` before `main`, or a set of `main` and `b`; `proxy` is beside them.
fn several(set: bool) -> WorkOrder {
    let one = |name: &str| Process { name: name.to_owned(), ..process() };
    let members = ["main", "b"].map(|name| Member { process: one(name), after: Vec::new() });
    let set_of = Main::Set { members: members.into(), retries: 0, wait: Millis(0) };
    let main = if set { set_of } else { Main::One(one("main")) };
    let mut order = order(process());
    let (init, sidecars) = (vec![one("init")], vec![one("proxy")]);
    order.work = Work::Run(Box::new(Program { init, main, sidecars }));
    order
}

/// Its status from states of containers.
fn of_states(phase: &str, init: &Value, main: &[(&str, &Value)]) -> Observed {
    let main: Vec<_> = main.iter().map(|(name, state)| status(name, state)).collect();
    let sdk = status("flowforge-sdk-init", &terminated(0, "Completed", None));
    let init = [sdk, status("init", init)];
    let all = json!({ "phase": phase, "initContainerStatuses": init, "containerStatuses": main });
    pod(&all, None)
}

#[test]
fn several_containers() {
    let state = |code, word: &str| terminated(code, "Error", (!word.is_empty()).then_some(word));
    let waits = json!({ "waiting": { "reason": "PodInitializing" } });
    let creating = json!({ "waiting": { "reason": "ContainerCreating" } });
    let pull = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no" } });
    let runs = json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } });
    let done = state(0, "done");
    let later = |mut state: Value| {
        state["terminated"]["finishedAt"] = json!("2023-11-14T22:13:17Z");
        state
    };
    let before = |phase: &str, init: &Value, main: &Value, after| {
        told_of(&several(false), &of_states(phase, init, &[("main", main)]), false, after)
    };
    let set = |phase: &str, main: &Value, b: &Value, after| {
        let pod = of_states(phase, &done, &[("main", main), ("b", b)]);
        told_of(&several(true), &pod, false, after)
    };
    let late = 3_600_000;
    let rows = [
        ("before runs long", before("Pending", &runs, &waits, late)),
        ("before pulls long", before("Pending", &pull, &waits, late)),
        ("main pulls long", before("Pending", &done, &pull, 300_000)),
        ("main is made long", before("Pending", &done, &creating, 615_000)),
        ("before failed, told", before("Failed", &state(3, "reported"), &waits, 0)),
        ("before failed, silent", before("Failed", &state(3, ""), &waits, 0)),
        ("before failed, silent later", before("Failed", &state(3, ""), &waits, SILENCE)),
        ("before refused", before("Failed", &state(88, "refused: attempt_taken"), &waits, 0)),
        ("main failed", before("Failed", &done, &state(3, "reported"), 0)),
        ("main done", before("Succeeded", &done, &state(0, "reported"), 0)),
        ("one of two ended", set("Running", &runs, &state(0, "done"), late)),
        ("b never began", set("Running", &runs, &state(128, ""), 0)),
        ("b never began, later", set("Running", &runs, &state(128, ""), SILENCE)),
        ("b refused, main waits", set("Running", &runs, &state(88, "refused: no_resources"), 0)),
        ("one of two pulls", set("Pending", &creating, &pull, 300_000)),
        ("both done", set("Succeeded", &state(0, "done"), &state(0, "reported"), 0)),
        ("b failed first", set("Failed", &later(state(4, "reported")), &state(3, "done"), 0)),
        ("b failed, main stopped", set("Failed", &state(143, "stopped"), &state(3, "reported"), 0)),
        ("both silent", set("Failed", &state(143, ""), &later(state(3, "")), SILENCE)),
        ("b killed", set("Failed", &state(143, "stopped"), &state(137, ""), 0)),
        ("b killed, later", set("Failed", &state(143, "stopped"), &state(137, ""), SILENCE)),
        ("b refused", set("Failed", &state(126, "stopped"), &state(88, "refused: no_token"), 0)),
        ("unreported", set("Failed", &state(0, "done"), &state(3, "unreported: no route"), 0)),
    ];
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn one_beside_the_main_container_decides_nothing_but_is_waited_for() {
    let waits = json!({ "waiting": { "reason": "PodInitializing" } });
    let pull = json!({ "waiting": { "reason": "ImagePullBackOff", "message": "no" } });
    let runs = json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } });
    let done = terminated(0, "Completed", Some("done"));
    let with = |phase: &str, proxy: &Value, main: &Value, after| {
        let mut pod = of_states(phase, &done, &[("main", main)]);
        let all = pod.status.as_mut().expect("a status");
        let proxy = serde_json::from_value(status("proxy", proxy)).expect("a status");
        all.init_container_statuses.get_or_insert_default().push(proxy);
        told_of(&several(false), &pod, false, after)
    };
    let ended = |code, word: &str| terminated(code, "Error", Some(word));
    let rows = [
        ("proxy pulls long", with("Pending", &pull, &waits, 300_000)),
        ("main pulls long", with("Pending", &runs, &pull, 300_000)),
        ("main done", with("Running", &runs, &ended(0, "reported"), 0)),
        ("main failed", with("Running", &runs, &ended(3, "reported"), 0)),
        ("proxy failed", with("Running", &ended(3, "done"), &runs, 3_600_000)),
    ];
    insta::assert_snapshot!(lines(&rows));
}

#[test]
fn what_nobody_heard_is_missing_unless_it_has_a_default() {
    let done = pod(&main(&terminated(0, "Completed", None)), None);
    let output = |default: Option<&str>| OutputFile {
        name: "rows".to_owned(),
        path: "/tmp/rows".to_owned(),
        default: default.map(str::to_owned),
    };
    let mut order = order(process());
    order.outputs = vec![output(Some("0"))];
    assert_eq!(told_of(&order, &done, false, SILENCE), "success 0");
    let mut memory = Memory { ended_at: Some(Timestamp(0)), ..Memory::default() };
    let verdict = look(&order, &done, &mut memory, &Bounds::default(), NOW);
    let Next::Ended(report) = verdict.next else { panic!("ended") };
    assert_eq!(report.outputs, [("rows".to_owned(), "0".to_owned())]);
    order.outputs = vec![output(None)];
    assert_eq!(
        told_of(&order, &done, false, SILENCE),
        "Transient output_missing 0: it succeeded, but nobody heard from its pod: the output rows is missing"
    );
}

#[test]
fn a_pod_that_vanished() {
    let running = pod(&main(&json!({ "running": { "startedAt": "2023-11-14T22:13:10Z" } })), None);
    let by =
        |stopped, last| gone(&order(process()), last, Memory { stopped, ..Memory::default() }, NOW);
    let report = by(false, Some(&running));
    assert_eq!(report.started_at, Some(Timestamp(1_699_999_990_000)));
    assert_eq!(report_line(&report), "Lost pod_deleted -: its pod was deleted before it had ended");
    assert_eq!(report_line(&by(true, None)), "Stopped stopped -: stopped");
}

fn lines(rows: &[(&str, String)]) -> String {
    rows.iter().map(|(name, line)| format!("{name} -> {line}\n")).collect()
}
