//! Our own form: `schedule` says when, `workflow` says what.

use flowforge_cron::{CatchUp, Concurrency, Definition};

use super::{Moved, Read, Spots, compile, into_entries, strings, take};
use crate::grammar::{KEEP, NATIVE_SCHEDULE, SCHEDULE};
use crate::located::{Node, Value};
use crate::names::Dialect;
use crate::report::Report;

/// Runs that a document may ask to be kept.
const LARGEST: u32 = 2_147_483_647;

/// Reads everything but the workflow.
pub(super) fn read<'a>(report: &Report<'a>, root: &'a Node) -> Read {
    if !report.fields(root, &NATIVE_SCHEDULE) {
        return None;
    }
    let mut definition = Definition::default();
    if let Some(version) = report.required(root, &NATIVE_SCHEDULE, "version")
        && version.text() != Some("1.0")
    {
        let message = format!("version {} is not known", version.describe());
        report.error("unsupported_version", version, message, "write version: \"1.0\"");
    }
    if let Some(node) = report.required(root, &NATIVE_SCHEDULE, "name")
        && let Some(name) = report.string(node)
    {
        Dialect::Native.check_name(report, node, name, "a schedule");
        name.clone_into(&mut definition.name);
    }
    definition.labels = strings(report, root.field("labels"), "labels");
    definition.annotations = strings(report, root.field("annotations"), "annotations");
    report.required(root, &NATIVE_SCHEDULE, "workflow");
    let schedule = report.required(root, &NATIVE_SCHEDULE, "schedule")?;
    if !report.fields(schedule, &SCHEDULE) {
        return None;
    }
    let spots = read_schedule(report, schedule, &mut definition);
    let schedule = compile(report, &definition, &spots);
    Some((definition, schedule))
}

fn read_schedule<'a>(
    report: &Report<'a>,
    node: &'a Node,
    definition: &mut Definition,
) -> Spots<'a> {
    let mut spots = Spots { root: Some(node), ..Spots::default() };
    if let Some(cron) = report.required(node, &SCHEDULE, "cron") {
        match &cron.value {
            Value::List(items) => spots.expressions.extend(items.iter()),
            Value::Plain(_) | Value::Quoted(_) | Value::Map(_) => spots.expressions.push(cron),
        }
    }
    let string = |node: &'a Node| report.string(node).map(str::to_owned);
    definition.schedules =
        spots.expressions.iter().map(|node| string(node).unwrap_or_default()).collect();
    spots.timezone = node.field("timezone");
    spots.when = node.field("when");
    spots.stop = node.field("stopWhen");
    definition.timezone = spots.timezone.and_then(string);
    definition.when = spots.when.and_then(string);
    definition.stop = spots.stop.and_then(string);
    let policies = [
        ("allow", Concurrency::Allow),
        ("forbid", Concurrency::Forbid),
        ("replace", Concurrency::Replace),
    ];
    definition.concurrency = word(report, node, "concurrency", &policies).unwrap_or_default();
    let catch_up = [("none", CatchUp::None), ("last", CatchUp::Last), ("all", CatchUp::All)];
    definition.catch_up = word(report, node, "catchUp", &catch_up);
    definition.starting_deadline =
        node.field("startingDeadline").and_then(|node| report.duration(node));
    if let Some(keep) = node.field("keep")
        && report.fields(keep, &KEEP)
    {
        definition.successful_history = report.optional_u32(keep, "succeeded", 0, LARGEST);
        definition.failed_history = report.optional_u32(keep, "failed", 0, LARGEST);
    }
    definition.suspend =
        node.field("suspend").and_then(|node| report.boolean(node)).unwrap_or(false);
    spots
}

/// The value of a field that has one of a few words.
fn word<'a, T: Copy>(
    report: &Report<'a>,
    node: &'a Node,
    key: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let node = node.field(key)?;
    let found = words.iter().find(|(word, _)| node.text() == Some(word));
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let message = format!("{} is no {key}", node.describe());
        report.error("bad_value", node, message, format!("write one of {}", names.join(", ")));
    }
    found.map(|(_, value)| *value)
}

/// The workflow as a document of its own: it has the version and the name of its schedule.
pub(super) fn workflow(root: Node) -> (Node, Moved) {
    let place = root.place;
    let mut outer = into_entries(root);
    let mut out: Vec<_> =
        ["version", "name"].into_iter().filter_map(|key| take(&mut outer, key)).collect();
    let inner = take(&mut outer, "workflow").map(|workflow| into_entries(workflow.node));
    for field in inner.unwrap_or_default() {
        if !out.iter().any(|known| known.key == field.key) {
            out.push(field);
        }
    }
    let root = Node { place, value: Value::Map(out.into()) };
    (root, Moved(&[("/version", "/version"), ("/name", "/name"), ("", "/workflow")]))
}
