//! Tokens of an expression.

use crate::error::EvalError;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Int(i64),
    Float(f64),
    Text(String),
    Word(String),
    /// `#`, `#acc`, `#index`
    Pointer(String),
    /// Operators and brackets.
    Sign(&'static str),
}

/// A token and the character it begins at, from 1.
pub(super) type Placed = (Token, usize);

/// Longest first.
const SIGNS: [&str; 35] = [
    "==", "!=", "<=", ">=", "&&", "||", "**", "??", "?.", "..", "(", ")", "[", "]", "{", "}", "<",
    ">", "!", "+", "-", "*", "/", "%", "^", "?", ":", ",", ".", "|", ";", "=", "#", "&", "~",
];

/// Reads all tokens.
///
/// # Errors
/// The first character that begins no token, or a broken literal.
pub(super) fn tokens(source: &str) -> Result<Vec<Placed>, EvalError> {
    let mut lexer = Lexer { source, at: 0, chars: 1 };
    let mut out = Vec::new();
    loop {
        let blanks = lexer.rest().len() - lexer.rest().trim_start().len();
        lexer.skip(blanks);
        let start = lexer.chars;
        match lexer.token()? {
            Some(token) => out.push((token, start)),
            None => return Ok(out),
        }
    }
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    /// Characters read, plus one.
    chars: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn skip(&mut self, bytes: usize) -> &'a str {
        let read = self.rest().get(..bytes).unwrap_or("");
        self.at = self.at.saturating_add(bytes);
        self.chars = self.chars.saturating_add(read.chars().count());
        read
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, EvalError> {
        Err(EvalError::Syntax { message: message.into(), at: self.chars })
    }

    /// Reads while `part` holds.
    fn run(&mut self, part: fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        self.skip(end)
    }

    fn token(&mut self) -> Result<Option<Token>, EvalError> {
        let mut chars = self.rest().chars();
        let Some(first) = chars.next() else {
            return Ok(None);
        };
        let second = chars.next().unwrap_or(' ');
        if first.is_ascii_digit() || (first == '.' && second.is_ascii_digit()) {
            return self.number().map(Some);
        }
        if matches!(first, '\'' | '"' | '`') {
            return self.text(first).map(|text| Some(Token::Text(text)));
        }
        if first.is_alphabetic() || matches!(first, '_' | '$') {
            let word = self.run(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
            return Ok(Some(Token::Word(word.to_owned())));
        }
        if first == '#' {
            self.skip(1);
            let name = self.run(|c| c.is_alphanumeric() || c == '_');
            return Ok(Some(Token::Pointer(name.to_owned())));
        }
        let rest = self.rest();
        match SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            Some(sign) => {
                self.skip(sign.len());
                Ok(Some(Token::Sign(sign)))
            }
            None => self.error(format!("unexpected {first:?}")),
        }
    }

    fn number(&mut self) -> Result<Token, EvalError> {
        let rest = self.rest();
        for (prefix, radix) in [("0x", 16), ("0X", 16), ("0b", 2), ("0o", 8)] {
            if rest.starts_with(prefix) {
                self.skip(2);
                let digits = self.run(|c| c.is_ascii_alphanumeric() || c == '_').replace('_', "");
                return match i64::from_str_radix(&digits, radix) {
                    Ok(value) => Ok(Token::Int(value)),
                    Err(_) => self.error("not a number"),
                };
            }
        }
        let digit = |c: char| c.is_ascii_digit() || c == '_';
        let mut text = self.run(digit).to_owned();
        let mut float = false;
        let rest = self.rest();
        // `1..3` is a range, not `1.` and `.3`.
        if rest.starts_with('.') && !rest.starts_with("..") {
            text.push_str(self.skip(1));
            text.push_str(self.run(digit));
            float = true;
        }
        let rest = self.rest();
        if let Some(tail) = rest.strip_prefix(['e', 'E']) {
            let unsigned = tail.strip_prefix(['+', '-']).unwrap_or(tail);
            if unsigned.starts_with(|c: char| c.is_ascii_digit()) {
                text.push_str(self.skip(rest.len() - unsigned.len()));
                text.push_str(self.run(digit));
                float = true;
            }
        }
        if self.rest().starts_with(|c: char| c.is_alphabetic()) {
            return self.error("a letter follows a number");
        }
        let text = text.replace('_', "");
        if float {
            match text.parse::<f64>() {
                Ok(value) if value.is_finite() => Ok(Token::Float(value)),
                _ => self.error("not a number"),
            }
        } else {
            match text.parse() {
                Ok(value) => Ok(Token::Int(value)),
                Err(_) => self.error("the number is too large"),
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<String, EvalError> {
        self.skip(1);
        let mut out = String::new();
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else {
                return self.error("a string is not closed");
            };
            if c == quote {
                self.skip(1);
                return Ok(out);
            }
            if c == '\\' && quote != '`' {
                out.push(self.escape()?);
            } else {
                self.skip(c.len_utf8());
                out.push(c);
            }
        }
    }

    fn escape(&mut self) -> Result<char, EvalError> {
        let kind = self.rest().chars().nth(1).unwrap_or(' ');
        let digits = match kind {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => {
                let c = match kind {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    '\\' | '\'' | '"' | '`' => kind,
                    _ => return self.error("a broken escape in a string"),
                };
                self.skip(2);
                return Ok(c);
            }
        };
        let hex = self.rest().get(2..2 + digits);
        let code = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        match code.and_then(char::from_u32) {
            Some(c) => {
                self.skip(2 + digits);
                Ok(c)
            }
            None => self.error("a broken escape in a string"),
        }
    }
}
