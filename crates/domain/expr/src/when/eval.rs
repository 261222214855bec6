//! Evaluates a condition as govaluate's `evaluationStage.go` does.

use std::fmt;

use super::lexer::Operator;
use super::parser::Node;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Nil,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Value>),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<nil>"),
            Self::Bool(b) => b.fmt(f),
            Self::Number(n) => f.write_str(&crate::lang::go_float(*n)),
            Self::Text(s) => f.write_str(s),
            Self::List(items) => {
                f.write_str("[")?;
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" ")?;
                    }
                    item.fmt(f)?;
                }
                f.write_str("]")
            }
        }
    }
}

/// The value of a node; a missing operand is nil.
///
/// # Errors
/// In words: an operator does not take a value it was given.
pub(super) fn evaluate(node: Option<&Node>) -> Result<Value, String> {
    let Some(node) = node else {
        return Ok(Value::Nil);
    };
    match node {
        Node::Number(n) => Ok(Value::Number(*n)),
        Node::Bool(b) => Ok(Value::Bool(*b)),
        Node::Text(s) => Ok(Value::Text(s.clone())),
        Node::Accessor(name) => Err(format!("'{}' is not a plain word", crate::error::cut(name))),
        Node::Group(inner) => evaluate(inner.as_deref()),
        Node::Prefix(operator, inner) => prefix(*operator, &evaluate(inner.as_deref())?),
        Node::Chain(first, rest) => {
            let mut left = evaluate(first.as_deref())?;
            for (operator, right) in rest {
                left = step(left, *operator, right.as_ref())?;
            }
            Ok(left)
        }
    }
}

/// One operator of a chain; `right` is evaluated only if its value matters.
fn step(left: Value, operator: Operator, right: Option<&Node>) -> Result<Value, String> {
    use Operator as O;
    match (operator, &left) {
        (O::And, Value::Bool(false)) | (O::Or, Value::Bool(true)) => return Ok(left),
        (O::Then, Value::Bool(false)) => return Ok(Value::Nil),
        (O::Coalesce | O::Else, value) if *value != Value::Nil => return Ok(left),
        _ => {}
    }
    let right = evaluate(right)?;
    let refuse = |value: &Value| {
        Err(format!(
            "{} cannot be used with the value '{}'",
            operator.symbol(),
            crate::error::cut(&value.to_string())
        ))
    };
    match operator {
        O::Equal => Ok(Value::Bool(left == right)),
        O::NotEqual => Ok(Value::Bool(left != right)),
        O::And | O::Or => match (&left, &right) {
            (Value::Bool(_), Value::Bool(_)) => Ok(right),
            (Value::Bool(_), other) | (other, _) => refuse(other),
        },
        O::Coalesce | O::Else => Ok(right),
        O::Then => match left {
            Value::Bool(_) => Ok(right),
            other => refuse(&other),
        },
        O::Separate => Ok(match left {
            Value::List(mut items) => {
                items.push(right);
                Value::List(items)
            }
            other => Value::List(vec![other, right]),
        }),
        O::In => match right {
            Value::List(items) => Ok(Value::Bool(items.contains(&left))),
            other => refuse(&other),
        },
        O::Matches | O::NotMatches => match (&left, &right) {
            (Value::Text(text), Value::Text(pattern)) => {
                let (found, _) = crate::pattern::matches(pattern, text)?;
                Ok(Value::Bool(found == (operator == O::Matches)))
            }
            (Value::Text(_), other) | (other, _) => refuse(other),
        },
        O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
            let order = match (&left, &right) {
                (Value::Number(a), Value::Number(b)) => a.partial_cmp(b),
                (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
                _ => return refuse(&left),
            };
            Ok(Value::Bool(order.is_some_and(|order| match operator {
                O::Less => order.is_lt(),
                O::LessOrEqual => order.is_le(),
                O::Greater => order.is_gt(),
                _ => order.is_ge(),
            })))
        }
        O::Plus if matches!(left, Value::Text(_)) || matches!(right, Value::Text(_)) => {
            Ok(Value::Text(format!("{left}{right}")))
        }
        _ => match (&left, &right) {
            (Value::Number(a), Value::Number(b)) => Ok(Value::Number(arithmetic(operator, *a, *b))),
            (Value::Number(_), other) | (other, _) => refuse(other),
        },
    }
}

fn prefix(operator: Operator, value: &Value) -> Result<Value, String> {
    match (operator, value) {
        (Operator::Invert, Value::Bool(b)) => Ok(Value::Bool(!b)),
        (Operator::Negate, Value::Number(n)) => Ok(Value::Number(-n)),
        (Operator::BitNot, Value::Number(n)) => Ok(Value::Number(float(!int(*n)))),
        _ => Err(format!(
            "{} cannot be used with the value '{}'",
            operator.symbol(),
            crate::error::cut(&value.to_string())
        )),
    }
}

fn arithmetic(operator: Operator, a: f64, b: f64) -> f64 {
    use Operator as O;
    let shift = u32::try_from(int(b).cast_unsigned()).unwrap_or(64);
    match operator {
        O::Plus => a + b,
        O::Minus => a - b,
        O::Times => a * b,
        O::Divide => a / b,
        O::Modulo => a % b,
        O::Power => a.powf(b),
        O::BitAnd => float(int(a) & int(b)),
        O::BitOr => float(int(a) | int(b)),
        O::BitXor => float(int(a) ^ int(b)),
        O::ShiftLeft => unsigned(int(a).cast_unsigned().checked_shl(shift).unwrap_or(0)),
        O::ShiftRight => unsigned(int(a).cast_unsigned().checked_shr(shift).unwrap_or(0)),
        _ => f64::NAN,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "Go truncates towards zero too; where it leaves the result open, ours saturates"
)]
fn int(value: f64) -> i64 {
    value as i64
}

#[expect(clippy::cast_precision_loss, reason = "Go rounds the same way")]
fn unsigned(value: u64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "Go rounds the same way")]
fn float(value: i64) -> f64 {
    value as f64
}
