//! The tree of a condition: one chain per run of operators of the same level.

use flowforge_model::limits::EXPRESSION_DEPTH;

use super::lexer::{Operator, Token, as_float};

/// A piece of a condition. Chains are flat, so the depth of the tree is bounded by parentheses.
#[derive(Debug)]
pub(super) enum Node {
    Number(f64),
    Bool(bool),
    Text(String),
    Accessor(String),
    /// In parentheses; they may be empty.
    Group(Option<Box<Node>>),
    Prefix(Operator, Option<Box<Node>>),
    /// `first op operand op operand ...`, grouped to the left.
    Chain(Option<Box<Node>>, Vec<(Operator, Option<Node>)>),
}

/// Operators from loosest to tightest.
const LEVELS: usize = 10;

fn level(operator: Operator) -> usize {
    use Operator as O;
    match operator {
        O::Separate => 0,
        O::Then | O::Else | O::Coalesce => 1,
        O::Or => 2,
        O::And => 3,
        O::Equal
        | O::NotEqual
        | O::Less
        | O::LessOrEqual
        | O::Greater
        | O::GreaterOrEqual
        | O::Matches
        | O::NotMatches
        | O::In => 4,
        O::BitAnd | O::BitOr | O::BitXor => 5,
        O::ShiftLeft | O::ShiftRight => 6,
        O::Plus | O::Minus => 7,
        O::Times | O::Divide | O::Modulo => 8,
        O::Power => 9,
        O::Negate | O::Invert | O::BitNot => LEVELS,
    }
}

/// Parses checked tokens. What is left over at the end is ignored, as govaluate does.
///
/// # Errors
/// In words: nested too deeply.
pub(super) fn parse(tokens: &[Token]) -> Result<Option<Node>, String> {
    Parser { tokens, at: 0, depth: 0 }.chain(0)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn operator(&self) -> Option<Operator> {
        match self.tokens.get(self.at)? {
            Token::Comma => Some(Operator::Separate),
            Token::Modifier(o) | Token::Comparator(o) | Token::Logical(o) | Token::Ternary(o) => {
                Some(*o)
            }
            Token::Number(_)
            | Token::Bool(_)
            | Token::Word(_)
            | Token::Quoted(_)
            | Token::Time(_)
            | Token::Pattern(_)
            | Token::Accessor(_)
            | Token::Open
            | Token::Close
            | Token::Prefix(_) => None,
        }
    }

    /// Reads operands joined by operators of `min` or tighter.
    fn chain(&mut self, min: usize) -> Result<Option<Node>, String> {
        let mut left = self.value()?;
        // Tightest first: every round takes one level's operators after what is read already.
        for current in (min..LEVELS).rev() {
            let mut rest = Vec::new();
            while let Some(operator) = self.operator().filter(|o| level(*o) == current) {
                self.at = self.at.saturating_add(1);
                rest.push((operator, self.chain(current.saturating_add(1))?));
            }
            if !rest.is_empty() {
                left = Some(Node::Chain(left.map(Box::new), rest));
            }
        }
        Ok(left)
    }

    fn value(&mut self) -> Result<Option<Node>, String> {
        let Some(token) = self.tokens.get(self.at) else {
            return Ok(None);
        };
        let node = match token {
            Token::Number(n) => Node::Number(*n),
            Token::Bool(b) => Node::Bool(*b),
            Token::Word(w) | Token::Quoted(w) | Token::Pattern(w) => Node::Text(w.clone()),
            Token::Time(t) => {
                Node::Number(as_float(t.unsigned_abs()) * if *t < 0 { -1.0 } else { 1.0 })
            }
            Token::Accessor(name) => Node::Accessor(name.clone()),
            Token::Close => return Ok(None),
            Token::Open => {
                self.at = self.at.saturating_add(1);
                self.deeper()?;
                let inner = self.chain(0)?;
                self.depth -= 1;
                Node::Group(inner.map(Box::new))
            }
            Token::Prefix(operator) => {
                self.at = self.at.saturating_add(1);
                self.deeper()?;
                let inner = self.value()?;
                self.depth -= 1;
                return Ok(Some(Node::Prefix(*operator, inner.map(Box::new))));
            }
            Token::Comma
            | Token::Modifier(_)
            | Token::Comparator(_)
            | Token::Logical(_)
            | Token::Ternary(_) => return Err("an operator stands where a value should".to_owned()),
        };
        // After a group this steps over its `)`, whatever it is: govaluate does not look either.
        self.at = self.at.saturating_add(1);
        Ok(Some(node))
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth = self.depth.saturating_add(1);
        if self.depth > EXPRESSION_DEPTH {
            return Err("nested deeper than 32 levels".to_owned());
        }
        Ok(())
    }
}
