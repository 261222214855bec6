//! Argo's `depends`: which ends of which tasks let a task run.

use flowforge_model::limits::{EXPRESSION_DEPTH, PARAMETER_BYTES};
use flowforge_model::plan::{Condition, Outcome};

use crate::error::{ConditionError, cut};

/// Parses a `depends` condition. `slot` maps a task's name to its slot.
///
/// Long chains of `&&` or `||` become balanced trees, so the depth of the result stays below
/// `EXPRESSION_DEPTH` times the logarithm of its length.
///
/// # Errors
/// The first thing that is wrong.
pub fn condition(
    source: &str,
    slot: &dyn Fn(&str) -> Option<u32>,
) -> Result<Condition, ConditionError> {
    if source.len() > PARAMETER_BYTES {
        return Err(ConditionError::Limit("longer than 256 KiB"));
    }
    let mut parser = Parser { source, at: 0, slot };
    let condition = parser.or(0)?;
    match parser.peek() {
        None => Ok(condition),
        Some(_) => Err(parser.error("expected && or ||")),
    }
}

struct Parser<'a> {
    source: &'a str,
    /// Bytes read, always at a character's border.
    at: usize,
    slot: &'a dyn Fn(&str) -> Option<u32>,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    /// The next character that is not blank.
    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        let trimmed = rest.trim_start();
        self.at = self.at.saturating_add(rest.len() - trimmed.len());
        self.rest().chars().next()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek().is_some() && self.rest().starts_with(token);
        if found {
            self.at = self.at.saturating_add(token.len());
        }
        found
    }

    /// An operator as a word, `and`: a blank or a parenthesis follows it, no part of a name.
    fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let after = self.rest().strip_prefix(word);
        let found = after.is_some_and(|after| after.starts_with(|c| !in_name(c)));
        if found {
            self.at = self.at.saturating_add(word.len());
        }
        found
    }

    fn error(&self, message: &str) -> ConditionError {
        let before = self.source.get(..self.at).unwrap_or("");
        ConditionError::Syntax {
            message: message.to_owned(),
            at: before.chars().count().saturating_add(1),
        }
    }

    fn or(&mut self, depth: usize) -> Result<Condition, ConditionError> {
        let mut operands = vec![self.and(depth)?];
        while self.take("||") || self.take_word("or") {
            operands.push(self.and(depth)?);
        }
        self.balance(operands, Condition::Or)
    }

    fn and(&mut self, depth: usize) -> Result<Condition, ConditionError> {
        let mut operands = vec![self.unary(depth)?];
        while self.take("&&") || self.take_word("and") {
            operands.push(self.unary(depth)?);
        }
        self.balance(operands, Condition::And)
    }

    /// Joins operands pairwise until one is left: `&&` and `||` are associative.
    fn balance(
        &self,
        mut operands: Vec<Condition>,
        join: fn(Box<Condition>, Box<Condition>) -> Condition,
    ) -> Result<Condition, ConditionError> {
        while operands.len() > 1 {
            let mut joined = Vec::with_capacity(operands.len().div_ceil(2));
            let mut rest = operands.into_iter();
            while let Some(left) = rest.next() {
                joined.push(match rest.next() {
                    Some(right) => join(Box::new(left), Box::new(right)),
                    None => left,
                });
            }
            operands = joined;
        }
        operands.pop().ok_or_else(|| self.error("expected a task"))
    }

    fn unary(&mut self, depth: usize) -> Result<Condition, ConditionError> {
        if depth >= EXPRESSION_DEPTH {
            return Err(ConditionError::Limit("nested deeper than 32 levels"));
        }
        if self.take("!") || self.takes_not() {
            return Ok(Condition::Not(Box::new(self.unary(depth.saturating_add(1))?)));
        }
        if self.take("(") {
            let inner = self.or(depth.saturating_add(1))?;
            if !self.take(")") {
                return Err(self.error("expected )"));
            }
            return Ok(inner);
        }
        self.operand()
    }

    /// `not`, unless a task of that name stands here.
    fn takes_not(&mut self) -> bool {
        (self.slot)("not").is_none() && self.take_word("not")
    }

    fn operand(&mut self) -> Result<Condition, ConditionError> {
        self.peek();
        let rest = self.rest();
        let end = rest.find(|c: char| !in_name(c)).unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or("");
        // Names of old manifests may have dots: the whole word first, then without its end.
        let (name, outcome) = match word.rsplit_once('.') {
            Some((name, outcome)) if (self.slot)(word).is_none() => (name, Some(outcome)),
            _ => (word, None),
        };
        if name.is_empty() {
            return Err(self.error("expected a task"));
        }
        let slot = (self.slot)(name).ok_or_else(|| ConditionError::UnknownTask(name.to_owned()))?;
        let condition = match outcome {
            None => Condition::Bare(slot),
            Some(word) => Condition::Is(
                slot,
                outcome_named(word).ok_or_else(|| ConditionError::UnknownOutcome(cut(word)))?,
            ),
        };
        self.at = self.at.saturating_add(end);
        Ok(condition)
    }
}

fn in_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

fn outcome_named(word: &str) -> Option<Outcome> {
    Some(match word {
        "Succeeded" => Outcome::Succeeded,
        "Failed" => Outcome::Failed,
        "Errored" => Outcome::Errored,
        "Skipped" => Outcome::Skipped,
        "Omitted" => Outcome::Omitted,
        "Daemoned" => Outcome::Daemoned,
        "AnySucceeded" => Outcome::AnySucceeded,
        "AllFailed" => Outcome::AllFailed,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &str) -> Result<Condition, ConditionError> {
        condition(source, &|name| match name {
            "a" => Some(0),
            "b-c" => Some(1),
            "d" => Some(2),
            "and" => Some(3),
            "e.f" => Some(4),
            _ => None,
        })
    }

    #[test]
    fn and_binds_tighter_than_or_and_not_tighter_than_both() {
        use Condition::{And, Bare, Is, Not, Or};
        assert_eq!(
            parse("a.Failed || !b-c && (d)").unwrap(),
            Or(
                Box::new(Is(0, Outcome::Failed)),
                Box::new(And(Box::new(Not(Box::new(Bare(1)))), Box::new(Bare(2))))
            )
        );
    }

    #[test]
    fn operators_may_be_words_and_names_may_look_like_them() {
        assert_eq!(parse("a and not d or b-c").unwrap(), parse("a && !d || b-c").unwrap());
        assert_eq!(parse("not(a)and(d)").unwrap(), parse("!a && d").unwrap());
        assert_eq!(parse("and and and.Failed").unwrap(), parse("and && and.Failed").unwrap());
        assert_eq!(parse("e.f.Failed").unwrap(), Condition::Is(4, Outcome::Failed));
        assert_eq!(parse("e.f").unwrap(), Condition::Bare(4));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("", "expected a task at character 1"),
            ("a &&", "expected a task at character 5"),
            ("a & d", "expected && or || at character 3"),
            ("(a", "expected ) at character 3"),
            ("x", "there is no task x"),
            ("a d", "expected && or || at character 3"),
        ];
        for (source, expected) in cases {
            assert_eq!(parse(source).unwrap_err().to_string(), expected, "{source}");
        }
        assert!(matches!(parse("a.Fine"), Err(ConditionError::UnknownOutcome(_))));
    }

    #[test]
    fn nesting_is_bounded_and_long_chains_stay_shallow() {
        let deep = format!("{}a{}", "(".repeat(1000), ")".repeat(1000));
        assert!(matches!(parse(&deep), Err(ConditionError::Limit(_))));
        assert!(matches!(parse(&"!".repeat(100_000)), Err(ConditionError::Limit(_))));
        let chain = vec!["a"; 10_000].join(" && ");
        fn depth(condition: &Condition) -> usize {
            match condition {
                Condition::And(l, r) | Condition::Or(l, r) => 1 + depth(l).max(depth(r)),
                Condition::Not(inner) => 1 + depth(inner),
                Condition::Bare(_) | Condition::Is(..) => 1,
            }
        }
        assert!(depth(&parse(&chain).unwrap()) <= 15);
    }
}
