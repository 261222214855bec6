//! Schedules: Argo's `CronWorkflow`, and our own form with `schedule` and `workflow`.
//!
//! The workflow inside becomes a document of its own. It is compiled here already, in the places
//! of the whole document, so that nothing wrong with it waits for the first fire time.

mod argo;
mod native;

use std::collections::BTreeMap;

use flowforge_cron::{Definition, Fault, Place as Where, Schedule};
use flowforge_model::limits::REPORTED_ERRORS;

use crate::located::{self, Entry, Node, Value};
use crate::report::Report;
use crate::{Compiled, Options, Problem, Problems, document, yaml_out};

/// A schedule document that is fine.
#[derive(Clone, Debug)]
pub struct CronDocument {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// When what is to run.
    pub schedule: Schedule,
    /// What is to run: a document of its own, as YAML.
    pub workflow: String,
    /// The same, compiled.
    pub compiled: Compiled,
}

/// Reads and checks a schedule document, JSON or YAML, with the workflow in it.
///
/// # Errors
/// Every problem of the document, as [`crate::compile`].
pub fn cron(source: &str, options: &Options) -> Result<CronDocument, Problems> {
    let located =
        located::read(source).map_err(|problem| Problems { list: vec![problem], omitted: 0 })?;
    let manifest =
        ["apiVersion", "kind", "spec"].iter().any(|key| located.root.field(key).is_some());
    let (read, problems) = {
        let report = Report::new(&located.root);
        let read = if manifest {
            argo::read(&report, &located.root)
        } else {
            native::read(&report, &located.root)
        };
        let warnings = report.warnings();
        (read.map(|read| (read, warnings)), report.errors(located.faults))
    };
    let Some(((definition, schedule), warnings)) = read else {
        return Err(problems);
    };
    let (root, moved) =
        if manifest { argo::workflow(located.root) } else { native::workflow(located.root) };
    let report = Report::new(&root);
    let compiled = document::compile(&report, &root, options);
    match (compiled, schedule) {
        (Some(mut compiled), Some(schedule)) if problems.list.is_empty() => {
            for warning in &mut compiled.warnings {
                warning.pointer = moved.back(&warning.pointer);
            }
            compiled.warnings.extend(warnings);
            compiled.warnings.sort_by_key(|warning| (warning.line, warning.column));
            Ok(CronDocument {
                name: definition.name,
                labels: definition.labels,
                annotations: definition.annotations,
                schedule,
                workflow: yaml_out::write(&root),
                compiled,
            })
        }
        _ => Err(join(problems, report.errors(Vec::new()), &moved)),
    }
}

/// What a reader found: `None` if it is no schedule at all, no schedule if it has faults.
type Read = Option<(Definition, Option<Schedule>)>;

/// Where the parts of the workflow stand in the whole document: pointers there and here.
struct Moved(&'static [(&'static str, &'static str)]);

impl Moved {
    fn back(&self, pointer: &str) -> String {
        let part = self.0.iter().find_map(|(inner, outer)| {
            let rest = pointer.strip_prefix(inner)?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{outer}{rest}"))
        });
        part.unwrap_or_else(|| pointer.to_owned())
    }
}

fn join(mut outer: Problems, inner: Problems, moved: &Moved) -> Problems {
    let placed = inner
        .list
        .into_iter()
        .map(|problem| Problem { pointer: moved.back(&problem.pointer), ..problem });
    outer.list.extend(placed);
    outer.list.sort_by_key(|problem| (problem.line, problem.column));
    let more = outer.list.len().saturating_sub(REPORTED_ERRORS);
    outer.list.truncate(REPORTED_ERRORS);
    outer.omitted = outer.omitted.saturating_add(inner.omitted).saturating_add(more);
    outer
}

/// Where the parts of a definition stand.
#[derive(Default)]
struct Spots<'a> {
    root: Option<&'a Node>,
    expressions: Vec<&'a Node>,
    timezone: Option<&'a Node>,
    when: Option<&'a Node>,
    stop: Option<&'a Node>,
}

/// Compiles a definition and reports its faults where they stand.
fn compile<'a>(
    report: &Report<'a>,
    definition: &Definition,
    spots: &Spots<'a>,
) -> Option<Schedule> {
    match Schedule::compile(definition.clone()) {
        Ok(schedule) => Some(schedule),
        Err(faults) => {
            for Fault { place, error } in faults {
                let (code, node) = match place {
                    Where::Schedules => ("bad_schedule", spots.root),
                    Where::Expression(at) => ("bad_schedule", spots.expressions.get(at).copied()),
                    Where::Timezone => ("unknown_timezone", spots.timezone),
                    Where::When => ("bad_condition", spots.when),
                    Where::Stop => ("bad_condition", spots.stop),
                };
                if let Some(node) = node.or(spots.root) {
                    report.error(code, node, message(place, node, &error), "");
                }
            }
            None
        }
    }
}

fn message(place: Where, node: &Node, error: &flowforge_cron::CronError) -> String {
    match place {
        Where::Expression(_) => format!("the schedule {} {error}", node.describe()),
        Where::Schedules | Where::Timezone => error.to_string(),
        Where::When => format!("when: {error}"),
        Where::Stop => format!("the stop condition: {error}"),
    }
}

/// A map of strings; others are reported.
fn strings<'a>(
    report: &Report<'a>,
    node: Option<&'a Node>,
    what: &str,
) -> BTreeMap<String, String> {
    let Some(node) = node else {
        return BTreeMap::new();
    };
    let Some(entries) = node.entries() else {
        report.error(
            "wrong_type",
            node,
            format!("expected {what} (a map), found {}", node.describe()),
            "",
        );
        return BTreeMap::new();
    };
    let pair =
        |entry: &'a Entry| Some((entry.key.to_string(), report.string(&entry.node)?.to_owned()));
    entries.iter().filter_map(pair).collect()
}

/// Takes an entry out of a map.
fn take(entries: &mut Vec<Entry>, key: &str) -> Option<Entry> {
    let at = entries.iter().position(|entry| &*entry.key == key)?;
    Some(entries.remove(at))
}

/// The entries of a map; anything else has none.
fn into_entries(node: Node) -> Vec<Entry> {
    match node.value {
        Value::Map(entries) => entries.into_vec(),
        Value::Plain(_) | Value::Quoted(_) | Value::List(_) => Vec::new(),
    }
}

/// A scalar that stands at `like` in place.
fn plain(like: &Node, text: String) -> Node {
    Node { place: like.place, value: Value::Plain(text.into()) }
}

fn entry(key: &str, node: Node) -> Entry {
    Entry { place: node.place, key: key.into(), node }
}
