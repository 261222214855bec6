//! Lines inside of quotes and brackets that are indented too little. YAML 1.2 refuses them, the
//! parser that Argo uses does not: blanks at the beginning of such lines mean nothing, so more of
//! them are put there, and places are told without them.

use std::collections::BTreeMap;

use saphyr_parser::{Parser, ScanError};

/// Largest text that is repaired, and most that is put into it: it is read again for every place
/// that is wrong.
const BYTES: usize = 128 * 1024;
/// Places that are repaired.
const PLACES: usize = 16;
/// Blanks that are deeper than any block.
const DEEP: usize = 256;

/// What the reader says of such lines.
pub(crate) const TOO_LITTLE: &str = "invalid indentation";

/// Blanks put at the beginning of lines, by line from 0.
#[derive(Debug, Default)]
pub(crate) struct Shifts(BTreeMap<usize, usize>);

impl Shifts {
    /// The column in the text as it was written.
    pub(crate) fn written(&self, line: usize, column: usize) -> usize {
        column.saturating_sub(self.0.get(&line).copied().unwrap_or(0))
    }
}

/// The same text with such lines indented; none if that is not what is wrong with it.
pub(crate) fn repair(source: &str) -> Option<(String, Shifts)> {
    if source.len() > BYTES {
        return None;
    }
    let mut shifts = Shifts::default();
    for _ in 0..PLACES {
        let text = shifted(source, &shifts);
        let Some(error) = Parser::new_from_str(&text).find_map(Result::err) else {
            return Some((text, shifts));
        };
        indent(&text, &error, &mut shifts)?;
    }
    None
}

fn shifted(source: &str, shifts: &Shifts) -> String {
    let mut out = String::with_capacity(source.len());
    for (at, line) in source.split_inclusive('\n').enumerate() {
        let blanks = shifts.0.get(&at).copied().unwrap_or(0);
        out.extend(std::iter::repeat_n(' ', blanks));
        out.push_str(line);
    }
    out
}

/// Indents the lines that the error is about; none if it is about something else.
fn indent(text: &str, error: &ScanError, shifts: &mut Shifts) -> Option<()> {
    let line = error.marker().line().checked_sub(1)?;
    match error.info() {
        "invalid indentation" => {
            // Once is enough: what is still wrong then is something else.
            shifts.0.insert(line, DEEP).is_none().then_some(())
        }
        "invalid indentation in quoted scalar" => {
            let rows: Vec<&str> = text.split_inclusive('\n').collect();
            let first: String = rows.get(line)?.chars().skip(error.marker().col()).collect();
            let mut scalar = first;
            scalar.extend(rows.iter().skip(line.saturating_add(1)).copied());
            let broken = scalar_lines(&scalar);
            // The quote stands deeper than the block around it.
            let blanks = error.marker().col();
            let before: usize = shifts.0.values().sum();
            if blanks.saturating_mul(broken).saturating_add(before) > BYTES {
                return None;
            }
            let mut fresh = false;
            for row in line.saturating_add(1)..=line.saturating_add(broken) {
                fresh |= shifts.0.insert(row, blanks).is_none();
            }
            fresh.then_some(())
        }
        _ => None,
    }
}

/// Line breaks inside of the quoted scalar that `text` begins with.
fn scalar_lines(text: &str) -> usize {
    let mut chars = text.chars().peekable();
    let Some(quote) = chars.next() else { return 0 };
    let mut lines = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '\n' => lines = lines.saturating_add(1),
            '\\' if quote == '"' => {
                lines = lines.saturating_add(usize::from(chars.next() == Some('\n')));
            }
            '\'' if quote == '\'' && chars.peek() == Some(&'\'') => {
                chars.next();
            }
            c if c == quote => break,
            _ => {}
        }
    }
    lines
}
