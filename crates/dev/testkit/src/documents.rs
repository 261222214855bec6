//! Random workflow documents: small, so that everything collides.

use serde_json::{Map, Value, json};

use crate::dice::Dice;

/// A document with dags, steps, loops, retries, conditions, suspensions, daemons, hooks, locks, remembered
/// outputs, an exit handler, a time to live, and values that tasks hand on.
pub fn document(dice: &mut Dice) -> String {
    let mut templates = Map::new();
    templates.insert("leaf".to_owned(), leaf(dice));
    templates.insert("daemon".to_owned(), daemon(dice));
    templates.insert("nap".to_owned(), json!({"suspend": {"duration": "2s"}}));
    templates.insert("wait".to_owned(), json!({"suspend": {}}));
    for level in 0..2 {
        let name = format!("g{level}");
        let body = group(dice, level);
        templates.insert(name, body);
    }
    let mut document = json!({
        "version": "1.0",
        "entrypoint": "g1",
        "templates": templates,
    });
    if dice.chance(25) {
        document["onExit"] = json!("leaf");
    }
    if dice.chance(15) {
        document["activeDeadlineSeconds"] = json!(20);
    }
    if dice.chance(15) {
        document["parallelism"] = json!(1 + dice.below(2));
    }
    if dice.chance(10) {
        document["synchronization"] = mutex("workflow");
    }
    if dice.chance(15) {
        let expression =
            dice.pick(&["workflow.status == 'Running'", "workflow.status == 'Failed'"]).copied();
        document["hooks"] = json!({"told": {"template": "leaf", "expression": expression}});
    }
    if dice.chance(15) {
        document["ttlStrategy"] = json!({"secondsAfterCompletion": 5});
    }
    document.to_string()
}

/// The same document, in which some leaves start workflows.
pub fn with_children(document: &str, dice: &mut Dice) -> String {
    let Ok(mut all) = serde_json::from_str::<Value>(document) else { return document.to_owned() };
    if dice.chance(60) {
        return document.to_owned();
    }
    for name in ["g0", "g1"] {
        let Some(group) = all["templates"].get_mut(name) else { continue };
        let tasks = match group.get_mut("dag") {
            Some(dag) => dag["tasks"].as_array_mut().into_iter().flatten().collect(),
            None => {
                let groups = group["steps"].as_array_mut().into_iter().flatten();
                groups.filter_map(Value::as_array_mut).flatten().collect::<Vec<_>>()
            }
        };
        for task in tasks {
            if task["template"] == "leaf" && dice.chance(30) {
                task["template"] = json!("call");
            }
        }
    }
    all["templates"]["call"] = call(dice, 0);
    all.to_string()
}

/// Starts a workflow, which may start another.
fn call(dice: &mut Dice, depth: u64) -> Value {
    let mut tasks = vec![json!({"name": "a", "template": "leaf"})];
    for name in ["b", "c"] {
        if dice.chance(40) {
            let template = match dice.below(6) {
                0 | 1 if depth < 2 => "call",
                2 => "nap",
                _ => "leaf",
            };
            let needs = if dice.chance(50) { json!(["a"]) } else { json!([]) };
            tasks.push(json!({"name": name, "template": template, "dependencies": needs}));
        }
    }
    let run = json!({"image": "busybox", "command": ["true"]});
    let mut child = json!({
        "version": "1.0",
        "entrypoint": "main",
        "templates": {
            "main": {"dag": {"tasks": tasks}},
            "leaf": {"container": run, "retryStrategy": {"limit": dice.below(3), "retryPolicy": "Always"}},
            "nap": {"suspend": {"duration": "2s"}},
        },
    });
    if depth < 2 {
        child["templates"]["call"] = call(dice, depth + 1);
    }
    if dice.chance(20) {
        child["onExit"] = json!("leaf");
    }
    if dice.chance(20) {
        child["ttlStrategy"] = json!({"secondsAfterCompletion": 0});
    }
    let mut call = json!({
        "inputs": {"parameters": [{"name": "word", "value": "x"}]},
        "resource": {"action": "create", "manifest": child.to_string()},
        "outputs": {"parameters": [{"name": "word", "valueFrom": {"jsonPath": "{.metadata.uid}"}}]},
    });
    if dice.chance(85) {
        call["resource"]["successCondition"] = json!("status.phase == Succeeded");
        call["resource"]["failureCondition"] = json!("status.phase in (Failed, Error)");
    }
    if dice.chance(40) {
        call["retryStrategy"] = json!({"limit": dice.below(2), "retryPolicy": "Always"});
    }
    if dice.chance(15) {
        call["timeout"] = json!("2s");
    }
    call
}

fn leaf(dice: &mut Dice) -> Value {
    let mut leaf = json!({
        "inputs": {"parameters": [{"name": "word", "value": "x"}]},
        "container": {"image": "busybox", "command": ["true", "{{inputs.parameters.word}}"]},
        "outputs": {"parameters": [{"name": "word", "valueFrom": {"path": "word"}}]},
    });
    if dice.chance(60) {
        let mut retry = json!({"limit": dice.below(3), "retryPolicy": "Always"});
        if dice.chance(50) {
            retry["backoff"] = json!({"duration": "1s", "factor": 2});
        }
        leaf["retryStrategy"] = retry;
    }
    if dice.chance(15) {
        leaf["timeout"] = json!(if dice.chance(50) { "2s" } else { "30s" });
    }
    if dice.chance(20) {
        leaf["synchronization"] = mutex("leaf");
    }
    if dice.chance(15) {
        let cache = json!({"configMap": {"name": "words"}});
        leaf["memoize"] = json!({"key": "{{inputs.parameters.word}}", "cache": cache});
    }
    leaf
}

/// Serves until it is stopped.
fn daemon(dice: &mut Dice) -> Value {
    let probe = json!({"tcpSocket": {"port": 80}});
    let mut daemon = json!({
        "daemon": true,
        "container": {"image": "busybox", "command": ["serve"], "readinessProbe": probe},
    });
    if dice.chance(60) {
        daemon["retryStrategy"] = json!({"limit": dice.below(3), "retryPolicy": "Always"});
    }
    if dice.chance(10) {
        daemon["timeout"] = json!("4s");
    }
    daemon
}

/// Inner locks are other ones than outer ones, so that nobody waits in a circle.
fn mutex(name: &str) -> Value {
    json!({"mutexes": [{"name": name}]})
}

fn group(dice: &mut Dice, level: u64) -> Value {
    let count = 1 + dice.below(5);
    let dag = dice.chance(70);
    let wide = 1 + dice.below(4);
    let mut tasks = Vec::new();
    for _ in 0..count {
        let next = task(dice, level, &tasks, dag.then_some(()).ok_or(wide));
        tasks.push(next);
    }
    let mut group = if dag {
        json!({"dag": {"tasks": tasks}})
    } else {
        let wide = usize::try_from(wide).unwrap_or(1);
        let steps: Vec<Value> =
            tasks.chunks(wide).map(|group| Value::from(group.to_vec())).collect();
        json!({"steps": steps})
    };
    if dice.chance(20) {
        group["retryStrategy"] = json!({"limit": 1, "retryPolicy": "Always"});
    }
    if dice.chance(20) {
        group["parallelism"] = json!(1 + dice.below(2));
        group["failFast"] = json!(dice.chance(50));
    }
    if dag && dice.chance(30) {
        group["dag"]["failFast"] = json!(true);
    }
    if dice.chance(10) {
        group["synchronization"] = mutex(&format!("group{level}"));
    }
    group
}

/// The task after those `above`: in a dag, or in steps of groups that are so wide.
fn task(dice: &mut Dice, level: u64, above: &[Value], wide: Result<(), u64>) -> Value {
    let template = match dice.below(10) {
        0..=2 if level > 0 => "g0",
        3 if dice.chance(30) => "wait",
        3 => "nap",
        4 if dice.chance(60) => "daemon",
        _ => "leaf",
    };
    let slot = u64::try_from(above.len()).unwrap_or(0);
    let mut task = json!({"name": format!("t{slot}"), "template": template});
    let mut needs = Vec::new();
    let mut before = Vec::new();
    for (number, other) in (0..slot).zip(above) {
        let earlier = match wide {
            Err(wide) => number / wide < slot / wide,
            Ok(()) => dice.chance(40),
        };
        if earlier && wide.is_ok() {
            let kind = ["success", "success", "completion", "failure"];
            let kind = dice.pick(&kind).copied().unwrap_or("success");
            needs.push(json!({"task": other["name"], "type": kind}));
        }
        if earlier && other["template"] == "leaf" {
            let kind = if wide.is_ok() { "tasks" } else { "steps" };
            before.push(format!("{kind}.t{number}.outputs"));
        }
        if earlier && other["template"] == "daemon" && template == "leaf" && dice.chance(50) {
            let kind = if wide.is_ok() { "tasks" } else { "steps" };
            let ip = format!("{{{{{kind}.t{number}.ip}}}}");
            task["arguments"] = json!({"parameters": [{"name": "word", "value": ip}]});
        }
    }
    if !needs.is_empty() {
        task["dependencies"] = Value::from(needs);
    }
    options(dice, &mut task);
    if dice.chance(15) {
        task["hooks"] = hooks(dice, slot, wide.is_ok());
    }
    if let Some(outputs) = dice.pick(&before) {
        hand_on(dice, &mut task, outputs);
    }
    task
}

fn options(dice: &mut Dice, task: &mut Value) {
    let daemon = task["template"] == "daemon";
    if dice.chance(10) && !daemon {
        let items: Vec<u64> = (0..dice.below(4)).collect();
        task["withItems"] = json!(items);
    } else if dice.chance(10) && !daemon {
        task["withSequence"] = json!({"count": dice.below(4), "format": "n%02d"});
    }
    if dice.chance(10) {
        task["when"] = json!(if dice.chance(50) { "1 == 1" } else { "1 == 2" });
    }
    if dice.chance(10) {
        task["continueOn"] = json!({"failed": true});
    }
}

fn hooks(dice: &mut Dice, slot: u64, dag: bool) -> Value {
    let mut hooks = json!({"exit": {"template": "leaf"}});
    if dice.chance(50) {
        let kind = if dag { "tasks" } else { "steps" };
        let status = dice.pick(&["Running", "Succeeded", "Failed"]).copied().unwrap_or_default();
        let expression = format!("{kind}.t{slot}.status == '{status}'");
        hooks["seen"] = json!({"template": "leaf", "expression": expression});
    }
    hooks
}

/// Uses what an earlier task gave.
fn hand_on(dice: &mut Dice, task: &mut Value, outputs: &str) {
    let value = if dice.chance(50) { "parameters.word" } else { "result" };
    let tag = format!("{{{{{outputs}.{value}}}}}");
    if task["template"] == "leaf" && dice.chance(40) {
        task["arguments"] = json!({"parameters": [{"name": "word", "value": tag}]});
    }
    if dice.chance(15) {
        task["when"] = json!(format!("{tag} == 1"));
    }
    let repeated = task.get("withItems").or(task.get("withSequence")).is_some();
    if !repeated && task["template"] != "daemon" && dice.chance(15) {
        task["withParam"] = json!(format!("{{{{{outputs}.result}}}}"));
    }
}
