//! Lists.

use super::{empty, function, int_at, shown, text_at};
use crate::lang::builtins::{Builtin, items_at, lists};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::{Fault, fail};
use crate::lang::value::Value;

pub(super) static TABLE: [Builtin; 36] = [
    function("append", append),
    function("chunk", chunk),
    function("compact", compact),
    function("concat", lists::concat),
    function("first", first),
    function("has", has),
    function("initial", initial),
    function("join", join),
    function("last", last),
    function("list", list),
    function("mustAppend", append),
    function("mustChunk", chunk),
    function("mustCompact", compact),
    function("mustFirst", first),
    function("mustHas", has),
    function("mustInitial", initial),
    function("mustLast", last),
    function("mustPrepend", prepend),
    function("mustPush", append),
    function("mustRest", rest),
    function("mustReverse", lists::reverse),
    function("mustSlice", slice),
    function("mustUniq", lists::uniq),
    function("mustWithout", without),
    function("prepend", prepend),
    function("push", append),
    function("rest", rest),
    function("reverse", lists::reverse),
    function("slice", slice),
    function("sortAlpha", sort_alpha),
    function("toStrings", to_strings),
    function("tuple", list),
    function("uniq", lists::uniq),
    function("until", until),
    function("untilStep", until_step),
    function("without", without),
];

fn list<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.list(args.to_vec())
}

fn first<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(items_at(args, 0)?.first().cloned().unwrap_or(Value::Nil))
}

fn last<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(items_at(args, 0)?.last().cloned().unwrap_or(Value::Nil))
}

fn rest<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match items_at(args, 0)?.split_first() {
        Some((_, rest)) => run.list(rest.to_vec()),
        None => Ok(Value::Nil),
    }
}

fn initial<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match items_at(args, 0)?.split_last() {
        Some((_, initial)) => run.list(initial.to_vec()),
        None => Ok(Value::Nil),
    }
}

fn added<'v, 'e>(args: &'v [Value<'e>]) -> Result<(&'v [Value<'e>], &'v Value<'e>), Fault> {
    match args {
        [_, value] => Ok((items_at(args, 0)?, value)),
        _ => fail("needs a list and a value"),
    }
}

fn append<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (items, value) = added(args)?;
    run.list(items.iter().chain([value]).cloned().collect())
}

fn prepend<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (items, value) = added(args)?;
    run.list([value].into_iter().chain(items).cloned().collect())
}

fn chunk<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let Some(size) = usize::try_from(int_at(args, 0)?).ok().filter(|size| *size > 0) else {
        return fail("the size of a chunk must be at least 1");
    };
    let mut out = Vec::new();
    for part in items_at(args, 1)?.chunks(size) {
        out.push(run.list(part.to_vec())?);
    }
    run.list(out)
}

fn compact<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.list(items_at(args, 0)?.iter().filter(|item| !empty(item)).cloned().collect())
}

fn has<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let [needle, haystack] = args else {
        return fail("needs a value and a list");
    };
    if matches!(haystack, Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let items = items_at(args, 1)?;
    run.spend(items.len().saturating_mul(needle.weight()))?;
    Ok(Value::Bool(items.iter().any(|item| same(item, needle))))
}

/// Go's `reflect.DeepEqual`: an int is no float.
fn same(a: &Value<'_>, b: &Value<'_>) -> bool {
    a.kind() == b.kind() && a.equals(b)
}

fn without<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let omitted = args.get(1..).unwrap_or(&[]);
    let items = items_at(args, 0)?;
    run.spend(items.len().saturating_mul(omitted.len()))?;
    let kept = items.iter().filter(|item| !omitted.iter().any(|o| same(o, item)));
    run.list(kept.cloned().collect())
}

fn slice<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let items = items_at(args, 0)?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let bound = |at: usize, default: usize| match args.get(at) {
        None => Ok(default),
        Some(value) => usize::try_from(super::to_int(value)).or_else(|_| fail("out of range")),
    };
    let (from, to) = (bound(1, 0)?, bound(2, items.len())?);
    match items.get(from..to) {
        Some(items) => run.list(items.to_vec()),
        None => fail(format!("the slice {from}:{to} is out of range")),
    }
}

/// The items as texts; nil is left out. A single value is a list of it.
fn strings(value: Option<&Value<'_>>) -> Vec<String> {
    match value {
        None | Some(Value::Nil) => Vec::new(),
        Some(Value::List(list)) => {
            list.items.iter().filter(|item| !matches!(item, Value::Nil)).map(shown).collect()
        }
        Some(other) => vec![shown(other)],
    }
}

fn to_strings<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let strings = strings(args.first());
    run.texts(strings.iter().map(String::as_str))
}

fn sort_alpha<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let mut strings = strings(args.first());
    run.spend(strings.len().saturating_mul(8))?;
    strings.sort();
    run.texts(strings.iter().map(String::as_str))
}

fn join<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let by = text_at(args, 0)?;
    let strings = strings(args.get(1));
    run.allocate(strings.len().saturating_mul(by.len()))?;
    run.string(&strings.join(by))
}

/// The numbers from `start` to before `stop`.
pub(super) fn stepped<'e>(
    run: &mut Run<'e>,
    (start, stop, step): (i64, i64, i64),
) -> Result<Vec<Value<'e>>, Fault> {
    let mut out = Vec::new();
    let mut at = start;
    while (step > 0 && at < stop) || (step < 0 && at > stop) {
        run.spend(1)?;
        run.allocate(size_of::<Value<'_>>())?;
        out.push(Value::Int(at));
        at = at.saturating_add(step);
    }
    Ok(out)
}

fn until<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let stop = int_at(args, 0)?;
    let numbers = stepped(run, (0, stop, if stop < 0 { -1 } else { 1 }))?;
    Value::list(numbers)
}

fn until_step<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let numbers = stepped(run, (int_at(args, 0)?, int_at(args, 1)?, int_at(args, 2)?))?;
    Value::list(numbers)
}
