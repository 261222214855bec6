//! Go's syntax of regular expressions in the words of `regex-lite`.
//!
//! The two agree on what a construct means, not always on what is one: a `{` without a count, a
//! `[` in a class and an escaped sign are themselves in Go, two repetitions in a row are refused.

/// A count of a repetition may be this large in Go.
const REPEATS: u32 = 1000;

/// Rewrites a pattern.
///
/// # Errors
/// In words: it is none in Go, or uses Unicode classes, which are not supported.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut reader = Reader { rest: pattern, out: String::with_capacity(pattern.len()) };
    // Whether the last piece was a repetition: another one must not follow.
    let mut repeated = true;
    while let Some(c) = reader.next() {
        let repetition = match c {
            '*' | '+' | '?' => Some(c.to_string()),
            '{' => reader.count()?,
            _ => None,
        };
        if let Some(repetition) = repetition {
            if repeated && !reader.out.is_empty() {
                return Err(format!("invalid nested repetition operator: {repetition}"));
            }
            reader.out.push_str(&repetition);
            if reader.take("?") {
                reader.out.push('?');
            }
            repeated = true;
            continue;
        }
        repeated = false;
        match c {
            '\\' if reader.take("Q") => reader.quoted(),
            '\\' => {
                let escape = reader.escape()?;
                reader.out.push_str(&escape.text());
            }
            '[' => reader.class()?,
            '(' => reader.group()?,
            '{' | '}' | ']' => reader.literal(c),
            c => reader.out.push(c),
        }
    }
    Ok(reader.out)
}

/// What stands behind a backslash.
enum Escape {
    /// One character.
    Literal(char),
    /// A class or an assertion, as it is.
    Class(char),
}

impl Escape {
    fn text(&self) -> String {
        match self {
            Self::Literal(c) if c.is_alphanumeric() => c.to_string(),
            Self::Literal(c) => format!("\\x{{{:X}}}", u32::from(*c)),
            Self::Class(c) => format!("\\{c}"),
        }
    }
}

struct Reader<'p> {
    rest: &'p str,
    out: String,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = self.rest.get(c.len_utf8()..).unwrap_or("");
        Some(c)
    }

    fn take(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn literal(&mut self, c: char) {
        self.out.push_str(&Escape::Literal(c).text());
    }

    /// `n}`, `n,}` or `n,m}` behind a `{`; anything else leaves the brace a brace.
    fn count(&mut self) -> Result<Option<String>, String> {
        let Some((inside, rest)) = self.rest.split_once('}') else {
            return Ok(None);
        };
        let (least, most) = inside.split_once(',').map_or((inside, None), |(l, m)| (l, Some(m)));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(least) || most.is_some_and(|most| !most.is_empty() && !digits(most)) {
            return Ok(None);
        }
        self.rest = rest;
        let number = |text: &str| text.parse::<u32>().unwrap_or(u32::MAX);
        let most = most.filter(|most| !most.is_empty()).map(number);
        let wrong = number(least) > REPEATS
            || most.is_some_and(|most| most > REPEATS || most < number(least));
        match wrong {
            true => Err(format!("invalid repeat count: {{{inside}}}")),
            false => Ok(Some(format!("{{{inside}}}"))),
        }
    }

    /// Everything up to `\E`, or to the end.
    fn quoted(&mut self) {
        let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
        let literals: Vec<char> = quoted.chars().collect();
        for c in literals {
            self.literal(c);
        }
        self.rest = rest;
    }

    fn escape(&mut self) -> Result<Escape, String> {
        let Some(c) = self.next() else {
            return Err("trailing backslash at end of expression".to_owned());
        };
        let literal = match c {
            'a' => '\u{7}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            'x' => self.hexadecimal()?,
            '0' => self.octal('0'),
            '1'..='7' if self.rest.starts_with(|c: char| c.is_digit(8)) => self.octal(c),
            'A' | 'b' | 'B' | 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'z' => {
                return Ok(Escape::Class(c));
            }
            'p' | 'P' => return Err("Unicode character classes are not supported".to_owned()),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
            c => return Err(format!("invalid escape sequence: \\{c}")),
        };
        Ok(Escape::Literal(literal))
    }

    fn hexadecimal(&mut self) -> Result<char, String> {
        let digits = match self.rest.strip_prefix('{') {
            Some(tail) => tail.split_once('}'),
            None => self.rest.split_at_checked(2),
        };
        let code = digits.and_then(|(digits, rest)| {
            let code = u32::from_str_radix(digits, 16).ok().and_then(char::from_u32)?;
            Some((code, rest))
        });
        match code {
            Some((code, rest)) => {
                self.rest = rest;
                Ok(code)
            }
            None => Err("invalid escape sequence: \\x".to_owned()),
        }
    }

    /// Up to three octal digits.
    fn octal(&mut self, first: char) -> char {
        let mut code = first.to_digit(8).unwrap_or(0);
        for _ in 0..2 {
            let Some(digit) = self.rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
            self.next();
            code = code.saturating_mul(8).saturating_add(digit);
        }
        char::from_u32(code).unwrap_or('\0')
    }

    /// What stands behind `[`.
    fn class(&mut self) -> Result<(), String> {
        self.out.push('[');
        if self.take("^") {
            self.out.push('^');
        }
        let mut first = true;
        loop {
            if !first && self.take("]") {
                self.out.push(']');
                return Ok(());
            }
            first = false;
            if self.rest.starts_with("[:")
                && let Some((name, rest)) = self.rest.split_once(":]")
            {
                self.out.push_str(name);
                self.out.push_str(":]");
                self.rest = rest;
                continue;
            }
            let from = match self.member()? {
                Escape::Literal(c) => c,
                class @ Escape::Class(_) => {
                    self.out.push_str(&class.text());
                    continue;
                }
            };
            self.literal(from);
            if self.rest.starts_with('-') && !self.rest.starts_with("-]") {
                self.next();
                let Escape::Literal(to) = self.member()? else {
                    return Err("invalid character class range".to_owned());
                };
                if to < from {
                    return Err(format!("invalid character class range: {from}-{to}"));
                }
                self.out.push('-');
                self.literal(to);
            }
        }
    }

    fn member(&mut self) -> Result<Escape, String> {
        match self.next() {
            None => Err("missing closing ]".to_owned()),
            Some('\\') => match self.escape()? {
                Escape::Class(c @ ('A' | 'b' | 'B' | 'z')) => {
                    Err(format!("invalid escape sequence: \\{c}"))
                }
                escape @ (Escape::Literal(_) | Escape::Class(_)) => Ok(escape),
            },
            Some(c) => Ok(Escape::Literal(c)),
        }
    }

    /// What stands behind `(`: flags and names are Go's only.
    fn group(&mut self) -> Result<(), String> {
        self.out.push('(');
        if !self.rest.starts_with('?') {
            return Ok(());
        }
        let end = self.rest.find([':', ')', '>']).unwrap_or(self.rest.len());
        let (head, rest) = self.rest.split_at_checked(end).unwrap_or((self.rest, ""));
        let flags = head.strip_prefix('?').unwrap_or("");
        let named = flags.starts_with('<') || flags.starts_with("P<");
        let known = named || flags.chars().all(|c| matches!(c, 'i' | 'm' | 's' | 'U' | '-'));
        if !known {
            return Err(format!(
                "invalid or unsupported Perl syntax: ({}",
                crate::error::cut(head)
            ));
        }
        self.out.push_str(head);
        self.rest = rest;
        if let Some(c @ (':' | ')' | '>')) = self.next() {
            self.out.push(c);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    /// Compared with Go's regexp.
    #[test]
    fn what_is_a_pattern_in_go_is_one_here() {
        let matching = [
            ("a{", "a{"),
            ("{,2}", "x{,2}"),
            ("]", "]"),
            ("[]a]", "]"),
            ("[[a]", "["),
            ("[a&&b]", "&"),
            ("[\\d-]+", "1-2"),
            ("\\<", "<"),
            ("\\Qa.b\\E", "a.b"),
            ("(?i)A", "a"),
            ("(?P<n>a)", "a"),
            ("[[:alpha:]]", "x"),
            ("\\x41\\x{42}", "AB"),
            ("\\_", "_"),
            ("(?i)[a-c]", "B"),
        ];
        for (pattern, text) in matching {
            assert_eq!(crate::pattern::matches(pattern, text).map(|found| found.0), Ok(true));
        }
        for pattern in
            ["a**", "a{1001}", "(?x)a", "(?=a)", "\\Z", "\\u0041", "[z-a]", "[a", "(", "\\1", "*"]
        {
            assert!(crate::pattern::matches(pattern, "").is_err(), "{pattern}");
        }
    }
}
