//! `jsonpath(json, path)`: the paths that Argo's library reads, without scripts.

mod filter;

use filter::Filter;

use super::{convert, text_at};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::{Fault, fail};
use crate::lang::value::{Key, Value};

/// What one piece of a path selects.
enum Selector<'p> {
    /// `.name`, `['name']`, `[3]`
    One(Place<'p>),
    /// `[0,1]`, `['a','b']`
    Several(Vec<Place<'p>>),
    /// `*`
    All,
    /// `[from:to:step]`
    Slice(Option<i64>, Option<i64>, i64),
    /// `[?(@.a == 'x')]`
    Filter(Filter<'p>),
    /// `..`
    Below,
}

enum Place<'p> {
    Name(&'p str),
    At(i64),
}

pub(super) fn jsonpath<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (text, path) = (text_at(args, 0)?, text_at(args, 1)?);
    let value = convert::parsed(run, text)?;
    let path = path.trim();
    let Some(rest) = path.strip_prefix('$') else {
        return fail("a path begins with $");
    };
    let selectors = parse(rest)?;
    let one = selectors.iter().all(|selector| matches!(selector, Selector::One(_)));
    let mut found = vec![value];
    for selector in &selectors {
        let mut next = Vec::new();
        for value in &found {
            run.spend(value.weight())?;
            select(value, selector, one, &mut next)?;
        }
        run.allocate(next.len().saturating_mul(size_of::<Value<'_>>()))?;
        found = next;
    }
    match (one, found.pop()) {
        (true, Some(value)) => Ok(value),
        (true, None) => fail("the path selects nothing"),
        (false, last) => {
            found.extend(last);
            run.list(found)
        }
    }
}

fn parse(path: &str) -> Result<Vec<Selector<'_>>, Fault> {
    let mut out = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('[') {
            let Some(end) = closing(tail) else {
                return fail("[ of the path is not closed");
            };
            let (inner, after) = tail.split_at_checked(end).unwrap_or((tail, ""));
            out.push(subscript(inner.trim())?);
            rest = after.get(1..).unwrap_or("");
            continue;
        }
        let tail = if let Some(tail) = rest.strip_prefix("..") {
            out.push(Selector::Below);
            if tail.starts_with('[') {
                rest = tail;
                continue;
            }
            tail
        } else if let Some(tail) = rest.strip_prefix('.') {
            tail
        } else {
            return fail("expected . or [ in the path");
        };
        let end = tail.find(['.', '[']).unwrap_or(tail.len());
        let (name, after) = tail.split_at_checked(end).unwrap_or((tail, ""));
        out.push(match name {
            "" => return fail("a name is missing in the path"),
            "*" => Selector::All,
            name => Selector::One(Place::Name(name)),
        });
        rest = after;
    }
    Ok(out)
}

/// Where the `]` of a subscript is; quotes and inner brackets are skipped.
fn closing(text: &str) -> Option<usize> {
    let (mut quote, mut depth) = (None, 0_usize);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '[') => depth = depth.saturating_add(1),
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

fn subscript(inner: &str) -> Result<Selector<'_>, Fault> {
    if inner == "*" {
        return Ok(Selector::All);
    }
    if let Some(filter) = inner.strip_prefix("?(").and_then(|f| f.strip_suffix(')')) {
        return Filter::parse(filter.trim()).map(Selector::Filter);
    }
    if inner.starts_with('(') {
        return fail("scripts in paths are not supported");
    }
    if !inner.starts_with(['\'', '"']) && inner.contains(':') {
        let mut bounds = inner.splitn(3, ':').map(str::trim);
        let mut bound = || match bounds.next() {
            None | Some("") => Ok(None),
            Some(text) => match text.parse() {
                Ok(at) => Ok(Some(at)),
                Err(_) => fail(format!("{} is no bound", crate::error::cut(text))),
            },
        };
        let (from, to, step) = (bound()?, bound()?, bound()?);
        return Ok(Selector::Slice(from, to, step.unwrap_or(1)));
    }
    let mut places = Vec::new();
    for part in inner.split(',').map(str::trim) {
        places.push(match part.strip_prefix(['\'', '"']) {
            Some(name) => Place::Name(name.strip_suffix(['\'', '"']).unwrap_or(name)),
            None => match part.parse() {
                Ok(at) => Place::At(at),
                Err(_) => Place::Name(part),
            },
        });
    }
    Ok(match (places.len(), places.pop()) {
        (1, Some(place)) => Selector::One(place),
        (_, last) => {
            places.extend(last);
            Selector::Several(places)
        }
    })
}

fn select<'e>(
    value: &Value<'e>,
    selector: &Selector<'_>,
    strict: bool,
    out: &mut Vec<Value<'e>>,
) -> Result<(), Fault> {
    match selector {
        Selector::One(place) => match at(value, place) {
            Some(found) => out.push(found),
            None if strict => return fail("the path selects nothing"),
            None => {}
        },
        Selector::Several(places) => {
            out.extend(places.iter().filter_map(|place| at(value, place)));
        }
        Selector::All => out.extend(below(value).cloned()),
        Selector::Slice(from, to, step) => {
            let items = value.items().unwrap_or(&[]);
            let length = i64::try_from(items.len()).unwrap_or(i64::MAX);
            let bound = |at: i64| if at < 0 { (length + at).max(0) } else { at.min(length) };
            let from = usize::try_from(bound(from.unwrap_or(0))).unwrap_or(0);
            let to = usize::try_from(bound(to.unwrap_or(length))).unwrap_or(0);
            let width = usize::try_from(step.unsigned_abs()).unwrap_or(1).max(1);
            let items = items.get(from..to.max(from)).unwrap_or(&[]);
            match *step < 0 {
                true => out.extend(items.iter().rev().step_by(width).cloned()),
                false => out.extend(items.iter().step_by(width).cloned()),
            }
        }
        Selector::Filter(filter) => {
            out.extend(below(value).filter(|item| filter.lets(item)).cloned());
        }
        Selector::Below => descend(value, out),
    }
    Ok(())
}

fn at<'e>(value: &Value<'e>, place: &Place<'_>) -> Option<Value<'e>> {
    match (value, place) {
        (Value::Map(map), Place::Name(name)) => match map.entries.get(&Key::text(name)) {
            None if *name == "length" => Some(crate::lang::value::count(map.entries.len())),
            found => found.cloned(),
        },
        (Value::List(list), Place::Name("length")) => {
            Some(crate::lang::value::count(list.items.len()))
        }
        (Value::List(list), Place::At(at)) => {
            let back = usize::try_from(at.unsigned_abs()).ok()?;
            let at = if *at < 0 { list.items.len().checked_sub(back)? } else { back };
            list.items.get(at).cloned()
        }
        _ => None,
    }
}

fn below<'v, 'e>(value: &'v Value<'e>) -> impl Iterator<Item = &'v Value<'e>> {
    let entries = match value {
        Value::Map(map) => Some(map.entries.values()),
        _ => None,
    };
    value.items().unwrap_or(&[]).iter().chain(entries.into_iter().flatten())
}

/// A value and everything inside of it.
fn descend<'e>(value: &Value<'e>, out: &mut Vec<Value<'e>>) {
    if matches!(value, Value::Map(_) | Value::List(_)) {
        out.push(value.clone());
        for inner in below(value) {
            descend(inner, out);
        }
    }
}
