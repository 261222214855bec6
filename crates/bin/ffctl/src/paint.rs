//! Colour, symbols, and text of strangers made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

/// Puts colour around text, or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(pub(crate) bool);

/// SGR parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

impl Colour {
    fn sgr(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Red => "31",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Blue => "34",
            Self::Magenta => "35",
            Self::Cyan => "36",
        }
    }
}

impl Paint {
    pub(crate) fn text(self, colour: Colour, text: &str) -> String {
        if self.0 && colour != Colour::Plain && !text.is_empty() {
            format!("\u{1b}[{}m{text}\u{1b}[0m", colour.sgr())
        } else {
            text.to_owned()
        }
    }

    /// A status word in its colour.
    pub(crate) fn status(self, status: &str) -> String {
        self.text(colour_of(status), status)
    }
}

/// The colour of a status.
pub(crate) fn colour_of(status: &str) -> Colour {
    match status {
        "SUCCEEDED" => Colour::Green,
        "FAILED" => Colour::Red,
        "RUNNING" => Colour::Cyan,
        "RETRYING" | "PAUSED" => Colour::Yellow,
        "CANCELLED" => Colour::Magenta,
        "QUEUED" => Colour::Blue,
        _ => Colour::Dim,
    }
}

/// A symbol that says the same without colour.
pub(crate) fn symbol(status: &str) -> char {
    match status {
        "SUCCEEDED" => '✓',
        "FAILED" => '✗',
        "RUNNING" => '●',
        "RETRYING" => '↻',
        "PAUSED" => '‖',
        "CANCELLED" => '⊘',
        "SKIPPED" => '-',
        "QUEUED" => '◌',
        _ => '○',
    }
}

/// A colour that is always the same for a name, for the prefixes of log lines. FNV-1a, 32 bits.
pub(crate) fn colour_for(name: &str) -> Colour {
    const PALETTE: [Colour; 5] =
        [Colour::Cyan, Colour::Green, Colour::Yellow, Colour::Magenta, Colour::Blue];
    let hash = name
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let at = usize::try_from(hash).unwrap_or(0) % PALETTE.len();
    PALETTE.get(at).copied().unwrap_or(Colour::Plain)
}

/// What can move a cursor, change a terminal or reorder what is read.
fn hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Text of strangers for one line of a terminal: control characters as escapes.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    escaped(text, hostile)
}

/// A line of a log for a terminal: tabs stay.
pub(crate) fn shown_log(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c != '\t' && hostile(c))
}

fn escaped(text: &str, bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&bad) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' if bad('\t') => out.push_str("\\t"),
            c if bad(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// JSON (or YAML with JSON's strings) for a terminal: what serde leaves as it is but a terminal
/// may act on becomes `\uXXXX`, which means the same inside of a string, the only place where it
/// can be.
pub(crate) fn shown_json(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| c != '\n' && hostile(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c != '\n' && hostile(c) {
            // Writing to a String cannot fail.
            let _written = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Columns that text takes on a terminal.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// Text cut to `most` columns, with an ellipsis if something is missing.
pub(crate) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if width(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > most {
            break;
        }
        out.push(c);
    }
    if most > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// A span for people: `0.3s`, `12s`, `3m05s`, `2h07m`, `3d4h`.
pub(crate) fn span(ms: u64) -> String {
    let secs = ms / 1000;
    match secs {
        0..10 => format!("{secs}.{}s", ms % 1000 / 100),
        10..60 => format!("{secs}s"),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3600..86_400 => format!("{}h{:02}m", secs / 3600, secs % 3600 / 60),
        _ => format!("{}d{}h", secs / 86_400, secs % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_cannot_reach_the_terminal() {
        assert_eq!(shown("plain ✓ é"), "plain ✓ é");
        assert_eq!(shown("a\u{1b}[2Jb\r\n\t\u{7f}\u{9b}"), "a\\u{1b}[2Jb\\r\\n\\t\\u{7f}\\u{9b}");
        assert_eq!(shown("\u{202e}cod.exe"), "\\u{202e}cod.exe");
        assert_eq!(shown_log("a\tb\u{7}"), "a\tb\\u{7}");
        assert_eq!(shown_json("\"a\u{9b}\"\n"), "\"a\\u009b\"\n");
    }

    #[test]
    fn text_is_cut_by_columns() {
        assert_eq!(cut("abc", 3), "abc");
        assert_eq!(cut("abcd", 3), "ab…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("abc", 0), "");
    }

    #[test]
    fn spans_are_short() {
        let spans = [0, 340, 9999, 10_000, 61_000, 7_620_000, 273_600_000].map(span);
        assert_eq!(spans, ["0.0s", "0.3s", "9.9s", "10s", "1m01s", "2h07m", "3d4h"]);
    }
}
