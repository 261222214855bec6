//! Builtins that evaluate an argument once per item.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::ast::Node;
use super::eval::{Frame, Run, fail};
use super::functions;
use super::value::Value;
use crate::error::EvalError;

/// Calls one of them; `None` if `name` is none of them.
pub(super) fn call<'e>(
    run: &mut Run<'e>,
    name: &str,
    args: &[Node],
) -> Option<Result<Value<'e>, EvalError>> {
    let (list, body, extra) = match (name, args) {
        ("count" | "sum", [list]) => (list, None, None),
        (
            "all" | "any" | "none" | "one" | "filter" | "map" | "find" | "findIndex" | "count"
            | "sum" | "sortBy" | "groupBy" | "reduce",
            [list, body],
        ) => (list, Some(body), None),
        ("sortBy" | "reduce", [list, body, extra]) => (list, Some(body), Some(extra)),
        _ => return None,
    };
    Some(dispatch(run, name, (list, body, extra)))
}

type Arguments<'a> = (&'a Node, Option<&'a Node>, Option<&'a Node>);

fn dispatch<'e>(
    run: &mut Run<'e>,
    name: &str,
    (list, body, extra): Arguments<'_>,
) -> Result<Value<'e>, EvalError> {
    let list = run.value(list)?;
    run.spend(list.weight())?;
    let Some(items) = list.items() else {
        return fail(format!("{name} needs an array, not a {}", list.kind()));
    };
    match name {
        "reduce" => reduce(run, items, body, extra),
        "map" => {
            let mapped = each(run, &items, body)?;
            run.list(mapped)
        }
        "sum" => {
            let mapped = each(run, &items, body)?;
            functions::sum(&mapped)
        }
        "sortBy" => sort_by(run, &items, body, extra),
        "groupBy" => group_by(run, &items, body),
        _ => test(run, name, &items, body),
    }
}

/// The body's value for one item; the item itself if there is no body.
fn apply<'e>(
    run: &mut Run<'e>,
    item: &Value<'e>,
    index: usize,
    body: Option<&Node>,
) -> Result<Value<'e>, EvalError> {
    let Some(body) = body else {
        return Ok(item.clone());
    };
    run.frames.push(Frame { item: item.clone(), index, acc: None });
    let result = run.value(body);
    run.frames.pop();
    result
}

fn each<'e>(
    run: &mut Run<'e>,
    items: &[Value<'e>],
    body: Option<&Node>,
) -> Result<Vec<Value<'e>>, EvalError> {
    let indexed = items.iter().enumerate();
    indexed.map(|(index, item)| apply(run, item, index, body)).collect()
}

/// Builtins whose body says yes or no.
fn test<'e>(
    run: &mut Run<'e>,
    name: &str,
    items: &[Value<'e>],
    body: Option<&Node>,
) -> Result<Value<'e>, EvalError> {
    let mut hits = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let hit = match apply(run, item, index, body)? {
            Value::Bool(hit) => hit,
            other => return fail(format!("{name} needs a bool, not a {}", other.kind())),
        };
        match name {
            "all" if !hit => return Ok(Value::Bool(false)),
            "any" if hit => return Ok(Value::Bool(true)),
            "none" if hit => return Ok(Value::Bool(false)),
            "find" if hit => return Ok(item.clone()),
            "findIndex" if hit => return Ok(functions::count(index)),
            _ => {}
        }
        if hit {
            hits.push(item.clone());
        }
    }
    match name {
        "all" | "none" => Ok(Value::Bool(true)),
        "any" => Ok(Value::Bool(false)),
        "one" => Ok(Value::Bool(hits.len() == 1)),
        "count" => Ok(functions::count(hits.len())),
        "filter" => run.list(hits),
        _ => Ok(Value::Nil),
    }
}

fn reduce<'e>(
    run: &mut Run<'e>,
    items: Vec<Value<'e>>,
    body: Option<&Node>,
    initial: Option<&Node>,
) -> Result<Value<'e>, EvalError> {
    let mut acc = initial.map(|node| run.value(node)).transpose()?;
    for (index, item) in items.into_iter().enumerate() {
        let (Some(body), Some(so_far)) = (body, acc.take()) else {
            acc = Some(item);
            continue;
        };
        run.frames.push(Frame { item, index, acc: Some(so_far) });
        let result = run.value(body);
        run.frames.pop();
        acc = Some(result?);
    }
    match acc {
        Some(acc) => Ok(acc),
        None => fail("reduce of an empty array needs an initial value"),
    }
}

fn sort_by<'e>(
    run: &mut Run<'e>,
    items: &[Value<'e>],
    body: Option<&Node>,
    order: Option<&Node>,
) -> Result<Value<'e>, EvalError> {
    let order = order.map(|node| run.value(node)).transpose()?;
    let keys = each(run, items, body)?;
    let sorted =
        functions::sorted(run, keys.into_iter().zip(items.iter().cloned()), order.as_ref())?;
    run.list(sorted)
}

fn group_by<'e>(
    run: &mut Run<'e>,
    items: &[Value<'e>],
    body: Option<&Node>,
) -> Result<Value<'e>, EvalError> {
    let keys = each(run, items, body)?;
    let mut groups: BTreeMap<Rc<str>, Vec<Value<'e>>> = BTreeMap::new();
    for (key, item) in keys.into_iter().zip(items) {
        let Some(key) = functions::scalar_text(&key) else {
            return fail(format!("a {} is no key of a group", key.kind()));
        };
        run.allocate(size_of::<Value<'_>>())?;
        groups.entry(key).or_default().push(item.clone());
    }
    let groups = groups.into_iter();
    let lists: Result<_, EvalError> =
        groups.map(|(key, group)| Ok((key, Value::list(group)?))).collect();
    Value::map(lists?)
}
