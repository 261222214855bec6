//! The one node, and the scheduler that gives it pods: each look takes a pod one step on.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff;
use serde_json::{Value, json};

use super::super::REPORTED;
use super::{Shared, State};

/// More than it has, in bytes.
const MEMORY: u64 = 1 << 45;

pub(super) fn run(shared: &Shared) {
    let mut state = shared.lock();
    while !state.over {
        if step(&mut state) {
            shared.changed.notify_all();
            // Others see each step.
            drop(state);
            state = shared.lock();
        } else {
            state = shared.changed.wait(state).expect("a state");
        }
    }
}

pub(super) fn now() -> Value {
    serde_json::to_value(Time(jiff::Timestamp::now())).expect("a time")
}

/// Takes every pod one step on. Whether there was one to take.
fn step(state: &mut State) -> bool {
    if state.frozen {
        return false;
    }
    let all: Vec<_> = state.objects.iter().filter(|(at, _)| State::is_pod(at)).collect();
    let all: Vec<_> = all.into_iter().map(|(at, pod)| (at.clone(), pod.clone())).collect();
    let mut moved = false;
    for (at, mut pod) in all {
        match advance(&mut pod) {
            Step::Stays => continue,
            Step::Goes => state.take(&at),
            Step::Begins => {
                let id = pod["metadata"]["labels"]["flowforge.io/attempt-id"].as_str();
                *state.ran.entry(id.unwrap_or_default().to_owned()).or_default() += 1;
                state.put(&at, pod, "MODIFIED");
            }
            Step::Changes => drop(state.put(&at, pod, "MODIFIED")),
        }
        moved = true;
    }
    moved
}

enum Step {
    Stays,
    Changes,
    Begins,
    Goes,
}

fn advance(pod: &mut Value) -> Step {
    let going = !pod["metadata"]["deletionTimestamp"].is_null();
    let main = pod["status"]["containerStatuses"][0]["state"].clone();
    let ended = ["Failed", "Succeeded"].contains(&pod["status"]["phase"].as_str().unwrap_or(""));
    match (going, main["running"].is_null(), ended) {
        (true, false, false) => {
            end(pod, if script(pod).starts_with("trap 'exit 5'") { 5 } else { 137 })
        }
        (true, ..) => Step::Goes,
        (false, _, true) => Step::Stays,
        (false, false, false) => match outcome(&script(pod)) {
            Some(code) => end(pod, code),
            None => Step::Stays,
        },
        (false, true, false) if pod["spec"]["nodeName"].is_null() => schedule(pod),
        (false, true, false) if main["waiting"].is_null() => begin(pod),
        // It waits for an image or a secret that nobody brings.
        (false, true, false) => Step::Stays,
    }
}

fn schedule(pod: &mut Value) -> Step {
    let asked = pod["spec"]["containers"][0]["resources"]["requests"]["memory"].as_str();
    let fits = asked.and_then(|asked| asked.parse::<u64>().ok()).is_none_or(|asked| asked < MEMORY);
    if fits {
        pod["spec"]["nodeName"] = json!("node");
    } else if !pod["status"]["conditions"].is_null() {
        return Step::Stays;
    }
    let status = if fits { "True" } else { "False" };
    pod["status"]["conditions"] = json!([{ "type": "PodScheduled", "status": status,
        "message": if fits { "" } else { "0/1 nodes are available: 1 Insufficient memory." } }]);
    Step::Changes
}

fn begin(pod: &mut Value) -> Step {
    let container = &pod["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap_or_default();
    let wants = container["env"].as_array().into_iter().flatten();
    let secret = wants.filter_map(|one| one["valueFrom"]["secretKeyRef"]["name"].as_str()).next();
    let waiting = if image.starts_with("registry.invalid") {
        Some(("ErrImagePull", "no such host".to_owned()))
    } else {
        // Nobody makes secrets here.
        secret.map(|name| ("CreateContainerConfigError", format!("secret \"{name}\" not found")))
    };
    let (step, state) = match waiting {
        Some((reason, message)) => {
            (Step::Changes, json!({ "waiting": { "reason": reason, "message": message } }))
        }
        None => {
            pod["status"]["phase"] = json!("Running");
            pod["status"]["podIP"] = json!("10.0.0.7");
            pod["status"]["conditions"] = json!([{ "type": "PodScheduled", "status": "True" },
                { "type": "Ready", "status": "True" }]);
            (Step::Begins, json!({ "running": { "startedAt": now() } }))
        }
    };
    let init = json!({ "terminated": { "exitCode": 0, "startedAt": now(), "finishedAt": now() } });
    pod["status"]["initContainerStatuses"] = json!([of("flowforge-init", &init)]);
    pod["status"]["containerStatuses"] = json!([of("main", &state)]);
    step
}

fn end(pod: &mut Value, code: i32) -> Step {
    let oom = code == 137 && script(pod).starts_with("tail");
    let said = if script(pod).ends_with(REPORTED) && code == 0 { "reported" } else { "" };
    let began = &pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"];
    let state = json!({ "terminated": {
        "exitCode": code, "reason": if oom { "OOMKilled" } else { "Error" }, "message": said,
        "startedAt": began, "finishedAt": now() } });
    pod["status"]["containerStatuses"] = json!([of("main", &state)]);
    pod["status"]["phase"] = json!(if code == 0 { "Succeeded" } else { "Failed" });
    Step::Changes
}

fn of(name: &str, state: &Value) -> Value {
    json!({ "name": name, "state": state, "ready": false, "restartCount": 0, "image": "", "imageID": "" })
}

/// What the pod runs.
fn script(pod: &Value) -> String {
    let words = pod["spec"]["containers"][0]["command"].as_array().into_iter().flatten();
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    match words.as_slice() {
        ["sh", "-c", script] => (*script).to_owned(),
        words => words.join(" "),
    }
}

/// How a script ends by itself.
fn outcome(script: &str) -> Option<i32> {
    match script {
        "exit 3" => Some(3),
        "true" => Some(0),
        "tail /dev/zero" => Some(137),
        long if long.starts_with("sleep")
            || long.starts_with("trap")
            || long.starts_with("until") =>
        {
            None
        }
        reports if reports.ends_with(REPORTED) => Some(0),
        other => panic!("the node does not know what {other} does"),
    }
}
