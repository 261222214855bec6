//! Functions of texts.

use super::{int_at, items_at, text_at};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::text;
use crate::lang::value::{Str, Value, count};

pub(super) fn trim<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let source = text_at(args, 0)?;
    match args.get(1) {
        None => run.string(source.trim()),
        Some(_) => {
            let set = text_at(args, 1)?;
            run.spend(source.len().saturating_mul(set.len()) / 64)?;
            run.string(source.trim_matches(|c| set.contains(c)))
        }
    }
}

/// The second text, or a blank.
fn part<'v>(args: &'v [Value<'_>]) -> Result<&'v str, crate::lang::fault::Fault> {
    if args.len() > 1 { text_at(args, 1) } else { Ok(" ") }
}

pub(super) fn trim_prefix<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let source = text_at(args, 0)?;
    run.string(source.strip_prefix(part(args)?).unwrap_or(source))
}

pub(super) fn trim_suffix<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let source = text_at(args, 0)?;
    run.string(source.strip_suffix(part(args)?).unwrap_or(source))
}

pub(super) fn upper<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&text_at(args, 0)?.to_uppercase())
}

pub(super) fn lower<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&text_at(args, 0)?.to_lowercase())
}

/// How many parts there may be: Go's negative number is no limit.
fn limit(args: &[Value<'_>]) -> Result<usize, crate::lang::fault::Fault> {
    match args.get(2) {
        None => Ok(usize::MAX),
        Some(_) => Ok(usize::try_from(int_at(args, 2)?).unwrap_or(usize::MAX)),
    }
}

pub(super) fn split<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (source, by, limit) = (text_at(args, 0)?, text_at(args, 1)?, limit(args)?);
    split_at_most(run, source, by, limit)
}

/// `strings.SplitN`: nothing to split by gives the characters.
pub(super) fn split_at_most<'e>(
    run: &mut Run<'e>,
    source: &str,
    by: &str,
    limit: usize,
) -> Outcome<'e> {
    if limit == 0 {
        return Ok(Value::Nil);
    }
    if by.is_empty() {
        let characters = source.char_indices().map(|(at, c)| (at, at + c.len_utf8()));
        let last = limit.saturating_sub(1);
        let parts = characters.enumerate().take(limit).map(|(place, (from, to))| {
            let to = if place == last { source.len() } else { to };
            source.get(from..to).unwrap_or("")
        });
        return run.texts(parts);
    }
    run.texts(source.splitn(limit, by))
}

pub(super) fn split_after<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (source, by, limit) = (text_at(args, 0)?, text_at(args, 1)?, limit(args)?);
    if by.is_empty() || limit == 0 {
        return split_at_most(run, source, by, limit);
    }
    let mut rest = Some(source);
    let mut parts = 0;
    run.texts(std::iter::from_fn(|| {
        let source = rest?;
        parts += 1;
        let end = source.find(by).filter(|_| parts < limit).map(|at| at + by.len());
        let (part, after) = match end.and_then(|end| source.split_at_checked(end)) {
            Some((part, after)) => (part, Some(after)),
            None => (source, None),
        };
        rest = after;
        Some(part)
    }))
}

pub(super) fn replace<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (source, from, to) = (text_at(args, 0)?, text_at(args, 1)?, text_at(args, 2)?);
    let limit = match args.get(3) {
        None => usize::MAX,
        Some(_) => usize::try_from(int_at(args, 3)?).unwrap_or(usize::MAX),
    };
    replaced(run, source, (from, to), limit)
}

/// Bytes one step of the budget pays for where a text is searched and built again.
const SEARCHED_PER_STEP: usize = 8;

/// `strings.Replace`
pub(super) fn replaced<'e>(
    run: &mut Run<'e>,
    source: &str,
    (from, to): (&str, &str),
    limit: usize,
) -> Outcome<'e> {
    run.spend(source.len() / SEARCHED_PER_STEP)?;
    let hits = source.matches(from).count().min(limit);
    let bytes = source.len().saturating_add(hits.saturating_mul(to.len()));
    run.allocate(bytes)?;
    Ok(Value::Text(Str::Shared(source.replacen(from, to, limit).into())))
}

pub(super) fn repeat<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    repeated(run, text_at(args, 0)?, int_at(args, 1)?)
}

pub(super) fn repeated<'e>(run: &mut Run<'e>, source: &str, times: i64) -> Outcome<'e> {
    let Ok(times) = usize::try_from(times) else {
        return fail(format!("a text cannot be repeated {times} times"));
    };
    // Asked for before it is made.
    run.allocate(source.len().saturating_mul(times))?;
    Ok(Value::Text(Str::Shared(source.repeat(times).into())))
}

pub(super) fn join<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let items = items_at(args, 0)?;
    let by = if args.len() > 1 { text_at(args, 1)? } else { "" };
    let mut out = String::new();
    for (at, item) in items.iter().enumerate() {
        let Value::Text(text) = item else {
            return fail(format!("join needs strings, not a {}", item.kind()));
        };
        run.allocate(text.len().saturating_add(by.len()))?;
        if at > 0 {
            out.push_str(by);
        }
        out.push_str(text);
    }
    Ok(Value::Text(Str::Shared(out.into())))
}

fn index<'e>(at: Option<usize>) -> Outcome<'e> {
    Ok(at.map_or(Value::Int(-1), count))
}

pub(super) fn index_of<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    index(text_at(args, 0)?.find(text_at(args, 1)?))
}

pub(super) fn last_index_of<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    index(text_at(args, 0)?.rfind(text_at(args, 1)?))
}

pub(super) fn has_prefix<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 0)?.starts_with(text_at(args, 1)?)))
}

pub(super) fn has_suffix<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 0)?.ends_with(text_at(args, 1)?)))
}

pub(super) fn to_base64<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&text::base64(text_at(args, 0)?.as_bytes()))
}

pub(super) fn from_base64<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match text::unbase64(text_at(args, 0)?) {
        Some(text) => run.string(&text),
        None => fail("not the base64 of a text"),
    }
}
