//! Builds the tree of an expression, no deeper than `EXPRESSION_DEPTH`.

use flowforge_model::limits::{EXPRESSION_BYTES, EXPRESSION_DEPTH};

use super::ast::{Node, Operator, Step};
use super::lexer::{Placed, Token, tokens};
use crate::error::EvalError;

/// Builtins whose second argument is evaluated per item.
const CLOSURES: [&str; 13] = [
    "all",
    "any",
    "none",
    "one",
    "filter",
    "map",
    "find",
    "findIndex",
    "count",
    "sum",
    "sortBy",
    "groupBy",
    "reduce",
];

/// Parses a whole expression.
///
/// # Errors
/// The first thing that does not fit, with its place; or a limit.
pub(super) fn parse(source: &str) -> Result<Node, EvalError> {
    if source.len() > EXPRESSION_BYTES {
        return Err(EvalError::TOO_LONG);
    }
    let tokens = tokens(source)?;
    let end = source.chars().count().saturating_add(1);
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, end };
    let node = parser.expression()?;
    match parser.peek() {
        None => Ok(node),
        Some(_) => parser.error("expected an operator or the end"),
    }
}

struct Parser<'a> {
    tokens: &'a [Placed],
    at: usize,
    depth: usize,
    /// The character after the last one.
    end: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at).map(|(token, _)| token)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at = self.at.saturating_add(1);
        token
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, EvalError> {
        let at = self.tokens.get(self.at).map_or(self.end, |(_, at)| *at);
        Err(EvalError::Syntax { message: message.into(), at })
    }

    fn is(&self, sign: &str) -> bool {
        matches!(self.peek(), Some(Token::Sign(s)) if *s == sign)
    }

    fn take(&mut self, sign: &str) -> bool {
        let found = self.is(sign);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), EvalError> {
        if self.take(sign) { Ok(()) } else { self.error(format!("expected {sign}")) }
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<T, EvalError>,
    ) -> Result<T, EvalError> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > EXPRESSION_DEPTH {
            return Err(EvalError::TOO_DEEP);
        }
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// `let`, `?:` and pipes around operators.
    fn expression(&mut self) -> Result<Node, EvalError> {
        self.deeper(|p| {
            if p.word("let") {
                return p.binding();
            }
            let mut node = p.operators(0)?;
            let mut pipes = 0_usize;
            while p.take("|") {
                pipes = pipes.saturating_add(1);
                if p.depth.saturating_add(pipes) > EXPRESSION_DEPTH {
                    return Err(EvalError::TOO_DEEP);
                }
                node = p.pipe(node)?;
            }
            if p.take("?") {
                let yes = p.expression()?;
                p.expect(":")?;
                let no = p.expression()?;
                return Ok(Node::If(Box::new([node, yes, no])));
            }
            Ok(node)
        })
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(w)) if w == word);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn binding(&mut self) -> Result<Node, EvalError> {
        let Some(Token::Word(name)) = self.next() else {
            return self.error("expected a name after let");
        };
        self.expect("=")?;
        let value = self.expression()?;
        self.expect(";")?;
        let body = self.expression()?;
        Ok(Node::Let(name.clone(), Box::new([value, body])))
    }

    /// `left | f(args)` is `f(left, args)`.
    fn pipe(&mut self, left: Node) -> Result<Node, EvalError> {
        let Some(Token::Word(name)) = self.next() else {
            return self.error("expected a function after |");
        };
        let mut name = name.clone();
        if name == "sprig" && self.take(".") {
            let Some(Token::Word(function)) = self.next() else {
                return self.error("expected a function after sprig.");
            };
            name = format!("sprig.{function}");
        }
        self.expect("(")?;
        let args = self.arguments(&name, vec![left])?;
        let call = Node::Call(name, args);
        self.accesses(call)
    }

    fn operator(&self) -> Option<(Operator, usize)> {
        use Operator as O;
        let sign = match self.peek()? {
            Token::Sign(sign) => sign,
            Token::Word(word) if word == "not" => {
                let (Token::Word(word), _) = self.tokens.get(self.at.saturating_add(1))? else {
                    return None;
                };
                return Some((word_operator(word)?.negated()?, 2));
            }
            Token::Word(word) => return Some((word_operator(word)?, 1)),
            Token::Int(_) | Token::Float(_) | Token::Text(_) | Token::Pointer(_) => return None,
        };
        let operator = match *sign {
            "||" => O::Or,
            "&&" => O::And,
            "==" => O::Equal,
            "!=" => O::NotEqual,
            "<" => O::Less,
            "<=" => O::LessOrEqual,
            ">" => O::Greater,
            ">=" => O::GreaterOrEqual,
            ".." => O::Range,
            "+" => O::Add,
            "-" => O::Subtract,
            "*" => O::Multiply,
            "/" => O::Divide,
            "%" => O::Modulo,
            "**" | "^" => O::Power,
            "??" => O::Coalesce,
            _ => return None,
        };
        Some((operator, 1))
    }

    /// Operands joined by operators of level `min` or tighter.
    fn operators(&mut self, min: u32) -> Result<Node, EvalError> {
        let mut left = self.unary()?;
        while let Some((operator, width)) = self.operator().filter(|(o, _)| o.level() >= min) {
            self.at = self.at.saturating_add(width);
            let level = operator.level();
            let right = if operator == Operator::Power {
                self.deeper(|p| p.operators(level))?
            } else {
                self.operators(level.saturating_add(1))?
            };
            refuse_mixed_literals(operator, &left, &right)?;
            left = match left {
                Node::Chain(first, mut rest)
                    if rest.last().is_some_and(|(last, _)| last.level() == level) =>
                {
                    rest.push((operator, right));
                    Node::Chain(first, rest)
                }
                other => Node::Chain(Box::new(other), vec![(operator, right)]),
            };
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, EvalError> {
        if self.take("!") || self.word("not") {
            let inner = self.deeper(|p| p.operators(50))?;
            return Ok(Node::Not(Box::new(inner)));
        }
        if self.take("-") {
            let inner = self.deeper(|p| p.operators(90))?;
            return Ok(Node::Negate(Box::new(inner)));
        }
        if self.take("+") {
            return self.deeper(|p| p.operators(90));
        }
        let primary = self.primary()?;
        self.accesses(primary)
    }

    fn primary(&mut self) -> Result<Node, EvalError> {
        // `.a` inside a closure is `#.a`.
        if self.is(".") {
            return Ok(Node::Pointer(String::new()));
        }
        let start = self.at;
        let node = match self.next() {
            Some(Token::Int(value)) => Node::Int(*value),
            Some(Token::Float(value)) => Node::Float(*value),
            Some(Token::Text(text)) => Node::Text(text.clone()),
            Some(Token::Pointer(name)) => Node::Pointer(name.clone()),
            Some(Token::Word(word)) => match word.as_str() {
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "nil" => Node::Nil,
                name if self.take("(") => {
                    Node::Call(name.to_owned(), self.arguments(name, Vec::new())?)
                }
                name => Node::Name(name.to_owned()),
            },
            Some(Token::Sign("(")) => {
                let inner = self.expression()?;
                self.expect(")")?;
                inner
            }
            Some(Token::Sign("[")) => Node::List(self.items("]", Self::expression)?),
            Some(Token::Sign("{")) => Node::Map(self.items("}", Self::entry)?),
            _ => {
                self.at = start;
                return self.error("expected a value");
            }
        };
        // A parenthesised chain must not grow by the operators that follow it.
        Ok(match node {
            Node::Chain(..) => Node::Access(Box::new(node), Vec::new()),
            other => other,
        })
    }

    /// Items up to `close`, with commas between; one may follow the last.
    fn items<T>(
        &mut self,
        close: &str,
        item: fn(&mut Self) -> Result<T, EvalError>,
    ) -> Result<Vec<T>, EvalError> {
        let mut out = Vec::new();
        while !self.take(close) {
            out.push(item(self)?);
            if !self.take(",") && !self.is(close) {
                return self.error(format!("expected , or {close}"));
            }
        }
        Ok(out)
    }

    fn entry(&mut self) -> Result<(Node, Node), EvalError> {
        let key = match self.next() {
            Some(Token::Text(key) | Token::Word(key)) => Node::Text(key.clone()),
            Some(Token::Int(key)) => Node::Text(key.to_string()),
            Some(Token::Sign("(")) => {
                let key = self.expression()?;
                self.expect(")")?;
                key
            }
            _ => {
                self.at -= 1;
                return self.error("expected a key");
            }
        };
        self.expect(":")?;
        Ok((key, self.expression()?))
    }

    /// Arguments after `(` up to `)`, behind those given already.
    fn arguments(&mut self, name: &str, mut out: Vec<Node>) -> Result<Vec<Node>, EvalError> {
        let closure = CLOSURES.contains(&name);
        while !self.take(")") {
            let braces = closure && out.len() == 1 && self.take("{");
            out.push(self.expression()?);
            if braces {
                self.expect("}")?;
            }
            if !self.take(",") && !self.is(")") {
                return self.error("expected , or )");
            }
        }
        Ok(out)
    }

    /// `.a`, `?.a`, `[i]`, `[i:j]`, `.f()` behind a value.
    fn accesses(&mut self, base: Node) -> Result<Node, EvalError> {
        let mut base = base;
        let mut steps = Vec::new();
        loop {
            if self.take("[") {
                steps.push(self.index(false)?);
                continue;
            }
            let optional = self.is("?.");
            if !(self.take(".") || self.take("?.")) {
                break;
            }
            if optional && self.take("[") {
                steps.push(self.index(true)?);
                continue;
            }
            let Some(Token::Word(name)) = self.next() else {
                self.at -= 1;
                return self.error("expected a name after .");
            };
            if !self.take("(") {
                let key = Node::Text(name.clone());
                steps.push(Step::Member { key, optional });
                continue;
            }
            let sprig = steps.is_empty() && matches!(&base, Node::Name(n) if n == "sprig");
            let args = self.arguments("", Vec::new())?;
            if sprig {
                base = Node::Call(format!("sprig.{name}"), args);
            } else {
                steps.push(Step::Method(name.clone(), args));
            }
        }
        Ok(if steps.is_empty() { base } else { Node::Access(Box::new(base), steps) })
    }

    /// What stands in `[ ]`, after the `[`.
    fn index(&mut self, optional: bool) -> Result<Step, EvalError> {
        let from = if self.is(":") { None } else { Some(self.expression()?) };
        if self.take(":") {
            let to = if self.is("]") { None } else { Some(self.expression()?) };
            self.expect("]")?;
            return Ok(Step::Slice(from, to));
        }
        self.expect("]")?;
        match from {
            Some(key) => Ok(Step::Member { key, optional }),
            None => self.error("expected an index"),
        }
    }
}

fn word_operator(word: &str) -> Option<Operator> {
    Some(match word {
        "or" => Operator::Or,
        "and" => Operator::And,
        "in" => Operator::In,
        "matches" => Operator::Matches,
        "contains" => Operator::Contains,
        "startsWith" => Operator::StartsWith,
        "endsWith" => Operator::EndsWith,
        _ => return None,
    })
}

/// Two constants of different types are never equal: expr-lang refuses to compile it.
fn refuse_mixed_literals(operator: Operator, left: &Node, right: &Node) -> Result<(), EvalError> {
    let kind = |node: &Node| match node {
        Node::Bool(_) => Some("bool"),
        Node::Int(_) | Node::Float(_) => Some("number"),
        Node::Text(_) => Some("string"),
        _ => None,
    };
    if !matches!(operator, Operator::Equal | Operator::NotEqual) {
        return Ok(());
    }
    match (kind(left), kind(right)) {
        (Some(left), Some(right)) if left != right => {
            Err(EvalError::Value(format!("a {left} is never equal to a {right}")))
        }
        _ => Ok(()),
    }
}
