//! `kind: CronWorkflow`.

use flowforge_cron::{Concurrency, Definition};
use flowforge_model::time::Millis;

use super::{Moved, Read, Spots, compile, entry, into_entries, plain, strings, take};
use crate::grammar::{CRON_MANIFEST, CRON_SPEC, METADATA, STOP_STRATEGY};
use crate::located::{Node, Value, quote};
use crate::names::is_dns_label;
use crate::report::Report;

/// Seconds and run counts that a document may name.
const LARGEST: u32 = 2_147_483_647;

/// Reads everything but the workflow.
pub(super) fn read<'a>(report: &Report<'a>, root: &'a Node) -> Read {
    report.fields(root, &CRON_MANIFEST);
    let kind = report.required(root, &CRON_MANIFEST, "kind")?;
    if kind.text() != Some("CronWorkflow") {
        let message = format!("the kind {} is no schedule", kind.describe());
        report.error("unsupported", kind, message, "apply a CronWorkflow");
        return None;
    }
    if let Some(version) = report.required(root, &CRON_MANIFEST, "apiVersion")
        && version.text() != Some("argoproj.io/v1alpha1")
    {
        let message = format!("apiVersion {} is not known", version.describe());
        report.error("unsupported_version", version, message, "write argoproj.io/v1alpha1");
    }
    let mut definition = Definition::default();
    if let Some(metadata) = report.required(root, &CRON_MANIFEST, "metadata")
        && report.fields(metadata, &METADATA)
    {
        read_metadata(report, metadata, &mut definition);
    }
    let spec = report.required(root, &CRON_MANIFEST, "spec")?;
    if !report.fields(spec, &CRON_SPEC) {
        return None;
    }
    let spots = read_spec(report, spec, &mut definition);
    let schedule = compile(report, &definition, &spots);
    Some((definition, schedule))
}

fn read_metadata<'a>(report: &Report<'a>, metadata: &'a Node, definition: &mut Definition) {
    if let Some(node) = report.required(metadata, &METADATA, "name")
        && let Some(name) = report.string(node)
    {
        // The names of its runs add a dash and eleven digits.
        if !name.split('.').all(is_dns_label) || name.len() > 240 {
            let message = format!("{} is no name for a schedule", quote(name));
            report.error("bad_name", node, message, "use a-z, 0-9, - and . inside");
        }
        name.clone_into(&mut definition.name);
    }
    if let Some(namespace) = report.optional_string(metadata, "namespace") {
        namespace.clone_into(&mut definition.namespace);
    }
    definition.labels = strings(report, metadata.field("labels"), "labels");
    definition.annotations = strings(report, metadata.field("annotations"), "annotations");
}

fn read_spec<'a>(report: &Report<'a>, spec: &'a Node, definition: &mut Definition) -> Spots<'a> {
    let mut spots = Spots { root: Some(spec), ..Spots::default() };
    spots.expressions.extend(report.list_field(spec, "schedules", "schedules"));
    // Argo 3 has one as well, and takes both.
    spots.expressions.extend(spec.field("schedule"));
    definition.schedules = spots
        .expressions
        .iter()
        .map(|node| report.string(node).unwrap_or_default().to_owned())
        .collect();
    let optional = |key: &str| spec.field(key).filter(|node| node.text() != Some(""));
    spots.timezone = optional("timezone");
    spots.when = optional("when");
    let words =
        |node: Option<&'a Node>| node.and_then(|node| report.string(node)).map(str::to_owned);
    definition.timezone = words(spots.timezone);
    definition.when = words(spots.when);
    if let Some(policy) = optional("concurrencyPolicy") {
        definition.concurrency = match policy.text() {
            Some("Allow") => Concurrency::Allow,
            Some("Forbid") => Concurrency::Forbid,
            Some("Replace") => Concurrency::Replace,
            _ => {
                let message = format!("{} is no concurrencyPolicy", policy.describe());
                report.error("bad_value", policy, message, "write Allow, Forbid or Replace");
                Concurrency::Allow
            }
        };
    }
    let number = |key| report.optional_u32(spec, key, 0, LARGEST);
    definition.starting_deadline =
        number("startingDeadlineSeconds").map(|secs| Millis::from_secs(u64::from(secs)));
    definition.successful_history = number("successfulJobsHistoryLimit");
    definition.failed_history = number("failedJobsHistoryLimit");
    definition.suspend =
        spec.field("suspend").and_then(|node| report.boolean(node)).unwrap_or(false);
    if let Some(stop) = spec.field("stopStrategy")
        && report.fields(stop, &STOP_STRATEGY)
    {
        // `condition` is what it was called in 3.6.
        spots.stop = stop.field("expression").or(stop.field("condition"));
        if spots.stop.is_none() {
            report.required(stop, &STOP_STRATEGY, "expression");
        }
        definition.stop = words(spots.stop);
    }
    if let Some(metadata) = spec.field("workflowMetadata") {
        report.fields(metadata, &METADATA);
    }
    report.required(spec, &CRON_SPEC, "workflowSpec");
    spots
}

/// The workflow as a manifest of its own.
pub(super) fn workflow(root: Node) -> (Node, Moved) {
    let place = root.place;
    let mut outer = into_entries(root);
    let name = take(&mut outer, "metadata")
        .and_then(|metadata| metadata.node.field("name")?.text().map(str::to_owned))
        .unwrap_or_default();
    let mut out: Vec<_> =
        ["apiVersion", "kind"].into_iter().filter_map(|key| take(&mut outer, key)).collect();
    if let Some(kind) = out.last_mut() {
        kind.node = plain(&kind.node, "Workflow".to_owned());
    }
    let mut spec = take(&mut outer, "spec").map(|spec| into_entries(spec.node)).unwrap_or_default();
    let given = take(&mut spec, "workflowMetadata");
    let at = given.as_ref().map_or(place, |given| given.node.place);
    let start = Node { place: at, value: Value::Quoted("".into()) };
    let mut metadata = vec![entry("generateName", plain(&start, format!("{name}-")))];
    let mut given = given.map(|given| into_entries(given.node)).unwrap_or_default();
    // As Argo: the rest of it names single objects.
    metadata.extend(["labels", "annotations"].into_iter().filter_map(|key| take(&mut given, key)));
    out.push(entry("metadata", Node { place: at, value: Value::Map(metadata.into()) }));
    if let Some(inner) = take(&mut spec, "workflowSpec") {
        out.push(entry("spec", inner.node));
    }
    let root = Node { place, value: Value::Map(out.into()) };
    (root, Moved(&[("/spec", "/spec/workflowSpec"), ("/metadata", "/spec/workflowMetadata")]))
}
