//! Where output goes and in which form: data to standard output, all else to standard error.

use std::io::{self, BufWriter, IsTerminal, Write};

use comfy_table::presets::NOTHING;
use comfy_table::{Cell, Color, Table};
use flowforge_wire::Problem;
use serde::Serialize;

use crate::args::{Form, Global};
use crate::bundle::Document;
use crate::client::Client;
use crate::endpoint::{self, Place};
use crate::exit::Failure;
use crate::lint;
use crate::paint::{Colour, Paint, colour_of, shown, shown_json};
use crate::yaml;

/// A stream to write to.
pub(crate) struct Sink {
    out: Box<dyn Write>,
    /// A person looks at it.
    pub(crate) terminal: bool,
    pub(crate) paint: Paint,
}

impl Sink {
    pub(crate) fn stdout(colour: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        Self {
            out: Box::new(BufWriter::new(io::stdout())),
            terminal,
            paint: Paint(terminal && colour),
        }
    }

    pub(crate) fn stderr(colour: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            out: Box::new(BufWriter::new(io::stderr())),
            terminal,
            paint: Paint(terminal && colour),
        }
    }

    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }

    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Words that are a status have its colour, everywhere in a table.
fn cell(text: String) -> Cell {
    let colour = match colour_of(&text) {
        Colour::Red => Color::DarkRed,
        Colour::Green => Color::DarkGreen,
        Colour::Yellow => Color::DarkYellow,
        Colour::Blue => Color::DarkBlue,
        Colour::Magenta => Color::DarkMagenta,
        Colour::Cyan => Color::DarkCyan,
        Colour::Plain | Colour::Bold | Colour::Dim => return Cell::new(text),
    };
    Cell::new(text).fg(colour)
}

/// What every command needs.
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) place: Place,
    pub(crate) out: Sink,
    pub(crate) err: Sink,
}

impl Context {
    pub(crate) fn form(&self) -> Form {
        self.global.output
    }

    /// The server, once it is wanted.
    pub(crate) fn client(&mut self) -> Result<Client, Failure> {
        if let Some(warning) = endpoint::exposed(&self.place) {
            self.warn(&warning)?;
        }
        Client::new(self.place.clone())
    }

    /// A remark that is no data.
    pub(crate) fn warn(&mut self, text: &str) -> io::Result<()> {
        let word = self.err.paint.text(Colour::Yellow, "warning:");
        self.err.line(&format!("{word} {text}"))
    }

    /// A value as JSON or YAML.
    pub(crate) fn document(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = if self.form() == Form::Yaml {
            serde_json::to_value(value).map(|value| yaml::document(&value))
        } else {
            serde_json::to_string_pretty(value).map(|text| text + "\n")
        };
        let text = text.map_err(|error| Failure::from(io::Error::from(error)))?;
        if self.out.terminal {
            self.out.write(&shown_json(&text))?;
        } else {
            self.out.write(&text)?;
        }
        Ok(())
    }

    /// A list, by the names of its rows, by all that is known of them, or by the word that there are
    /// `none`. Whether it is to be a table, which is for the caller to make.
    pub(crate) fn tabled<T: Serialize>(
        &mut self,
        rows: &[T],
        name: fn(&T) -> &str,
        none: &str,
    ) -> Result<bool, Failure> {
        match self.form() {
            Form::Json | Form::Yaml => self.document(&rows)?,
            Form::Name => {
                for row in rows {
                    self.out.line(&shown(name(row)))?;
                }
            }
            Form::Table | Form::Wide if rows.is_empty() => self.err.line(none)?,
            Form::Table | Form::Wide => return Ok(true),
        }
        Ok(false)
    }

    /// A table without borders.
    pub(crate) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        if self.out.paint.0 {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        if !self.global.no_headers {
            table.set_header(head.iter().copied());
        }
        for row in rows {
            table.add_row(row.into_iter().map(cell));
        }
        for at in 0..head.len() {
            if let Some(column) = table.column_mut(at) {
                column.set_padding((0, 3));
            }
        }
        for line in table.lines() {
            self.out.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Says why a command failed.
    pub(crate) fn explain(&mut self, failure: &Failure) -> io::Result<()> {
        let error = self.err.paint.text(Colour::Red, "error:");
        match failure {
            Failure::Closed => {}
            Failure::Told { message, hint, .. } => {
                self.err.line(&format!("{error} {message}"))?;
                self.hint(hint.as_deref())?;
            }
            Failure::Absent { url } => {
                self.err.line(&format!("{error} no server answers at {}", shown(url)))?;
                let hint = "start one with `flowforge dev`, or say where one is with --data-dir \
                            or --server";
                self.hint(Some(hint))?;
            }
            Failure::Refused { problem, document } => {
                self.explain_answer(problem, document.as_deref())?;
            }
        }
        self.err.flush()
    }

    fn hint(&mut self, text: Option<&str>) -> io::Result<()> {
        let Some(text) = text else {
            return Ok(());
        };
        let word = self.err.paint.text(Colour::Cyan, "hint:");
        self.err.line(&format!("{word} {text}"))
    }

    fn explain_answer(&mut self, problem: &Problem, document: Option<&Document>) -> io::Result<()> {
        if problem.errors.is_empty() {
            let error = self.err.paint.text(Colour::Red, "error:");
            let text = if problem.detail.is_empty() { &problem.title } else { &problem.detail };
            let code = self.err.paint.text(Colour::Dim, &format!("[{}]", shown(&problem.code)));
            return self.err.line(&format!("{error} {} {code}", shown(text)));
        }
        for found in &problem.errors {
            match document {
                Some(one) => lint::show_in(&mut self.err, one, found, lint::Level::Error)?,
                None => lint::show(&mut self.err, "request", "", found, lint::Level::Error)?,
            }
        }
        lint::more(&mut self.err, problem.omitted)
    }
}

#[cfg(test)]
pub(crate) mod memory {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// Output that tests read.
    #[derive(Clone, Debug, Default)]
    pub(crate) struct Memory(Rc<RefCell<Vec<u8>>>);

    impl Memory {
        pub(crate) fn take(&self) -> String {
            String::from_utf8(self.0.take()).unwrap()
        }
    }

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        /// What is written can be read from the other half. No terminal.
        pub(crate) fn memory() -> (Self, Memory) {
            let memory = Memory::default();
            let sink = Self { out: Box::new(memory.clone()), terminal: false, paint: Paint(false) };
            (sink, memory)
        }
    }
}
