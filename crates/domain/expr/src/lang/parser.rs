//! Builds the tree of an expression, no deeper than `EXPRESSION_DEPTH`, as expr-lang's
//! `parser/parser.go` does.

mod postfix;

use flowforge_model::limits::{EXPRESSION_BYTES, EXPRESSION_DEPTH};

use super::ast::{Kind, Link, Node, Operator};
use super::fault::Fault;
use super::lexer::{Placed, Token, tokens};
use crate::error::EvalError;

/// Parses a whole expression.
///
/// # Errors
/// The first thing that does not fit, with its place; or a limit.
pub(super) fn parse(source: &str) -> Result<Node, Fault> {
    if source.len() > EXPRESSION_BYTES {
        return Err(EvalError::TOO_LONG.into());
    }
    let tokens = tokens(source)?;
    let mut parser = Parser { tokens: &tokens, at: 0, depth: 0, predicates: 0 };
    let node = parser.sequence()?;
    match parser.peek() {
        Token::End => Ok(node),
        _ => parser.unexpected(),
    }
}

struct Parser<'a> {
    /// Ends with [`Token::End`].
    tokens: &'a [Placed<'a>],
    at: usize,
    depth: usize,
    /// Predicates around: inside of one `#` and `.field` have a meaning.
    predicates: usize,
}

const END: Token<'static> = Token::End;

impl<'a> Parser<'a> {
    fn peek(&self) -> &'a Token<'a> {
        self.tokens.get(self.at).map_or(&END, |(token, _)| token)
    }

    fn peek_second(&self) -> &'a Token<'a> {
        self.tokens.get(self.at.saturating_add(1)).map_or(&END, |(token, _)| token)
    }

    /// The byte of the next token.
    fn place(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(0, |(_, at)| *at)
    }

    fn advance(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn error<T>(&self, message: impl Into<String>) -> Result<T, Fault> {
        Err(Fault::Compile(message.into(), self.place()))
    }

    fn unexpected<T>(&self) -> Result<T, Fault> {
        let token = match self.peek() {
            Token::Name(text) | Token::Number(text) | Token::Sign(text) => crate::error::cut(text),
            Token::Text(text) => format!("'{}'", crate::error::cut(text)),
            Token::Bracket(c) => c.to_string(),
            Token::End => "end".to_owned(),
        };
        self.error(format!("unexpected {token}"))
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.peek(), Token::Sign(s) if *s == sign)
    }

    fn is_bracket(&self, bracket: char) -> bool {
        *self.peek() == Token::Bracket(bracket)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn take_bracket(&mut self, bracket: char) -> bool {
        let found = self.is_bracket(bracket);
        self.at = self.at.saturating_add(usize::from(found));
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), Fault> {
        if self.take_sign(sign) { Ok(()) } else { self.unexpected() }
    }

    fn expect_bracket(&mut self, bracket: char) -> Result<(), Fault> {
        if self.take_bracket(bracket) { Ok(()) } else { self.unexpected() }
    }

    fn expect_name(&mut self) -> Result<&'a str, Fault> {
        match self.peek() {
            Token::Name(name) => {
                self.advance();
                Ok(name)
            }
            _ => self.unexpected(),
        }
    }

    /// Runs `inner` one level deeper.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > EXPRESSION_DEPTH {
            return Err(EvalError::TOO_DEEP.into());
        }
        let result = inner(self);
        self.depth = self.depth.saturating_sub(1);
        result
    }

    /// Expressions with `;` between; the last one is the value.
    fn sequence(&mut self) -> Result<Node, Fault> {
        let first = self.expression()?;
        if !self.is_sign(";") {
            return Ok(first);
        }
        let at = first.at;
        let mut nodes = vec![first];
        while self.take_sign(";") && *self.peek() != Token::End {
            nodes.push(self.expression()?);
        }
        Ok(match (nodes.len(), nodes.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                nodes.extend(last);
                Node { kind: Kind::Sequence(nodes), at }
            }
        })
    }

    /// `let`, `if`, `?:` and pipes around operators.
    fn expression(&mut self) -> Result<Node, Fault> {
        self.deeper(|p| {
            if p.take_sign("let") {
                return p.binding();
            }
            if p.take_sign("if") {
                return p.conditional();
            }
            let mut node = p.operators(0)?;
            while p.is_sign("?") {
                let at = p.place();
                p.advance();
                let kind = if p.take_sign(":") {
                    let otherwise = p.expression()?;
                    let yes = Node { kind: Kind::Bool(true), at };
                    Kind::If(Box::new([node, yes, otherwise]))
                } else {
                    let yes = p.expression()?;
                    p.expect_sign(":")?;
                    let otherwise = p.expression()?;
                    Kind::If(Box::new([node, yes, otherwise]))
                };
                node = Node { kind, at };
            }
            Ok(node)
        })
    }

    fn binding(&mut self) -> Result<Node, Fault> {
        let at = self.place();
        let name = self.expect_name()?;
        self.expect_sign("=")?;
        let value = self.expression()?;
        self.expect_sign(";")?;
        let body = self.sequence()?;
        Ok(Node { kind: Kind::Let(name.into(), Box::new([value, body])), at })
    }

    /// What follows `if`.
    fn conditional(&mut self) -> Result<Node, Fault> {
        let at = self.place();
        let condition = self.expression()?;
        let yes = self.block()?;
        self.expect_sign("else")?;
        let otherwise =
            if self.take_sign("if") { self.deeper(Self::conditional)? } else { self.block()? };
        Ok(Node { kind: Kind::If(Box::new([condition, yes, otherwise])), at })
    }

    fn block(&mut self) -> Result<Node, Fault> {
        self.expect_bracket('{')?;
        let inner = self.sequence()?;
        self.expect_bracket('}')?;
        Ok(inner)
    }

    /// The next operator, whether it is negated, and how many tokens it has.
    fn operator(&self) -> Result<Option<(Operator, usize)>, Fault> {
        let Token::Sign(sign) = self.peek() else {
            return Ok(None);
        };
        if *sign != "not" {
            return Ok(operator_named(sign).map(|operator| (operator, 1)));
        }
        let next = match self.peek_second() {
            Token::Sign(sign) => operator_named(sign).and_then(Operator::negated),
            _ => None,
        };
        match next {
            Some(operator) => Ok(Some((operator, 2))),
            None => self.unexpected(),
        }
    }

    /// Operands joined by operators of level `min` or tighter.
    fn operators(&mut self, min: u32) -> Result<Node, Fault> {
        let mut left = self.unary()?;
        let mut chain: Option<(u32, Vec<Link>)> = None;
        let mut pipes = 0_usize;
        let mut after_coalesce = false;
        loop {
            if min == 0 && self.is_sign("|") {
                self.advance();
                pipes = pipes.saturating_add(1);
                if self.depth.saturating_add(pipes) > EXPRESSION_DEPTH {
                    return Err(EvalError::TOO_DEEP.into());
                }
                let piped = close(left, chain.take());
                left = self.call(vec![piped])?;
                after_coalesce = false;
                continue;
            }
            let Some((operator, width)) = self.operator()?.filter(|(o, _)| o.level() >= min) else {
                break;
            };
            if after_coalesce && operator != Operator::Coalesce {
                let sign = operator.symbol();
                return self.error(format!("?? and {sign} cannot be mixed without parentheses"));
            }
            after_coalesce = operator == Operator::Coalesce;
            let level = operator.level();
            if chain.as_ref().is_some_and(|(l, _)| *l != level) {
                left = close(left, chain.take());
            }
            let mut links = vec![self.link(operator, width)?];
            while operator.is_comparison()
                && let Some((next, width)) = self.operator()?.filter(|(o, _)| o.is_comparison())
            {
                links.push(self.link(next, width)?);
            }
            if links.len() > 1 {
                let at = links.first().map_or(0, |link| link.at);
                left = Node { kind: Kind::Between(Box::new(close(left, chain.take())), links), at };
                continue;
            }
            match &mut chain {
                Some((_, so_far)) => so_far.append(&mut links),
                None => chain = Some((level, links)),
            }
        }
        Ok(close(left, chain))
    }

    /// An operator and its right operand.
    fn link(&mut self, operator: Operator, width: usize) -> Result<Link, Fault> {
        let at = self.place();
        self.at = self.at.saturating_add(width);
        let level = operator.level();
        let right = match operator {
            Operator::Power => self.deeper(|p| p.operators(level))?,
            _ => self.operators(level.saturating_add(1))?,
        };
        Ok(Link { operator, at, right })
    }
}

/// The node of what is read so far.
fn close(left: Node, chain: Option<(u32, Vec<Link>)>) -> Node {
    match chain {
        Some((_, links)) => {
            let at = links.first().map_or(left.at, |link| link.at);
            Node { kind: Kind::Chain(Box::new(left), links), at }
        }
        None => left,
    }
}

fn operator_named(sign: &str) -> Option<Operator> {
    use Operator as O;
    Some(match sign {
        "||" | "or" => O::Or,
        "&&" | "and" => O::And,
        "==" => O::Equal,
        "!=" => O::NotEqual,
        "<" => O::Less,
        "<=" => O::LessOrEqual,
        ">" => O::Greater,
        ">=" => O::GreaterOrEqual,
        "in" => O::In,
        "matches" => O::Matches,
        "contains" => O::Contains,
        "startsWith" => O::StartsWith,
        "endsWith" => O::EndsWith,
        ".." => O::Range,
        "+" => O::Add,
        "-" => O::Subtract,
        "*" => O::Multiply,
        "/" => O::Divide,
        "%" => O::Modulo,
        "**" | "^" => O::Power,
        "??" => O::Coalesce,
        _ => return None,
    })
}
