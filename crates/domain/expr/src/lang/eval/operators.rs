//! What the operators do.

use super::{Outcome, Run};
use crate::lang::ast::{Kind, Link, Node, Operator};
use crate::lang::dates;
use crate::lang::fault::{Fault, fail};
use crate::lang::value::{Key, Str, Value, truncate};

impl<'e> Run<'e> {
    /// One operator of a chain; the right side is evaluated only if it matters.
    pub(super) fn link(&mut self, left: Value<'e>, link: &'e Link) -> Outcome<'e> {
        use Operator as O;
        // expr-lang folds constants: what `x && true` is decides x alone, whatever its type.
        match (link.operator, &link.right.kind) {
            (O::And, Kind::Bool(true)) | (O::Or, Kind::Bool(false)) => return Ok(left),
            _ => {}
        }
        match (link.operator, &left) {
            (O::And, Value::Bool(false)) | (O::Or, Value::Bool(true)) => return Ok(left),
            (O::And | O::Or, Value::Bool(_)) => {
                // The right side is the result, whatever it is: Go looks at it no more than here.
                return self.value(&link.right);
            }
            (O::And | O::Or, other) => {
                let (kind, sign) = (other.kind(), link.operator.symbol());
                return fail(format!("{sign} needs a bool, not a {kind}"));
            }
            (O::Coalesce, Value::Nil) => return self.value(&link.right),
            (O::Coalesce, _) => return Ok(left),
            _ => {}
        }
        let right = self.value(&link.right)?;
        self.apply(left, link.operator, right)
    }

    pub(super) fn between(&mut self, first: &'e Node, links: &'e [Link]) -> Outcome<'e> {
        let mut left = self.value(first)?;
        for link in links {
            let right = self.value(&link.right)?;
            let holds = self.relation(link.operator, &left, &right);
            if !holds.map_err(|fault| fault.at(link.at))? {
                return Ok(Value::Bool(false));
            }
            left = right;
        }
        Ok(Value::Bool(true))
    }

    fn apply(&mut self, left: Value<'e>, operator: Operator, right: Value<'e>) -> Outcome<'e> {
        use Operator as O;
        match operator {
            O::Range => self.range(&left, &right),
            O::Add | O::Subtract | O::Multiply | O::Divide | O::Modulo | O::Power => {
                self.arithmetic(operator, &left, &right)
            }
            O::Equal | O::NotEqual => {
                let (left, right) = (self.settle(left)?, self.settle(right)?);
                self.relation(operator, &left, &right).map(Value::Bool)
            }
            O::In | O::NotIn => {
                let right = self.settle(right)?;
                self.relation(operator, &left, &right).map(Value::Bool)
            }
            _ => self.relation(operator, &left, &right).map(Value::Bool),
        }
    }

    fn range(&mut self, left: &Value<'e>, right: &Value<'e>) -> Outcome<'e> {
        let end = |value: &Value<'_>| match value {
            Value::Int(at) => Ok(*at),
            Value::Float(at) => Ok(truncate(*at)),
            other => fail(format!("a {} is no end of a range", other.kind())),
        };
        let (from, to) = (end(left)?, end(right)?);
        let length = to.saturating_sub(from).saturating_add(1).max(0);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        // Asked for before a single item is made.
        self.spend(length)?;
        self.allocate(length.saturating_mul(size_of::<Value<'_>>()))?;
        Value::list((from..=to).map(Value::Int).collect())
    }

    fn relation(
        &mut self,
        operator: Operator,
        left: &Value<'e>,
        right: &Value<'e>,
    ) -> Result<bool, Fault> {
        use Operator as O;
        self.spend(left.weight().saturating_add(right.weight()))?;
        Ok(match operator {
            O::Equal => left.equals(right),
            O::NotEqual => !left.equals(right),
            O::In => contains(right, left)?,
            O::NotIn => !contains(right, left)?,
            O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
                if !left.comparable(right) {
                    let (a, b) = (left.kind(), right.kind());
                    return fail(format!("invalid operation: {a} {} {b}", operator.symbol()));
                }
                left.compare(right).is_some_and(|order| match operator {
                    O::Less => order.is_lt(),
                    O::LessOrEqual => order.is_le(),
                    O::Greater => order.is_gt(),
                    _ => order.is_ge(),
                })
            }
            _ => {
                let negated = matches!(
                    operator,
                    O::NotMatches | O::NotContains | O::NotStartsWith | O::NotEndsWith
                );
                self.part(operator, left, right)? != negated
            }
        })
    }

    /// Operators of two texts; a nil on either side is false.
    fn part(
        &mut self,
        operator: Operator,
        left: &Value<'e>,
        right: &Value<'e>,
    ) -> Result<bool, Fault> {
        use Operator as O;
        let (text, part) = match (left, right) {
            (Value::Nil, _) | (_, Value::Nil) => return Ok(false),
            (Value::Text(text), Value::Text(part)) => (text, part),
            _ => {
                let (a, b) = (left.kind(), right.kind());
                return fail(format!("invalid operation: {a} {} {b}", operator.symbol()));
            }
        };
        Ok(match operator {
            O::Contains | O::NotContains => text.contains(&**part),
            O::StartsWith | O::NotStartsWith => text.starts_with(&**part),
            O::EndsWith | O::NotEndsWith => text.ends_with(&**part),
            _ => {
                // Compiling a pattern costs like a thousand steps, 40 visits like one.
                self.spend(1000)?;
                let found = crate::pattern::matches(part, text);
                let (found, visits) = found.map_err(|message| Fault::Run(message, None))?;
                self.spend(visits / 40)?;
                found
            }
        })
    }

    fn arithmetic(
        &mut self,
        operator: Operator,
        left: &Value<'e>,
        right: &Value<'e>,
    ) -> Outcome<'e> {
        use Operator as O;
        match (operator, left, right) {
            (O::Add, Value::Text(a), Value::Text(b)) => {
                self.allocate(a.len().saturating_add(b.len()))?;
                return Ok(Value::Text(Str::Shared([&**a, &**b].concat().into())));
            }
            (O::Add | O::Subtract | O::Multiply | O::Modulo, Value::Int(a), Value::Int(b)) => {
                let result = match operator {
                    O::Add => a.checked_add(*b),
                    O::Subtract => a.checked_sub(*b),
                    O::Multiply => a.checked_mul(*b),
                    _ if *b == 0 => return fail("integer divide by zero"),
                    _ => a.checked_rem(*b),
                };
                return result.map_or_else(overflow, |value| Ok(Value::Int(value)));
            }
            _ => {}
        }
        if let Some(result) = dates::arithmetic(operator, left, right) {
            return result;
        }
        let (Some(a), Some(b), false) = (left.number(), right.number(), operator == O::Modulo)
        else {
            let (a, b) = (left.kind(), right.kind());
            return fail(format!("invalid operation: {a} {} {b}", operator.symbol()));
        };
        Ok(Value::Float(match operator {
            O::Add => a + b,
            O::Subtract => a - b,
            O::Multiply => a * b,
            O::Divide => a / b,
            _ => a.powf(b),
        }))
    }
}

/// What a chain is worth if a constant in it decides all before it, `x && false`, and the links
/// that are left: expr-lang folds such a chain before it runs.
pub(super) fn settled<'e>(links: &'e [Link]) -> Option<(Value<'e>, &'e [Link])> {
    let decides = |link: &Link| match (link.operator, &link.right.kind) {
        (Operator::And, Kind::Bool(constant)) => !constant,
        (Operator::Or, Kind::Bool(constant)) => *constant,
        _ => false,
    };
    let first = links.first()?.operator;
    if !matches!(first, Operator::And | Operator::Or) {
        return None;
    }
    let at = links.iter().rposition(decides)?;
    let rest = links.get(at.saturating_add(1)..).unwrap_or(&[]);
    Some((Value::Bool(first == Operator::Or), rest))
}

pub(in crate::lang) fn overflow<'e>() -> Outcome<'e> {
    fail("the number is too large for an integer")
}

/// `item in container`
fn contains<'e>(container: &Value<'e>, item: &Value<'e>) -> Result<bool, Fault> {
    match (container, item) {
        (Value::Nil, _) => Ok(false),
        (Value::List(list), _) => Ok(list.items.iter().any(|other| other.equals(item))),
        (Value::Map(map), item) if map.any_keys || matches!(item, Value::Text(_)) => {
            Ok(Key::of(item).is_some_and(|key| map.entries.contains_key(&key)))
        }
        (Value::Map(_), Value::Nil) => Ok(false),
        _ => fail(format!("in is not defined on a {}", container.kind())),
    }
}

impl<'e> Run<'e> {
    /// `left + right`, for `sum`.
    pub(super) fn sum(&mut self, left: &Value<'e>, right: &Value<'e>) -> Outcome<'e> {
        self.arithmetic(Operator::Add, left, right)
    }
}
