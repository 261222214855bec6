//! Values, calls and what may stand behind them.

use super::Parser;
use crate::lang::ast::{Each, Kind, Node, Step, StepKind};
use crate::lang::builtins;
use crate::lang::fault::Fault;
use crate::lang::lexer::Token;

impl Parser<'_> {
    pub(super) fn unary(&mut self) -> Result<Node, Fault> {
        let at = self.place();
        let (level, wrap): (u32, fn(Box<Node>) -> Kind) = match self.peek() {
            Token::Sign("!" | "not") => (50, Kind::Not),
            Token::Sign("-") => (90, Kind::Negate),
            Token::Sign("+") => (90, Kind::Plus),
            // Nothing can be asked of a number, a bool or nil.
            Token::Number(_) | Token::Name("true" | "false" | "nil") => return self.primary(),
            _ => {
                let primary = self.primary()?;
                return self.accesses(primary);
            }
        };
        self.advance();
        let inner = self.deeper(|p| p.operators(level))?;
        self.accesses(Node { kind: wrap(Box::new(inner)), at })
    }

    fn primary(&mut self) -> Result<Node, Fault> {
        let at = self.place();
        let node = |kind| Ok(Node { kind, at });
        match self.peek() {
            Token::Number(text) => {
                self.advance();
                match number(text) {
                    Some(kind) => node(kind),
                    None => Err(Fault::Compile(format!("{text} is no number"), at)),
                }
            }
            Token::Text(text) => {
                self.advance();
                node(Kind::Text((&**text).into()))
            }
            Token::Name(word) => match *word {
                "true" | "false" | "nil" => {
                    self.advance();
                    node(match *word {
                        "true" => Kind::Bool(true),
                        "false" => Kind::Bool(false),
                        _ => Kind::Nil,
                    })
                }
                _ if *self.peek_second() == Token::Bracket('(') => self.call(Vec::new()),
                name => {
                    self.advance();
                    node(Kind::Name(name.into()))
                }
            },
            Token::Sign("::") => {
                self.advance();
                self.call(Vec::new())
            }
            // `.a` inside a predicate is `#.a`.
            Token::Sign(".") if self.predicates > 0 => node(Kind::Pointer("".into())),
            Token::Sign("#") if self.predicates > 0 => {
                self.advance();
                let name = match self.peek() {
                    Token::Name(name) => {
                        self.advance();
                        *name
                    }
                    _ => "",
                };
                node(Kind::Pointer(name.into()))
            }
            Token::Bracket('(') => {
                self.advance();
                let inner = self.sequence()?;
                self.expect_bracket(')')?;
                Ok(inner)
            }
            Token::Bracket('[') => {
                self.advance();
                node(Kind::List(self.items(']', Self::expression)?))
            }
            Token::Bracket('{') => {
                self.advance();
                node(Kind::Map(self.items('}', Self::entry)?))
            }
            Token::Sign(_) | Token::Bracket(_) | Token::End => self.unexpected(),
        }
    }

    /// Items up to `close`, with commas between; one may follow the last.
    fn items<T>(
        &mut self,
        close: char,
        item: fn(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let mut out = Vec::new();
        while !self.take_bracket(close) {
            if !out.is_empty() {
                self.expect_sign(",")?;
                if self.take_bracket(close) {
                    break;
                }
            }
            out.push(item(self)?);
        }
        Ok(out)
    }

    fn entry(&mut self) -> Result<(Node, Node), Fault> {
        let at = self.place();
        let key = match self.peek() {
            Token::Text(key) => Node { kind: Kind::Text((&**key).into()), at },
            Token::Name(key) | Token::Number(key) => Node { kind: Kind::Text((*key).into()), at },
            Token::Bracket('(') => self.expression()?,
            _ => {
                return self.error("a key must be a string, a number, a name or in parentheses");
            }
        };
        if at == self.place() {
            self.advance();
        }
        self.expect_sign(":")?;
        Ok((key, self.expression()?))
    }

    /// `name(arguments)`; `given` is what a pipe puts before them.
    pub(super) fn call(&mut self, given: Vec<Node>) -> Result<Node, Fault> {
        let at = self.place();
        let name = self.expect_name()?;
        if let Some(each) = Each::named(name) {
            let args = self.each_arguments(each, given)?;
            return Ok(Node { kind: Kind::Each(each, args), at });
        }
        let args = self.arguments(given)?;
        Ok(match builtins::named(name) {
            Some(builtin) => Node { kind: Kind::Call(builtin, args), at },
            None => Node { kind: Kind::Unknown(name.into(), args), at },
        })
    }

    /// Arguments in parentheses, behind those given already.
    fn arguments(&mut self, given: Vec<Node>) -> Result<Vec<Node>, Fault> {
        self.expect_bracket('(')?;
        let mut args = given;
        args.extend(self.items(')', Self::expression)?);
        Ok(args)
    }

    /// A list, a predicate and what else the builtin takes.
    fn each_arguments(&mut self, each: Each, given: Vec<Node>) -> Result<Vec<Node>, Fault> {
        self.expect_bracket('(')?;
        let (least, most) = each.arguments();
        let mut args = given;
        let before = args.len();
        while args.len() < most && !(args.len() >= least && self.is_bracket(')')) {
            if args.len() > before {
                self.expect_sign(",")?;
            }
            args.push(match args.len() {
                1 => self.predicate()?,
                _ => self.expression()?,
            });
        }
        self.take_sign(",");
        self.expect_bracket(')')?;
        Ok(args)
    }

    fn predicate(&mut self) -> Result<Node, Fault> {
        self.predicates = self.predicates.saturating_add(1);
        let inner = if self.take_bracket('{') {
            let inner = self.deeper(Self::sequence)?;
            self.expect_bracket('}')?;
            inner
        } else {
            let inner = self.expression()?;
            if self.is_sign(";") {
                return self.error("wrap the predicate with brackets { and }");
            }
            inner
        };
        self.predicates = self.predicates.saturating_sub(1);
        Ok(inner)
    }

    /// `.a`, `?.a`, `[i]`, `[i:j]`, `.f()` behind a value.
    fn accesses(&mut self, base: Node) -> Result<Node, Fault> {
        let at = base.at;
        let (mut base, mut steps) = match base.kind {
            Kind::Access(base, steps) => (*base, steps),
            kind => (Node { kind, at }, Vec::new()),
        };
        loop {
            let at = self.place();
            let optional = self.is_sign("?.");
            if self.take_bracket('[') {
                steps.push(Step { at, kind: self.index(false)? });
                continue;
            }
            if !(self.take_sign(".") || self.take_sign("?.")) {
                break;
            }
            if optional && self.take_bracket('[') {
                steps.push(Step { at, kind: self.index(true)? });
                continue;
            }
            let at = self.place();
            let name: Box<str> = match self.peek() {
                Token::Name(name) => (*name).into(),
                Token::Sign(word) if word.starts_with(char::is_alphabetic) => (*word).into(),
                _ => return self.error("expected a name after ."),
            };
            self.advance();
            if !self.is_bracket('(') {
                steps.push(Step { at, kind: StepKind::Field { key: name, optional } });
                continue;
            }
            let args = self.arguments(Vec::new())?;
            if steps.is_empty() && matches!(&base.kind, Kind::Name(n) if **n == *"sprig") {
                base = sprig(&name, args, at);
            } else {
                steps.push(Step { at, kind: StepKind::Method { name, args, optional } });
            }
        }
        let at = base.at;
        Ok(match steps.is_empty() {
            true => base,
            false => Node { kind: Kind::Access(Box::new(base), steps), at },
        })
    }

    /// What stands in `[ ]`, after the `[`.
    fn index(&mut self, optional: bool) -> Result<StepKind, Fault> {
        let from = if self.is_sign(":") { None } else { Some(self.expression()?) };
        if self.take_sign(":") {
            let to = if self.is_bracket(']') { None } else { Some(self.expression()?) };
            self.expect_bracket(']')?;
            return Ok(StepKind::Slice(from, to));
        }
        self.expect_bracket(']')?;
        match from {
            Some(key) => Ok(StepKind::Index { key, optional }),
            None => self.error("expected an index"),
        }
    }
}

/// A function of sprig.
fn sprig(name: &str, args: Vec<Node>, at: u32) -> Node {
    let kind = match builtins::sprig_named(name) {
        Some(builtin) => Kind::Call(builtin, args),
        None => Kind::Unknown(format!("sprig.{name}").into(), args),
    };
    Node { kind, at }
}

fn number(text: &str) -> Option<Kind> {
    let text = text.replace('_', "");
    let lower = text.to_ascii_lowercase();
    for (prefix, radix) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(digits) = lower.strip_prefix(prefix) {
            return i64::from_str_radix(digits, radix).ok().map(Kind::Int);
        }
    }
    if lower.contains(['.', 'e']) {
        let value: f64 = text.parse().ok()?;
        return value.is_finite().then_some(Kind::Float(value));
    }
    text.parse().ok().map(Kind::Int)
}
