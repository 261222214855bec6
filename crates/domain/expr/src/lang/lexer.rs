//! Tokens of an expression, as expr-lang's `lexer/state.go` reads them.

use std::borrow::Cow;

use super::fault::Fault;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'s> {
    /// A name; also `true`, `false` and `nil`.
    Name(&'s str),
    /// A number as it is written.
    Number(&'s str),
    /// A string, its escapes replaced.
    Text(Cow<'s, str>),
    /// Operators, keywords and punctuation.
    Sign(&'s str),
    /// `( ) [ ] { }`
    Bracket(char),
    End,
}

/// A token and the byte it begins at.
pub(super) type Placed<'s> = (Token<'s>, u32);

const KEYWORDS: [&str; 11] = [
    "not",
    "in",
    "or",
    "and",
    "matches",
    "contains",
    "startsWith",
    "endsWith",
    "let",
    "if",
    "else",
];

/// Reads all tokens; the last one is [`Token::End`].
///
/// # Errors
/// The first character that begins no token, or a broken literal.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed<'_>>, Fault> {
    let mut lexer = Lexer { source, at: 0 };
    let mut out = Vec::with_capacity(source.len() / 3 + 2);
    loop {
        lexer.blanks()?;
        let start = lexer.place();
        let token = lexer.token()?;
        let end = token == Token::End;
        out.push((token, start));
        if end {
            return Ok(out);
        }
    }
}

pub(super) fn is_alphabetic(c: char) -> bool {
    matches!(c, '_' | '$') || c.is_alphabetic()
}

pub(super) fn is_alphanumeric(c: char) -> bool {
    is_alphabetic(c) || crate::letters::is_digit(c)
}

struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

impl<'s> Lexer<'s> {
    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn place(&self) -> u32 {
        u32::try_from(self.at).unwrap_or(u32::MAX)
    }

    fn skip(&mut self, bytes: usize) -> &'s str {
        let read = self.rest().get(..bytes).unwrap_or("");
        self.at = self.at.saturating_add(bytes);
        read
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Compile(message.into(), self.place()))
    }

    /// Reads while `part` holds.
    fn run(&mut self, part: fn(char) -> bool) -> &'s str {
        let rest = self.rest();
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        self.skip(end)
    }

    /// Blanks and comments.
    fn blanks(&mut self) -> Result<(), Fault> {
        loop {
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                return Ok(());
            };
            if first.is_whitespace() {
                self.skip(first.len_utf8());
            } else if rest.starts_with("//") {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
            } else if let Some(comment) = rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return self.error("unclosed comment");
                };
                self.skip(end.saturating_add(4));
            } else {
                return Ok(());
            }
        }
    }

    fn token(&mut self) -> Result<Token<'s>, Fault> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            return Ok(Token::End);
        };
        let second = chars.next().unwrap_or('\0');
        let sign = |length: usize| Token::Sign(rest.get(..length).unwrap_or(""));
        let length = match first {
            '\'' | '"' => return self.text(first),
            '`' => return self.raw(),
            'b' | 'B' if matches!(second, '\'' | '"') => {
                return self.error("bytes literals are not supported");
            }
            '0'..='9' => return self.number(),
            '.' if second.is_ascii_digit() => return self.number(),
            '.' => 1 + usize::from(second == '.'),
            '?' => 1 + usize::from(matches!(second, '.' | '?')),
            '|' | ':' | '#' => 1 + usize::from(first == second),
            ',' | ';' | '%' | '+' | '-' | '^' | '/' => 1,
            '&' | '!' | '=' | '*' | '<' | '>' => 1 + usize::from(matches!(second, '&' | '=' | '*')),
            '(' | ')' | '[' | ']' | '{' | '}' => {
                self.skip(1);
                return Ok(Token::Bracket(first));
            }
            c if is_alphanumeric(c) => {
                let word = self.run(is_alphanumeric);
                return Ok(match KEYWORDS.contains(&word) {
                    true => Token::Sign(word),
                    false => Token::Name(word),
                });
            }
            other => return self.error(format!("unrecognized character {other:?}")),
        };
        let token = sign(length);
        self.skip(length);
        Ok(token)
    }

    fn number(&mut self) -> Result<Token<'s>, Fault> {
        let rest = self.rest();
        let start = self.at;
        let decimal = |c: char| c.is_ascii_digit() || c == '_';
        let digits: fn(char) -> bool = match rest.get(..2) {
            Some("0x" | "0X") => |c| c.is_ascii_hexdigit() || c == '_',
            Some("0o" | "0O") => |c| matches!(c, '0'..='7' | '_'),
            Some("0b" | "0B") => |c| matches!(c, '0' | '1' | '_'),
            _ => decimal,
        };
        if rest.starts_with('0') && rest.get(1..2).is_some_and(|c| "xXoObB".contains(c)) {
            self.skip(2);
        }
        self.run(digits);
        // `1..3` is a range, not `1.` and `.3`.
        if self.rest().starts_with('.') {
            if self.rest().starts_with("..") {
                return Ok(Token::Number(self.source.get(start..self.at).unwrap_or("")));
            }
            self.skip(1);
            self.run(digits);
        }
        if self.rest().starts_with(['e', 'E']) {
            self.skip(1);
            if self.rest().starts_with(['+', '-']) {
                self.skip(1);
            }
            self.run(digits);
        }
        if self.rest().chars().next().is_some_and(is_alphanumeric) {
            return self.error("bad number syntax: a letter follows a number");
        }
        Ok(Token::Number(self.source.get(start..self.at).unwrap_or("")))
    }

    /// A string in backquotes; two of them are one.
    fn raw(&mut self) -> Result<Token<'s>, Fault> {
        self.skip(1);
        let mut at = 0;
        let rest = self.rest();
        let mut doubled = false;
        while let Some(quote) = rest.get(at..).and_then(|tail| tail.find('`')) {
            let end = at.saturating_add(quote);
            if rest.get(end.saturating_add(1)..).is_some_and(|tail| tail.starts_with('`')) {
                doubled = true;
                at = end.saturating_add(2);
                continue;
            }
            let text = rest.get(..end).unwrap_or("");
            self.skip(end.saturating_add(1));
            return Ok(Token::Text(match doubled {
                true => text.replace("``", "`").into(),
                false => Cow::Borrowed(text),
            }));
        }
        self.at = self.source.len();
        self.error("literal not terminated")
    }

    fn text(&mut self, quote: char) -> Result<Token<'s>, Fault> {
        self.skip(1);
        let rest = self.rest();
        let Some(end) = rest.find([quote, '\\', '\n', '\r']) else {
            self.at = self.source.len();
            return self.error("literal not terminated");
        };
        if rest.get(end..).is_some_and(|tail| tail.starts_with(quote)) {
            self.skip(end.saturating_add(1));
            return Ok(Token::Text(Cow::Borrowed(rest.get(..end).unwrap_or(""))));
        }
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return self.error("literal not terminated");
            };
            match c {
                '\n' => return self.error("literal not terminated"),
                '\\' => out.push(self.escape(quote)?),
                c if c == quote => {
                    self.skip(1);
                    return Ok(Token::Text(out.into()));
                }
                // A carriage return is read as the newline it stands for.
                '\r' => {
                    self.skip(1);
                    out.push('\n');
                }
                c => {
                    self.skip(c.len_utf8());
                    out.push(c);
                }
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<char, Fault> {
        let rest = self.rest();
        let kind = rest.chars().nth(1).unwrap_or(' ');
        let plain = match kind {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' => Some('\\'),
            c if c == quote => Some(c),
            _ => None,
        };
        if let Some(c) = plain {
            self.skip(2);
            return Ok(c);
        }
        let (skipped, digits, radix) = match kind {
            '0'..='3' => (1, 3, 8),
            'x' => (2, 2, 16),
            'u' if rest.get(2..3) == Some("{") => {
                let inside = rest.get(3..).and_then(|tail| tail.split_once('}'));
                (3, inside.map_or(0, |(digits, _)| digits.len()), 16)
            }
            'u' => (2, 4, 16),
            'U' => (2, 8, 16),
            _ => return self.error("invalid char escape"),
        };
        let end = skipped + digits;
        let digits = rest.get(skipped..end).filter(|d| !d.is_empty() && !d.contains(['+', '-']));
        let code = digits.and_then(|digits| u32::from_str_radix(digits, radix).ok());
        match code.and_then(char::from_u32) {
            Some(c) => {
                self.skip(end + usize::from(skipped == 3));
                Ok(c)
            }
            None => self.error("invalid char escape"),
        }
    }
}
