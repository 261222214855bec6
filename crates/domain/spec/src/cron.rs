//! Schedules: Argo's `CronWorkflow`, and our own form with `schedule` and `workflow`.
//!
//! The workflow inside becomes a document of its own. It is compiled here already, in the places
//! of the whole document, so that nothing wrong with it waits for the first fire time.

mod argo;
mod native;

use std::collections::BTreeMap;

use flowforge_cron::{Definition, Fault, Place as Where, Schedule};
use flowforge_model::limits::REPORTED_ERRORS;

use crate::document::Source;
use crate::library::{DocumentKind, Library, Sheet};
use crate::located::{self, Document, Entry, Located, Node, Value};
use crate::merge::Merged;
use crate::report::Report;
use crate::{Compiled, Options, Problem, Problems, yaml_out};

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

/// Reads and checks the schedule of a text, JSON or YAML, with the workflow in it and the
/// documents beside it that this refers to.
///
/// # Errors
/// Every problem of the document, as [`crate::compile`].
pub fn cron(source: &str, options: &Options) -> Result<CronDocument, Problems> {
    let Located { documents, faults } = located::read(source)?;
    let (schedule, mut documents) = only_schedule(documents)?;
    let manifest = Sheet::of(&schedule.root).kind != DocumentKind::NativeSchedule;
    let only = [schedule];
    let (read, problems) = {
        let report = Report::new(&only);
        let [Document { root, .. }] = &only;
        let read = if manifest { argo::read(&report, root) } else { native::read(&report, root) };
        let warnings = report.warnings();
        (read.map(|read| (read, warnings)), report.errors(faults))
    };
    let Some(((definition, schedule), warnings)) = read else {
        return Err(problems);
    };
    let [Document { root, prefix }] = only;
    let (root, moved) = if manifest { argo::workflow(root) } else { native::workflow(root) };
    documents.insert(0, Document { root, prefix });
    let library = Library::of(&documents);
    let sheet = library.workflow()?;
    let merged = Merged::of(&sheet, &library)?;
    let report = Report::new(&documents);
    let source = Source { sheet, library: &library, merged: &merged };
    library.check(&report, Some(&sheet));
    let compiled = source.compile(&report, options).compiled;
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
                workflow: written(&documents),
                compiled,
            })
        }
        _ => Err(join(problems, report.errors(Vec::new()), &moved)),
    }
}

/// Reports what is wrong with a schedule but for its workflow.
pub(crate) fn check<'a>(report: &Report<'a>, sheet: &Sheet<'a>) {
    if sheet.kind == DocumentKind::NativeSchedule {
        native::read(report, sheet.root);
    } else {
        argo::read(report, sheet.root);
    }
}

/// The one schedule of a text, and the other documents.
fn only_schedule(mut documents: Vec<Document>) -> Result<(Document, Vec<Document>), Problem> {
    let is_schedule = |document: &Document| Sheet::of(&document.root).kind.is_schedule();
    let at = match documents.as_slice() {
        [_] => 0,
        several => {
            let mut found =
                (0..).zip(several).filter(|(_, one)| is_schedule(one)).map(|(at, _)| at);
            let first = found.next().unwrap_or(0);
            if let Some(second) = found.next().and_then(|at: usize| several.get(at)) {
                let message = "the text holds several schedules".to_owned();
                let hint = "hand in one at a time, with the templates it refers to";
                let place = second.root.place;
                return Err(located::fault("several_documents", place, message, hint));
            }
            first
        }
    };
    // The text of a tree is never without documents.
    let schedule = documents.remove(at);
    Ok((schedule, documents))
}

/// Documents as one text.
fn written(documents: &[Document]) -> String {
    let texts: Vec<String> =
        documents.iter().map(|document| yaml_out::write(&document.root)).collect();
    texts.join("---\n")
}

/// Reads when something is to run, and nothing of what: much less work than [`cron`].
///
/// # Errors
/// Every problem outside of the workflow.
pub fn schedule(source: &str) -> Result<Schedule, Problems> {
    let Located { documents, faults } = located::read(source)?;
    let (document, _) = only_schedule(documents)?;
    let only = [document];
    let report = Report::new(&only);
    let [Document { root, .. }] = &only;
    let native = Sheet::of(root).kind == DocumentKind::NativeSchedule;
    let read = if native { native::read(&report, root) } else { argo::read(&report, root) };
    let problems = report.errors(faults);
    match read.and_then(|(_, schedule)| schedule) {
        Some(schedule) if problems.list.is_empty() => Ok(schedule),
        _ => Err(problems),
    }
}

/// Whether a text is meant to be a schedule, right or wrong.
#[must_use]
pub fn is_schedule(source: &str) -> bool {
    located::read(source).is_ok_and(|located| {
        located.documents.iter().any(|one| Sheet::of(&one.root).kind.is_schedule())
    })
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
