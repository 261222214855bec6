//! Fields, items, slices and methods.

use super::{Outcome, Run};
use crate::lang::ast::{Kind, Node, Step, StepKind};
use crate::lang::dates;
use crate::lang::fault::{Fault, fail};
use crate::lang::text::go_float;
use crate::lang::value::{Key, Str, Value, count, truncate};

/// Names of one path that are looked up at once.
const PATH: usize = 8;

impl<'e> Run<'e> {
    pub(super) fn access(&mut self, base: &'e Node, steps: &'e [Step]) -> Outcome<'e> {
        let (mut value, done) = match &base.kind {
            Kind::Name(name) if self.variable(name).is_none() && !is_virtual(name) => {
                self.path(name, steps)?
            }
            _ => (self.value(base)?, 0),
        };
        // Nil was met at a `?.`: the rest of the dotted chain is nil as well.
        let mut broken = false;
        for step in steps.iter().skip(done) {
            self.spend(1)?;
            let (dotted, optional) = match &step.kind {
                StepKind::Field { optional, .. } | StepKind::Method { optional, .. } => {
                    (true, *optional)
                }
                StepKind::Index { optional, .. } => (false, *optional),
                StepKind::Slice(..) => (false, false),
            };
            broken = (broken && dotted) || (optional && matches!(value, Value::Nil));
            if broken {
                value = Value::Nil;
                continue;
            }
            value = self.step(&value, step).map_err(|fault| fault.at(step.at))?;
        }
        Ok(value)
    }

    /// The value of a name and of as many of the steps behind it as the environment knows at
    /// once, and how many those are.
    fn path(&mut self, name: &'e str, steps: &'e [Step]) -> Result<(Value<'e>, usize), Fault> {
        let mut path = [name; PATH];
        let mut length = 1;
        let keys = steps.iter().map_while(|step| match &step.kind {
            StepKind::Field { key, .. } => Some(&**key),
            StepKind::Index { key: Node { kind: Kind::Text(key), .. }, .. } => Some(&**key),
            StepKind::Index { .. } | StepKind::Slice(..) | StepKind::Method { .. } => None,
        });
        for (seat, key) in path.iter_mut().skip(1).zip(keys) {
            *seat = key;
            length += 1;
        }
        self.spend(length)?;
        let path = path.get(..length).unwrap_or(&[]);
        let value = self.place(path)?;
        if !matches!(value, Value::Nil) {
            return Ok((value, length - 1));
        }
        // Something on the way may be missing: the steps say at which one that matters.
        Ok((self.place(&[name])?, 0))
    }

    fn step(&mut self, value: &Value<'e>, step: &'e Step) -> Outcome<'e> {
        match &step.kind {
            StepKind::Field { key, .. } => self.member(value, &Value::Text(Str::Borrowed(key))),
            StepKind::Index { key, .. } => {
                let key = self.value(key)?;
                self.member(value, &key)
            }
            StepKind::Slice(from, to) => {
                let from = from.as_ref().map(|node| self.value(node)).transpose()?;
                let to = to.as_ref().map(|node| self.value(node)).transpose()?;
                self.slice(value, from.as_ref(), to.as_ref())
            }
            StepKind::Method { name, args, .. } => {
                let args = self.settled(args)?;
                match value {
                    Value::Duration(nanos) => dates::duration_method(self, *nanos, name, &args),
                    Value::Time(time) => dates::time_method(self, time, name, &args),
                    Value::Zone(zone) if **name == *"String" => {
                        let name = zone.iana_name().unwrap_or("UTC").to_owned();
                        self.string(&name)
                    }
                    Value::Named(_, text) if **name == *"String" => self.string(text),
                    other => {
                        let name = crate::error::cut(name);
                        fail(format!("a {} has no function {name}", other.kind()))
                    }
                }
            }
        }
    }

    /// `value[key]`
    pub(in crate::lang) fn member(&mut self, value: &Value<'e>, key: &Value<'e>) -> Outcome<'e> {
        match (value, key) {
            (Value::Place(path), Value::Text(name)) => {
                let mut path: Vec<&str> = path.iter().map(|name| &**name).collect();
                path.push(name);
                self.place(&path)
            }
            // Go takes nil for the zero of the key's type.
            (Value::Place(_) | Value::Map(_), Value::Nil) => {
                self.member(value, &Value::Text(Str::Borrowed("")))
            }
            (Value::Map(map), key) if map.any_keys || matches!(key, Value::Text(_)) => {
                let key = Key::of(key);
                Ok(key.and_then(|key| map.entries.get(&key).cloned()).unwrap_or(Value::Nil))
            }
            (Value::List(list), Value::Int(_) | Value::Float(_)) => {
                let (at, length) = (whole(key), list.items.len());
                let item = place(at, length).and_then(|at| list.items.get(at).cloned());
                match item {
                    Some(item) => Ok(item),
                    None => fail(format!("index out of range: {at} (list length is {length})")),
                }
            }
            (Value::Text(text), Value::Int(_) | Value::Float(_)) => {
                let (at, length) = (whole(key), text.len());
                match place(at, length).and_then(|at| text.as_bytes().get(at)) {
                    Some(byte) => Ok(Value::Int(i64::from(*byte))),
                    None => fail(format!("index out of range: {at} (length is {length})")),
                }
            }
            (value, key) => {
                let kind = if matches!(value, Value::Nil) { "nil" } else { value.kind() };
                fail(format!("cannot fetch {} from {kind}", shown(key)))
            }
        }
    }

    fn slice(
        &mut self,
        value: &Value<'e>,
        from: Option<&Value<'e>>,
        to: Option<&Value<'e>>,
    ) -> Outcome<'e> {
        let length = match value {
            Value::Text(text) => text.len(),
            Value::List(list) => list.items.len(),
            other => return fail(format!("cannot slice a {}", other.kind())),
        };
        let bound = |bound: Option<&Value<'e>>, default: usize| match bound {
            None => Ok(default),
            Some(key @ (Value::Int(_) | Value::Float(_))) => {
                let at = whole(key);
                let back = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
                Ok(if at < 0 { length.saturating_sub(back) } else { back })
            }
            Some(other) => fail(format!("a {} is no bound of a slice", other.kind())),
        };
        let to = bound(to, length)?.min(length);
        let from = bound(from, 0)?.min(to);
        match value {
            Value::Text(text) => {
                // Bytes, as in Go: half a character is replaced.
                let bytes = text.as_bytes().get(from..to).unwrap_or(&[]);
                let part = String::from_utf8_lossy(bytes);
                self.string(&part)
            }
            _ => {
                let items = value.items().and_then(|items| items.get(from..to)).unwrap_or(&[]);
                self.spend(items.len())?;
                self.list(items.to_vec())
            }
        }
    }

    /// The number of items, names or characters; none if the value has none.
    pub(in crate::lang) fn length(&self, value: &Value<'e>) -> Option<Value<'e>> {
        Some(match value {
            Value::Text(text) => count(text.chars().count()),
            Value::List(list) => count(list.items.len()),
            Value::Map(map) => count(map.entries.len()),
            _ => return None,
        })
    }
}

/// Names that stand for no name of the environment.
pub(super) fn is_virtual(name: &str) -> bool {
    matches!(name, "$env" | "sprig")
}

fn whole(key: &Value<'_>) -> i64 {
    match key {
        Value::Int(at) => *at,
        other => truncate(other.number().unwrap_or(0.0)),
    }
}

/// An index from the start, or from the end if negative.
fn place(at: i64, length: usize) -> Option<usize> {
    let back = usize::try_from(at.unsigned_abs()).ok()?;
    if at < 0 { length.checked_sub(back) } else { Some(back) }
}

fn shown(key: &Value<'_>) -> String {
    match key {
        Value::Text(text) => crate::error::cut(text),
        other => other.number().map_or_else(|| format!("a {}", other.kind()), go_float),
    }
}
