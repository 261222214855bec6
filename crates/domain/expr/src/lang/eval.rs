//! Evaluates the tree of an expression, counting steps and bytes.

use std::collections::BTreeMap;
use std::rc::Rc;

use flowforge_model::limits::{EXPRESSION_MEMORY, EXPRESSION_STEPS};
use serde_json::Value as Json;

use super::ast::{Node, Operator, Step};
use super::value::{Value, truncate};
use super::{closures, functions};
use crate::error::EvalError;

/// The value of an expression.
///
/// # Errors
/// A wrong type, an unknown name, or a limit.
pub(super) fn evaluate<'e>(node: &Node, env: &'e Json) -> Result<Value<'e>, EvalError> {
    let mut run = Run {
        env,
        steps: EXPRESSION_STEPS,
        memory: EXPRESSION_MEMORY,
        variables: Vec::new(),
        frames: Vec::new(),
    };
    run.value(node)
}

/// One evaluation.
pub(super) struct Run<'e> {
    env: &'e Json,
    steps: u64,
    memory: usize,
    variables: Vec<(String, Value<'e>)>,
    pub(super) frames: Vec<Frame<'e>>,
}

/// What `#`, `#index` and `#acc` are inside a closure.
pub(super) struct Frame<'e> {
    pub(super) item: Value<'e>,
    pub(super) index: usize,
    pub(super) acc: Option<Value<'e>>,
}

pub(super) fn fail<T>(message: impl Into<String>) -> Result<T, EvalError> {
    Err(EvalError::Value(message.into()))
}

impl<'e> Run<'e> {
    /// Takes steps from the budget.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), EvalError> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or(EvalError::TOO_SLOW)?;
        Ok(())
    }

    /// Takes bytes from the budget, and a step for every 64 of them.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.memory = self.memory.checked_sub(bytes).ok_or(EvalError::TOO_BIG)?;
        self.spend(bytes / 64)
    }

    /// Pays for a string that may have been copied from the environment.
    fn copied(&mut self, value: Value<'e>) -> Result<Value<'e>, EvalError> {
        if let Value::Text(text) = &value {
            self.spend(text.len() / 64)?;
        }
        Ok(value)
    }

    /// A new string.
    pub(super) fn string(&mut self, text: &str) -> Result<Value<'e>, EvalError> {
        self.allocate(text.len())?;
        Ok(Value::text(text))
    }

    /// A new list.
    pub(super) fn list(&mut self, items: Vec<Value<'e>>) -> Result<Value<'e>, EvalError> {
        self.allocate(items.len().saturating_mul(size_of::<Value<'_>>()))?;
        Value::list(items)
    }

    pub(super) fn value(&mut self, node: &Node) -> Result<Value<'e>, EvalError> {
        self.spend(1)?;
        match node {
            Node::Nil => Ok(Value::Nil),
            Node::Bool(value) => Ok(Value::Bool(*value)),
            Node::Int(value) => Ok(Value::Int(*value)),
            Node::Float(value) => Ok(Value::Float(*value)),
            Node::Text(text) => self.string(text),
            Node::Name(name) => {
                let value = self.name(name)?;
                self.copied(value)
            }
            Node::Pointer(name) => self.pointer(name),
            Node::Access(base, steps) => {
                let value = self.access(base, steps)?;
                self.copied(value)
            }
            Node::Call(name, args) => self.call(name, args),
            Node::Not(inner) => match self.value(inner)? {
                Value::Bool(value) => Ok(Value::Bool(!value)),
                other => fail(format!("! needs a bool, not a {}", other.kind())),
            },
            Node::Negate(inner) => match self.value(inner)? {
                Value::Int(value) => value.checked_neg().map_or(overflow(), |v| Ok(Value::Int(v))),
                Value::Float(value) => Ok(Value::Float(-value)),
                other => fail(format!("- needs a number, not a {}", other.kind())),
            },
            Node::Chain(first, rest) => {
                let mut left = self.value(first)?;
                for (operator, right) in rest {
                    left = self.step(left, *operator, right)?;
                }
                Ok(left)
            }
            Node::If(parts) => {
                let [condition, yes, no] = &**parts;
                match self.value(condition)? {
                    Value::Bool(true) => self.value(yes),
                    Value::Bool(false) => self.value(no),
                    other => fail(format!("? needs a bool, not a {}", other.kind())),
                }
            }
            Node::Let(name, parts) => {
                let [value, body] = &**parts;
                let value = self.value(value)?;
                self.variables.push((name.clone(), value));
                let result = self.value(body);
                self.variables.pop();
                result
            }
            Node::List(nodes) => {
                let items: Result<Vec<_>, _> = nodes.iter().map(|node| self.value(node)).collect();
                self.list(items?)
            }
            Node::Map(nodes) => self.map(nodes),
        }
    }

    fn map(&mut self, nodes: &[(Node, Node)]) -> Result<Value<'e>, EvalError> {
        let mut entries: BTreeMap<Rc<str>, Value<'e>> = BTreeMap::new();
        for (key, value) in nodes {
            let Value::Text(key) = self.value(key)? else {
                return fail("a key of a map must be a string");
            };
            self.allocate(2 * size_of::<Value<'_>>())?;
            let value = self.value(value)?;
            entries.insert(key, value);
        }
        Value::map(entries)
    }

    fn name(&self, name: &str) -> Result<Value<'e>, EvalError> {
        if let Some((_, value)) = self.variables.iter().rev().find(|(n, _)| n == name) {
            return Ok(value.clone());
        }
        match self.env.get(name) {
            Some(json) => Ok(Value::of_env(json)),
            None => fail(format!("unknown name {}", crate::error::cut(name))),
        }
    }

    fn pointer(&self, name: &str) -> Result<Value<'e>, EvalError> {
        let Some(frame) = self.frames.last() else {
            return fail("# only has a value inside a closure");
        };
        match (name, &frame.acc) {
            ("", _) => Ok(frame.item.clone()),
            ("index", _) => Ok(functions::count(frame.index)),
            ("acc", Some(acc)) => Ok(acc.clone()),
            _ => fail(format!("#{} has no value here", crate::error::cut(name))),
        }
    }

    fn access(&mut self, base: &Node, steps: &[Step]) -> Result<Value<'e>, EvalError> {
        let mut value = self.value(base)?;
        for step in steps {
            self.spend(1)?;
            value = match step {
                Step::Member { key, optional } => {
                    if *optional && matches!(value, Value::Nil) {
                        return Ok(Value::Nil);
                    }
                    let key = self.value(key)?;
                    member(&value, &key)?
                }
                Step::Slice(from, to) => {
                    let from = from.as_ref().map(|node| self.value(node)).transpose()?;
                    let to = to.as_ref().map(|node| self.value(node)).transpose()?;
                    self.slice(&value, from.as_ref(), to.as_ref())?
                }
                Step::Method(name, args) => match value {
                    Value::Duration(nanos) if args.is_empty() => {
                        functions::duration_method(nanos, name)?
                    }
                    other => {
                        let name = crate::error::cut(name);
                        return fail(format!("a {} has no function {name}", other.kind()));
                    }
                },
            };
        }
        Ok(value)
    }

    fn slice(
        &mut self,
        value: &Value<'e>,
        from: Option<&Value<'e>>,
        to: Option<&Value<'e>>,
    ) -> Result<Value<'e>, EvalError> {
        let Some(length) = value.length().filter(|_| value.kind() != "map") else {
            return fail(format!("a {} cannot be sliced", value.kind()));
        };
        let bound = |bound: Option<&Value<'e>>, default: usize| match bound {
            None => Ok(default),
            Some(Value::Int(at)) => Ok(position(*at, length).min(length)),
            Some(other) => fail(format!("{} is no bound of a slice", other.kind())),
        };
        let (from, to) = (bound(from, 0)?, bound(to, length)?);
        let count = to.saturating_sub(from);
        if let Value::Text(text) = value {
            let part: String = text.chars().skip(from).take(count).collect();
            return self.string(&part);
        }
        self.spend(length)?;
        let items = value.items().unwrap_or_default();
        self.list(items.into_iter().skip(from).take(count).collect())
    }

    fn call(&mut self, name: &str, args: &[Node]) -> Result<Value<'e>, EvalError> {
        if let Some(result) = closures::call(self, name, args) {
            return result;
        }
        let values: Result<Vec<_>, _> = args.iter().map(|arg| self.value(arg)).collect();
        functions::call(self, name, &values?)
    }

    /// One operator of a chain; the right side is evaluated only if it matters.
    fn step(
        &mut self,
        left: Value<'e>,
        operator: Operator,
        right: &Node,
    ) -> Result<Value<'e>, EvalError> {
        use Operator as O;
        match (operator, &left) {
            (O::And, Value::Bool(false)) | (O::Or, Value::Bool(true)) => return Ok(left),
            (O::And | O::Or, Value::Bool(_)) | (O::Coalesce, Value::Nil) => {
                let right = self.value(right)?;
                return match (operator, &right) {
                    (O::Coalesce, _) | (_, Value::Bool(_)) => Ok(right),
                    (_, other) => fail(format!("&& and || need bools, not a {}", other.kind())),
                };
            }
            (O::And | O::Or, other) => {
                return fail(format!("&& and || need bools, not a {}", other.kind()));
            }
            (O::Coalesce, _) => return Ok(left),
            _ => {}
        }
        let right = self.value(right)?;
        match operator {
            O::Range => self.range(&left, &right),
            O::Add | O::Subtract | O::Multiply | O::Divide | O::Modulo | O::Power => {
                self.arithmetic(operator, &left, &right)
            }
            _ => self.relation(operator, &left, &right).map(Value::Bool),
        }
    }

    fn range(&mut self, left: &Value<'e>, right: &Value<'e>) -> Result<Value<'e>, EvalError> {
        let (Value::Int(from), Value::Int(to)) = (left, right) else {
            return fail(format!("no range from a {} to a {}", left.kind(), right.kind()));
        };
        let count = to.saturating_sub(*from).saturating_add(1).max(0);
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        // Asked for before a single item is made.
        self.spend(count)?;
        self.allocate(count.saturating_mul(size_of::<Value<'_>>()))?;
        Value::list((*from..=*to).map(Value::Int).collect())
    }

    fn relation(
        &mut self,
        operator: Operator,
        left: &Value<'e>,
        right: &Value<'e>,
    ) -> Result<bool, EvalError> {
        use Operator as O;
        self.spend(left.weight().saturating_add(right.weight()))?;
        Ok(match operator {
            O::Equal => left.equals(right),
            O::NotEqual => !left.equals(right),
            O::In => contains(right, left)?,
            O::NotIn => !contains(right, left)?,
            O::Less | O::LessOrEqual | O::Greater | O::GreaterOrEqual => {
                let comparable = (left.number().is_some() && right.number().is_some())
                    || left.kind() == right.kind();
                match left.compare(right) {
                    Some(order) if comparable => match operator {
                        O::Less => order.is_lt(),
                        O::LessOrEqual => order.is_le(),
                        O::Greater => order.is_gt(),
                        _ => order.is_ge(),
                    },
                    _ => {
                        return fail(format!(
                            "a {} cannot be compared with a {}",
                            left.kind(),
                            right.kind()
                        ));
                    }
                }
            }
            _ => {
                let (Value::Text(text), Value::Text(part)) = (left, right) else {
                    return fail(format!(
                        "needs two strings, not {} and {}",
                        left.kind(),
                        right.kind()
                    ));
                };
                match operator {
                    O::Contains => text.contains(&**part),
                    O::NotContains => !text.contains(&**part),
                    O::StartsWith => text.starts_with(&**part),
                    O::NotStartsWith => !text.starts_with(&**part),
                    O::EndsWith => text.ends_with(&**part),
                    O::NotEndsWith => !text.ends_with(&**part),
                    _ => {
                        // Compiling a pattern costs like a thousand steps, 40 visits like one.
                        self.spend(1000)?;
                        let (found, visits) =
                            crate::pattern::matches(part, text).map_err(EvalError::Value)?;
                        self.spend(visits / 40)?;
                        found == (operator == O::Matches)
                    }
                }
            }
        })
    }

    fn arithmetic(
        &mut self,
        operator: Operator,
        left: &Value<'e>,
        right: &Value<'e>,
    ) -> Result<Value<'e>, EvalError> {
        use Operator as O;
        match (operator, left, right) {
            (O::Add, Value::Text(a), Value::Text(b)) => {
                self.allocate(a.len().saturating_add(b.len()))?;
                return Ok(Value::Text([&**a, &**b].concat().into()));
            }
            (O::Add | O::Subtract | O::Multiply | O::Modulo, Value::Int(a), Value::Int(b)) => {
                let result = match operator {
                    O::Add => a.checked_add(*b),
                    O::Subtract => a.checked_sub(*b),
                    O::Multiply => a.checked_mul(*b),
                    _ if *b == 0 => return fail("division by zero"),
                    _ => a.checked_rem(*b),
                };
                return result.map_or(overflow(), |value| Ok(Value::Int(value)));
            }
            _ => {}
        }
        let sign = match operator {
            O::Add => "+",
            O::Subtract => "-",
            O::Multiply => "*",
            O::Divide => "/",
            O::Modulo => "%",
            _ => "**",
        };
        let (Some(a), Some(b), true) = (left.number(), right.number(), sign != "%") else {
            let (left, right) = (left.kind(), right.kind());
            return fail(format!("invalid operation: {left} {sign} {right}"));
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

pub(super) fn overflow<T>() -> Result<T, EvalError> {
    fail("the number is too large")
}

/// An index from the start, or from the end if negative; may be past the end.
fn position(at: i64, length: usize) -> usize {
    let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
    if at < 0 { length.saturating_sub(back) } else { back }
}

/// `value[key]`
pub(super) fn member<'e>(value: &Value<'e>, key: &Value<'e>) -> Result<Value<'e>, EvalError> {
    let shown = |key: &Value<'_>| match key {
        Value::Text(text) => crate::error::cut(text),
        other => other.number().map_or(String::new(), super::go_float),
    };
    match (value, key) {
        (Value::Nil, _) => fail(format!("cannot fetch {} from nil", shown(key))),
        (_, Value::Text(name)) if value.kind() == "map" => {
            Ok(value.field(name).unwrap_or(Value::Nil))
        }
        (_, Value::Int(_) | Value::Float(_)) if value.kind() == "array" => {
            let at = match key {
                Value::Int(at) => *at,
                other => truncate(other.number().unwrap_or(0.0)),
            };
            let length = value.length().unwrap_or(0);
            let past = at < 0 && at.unsigned_abs() > u64::try_from(length).unwrap_or(0);
            let position = position(at, length);
            let item = match value {
                Value::List(list) => list.items.get(position).cloned(),
                Value::Env(Json::Array(items)) => items.get(position).map(Value::of_env),
                _ => None,
            };
            match item.filter(|_| !past) {
                Some(item) => Ok(item),
                None => fail(format!("index {at} is out of range (length {length})")),
            }
        }
        _ => fail(format!("cannot fetch {} from a {}", shown(key), value.kind())),
    }
}

/// `item in container`
fn contains<'e>(container: &Value<'e>, item: &Value<'e>) -> Result<bool, EvalError> {
    if let Some(items) = container.items() {
        return Ok(items.iter().any(|other| other.equals(item)));
    }
    match (container, item) {
        (Value::Nil, _) => Ok(false),
        (_, Value::Text(key)) if container.kind() == "map" => Ok(match container {
            Value::Map(map) => map.entries.contains_key(key),
            Value::Env(json) => json.get(&**key).is_some(),
            _ => false,
        }),
        _ => fail(format!("in needs an array or a map, not a {}", container.kind())),
    }
}
