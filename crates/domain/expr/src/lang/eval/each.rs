//! Builtins that evaluate an argument once per item.

use std::collections::BTreeMap;

use super::{Frame, Outcome, Run};
use crate::lang::ast::{Each, Node};
use crate::lang::fault::{Fault, fail};
use crate::lang::value::{Key, Value, count};

impl<'e> Run<'e> {
    pub(super) fn each(&mut self, each: Each, args: &'e [Node]) -> Outcome<'e> {
        let [list, rest @ ..] = args else {
            return fail("a list is missing");
        };
        let list = self.value(list)?;
        self.spend(list.weight())?;
        let bytes: Vec<Value<'e>>;
        let items = match &list {
            Value::List(list) => list.items.as_slice(),
            // A text that only now turns out to be one is the list of its bytes, as in Go.
            Value::Text(text) => {
                self.allocate(text.len().saturating_mul(size_of::<Value<'_>>()))?;
                bytes = text.bytes().map(|byte| Value::Int(byte.into())).collect();
                &bytes
            }
            other => return fail(format!("needs a list, not a {}", other.kind())),
        };
        let body = rest.first();
        match each {
            Each::Reduce => self.reduce(items, body, rest.get(1)),
            Each::Map => {
                let mapped = self.mapped(items, body)?;
                self.list(mapped)
            }
            Each::Sum => {
                let mapped = self.mapped(items, body)?;
                let mut total = Value::Int(0);
                for value in mapped {
                    total = self.sum(&value, &total)?;
                }
                Ok(total)
            }
            Each::SortBy => self.sort_by(items, body, rest.get(1)),
            Each::GroupBy => self.group_by(items, body),
            Each::FindLast | Each::FindLastIndex => {
                let backwards = items.iter().enumerate().rev();
                self.test(each, backwards, body)
            }
            _ => self.test(each, items.iter().enumerate(), body),
        }
    }

    /// The body's value for one item; the item itself if there is no body.
    fn bodied(&mut self, item: &Value<'e>, index: usize, body: Option<&'e Node>) -> Outcome<'e> {
        let Some(body) = body else {
            return Ok(item.clone());
        };
        self.frames.push(Frame { item: item.clone(), index, acc: None });
        let result = self.value(body);
        self.frames.pop();
        result
    }

    fn mapped(
        &mut self,
        items: &[Value<'e>],
        body: Option<&'e Node>,
    ) -> Result<Vec<Value<'e>>, Fault> {
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let value = self.bodied(item, index, body)?;
            out.push(self.settle(value)?);
        }
        Ok(out)
    }

    /// Builtins whose body says yes or no.
    fn test<'v>(
        &mut self,
        each: Each,
        items: impl Iterator<Item = (usize, &'v Value<'e>)>,
        body: Option<&'e Node>,
    ) -> Outcome<'e>
    where
        'e: 'v,
    {
        let mut hits = Vec::new();
        for (index, item) in items {
            let hit = match self.bodied(item, index, body)? {
                Value::Bool(hit) => hit,
                other => return fail(format!("the predicate gives a {}", other.kind())),
            };
            match each {
                Each::All if !hit => return Ok(Value::Bool(false)),
                Each::Any if hit => return Ok(Value::Bool(true)),
                Each::None if hit => return Ok(Value::Bool(false)),
                Each::Find | Each::FindLast if hit => return Ok(item.clone()),
                Each::FindIndex | Each::FindLastIndex if hit => return Ok(count(index)),
                _ => {}
            }
            if hit {
                hits.push(item.clone());
            }
        }
        match each {
            Each::All | Each::None => Ok(Value::Bool(true)),
            Each::Any => Ok(Value::Bool(false)),
            Each::One => Ok(Value::Bool(hits.len() == 1)),
            Each::Count => Ok(count(hits.len())),
            Each::Filter => self.list(hits),
            _ => Ok(Value::Nil),
        }
    }

    fn reduce(
        &mut self,
        items: &[Value<'e>],
        body: Option<&'e Node>,
        initial: Option<&'e Node>,
    ) -> Outcome<'e> {
        let mut acc = initial.map(|node| self.value(node)).transpose()?;
        for (index, item) in items.iter().enumerate() {
            let (Some(body), Some(so_far)) = (body, acc.take()) else {
                acc = Some(item.clone());
                continue;
            };
            self.frames.push(Frame { item: item.clone(), index, acc: Some(so_far) });
            let result = self.value(body);
            self.frames.pop();
            acc = Some(result?);
        }
        match acc {
            Some(acc) => Ok(acc),
            None => fail("reduce of an empty list needs an initial value"),
        }
    }

    fn sort_by(
        &mut self,
        items: &[Value<'e>],
        body: Option<&'e Node>,
        order: Option<&'e Node>,
    ) -> Outcome<'e> {
        let order = order.map(|node| self.value(node)).transpose()?;
        let descending = descending(order.as_ref())?;
        let keys = self.mapped(items, body)?;
        self.sorted(keys.into_iter().zip(items.iter().cloned()).collect(), descending)
    }

    /// A list of the items in the order of their keys.
    pub(in crate::lang) fn sorted(
        &mut self,
        mut keyed: Vec<(Value<'e>, Value<'e>)>,
        descending: bool,
    ) -> Outcome<'e> {
        self.spend(keyed.len().saturating_mul(8))?;
        if let [(first, _), rest @ ..] = keyed.as_slice()
            && let Some((other, _)) = rest.iter().find(|(key, _)| !first.comparable(key))
        {
            let (a, b) = (first.kind(), other.kind());
            return fail(format!("invalid operation: {a} < {b}"));
        }
        keyed.sort_by(|(a, _), (b, _)| {
            let (a, b) = if descending { (b, a) } else { (a, b) };
            a.compare(b).unwrap_or(std::cmp::Ordering::Equal)
        });
        self.list(keyed.into_iter().map(|(_, item)| item).collect())
    }

    fn group_by(&mut self, items: &[Value<'e>], body: Option<&'e Node>) -> Outcome<'e> {
        let keys = self.mapped(items, body)?;
        let mut groups: BTreeMap<Key, Vec<Value<'e>>> = BTreeMap::new();
        for (value, item) in keys.into_iter().zip(items) {
            let Some(key) = Key::of(&value) else {
                return fail(format!("a {} is no key of a group", value.kind()));
            };
            self.allocate(2 * size_of::<Value<'_>>())?;
            groups.entry(key).or_default().push(item.clone());
        }
        let mut entries = BTreeMap::new();
        for (key, group) in groups {
            entries.insert(key, Value::list(group)?);
        }
        Value::any_map(entries)
    }
}

/// Whether an order says `desc`.
///
/// # Errors
/// It says neither `asc` nor `desc`.
pub(in crate::lang) fn descending(order: Option<&Value<'_>>) -> Result<bool, Fault> {
    match order {
        None => Ok(false),
        Some(Value::Text(order)) if **order == *"asc" => Ok(false),
        Some(Value::Text(order)) if **order == *"desc" => Ok(true),
        Some(_) => fail("unknown order, use asc or desc"),
    }
}
