//! Draws a tree on a terminal, over the one drawn before.

use std::fmt::Write as _;
use std::io;

use rustix::termios::tcgetwinsize;

use crate::output::Sink;
use crate::paint::{Colour, Paint, colour_of, cut, shown, span, symbol, width};
use crate::tree::Tree;
use crate::tree::layout::{self, Line};

/// If the terminal does not say how large it is.
const USUAL: (usize, usize) = (80, 24);

/// What was drawn.
#[derive(Debug, Default)]
pub(crate) struct Screen {
    rows: usize,
}

impl Screen {
    /// Replaces what was drawn before. `remark` is said below the tree.
    pub(crate) fn draw(
        &mut self,
        sink: &mut Sink,
        tree: &Tree,
        remark: Option<&str>,
    ) -> io::Result<()> {
        let (columns, rows) = size();
        // The last row stays free: the cursor is there.
        let room = rows.saturating_sub(1 + usize::from(remark.is_some()));
        let mut text = layout::lines(tree, room, crate::now());
        let mut lines = align(&mut text, columns, sink.paint);
        if let Some(why) = remark {
            lines.push(sink.paint.text(Colour::Yellow, &cut(&shown(why), columns)));
        }
        let mut out = String::new();
        // Back to where the last one began; a resized terminal shows less of it than was drawn.
        let up = self.rows.min(rows.saturating_sub(1));
        if up > 0 {
            let _written = write!(out, "\u{1b}[{up}A");
        }
        out.push('\r');
        for line in &lines {
            let _written = write!(out, "{line}\u{1b}[K\r\n");
        }
        out.push_str("\u{1b}[J");
        self.rows = lines.len();
        sink.write(&out)?;
        sink.flush()
    }
}

/// Columns and rows.
fn size() -> (usize, usize) {
    let found = tcgetwinsize(io::stdout()).or_else(|_| tcgetwinsize(io::stderr()));
    match found {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => USUAL,
    }
}

/// Lines as text: labels, words and durations below each other, cut to the width.
fn align(lines: &mut [Line], columns: usize, paint: Paint) -> Vec<String> {
    let most = columns / 2;
    for line in lines.iter_mut() {
        line.label = shown(&line.label).into_owned();
        line.note = shown(&line.note).into_owned();
        line.words = shown(&line.words).into_owned();
    }
    // The header stands apart: names of workflows are longer than those of tasks.
    let below = lines.get(1..).unwrap_or_default();
    let head = |line: &Line| width(&line.guides) + 2 + width(&line.label);
    let head_width = below.iter().map(head).max().unwrap_or(0).min(most);
    let one_word = |line: &&Line| !line.words.contains(' ');
    let words_width = below.iter().filter(one_word).map(|l| width(&l.words)).max();
    let widths = (head_width, words_width.unwrap_or(0));
    let texts = lines.iter().enumerate();
    texts
        .map(|(at, line)| {
            let widths = if at == 0 { (0, 0) } else { widths };
            one(line, widths, columns, paint)
        })
        .collect()
}

fn one(line: &Line, widths: (usize, usize), columns: usize, paint: Paint) -> String {
    let mut out = Columns { text: String::new(), left: columns, paint };
    out.put(Colour::Dim, &line.guides);
    if !line.status.is_empty() {
        let mark = format!("{} ", symbol(&line.status));
        out.put(colour_of(&line.status), &mark);
    }
    let used = columns - out.left;
    let label = if widths.0 == 0 {
        line.label.as_str().into()
    } else {
        cut(&line.label, widths.0.saturating_sub(used).max(8))
    };
    let bold = if widths.0 == 0 { Colour::Bold } else { Colour::Plain };
    out.put(bold, &label);
    out.pad(used, width(&label), widths.0);
    out.put(colour_of(&line.status), &line.words);
    if let Some(ms) = line.span {
        out.pad(0, width(&line.words), widths.1);
        out.put(Colour::Dim, &span(ms));
    } else if !line.note.is_empty() {
        out.put(Colour::Plain, "  ");
    }
    if !line.note.is_empty() {
        out.put(Colour::Plain, "  ");
        out.put(Colour::Dim, &line.note);
    }
    out.text.truncate(out.text.trim_end().len());
    out.text
}

/// A line that never gets wider than the terminal.
struct Columns {
    text: String,
    left: usize,
    paint: Paint,
}

impl Columns {
    fn put(&mut self, colour: Colour, text: &str) {
        let text = cut(text, self.left);
        self.left -= width(&text).min(self.left);
        self.text.push_str(&self.paint.text(colour, &text));
    }

    /// Fills up to `wanted` columns, of which `before` and `taken` are taken, and two more.
    fn pad(&mut self, before: usize, taken: usize, wanted: usize) {
        let missing = wanted.saturating_sub(before + taken) + 2;
        self.put(Colour::Plain, &" ".repeat(missing));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(guides: &str, status: &'static str, label: &str, words: &str, ms: Option<u64>) -> Line {
        Line {
            guides: guides.to_owned(),
            status: status.into(),
            label: label.to_owned(),
            words: words.to_owned(),
            span: ms,
            note: String::new(),
        }
    }

    fn drawn(columns: usize) -> String {
        let mut lines = vec![
            line("", "RUNNING", "demo-with-a-long-name", "RUNNING  2/53 tasks", Some(4200)),
            line("├─ ", "SUCCEEDED", "extract", "SUCCEEDED", Some(300)),
            line("├─ ", "RUNNING", "transform(0..49)", "37 succeeded, 13 pending", Some(2000)),
            line("└─ ", "FAILED", "evil\u{1b}[2J", "FAILED", None),
        ];
        lines[3].note = "exit code 3".to_owned();
        align(&mut lines, columns, Paint(false)).join("\n")
    }

    #[test]
    fn columns_are_aligned() {
        insta::assert_snapshot!(drawn(100), @r"
        ● demo-with-a-long-name  RUNNING  2/53 tasks  4.2s
        ├─ ✓ extract           SUCCEEDED  0.3s
        ├─ ● transform(0..49)  37 succeeded, 13 pending  2.0s
        └─ ✗ evil\u{1b}[2J     FAILED    exit code 3
        ");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal() {
        for columns in 0..60 {
            let text = drawn(columns);
            assert!(text.lines().all(|line| width(line) <= columns), "{columns}: {text}");
        }
    }
}
