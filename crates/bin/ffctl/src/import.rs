//! `import`: what becomes of manifests of other systems, construct by construct.

use flowforge_spec::{Census, Construct, Level};
use flowforge_wire::Finding;
use serde::Serialize;

use crate::args::{Form, Import};
use crate::bundle::name_of;
use crate::exit::{Exit, Failure};
use crate::lint;
use crate::output::Context;
use crate::paint::{Colour, shown};
use crate::source;

/// What is to be said about one file.
#[derive(Debug, Serialize)]
struct Read {
    file: String,
    supported: usize,
    emulated: usize,
    no_effect: usize,
    unsupported: usize,
    constructs: Vec<Row>,
    /// What else is wrong with it.
    errors: Vec<Finding>,
    #[serde(skip)]
    source: String,
    #[serde(skip)]
    unread: bool,
}

/// A construct, once for all its uses.
#[derive(Debug, Serialize)]
struct Row {
    line: u32,
    column: u32,
    pointer: String,
    construct: String,
    level: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    note: String,
    uses: u32,
    #[serde(skip)]
    supported: bool,
}

pub(crate) fn run(context: &mut Context, command: &Import) -> Result<Exit, Failure> {
    let Import::Argo { files } = command;
    let mut all = Vec::new();
    let mut exit = Exit::Ok;
    for path in files {
        let source = match source::read(path) {
            Ok(source) => source,
            Err(failure) => {
                // What is wrong with one file hides nothing of the others.
                context.explain(&failure)?;
                exit = Exit::Usage;
                continue;
            }
        };
        let read = Read::of(name_of(path), source);
        if read.unread {
            exit = Exit::Usage;
        } else if exit == Exit::Ok && !read.fine() {
            exit = Exit::Negative;
        }
        if context.form().human() {
            print(context, &read)?;
        }
        all.push(read);
    }
    match context.form() {
        Form::Json | Form::Yaml => context.document(&all)?,
        Form::Name => {
            for bad in all.iter().filter(|read| !read.fine()) {
                context.out.line(&shown(&bad.file))?;
            }
        }
        Form::Table | Form::Wide => {}
    }
    Ok(exit)
}

impl Read {
    fn of(file: String, source: String) -> Self {
        let (census, unread) = match flowforge_spec::census(&source) {
            Ok(census) => (census, false),
            Err(problems) => (Census { problems, ..Census::default() }, true),
        };
        let count = |level| census.constructs.iter().filter(|one| one.level == level).count();
        Self {
            file,
            supported: count(Level::Supported),
            emulated: count(Level::Emulated),
            no_effect: count(Level::NoEffect),
            unsupported: count(Level::Unsupported),
            errors: census.problems.list.into_iter().map(lint::finding).collect(),
            constructs: census.constructs.into_iter().map(row).collect(),
            source,
            unread,
        }
    }

    /// Can be run.
    fn fine(&self) -> bool {
        self.unsupported == 0 && self.errors.is_empty()
    }
}

fn row(construct: Construct) -> Row {
    Row {
        line: construct.line,
        column: construct.column,
        pointer: construct.pointer,
        construct: construct.construct,
        level: construct.level.name(),
        note: construct.note,
        uses: construct.count,
        supported: construct.level == Level::Supported,
    }
}

fn print(context: &mut Context, read: &Read) -> Result<(), Failure> {
    let wide = context.form() == Form::Wide;
    // What is just done is not worth a line, unless all is asked for.
    let rows = read.constructs.iter().filter(|row| wide || !row.supported);
    let cells = rows.map(|row| {
        vec![
            format!("{}:{}:{}", shown(&read.file), row.line, row.column),
            shown(&row.construct).into_owned(),
            row.level.to_owned(),
            row.uses.to_string(),
            shown(&row.note).into_owned(),
        ]
    });
    let table: Vec<Vec<String>> = cells.collect();
    if !table.is_empty() {
        context.table(&["PLACE", "CONSTRUCT", "BECOMES", "USES", "WHY"], table)?;
    }
    for found in &read.errors {
        lint::show(&mut context.out, &read.file, &read.source, found, lint::Level::Error)?;
    }
    let Read { supported, emulated, no_effect, unsupported, .. } = read;
    let text = format!(
        "{}: {supported} constructs supported, {emulated} emulated, {no_effect} without effect, \
         {unsupported} unsupported",
        shown(&read.file)
    );
    let colour = if read.fine() { Colour::Green } else { Colour::Red };
    let text = context.out.paint.text(colour, &text);
    Ok(context.out.line(&text)?)
}
