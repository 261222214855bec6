//! Strict JSON (RFC 8259) to a located tree, iteratively.

use crate::located::{Builder, Place, place};
use crate::problem::Problem;

/// Reads one JSON document and nothing after it. Its first line is `line`, from 0.
///
/// # Errors
/// The first thing that is not JSON.
pub(crate) fn read(source: &str, line: usize, builder: &mut Builder) -> Result<(), Problem> {
    let mut reader = Reader { source, at: 0, line, column: 0, counted: 0 };
    loop {
        reader.value(builder)?;
        if !reader.after_value(builder)? {
            break;
        }
    }
    if let Some(c) = reader.peek() {
        let message = format!("not JSON: {c:?} follows the end of the document");
        return Err(reader.fail(builder, &message));
    }
    builder.end_document()
}

struct Reader<'a> {
    source: &'a str,
    /// Bytes read, always at a character's border.
    at: usize,
    line: usize,
    /// Characters of the line before `counted`.
    column: usize,
    /// Bytes up to which lines and columns are counted.
    counted: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// The next character that is not blank.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.at.saturating_add(rest.len().saturating_sub(trimmed.len()));
        trimmed.chars().next()
    }

    /// The place of `at`. Every byte is counted once.
    fn place(&mut self) -> Place {
        for c in self.source.get(self.counted..self.at).unwrap_or("").chars() {
            if c == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 0;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.counted = self.at;
        place(self.line, self.column)
    }

    fn fail(&mut self, builder: &Builder, message: &str) -> Problem {
        let at = self.place();
        builder.fault("json", at, message, "")
    }

    fn skip(&mut self, bytes: usize) {
        self.at = self.at.saturating_add(bytes);
    }

    /// Reads down to the next scalar or empty container, keys included.
    fn value(&mut self, builder: &mut Builder) -> Result<(), Problem> {
        loop {
            let next = self.peek();
            let at = self.place();
            match next {
                Some('{') => {
                    builder.open_map(at)?;
                    self.skip(1);
                    if self.peek() == Some('}') {
                        self.skip(1);
                        return builder.close();
                    }
                    self.key(builder)?;
                }
                Some('[') => {
                    builder.open_list(at)?;
                    self.skip(1);
                    if self.peek() == Some(']') {
                        self.skip(1);
                        return builder.close();
                    }
                }
                Some('"') => {
                    let text = self.string(builder)?;
                    return builder.scalar(at, &text, true);
                }
                Some(_) => {
                    let word = self.word(builder)?;
                    return builder.scalar(at, word, false);
                }
                None => return Err(self.fail(builder, "not JSON: the document ends too early")),
            }
        }
    }

    /// Reads `,` and closing brackets after a value. `false` at the end of the document.
    fn after_value(&mut self, builder: &mut Builder) -> Result<bool, Problem> {
        loop {
            if builder.at_top() {
                return Ok(false);
            }
            let list = builder.in_list();
            match self.peek() {
                Some(',') => {
                    self.skip(1);
                    if !list {
                        self.key(builder)?;
                    }
                    return Ok(true);
                }
                Some(']') if list => {
                    self.skip(1);
                    builder.close()?;
                }
                Some('}') if !list => {
                    self.skip(1);
                    builder.close()?;
                }
                Some(_) => {
                    let close = if list { "]" } else { "}" };
                    let message = format!("not JSON: expected , or {close}");
                    return Err(self.fail(builder, &message));
                }
                None => return Err(self.fail(builder, "not JSON: the document ends too early")),
            }
        }
    }

    fn key(&mut self, builder: &mut Builder) -> Result<(), Problem> {
        if self.peek() != Some('"') {
            return Err(self.fail(builder, "not JSON: expected a key in double quotes"));
        }
        let at = self.place();
        let key = self.string(builder)?;
        builder.scalar(at, &key, true)?;
        if self.peek() != Some(':') {
            return Err(self.fail(builder, "not JSON: expected : after the key"));
        }
        self.skip(1);
        Ok(())
    }

    /// A number, `true`, `false` or `null`, as written.
    fn word(&mut self, builder: &Builder) -> Result<&'a str, Problem> {
        let rest = self.rest();
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')))
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or("");
        if !(matches!(word, "true" | "false" | "null") || is_number(word)) {
            return Err(self.fail(builder, "not JSON: expected a value"));
        }
        self.skip(end);
        Ok(word)
    }

    /// A string; `at` stands on its first quote.
    fn string(&mut self, builder: &Builder) -> Result<String, Problem> {
        self.skip(1);
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let end = rest.find(|c: char| c == '"' || c == '\\' || c < ' ').unwrap_or(rest.len());
            out.push_str(rest.get(..end).unwrap_or(""));
            self.skip(end);
            match self.rest().chars().next() {
                Some('"') => {
                    self.skip(1);
                    return Ok(out);
                }
                Some('\\') => {
                    let at = self.place();
                    match self.escape() {
                        Some('\0') => {
                            let message = "the string holds a NUL character";
                            return Err(builder.fault("nul", at, message, "remove \\u0000"));
                        }
                        Some(c) => out.push(c),
                        None => return Err(self.fail(builder, "not JSON: a broken escape")),
                    }
                }
                Some(_) => {
                    let message = "not JSON: a control character inside a string";
                    return Err(self.fail(builder, message));
                }
                None => return Err(self.fail(builder, "not JSON: a string is not closed")),
            }
        }
    }

    /// The character an escape stands for; `None` for broken ones and lone surrogates.
    fn escape(&mut self) -> Option<char> {
        let kind = self.rest().chars().nth(1)?;
        if kind != 'u' {
            let c = match kind {
                '"' | '\\' | '/' => kind,
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                _ => return None,
            };
            self.skip(2);
            return Some(c);
        }
        let high = hex(self.rest().get(2..6)?)?;
        if let Some(c) = char::from_u32(high) {
            self.skip(6);
            return Some(c);
        }
        let low = hex(self.rest().get(6..12)?.strip_prefix("\\u")?)?;
        let paired = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
        let c = char::from_u32(0x1_0000 + ((high & 0x3ff) << 10) + (low & 0x3ff));
        self.skip(12);
        c.filter(|_| paired)
    }
}

fn hex(text: &str) -> Option<u32> {
    let valid = text.bytes().all(|b| b.is_ascii_hexdigit());
    valid.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

/// JSON's grammar of numbers; the value is read where it is needed.
fn is_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}
