//! Several files as one text: a workflow and what it refers to.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowforge_model::limits::BODY_BYTES;
use flowforge_spec::{DocumentInfo, Options, Part as Cut};
use flowforge_wire::Finding;

use crate::exit::Failure;
use crate::paint::shown;
use crate::source;

/// Between the documents of two files.
const MARK: &str = "---\n";

/// The text of one or several files, as it is handed to a server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Document {
    pub(crate) text: String,
    parts: Vec<Part>,
}

/// A file of a text, or a piece of one.
#[derive(Clone, Debug)]
struct Part {
    /// The file's name and all of its text.
    file: Arc<(String, String)>,
    /// Lines of the whole text before it.
    before: u32,
    /// Lines of the file before it.
    skipped: u32,
}

impl Document {
    /// The text of one file.
    pub(crate) fn one(name: String, text: String) -> Self {
        Self::join(vec![(name, text)])
    }

    /// Names and texts, one after the other.
    pub(crate) fn join(files: Vec<(String, String)>) -> Self {
        let mut document = Self::default();
        let mut lines = 0;
        for file in files {
            let file = Arc::new(file);
            document.add(
                &mut lines,
                &file.1,
                Part { file: Arc::clone(&file), before: 0, skipped: 0 },
            );
        }
        document
    }

    /// Adds a text, of which `part` tells where it is from, behind so many lines.
    fn add(&mut self, lines: &mut usize, text: &str, part: Part) {
        if !self.parts.is_empty() {
            if !self.text.ends_with('\n') {
                self.text.push('\n');
                *lines += 1;
            }
            self.text.push_str(MARK);
            *lines += 1;
        }
        self.text.push_str(text);
        let before = u32::try_from(*lines).unwrap_or(u32::MAX);
        *lines += text.matches('\n').count();
        self.parts.push(Part { before, ..part });
    }

    /// The texts of its workflows, if there are several: each with all that is no workflow. Made one
    /// after the other, for what they share may be large.
    pub(crate) fn workflows(&self) -> Option<Vec<Workflow<'_>>> {
        // What cannot be read or told apart is refused with its places by who compiles it.
        let documents: Arc<[Cut]> = flowforge_spec::split(&self.text).ok()?.into();
        let own = |(at, cut): (usize, &Cut)| cut.info.kind.is_workflow().then_some(at);
        let own: Vec<usize> = documents.iter().enumerate().filter_map(own).collect();
        if own.len() < 2 || documents.iter().any(|cut| cut.lines_before.is_none()) {
            return None;
        }
        let one = |at| Workflow { whole: self, documents: Arc::clone(&documents), at };
        Some(own.into_iter().map(one).collect())
    }

    /// Reads files; together they are no larger than one may be.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let files: Result<Vec<_>, Failure> =
            paths.iter().map(|path| Ok((name_of(path), source::read(path)?))).collect();
        let document = Self::join(files?);
        if document.text.len() > BODY_BYTES {
            return Err(Failure::usage("the files are larger than 16 MiB together"));
        }
        Ok(document)
    }

    /// Which file a finding is about: its name, its text, and the finding in its lines.
    pub(crate) fn place<'d>(&'d self, found: &'d Finding) -> (&'d str, &'d str, Cow<'d, Finding>) {
        let line = found.line.unwrap_or(0);
        let part = self.parts.iter().rev().find(|part| part.before < line.max(1));
        let Some(part) = part.or(self.parts.first()) else {
            return ("", &self.text, Cow::Borrowed(found));
        };
        let (name, text) = &*part.file;
        if part.before == part.skipped {
            return (name, text, Cow::Borrowed(found));
        }
        let own = |line: u32| line.saturating_sub(part.before).saturating_add(part.skipped);
        let line = found.line.map(own);
        (name, text, Cow::Owned(Finding { line, ..found.clone() }))
    }

    /// Names of the files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| &*part.file.0)
    }

    /// A text with a workflow in it: that of a schedule, or one that is all of a stored template,
    /// if there is no other. Says what it is then.
    pub(crate) fn runnable(self) -> Result<(Self, Option<String>), Failure> {
        // What cannot be read is refused with its places by who compiles it.
        let Ok(infos) = flowforge_spec::documents(&self.text) else {
            return Ok((self, None));
        };
        if infos.iter().any(|info| info.kind.is_workflow()) {
            return Ok((self, None));
        }
        let schedules: Vec<_> = infos.iter().filter(|info| info.kind.is_schedule()).collect();
        let templates: Vec<_> = infos.iter().filter(|info| info.kind.is_template()).collect();
        match (schedules.as_slice(), templates.as_slice()) {
            ([schedule], _) => self.of_schedule(schedule),
            ([], [template]) => Ok(self.of_template(template)),
            ([], []) => Ok((self, None)),
            _ => {
                let what = "there is no workflow in the files, but several that could be run";
                Err(Failure::usage(what).hint("hand in one schedule or template at a time"))
            }
        }
    }

    fn of_schedule(self, info: &DocumentInfo) -> Result<(Self, Option<String>), Failure> {
        let Ok(read) = flowforge_spec::cron(&self.text, &Options::default()) else {
            let what = format!("the schedule {} is not fine", name_in(info));
            return Err(Failure::usage(what).hint("`ffctl lint` says what is wrong"));
        };
        let note = format!("running the workflow of the schedule {} once, now", name_in(info));
        let names: Vec<&str> = self.names().collect();
        Ok((Self::one(names.join(" "), read.workflow), Some(note)))
    }

    fn of_template(self, info: &DocumentInfo) -> (Self, Option<String>) {
        let name = info.name.as_deref().unwrap_or("");
        let head = flowforge_spec::workflow_of(info.kind, name, None);
        let note = format!("running the {} {} by itself", info.kind.name(), name_in(info));
        let made = ("<workflow>".to_owned(), head);
        let files = self.parts.into_iter().map(|part| Arc::unwrap_or_clone(part.file));
        (Self::join(std::iter::once(made).chain(files).collect()), Some(note))
    }
}

/// One of several workflows of a text.
#[derive(Debug)]
pub(crate) struct Workflow<'d> {
    whole: &'d Document,
    documents: Arc<[Cut]>,
    /// Its place among the documents.
    at: usize,
}

impl Workflow<'_> {
    /// Its text with those of all documents that are no workflows.
    pub(crate) fn document(&self) -> Document {
        let mut document = Document::default();
        let mut lines = 0;
        for (at, cut) in self.documents.iter().enumerate() {
            if at != self.at && cut.info.kind.is_workflow() {
                continue;
            }
            let before = cut.lines_before.unwrap_or(0);
            let files = self.whole.parts.iter().rev();
            let Some(from) = files.into_iter().find(|part| part.before <= before) else { continue };
            let skipped = before.saturating_sub(from.before);
            let part = Part { file: Arc::clone(&from.file), before: 0, skipped };
            document.add(&mut lines, &cut.text, part);
        }
        document
    }
}

fn name_in(info: &DocumentInfo) -> String {
    shown(info.name.as_deref().unwrap_or("")).into_owned()
}

/// The name of a file as it is shown.
pub(crate) fn name_of(path: &Path) -> String {
    if path.as_os_str() == "-" { "<stdin>".to_owned() } else { path.display().to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32) -> Finding {
        Finding {
            pointer: String::new(),
            detail: String::new(),
            line: Some(line),
            column: Some(1),
            code: String::new(),
            hint: None,
        }
    }

    fn at_line(line: usize) -> Finding {
        at(u32::try_from(line).unwrap())
    }

    #[test]
    fn a_line_of_the_whole_text_is_a_line_of_one_file() {
        let files = [("a", "1\n2\n"), ("b", "4"), ("c", ""), ("d", "9\n")];
        let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let document = Document::join(files.to_vec());
        assert_eq!(document.text, "1\n2\n---\n4\n---\n---\n9\n");
        let place = |line| {
            let found = at(line);
            let (name, _, found) = document.place(&found);
            (name.to_owned(), found.line.unwrap())
        };
        assert_eq!(place(2), ("a".to_owned(), 2));
        assert_eq!(place(4), ("b".to_owned(), 1));
        assert_eq!(place(7), ("d".to_owned(), 1));
        assert_eq!(place(0), ("a".to_owned(), 0));
    }

    #[test]
    fn several_workflows_are_taken_apart_and_keep_their_lines() {
        let head = "apiVersion: argoproj.io/v1alpha1\n";
        let of =
            |kind: &str, name: &str| format!("{head}kind: {kind}\nmetadata: {{name: {name}}}\n");
        let values = "kind: ConfigMap\nmetadata: {name: v}\n";
        let first = format!("{}---\n{}", of("Workflow", "a"), of("WorkflowTemplate", "t"));
        let second = format!("\n# words\n{}--- # more\n{values}", of("Workflow", "b"));
        let files = [("one", &first), ("two", &second)];
        let files = files.map(|(name, text)| (name.to_owned(), text.clone()));
        let whole = Document::join(files.to_vec());
        let workflows = whole.workflows().unwrap();
        assert_eq!(workflows.len(), 2);
        let document = workflows[1].document();
        let kinds = flowforge_spec::documents(&document.text).unwrap();
        let kinds: Vec<_> = kinds.iter().map(|info| &*info.kind_name).collect();
        assert_eq!(kinds, ["WorkflowTemplate", "Workflow", "ConfigMap"]);
        for (at, line) in document.text.lines().enumerate().filter(|(_, line)| *line != "---") {
            let found = at_line(at + 1);
            let (_, text, found) = document.place(&found);
            let own = text.lines().nth(found.line.unwrap() as usize - 1).unwrap();
            assert!(line == own || own == format!("---{line}"), "{line:?} is not {own:?}");
        }
        assert!(workflows[0].document().workflows().is_none(), "it is one");
        let listed =
            format!("kind: List\napiVersion: v1\nitems:\n- {{kind: Workflow}}\n---\n{first}");
        assert!(Document::one("f".to_owned(), listed).workflows().is_none());
    }

    #[test]
    fn what_is_no_workflow_is_run_by_one() {
        let template = "apiVersion: argoproj.io/v1alpha1\nkind: WorkflowTemplate\nmetadata: {name: lib}\nspec:\n  entrypoint: a\n  templates: [{name: a, suspend: {}}]\n";
        let one = |text: &str| Document::one("f".to_owned(), text.to_owned());
        let (document, note) = one(template).runnable().unwrap();
        assert_eq!(note.as_deref(), Some("running the WorkflowTemplate lib by itself"));
        assert!(flowforge_spec::compile(&document.text, &Options::default()).is_ok());
        let cron = "apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {name: c}\nspec:\n  schedules: ['0 * * * *']\n  workflowSpec:\n    workflowTemplateRef: {name: lib}\n";
        let both = format!("{cron}---\n{template}");
        let (document, note) = one(&both).runnable().unwrap();
        assert_eq!(note.as_deref(), Some("running the workflow of the schedule c once, now"));
        assert!(flowforge_spec::compile(&document.text, &Options::default()).is_ok());
        assert!(one(cron).runnable().is_err(), "it refers to a template that is not there");
        assert!(one(&format!("{template}---\n{template}")).runnable().is_err());
        let (same, note) = one("a: [").runnable().unwrap();
        assert_eq!((same.text.as_str(), note), ("a: [", None));
    }
}
