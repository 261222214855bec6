//! `lint`: checks workflow files without a server, and shows findings with their place.

use std::path::PathBuf;

use flowforge_model::limits::BODY_BYTES;
use flowforge_spec::{Linted, Options, Problem, Problems};
use flowforge_wire::{Finding, LintReport};
use serde::Serialize;

use crate::args;
use crate::bundle::{Document, name_of};
use crate::exit::{Exit, Failure};
use crate::output::{Context, Sink};
use crate::paint::{Colour, shown, width};
use crate::source;

/// Columns of a source line that are shown around a finding.
const SHOWN_COLUMNS: usize = 100;

/// What is to be said about one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    #[serde(flatten)]
    report: LintReport,
}

pub(crate) fn run(context: &mut Context, args: &args::Lint) -> Result<Exit, Failure> {
    files(context, &args.files, &args.parameters)
}

/// Checks files, with these values of parameters. Each may refer to documents of all others.
pub(crate) fn files(
    context: &mut Context,
    files: &[PathBuf],
    parameters: &[(String, String)],
) -> Result<Exit, Failure> {
    let mut all = Vec::new();
    let mut unread = false;
    for path in files {
        let file = name_of(path);
        match source::read(path) {
            Ok(source) => all.push((Checked { file, report: LintReport::default() }, source)),
            Err(failure) => {
                // What is wrong with one file hides nothing of the others.
                context.explain(&failure)?;
                unread = true;
            }
        }
    }
    check(&mut all, parameters.to_vec());
    if context.form().human() {
        for (Checked { file, report }, source) in &all {
            print(context, file, source, report)?;
        }
    }
    let all: Vec<Checked> = all.into_iter().map(|(checked, _)| checked).collect();
    let ok = !unread && all.iter().all(|one| one.report.ok);
    if context.form() == args::Form::Name {
        for bad in all.iter().filter(|one| !one.report.ok) {
            context.out.line(&shown(&bad.file))?;
        }
    } else if !context.form().human() {
        context.document(&all)?;
    }
    Ok(if ok { Exit::Ok } else { Exit::Usage })
}

/// Files that are texts of documents are checked together, the others are just refused.
fn check(files: &mut [(Checked, String)], parameters: Vec<(String, String)>) {
    let mut together = Vec::new();
    let mut bytes = 0_usize;
    for (at, (checked, source)) in files.iter_mut().enumerate() {
        bytes = bytes.saturating_add(source.len());
        match flowforge_spec::documents(source) {
            Ok(_) if bytes <= BODY_BYTES => together.push(at),
            Ok(_) => {
                let options = Options { parameters: parameters.clone(), default_retry: None };
                fill(&mut checked.report, flowforge_spec::lint(source, &options));
            }
            Err(problems) => {
                fill(&mut checked.report, Linted { problems, warnings: Vec::new() });
            }
        }
    }
    let texts = together.iter().filter_map(|at| files.get(*at));
    // Files are told apart by their places among all: two may have the same name.
    let texts = texts.zip(&together).map(|((_, text), at)| (at.to_string(), text.clone()));
    let document = Document::join(texts.collect());
    let mut whole = LintReport::default();
    if together.is_empty() {
        return;
    }
    let options = Options { parameters, default_retry: None };
    fill(&mut whole, flowforge_spec::lint(&document.text, &options));
    for at in &together {
        let Some((checked, _)) = files.get_mut(*at) else { continue };
        let of_file = |found: &Finding| {
            let (file, _, found) = document.place(found);
            (file == at.to_string()).then(|| found.into_owned())
        };
        checked.report.errors = whole.errors.iter().filter_map(of_file).collect();
        checked.report.warnings = whole.warnings.iter().filter_map(of_file).collect();
        checked.report.ok = checked.report.errors.is_empty();
        // It is not known whose they are: they follow the last one that is listed.
        if !checked.report.ok && checked.report.errors.last().is_some() {
            checked.report.omitted = std::mem::take(&mut whole.omitted);
        }
    }
}

fn fill(report: &mut LintReport, linted: Linted) {
    let Problems { list, omitted } = linted.problems;
    report.ok = list.is_empty();
    report.errors = list.into_iter().map(finding).collect();
    report.warnings = linted.warnings.into_iter().map(finding).collect();
    report.omitted = u64::try_from(omitted).unwrap_or(u64::MAX);
}

/// Says what is wrong with a document that another command reads by itself.
pub(crate) fn refuse(
    context: &mut Context,
    document: &Document,
    problems: Problems,
) -> Result<Exit, Failure> {
    let mut report = LintReport::default();
    fill(&mut report, Linted { problems, warnings: Vec::new() });
    for found in &report.errors {
        show_in(&mut context.err, document, found, Level::Error)?;
    }
    more(&mut context.err, report.omitted)?;
    Ok(Exit::Usage)
}

pub(crate) fn finding(problem: Problem) -> Finding {
    Finding {
        pointer: problem.pointer,
        detail: problem.message,
        line: Some(problem.line),
        column: Some(problem.column),
        code: problem.code.to_owned(),
        hint: problem.hint,
    }
}

fn print(
    context: &mut Context,
    file: &str,
    source: &str,
    report: &LintReport,
) -> Result<(), Failure> {
    let out = &mut context.out;
    for found in &report.warnings {
        show(out, file, source, found, Level::Warning)?;
    }
    for found in &report.errors {
        show(out, file, source, found, Level::Error)?;
    }
    more(out, report.omitted)?;
    if report.ok {
        let text = format!("{}: valid", shown(file));
        out.line(&out.paint.text(Colour::Green, &text))?;
    }
    Ok(())
}

/// Says how many findings are not listed.
pub(crate) fn more(sink: &mut Sink, omitted: u64) -> std::io::Result<()> {
    if omitted > 0 {
        sink.line(&format!("… and {omitted} more"))?;
    }
    Ok(())
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Warning,
    Error,
}

/// One finding about a document, in the file it is about.
pub(crate) fn show_in(
    sink: &mut Sink,
    document: &Document,
    found: &Finding,
    level: Level,
) -> std::io::Result<()> {
    let (name, text, found) = document.place(found);
    show(sink, name, text, &found, level)
}

/// One finding: place, text, the line it is about with a caret, and what to do.
pub(crate) fn show(
    sink: &mut Sink,
    file: &str,
    source: &str,
    found: &Finding,
    level: Level,
) -> std::io::Result<()> {
    let paint = sink.paint;
    let (word, colour) = match level {
        Level::Warning => ("warning", Colour::Yellow),
        Level::Error => ("error", Colour::Red),
    };
    let place = match (found.line, found.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}: ", shown(file)),
        _ if found.pointer.is_empty() => format!("{}: ", shown(file)),
        _ => format!("{}: {}: ", shown(file), shown(&found.pointer)),
    };
    sink.line(&format!(
        "{}{} {} {}",
        paint.text(Colour::Bold, &place),
        paint.text(colour, &format!("{word}:")),
        shown(&found.detail),
        paint.text(Colour::Dim, &format!("[{}]", shown(&found.code))),
    ))?;
    if let Some((number, line, caret)) = excerpt(source, found) {
        let gutter = format!("{number:>5} | ");
        sink.line(&format!("{}{line}", paint.text(Colour::Dim, &gutter)))?;
        let gutter = format!("{:>5} | ", "");
        let mark = format!("{}^", " ".repeat(caret));
        let mark = paint.text(colour, &mark);
        sink.line(&format!("{}{mark}", paint.text(Colour::Dim, &gutter)))?;
    }
    if let Some(hint) = &found.hint {
        sink.line(&format!("        {} {}", paint.text(Colour::Cyan, "hint:"), shown(hint)))?;
    }
    Ok(())
}

/// The line a finding is about, escaped and cut, and the column of the caret in it, from 0.
fn excerpt(source: &str, found: &Finding) -> Option<(u32, String, usize)> {
    let number = found.line.filter(|line| *line > 0)?;
    let index = usize::try_from(number - 1).ok()?;
    let line = source.lines().nth(index)?;
    let column = usize::try_from(found.column?.saturating_sub(1)).ok()?;
    // A line may be megabytes: show what is around the place.
    let begin = column.saturating_sub(SHOWN_COLUMNS / 2);
    let skipped = if column < SHOWN_COLUMNS { 0 } else { begin };
    let before: String = line.chars().skip(skipped).take(column - skipped).collect();
    let from: String = line
        .chars()
        .skip(column)
        .take(SHOWN_COLUMNS.saturating_sub(before.chars().count()))
        .collect();
    let spaced = |text: &str| shown(&text.replace('\t', " ")).into_owned();
    let before = format!("{}{}", if skipped > 0 { "…" } else { "" }, spaced(&before));
    let caret = width(&before);
    Some((number, format!("{before}{}", spaced(&from)), caret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_finding(source: &str, line: u32, column: u32) -> String {
        let found = Finding {
            pointer: "/a".to_owned(),
            detail: "unknown task `x\u{1b}[2J`".to_owned(),
            line: Some(line),
            column: Some(column),
            code: "unknown_task".to_owned(),
            hint: Some("name one of a, b".to_owned()),
        };
        let (mut sink, text) = Sink::memory();
        show(&mut sink, "dir/w.yaml", source, &found, Level::Error).unwrap();
        text.take()
    }

    #[test]
    fn a_finding_shows_its_place_its_line_and_what_to_do() {
        let source = "a: 1\r\nb:\t[日本, x\u{7}]\r\n";
        insta::assert_snapshot!(shown_finding(source, 2, 9), @r"
        dir/w.yaml:2:9: error: unknown task `x\u{1b}[2J` [unknown_task]
            2 | b: [日本, x\u{7}]
              |           ^
                hint: name one of a, b
        ");
    }

    #[test]
    fn long_lines_and_places_outside_of_the_text_are_bearable() {
        let source = format!("{}!{}", "a".repeat(1_000_000), "b".repeat(1_000_000));
        let text = shown_finding(&source, 1, 1_000_001);
        assert!(text.lines().all(|line| line.chars().count() < 130), "{text}");
        let caret = text.lines().nth(2).unwrap().find('^').unwrap();
        let marked = text.lines().nth(1).unwrap().chars().nth(caret);
        assert_eq!(marked, Some('!'));
        for (line, column) in [(0, 1), (9, 1), (u32::MAX, 1)] {
            assert_eq!(shown_finding("a", line, column).lines().count(), 2);
        }
        assert!(shown_finding("a", 1, u32::MAX).contains('^'));
    }
}
