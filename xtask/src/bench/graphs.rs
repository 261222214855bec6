//! The shapes that are measured.

use serde_json::{Value, json};

/// Parents of each task, by place.
pub(crate) type Graph = Vec<Vec<usize>>;

/// One task after the other.
pub(crate) fn chain(length: usize) -> Graph {
    (0..length).map(|task| task.checked_sub(1).into_iter().collect()).collect()
}

/// One, then many, then one.
pub(crate) fn fan(width: usize) -> Graph {
    let mut graph = vec![Vec::new()];
    graph.extend((0..width).map(|_| vec![0]));
    graph.push((1..=width).collect());
    graph
}

/// Layers, each task after all of the layer before.
pub(crate) fn layers(depth: usize, width: usize) -> Graph {
    let mut graph = vec![Vec::new(); width];
    for layer in 1..depth {
        let before: Vec<usize> = ((layer - 1) * width..layer * width).collect();
        graph.extend((0..width).map(|_| before.clone()));
    }
    graph
}

/// A native document that runs `command` once per task; tasks are called `t0`, `t1`, ...
pub(crate) fn document(graph: &Graph, command: &str) -> String {
    let names: Vec<String> = (0..graph.len()).map(|place| format!("t{place}")).collect();
    named(graph, &names, command).to_string()
}

/// The same as a fan, as a loop over numbers.
pub(crate) fn sequence(count: usize, command: &str) -> String {
    let task = |name: &str, before: &[&str]| json!({"name": name, "template": "body", "dependencies": before});
    let mut all = task("all", &["first"]);
    all["withSequence"] = json!({"count": count.to_string()});
    let tasks = [task("first", &[]), all, task("last", &["all"])];
    around(&tasks, command).to_string()
}

/// The same with names for the tasks.
pub(crate) fn named(graph: &[Vec<usize>], names: &[String], command: &str) -> Value {
    let tasks: Vec<Value> = names
        .iter()
        .zip(graph)
        .map(|(name, parents)| {
            let before: Vec<&String> =
                parents.iter().filter_map(|parent| names.get(*parent)).collect();
            json!({"name": name, "template": "body", "dependencies": before})
        })
        .collect();
    around(&tasks, command)
}

fn around(tasks: &[Value], command: &str) -> Value {
    json!({
        "version": "1.0",
        "entrypoint": "main",
        "templates": {
            "main": {"dag": {"tasks": tasks}},
            "body": {
                "container": {"image": "busybox", "command": [command]},
                "retryStrategy": {"limit": 0},
            },
        },
    })
}
