//! Tokens of a condition, read as govaluate's `parsing.go` reads them.

use super::time;
use crate::letters::{is_alphanumeric, is_digit};

/// What a token is. Bare words are strings already: that is all Argo makes of variables.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Number(f64),
    Bool(bool),
    /// A bare or bracketed word.
    Word(String),
    /// A quoted string.
    Quoted(String),
    /// A quoted string that is a time, in Unix seconds.
    Time(i64),
    /// A quoted string behind `=~` or `!~`.
    Pattern(String),
    /// A word with dots inside.
    Accessor(String),
    Open,
    Close,
    Comma,
    Prefix(Operator),
    /// `+ - * / % ** & | ^ << >>`
    Modifier(Operator),
    /// `== != < <= > >= =~ !~ in`
    Comparator(Operator),
    /// `&& ||`
    Logical(Operator),
    /// `? : ??`
    Ternary(Operator),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Matches,
    NotMatches,
    In,
    And,
    Or,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Power,
    BitAnd,
    BitOr,
    BitXor,
    ShiftLeft,
    ShiftRight,
    Then,
    Else,
    Coalesce,
    Separate,
    Negate,
    Invert,
    BitNot,
}

/// Reads all tokens.
///
/// # Errors
/// In words, the first character that begins no token.
pub(super) fn tokens(source: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = source.chars().collect();
    let mut reader = Reader { chars, at: 0 };
    let mut out: Vec<Token> = Vec::new();
    while let Some(token) = reader.token(out.last())? {
        out.push(token);
    }
    Ok(out)
}

/// Makes of the tokens what Argo makes of them: they are checked, then the bare words become
/// strings, and all are checked again. That second look refuses what the first one took: a minus
/// before a word, `?` behind a quoted pattern.
///
/// # Errors
/// In words: the first place that does not fit, or a pattern that is none.
pub(super) fn settle(tokens: &mut [Token]) -> Result<(), String> {
    check(tokens)?;
    let mut behind_match = false;
    for token in tokens.iter_mut() {
        let before = behind_match;
        behind_match = matches!(token, Token::Comparator(Operator::Matches | Operator::NotMatches));
        *token = match std::mem::replace(token, Token::Comma) {
            Token::Quoted(text) if before => {
                crate::pattern::compile(&text)?;
                Token::Pattern(text)
            }
            Token::Word(text) => {
                if before {
                    crate::pattern::compile(&text)?;
                }
                Token::Quoted(text)
            }
            other => other,
        };
    }
    check(tokens)
}

/// Checks parentheses and which token may follow which.
///
/// # Errors
/// In words, the first place that does not fit.
fn check(tokens: &[Token]) -> Result<(), String> {
    let mut depth = 0_i64;
    for token in tokens {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
    }
    if depth != 0 {
        return Err("unbalanced parenthesis".to_owned());
    }
    let mut last = None;
    for token in tokens {
        if !may_follow(last, token) {
            let place = last.map_or("the beginning".to_owned(), describe);
            return Err(format!("{} cannot follow {place}", describe(token)));
        }
        last = Some(token);
    }
    match last {
        Some(last) if value_like(last) || *last == Token::Close => Ok(()),
        _ => Err("unexpected end".to_owned()),
    }
}

fn value_like(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(_)
            | Token::Bool(_)
            | Token::Word(_)
            | Token::Quoted(_)
            | Token::Time(_)
            | Token::Pattern(_)
            | Token::Accessor(_)
    )
}

/// govaluate's table of states (`lexerState.go`).
fn may_follow(last: Option<&Token>, next: &Token) -> bool {
    use Token as T;
    let value = value_like(next);
    let operator = matches!(
        next,
        T::Modifier(_) | T::Comparator(_) | T::Logical(_) | T::Ternary(_) | T::Comma
    );
    match last {
        None => value || matches!(next, T::Prefix(_) | T::Open),
        Some(T::Open) => value || matches!(next, T::Prefix(_) | T::Open | T::Close),
        Some(T::Close) => {
            operator
                || (value && !matches!(next, T::Accessor(_)))
                || matches!(next, T::Open | T::Close)
        }
        Some(T::Accessor(_)) => operator || matches!(next, T::Open | T::Close),
        Some(T::Number(_) | T::Bool(_) | T::Word(_) | T::Quoted(_)) => {
            operator || *next == T::Close
        }
        Some(T::Time(_) | T::Pattern(_)) => {
            (operator && !matches!(next, T::Ternary(_))) || *next == T::Close
        }
        Some(T::Modifier(_)) => {
            (value && !matches!(next, T::Time(_)))
                || matches!(next, T::Prefix(_) | T::Open | T::Close)
        }
        Some(T::Comparator(_) | T::Logical(_)) => {
            value || matches!(next, T::Prefix(_) | T::Open | T::Close)
        }
        Some(T::Ternary(_)) => value || matches!(next, T::Prefix(_) | T::Open | T::Comma),
        Some(T::Prefix(_)) => {
            (value && !matches!(next, T::Quoted(_) | T::Time(_)))
                || matches!(next, T::Open | T::Close)
        }
        Some(T::Comma) => value || matches!(next, T::Prefix(_) | T::Open),
    }
}

fn describe(token: &Token) -> String {
    match token {
        Token::Number(n) => format!("the number {n}"),
        Token::Bool(b) => b.to_string(),
        Token::Word(w) | Token::Accessor(w) => format!("the word {}", crate::error::cut(w)),
        Token::Quoted(s) | Token::Pattern(s) => format!("the string '{}'", crate::error::cut(s)),
        Token::Time(_) => "a time".to_owned(),
        Token::Open => "(".to_owned(),
        Token::Close => ")".to_owned(),
        Token::Comma => ",".to_owned(),
        Token::Prefix(o)
        | Token::Modifier(o)
        | Token::Comparator(o)
        | Token::Logical(o)
        | Token::Ternary(o) => o.symbol().to_owned(),
    }
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
            Self::In => "in",
            Self::And => "&&",
            Self::Or => "||",
            Self::Plus => "+",
            Self::Minus | Self::Negate => "-",
            Self::Times => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "**",
            Self::BitAnd => "&",
            Self::BitOr => "|",
            Self::BitXor => "^",
            Self::ShiftLeft => "<<",
            Self::ShiftRight => ">>",
            Self::Then => "?",
            Self::Else => ":",
            Self::Coalesce => "??",
            Self::Separate => ",",
            Self::Invert => "!",
            Self::BitNot => "~",
        }
    }
}

/// Govaluate's reader: a backslash makes any character part of what is being read.
struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn next(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied()?;
        self.at = self.at.saturating_add(1);
        Some(c)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// Reads while `part` holds. `Ok(true)` if it ended before the text did. With `blanks` they
    /// are part of it, otherwise the first one ends it.
    fn read(&mut self, blanks: bool, part: fn(char) -> bool) -> Result<(String, bool), String> {
        let mut out = String::new();
        while let Some(c) = self.next() {
            if c == '\\' {
                let escaped = self.next();
                out.push(escaped.ok_or("a backslash at the end escapes nothing")?);
                continue;
            }
            if !blanks && c.is_whitespace() {
                if out.is_empty() {
                    continue;
                }
                return Ok((out, true));
            }
            if !part(c) {
                self.at -= 1;
                return Ok((out, true));
            }
            out.push(c);
        }
        Ok((out, false))
    }

    fn token(&mut self, last: Option<&Token>) -> Result<Option<Token>, String> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at = self.at.saturating_add(1);
        }
        let Some(first) = self.peek() else {
            return Ok(None);
        };
        let token = match first {
            c if c == '.' || is_digit(c) => self.number()?,
            ',' => self.single(Token::Comma),
            '(' => self.single(Token::Open),
            ')' => self.single(Token::Close),
            '[' => {
                self.next();
                let (name, closed) = self.read(true, |c| c != ']')?;
                if !closed {
                    return Err("unclosed [".to_owned());
                }
                self.next();
                Token::Word(name)
            }
            '\'' | '"' => {
                self.next();
                let (text, closed) = self.read(true, |c| c != '\'' && c != '"')?;
                if !closed {
                    return Err("unclosed string".to_owned());
                }
                self.next();
                time::parse(&text).map_or(Token::Quoted(text), Token::Time)
            }
            c if c.is_alphabetic() => self.word()?,
            _ => self.symbol(last)?,
        };
        Ok(Some(token))
    }

    fn single(&mut self, token: Token) -> Token {
        self.next();
        token
    }

    fn number(&mut self) -> Result<Token, String> {
        let hex = self.peek() == Some('0')
            && self.chars.get(self.at.saturating_add(1)) == Some(&'x')
            && self.chars.get(self.at.saturating_add(2)).is_some();
        if hex {
            self.at = self.at.saturating_add(2);
            let (digits, _) = self.read(false, |c| is_digit(c) || c.is_ascii_hexdigit())?;
            let value = u64::from_str_radix(&digits, 16);
            let value = value.map_err(|_| format!("'{digits}' is not a hex number"))?;
            return Ok(Token::Number(as_float(value)));
        }
        let (text, _) = self.read(false, |c| is_digit(c) || c == '.')?;
        let value: Result<f64, _> = text.parse();
        value
            .map(Token::Number)
            .map_err(|_| format!("'{}' is not a number", crate::error::cut(&text)))
    }

    fn word(&mut self) -> Result<Token, String> {
        let (word, _) = self.read(false, |c| is_alphanumeric(c) || c == '_' || c == '.')?;
        match word.as_str() {
            "true" => return Ok(Token::Bool(true)),
            "false" => return Ok(Token::Bool(false)),
            "in" | "IN" => return Ok(Token::Comparator(Operator::In)),
            _ => {}
        }
        let Some((_, fields)) = word.split_once('.').filter(|(head, _)| !head.is_empty()) else {
            return Ok(Token::Word(word));
        };
        if word.ends_with('.') {
            return Err(format!("'{word}' ends with a dot"));
        }
        let lower = |field: &str| field.chars().next().is_some_and(char::is_lowercase);
        if fields.split('.').any(lower) {
            return Err(format!("'{word}' is not a plain word"));
        }
        Ok(Token::Accessor(word))
    }

    fn symbol(&mut self, last: Option<&Token>) -> Result<Token, String> {
        let (symbol, _) = self.read(false, |c| {
            !(is_alphanumeric(c) || matches!(c, '(' | ')' | '[' | ']' | '\'' | '"'))
        })?;
        let prefix = match symbol.as_str() {
            "-" => Some(Operator::Negate),
            "!" => Some(Operator::Invert),
            "~" => Some(Operator::BitNot),
            _ => None,
        };
        if let Some(operator) = prefix {
            let token = Token::Prefix(operator);
            if may_follow(last, &token) {
                return Ok(token);
            }
        }
        Ok(match symbol.as_str() {
            "+" => Token::Modifier(Operator::Plus),
            "-" => Token::Modifier(Operator::Minus),
            "*" => Token::Modifier(Operator::Times),
            "/" => Token::Modifier(Operator::Divide),
            "%" => Token::Modifier(Operator::Modulo),
            "**" => Token::Modifier(Operator::Power),
            "&" => Token::Modifier(Operator::BitAnd),
            "|" => Token::Modifier(Operator::BitOr),
            "^" => Token::Modifier(Operator::BitXor),
            "<<" => Token::Modifier(Operator::ShiftLeft),
            ">>" => Token::Modifier(Operator::ShiftRight),
            "&&" => Token::Logical(Operator::And),
            "||" => Token::Logical(Operator::Or),
            "==" => Token::Comparator(Operator::Equal),
            "!=" => Token::Comparator(Operator::NotEqual),
            "<" => Token::Comparator(Operator::Less),
            "<=" => Token::Comparator(Operator::LessOrEqual),
            ">" => Token::Comparator(Operator::Greater),
            ">=" => Token::Comparator(Operator::GreaterOrEqual),
            "=~" => Token::Comparator(Operator::Matches),
            "!~" => Token::Comparator(Operator::NotMatches),
            "?" => Token::Ternary(Operator::Then),
            ":" => Token::Ternary(Operator::Else),
            "??" => Token::Ternary(Operator::Coalesce),
            _ => return Err(format!("invalid token '{}'", crate::error::cut(&symbol))),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "Go rounds the same way: to nearest, ties to even")]
pub(super) fn as_float(value: u64) -> f64 {
    value as f64
}
