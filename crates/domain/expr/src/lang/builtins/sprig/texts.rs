//! Texts. sprig's order of arguments: the text comes last.

use std::collections::BTreeMap;

use super::{cases, function, int_at, shown, text_at};
use crate::lang::builtins::{Builtin, text as plain};
use crate::lang::eval::{Outcome, Run};
use crate::lang::fault::fail;
use crate::lang::value::{Key, Value};

pub(super) static TABLE: [Builtin; 35] = [
    function("abbrev", abbrev),
    function("base", base),
    function("camelcase", camelcase),
    function("cat", cat),
    function("contains", contains),
    function("dir", dir),
    function("ext", ext),
    function("hasPrefix", has_prefix),
    function("hasSuffix", has_suffix),
    function("indent", indent),
    function("initials", initials),
    function("kebabcase", kebabcase),
    function("lower", lower),
    function("nindent", nindent),
    function("nospace", nospace),
    function("plural", plural),
    function("quote", quote),
    function("repeat", repeat),
    function("replace", replace),
    function("snakecase", snakecase),
    function("split", split),
    function("splitList", split_list),
    function("splitn", splitn),
    function("squote", squote),
    function("substr", substr),
    function("swapcase", swapcase),
    function("title", title),
    function("trim", trim),
    function("trimAll", trim_all),
    function("trimPrefix", trim_prefix),
    function("trimSuffix", trim_suffix),
    function("trimall", trim_all),
    function("trunc", trunc),
    function("untitle", untitle),
    function("upper", upper),
];

fn trim<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(text_at(args, 0)?.trim())
}

fn lower<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&text_at(args, 0)?.to_lowercase())
}

fn upper<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&text_at(args, 0)?.to_uppercase())
}

fn trim_all<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (set, text) = (text_at(args, 0)?, text_at(args, 1)?);
    run.spend(text.len().saturating_mul(set.len()) / 64)?;
    run.string(text.trim_matches(|c| set.contains(c)))
}

fn trim_prefix<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let text = text_at(args, 1)?;
    run.string(text.strip_prefix(text_at(args, 0)?).unwrap_or(text))
}

fn trim_suffix<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let text = text_at(args, 1)?;
    run.string(text.strip_suffix(text_at(args, 0)?).unwrap_or(text))
}

fn contains<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 1)?.contains(text_at(args, 0)?)))
}

fn has_prefix<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 1)?.starts_with(text_at(args, 0)?)))
}

fn has_suffix<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    Ok(Value::Bool(text_at(args, 1)?.ends_with(text_at(args, 0)?)))
}

fn repeat<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    plain::repeated(run, text_at(args, 1)?, int_at(args, 0)?)
}

fn replace<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let pair = (text_at(args, 0)?, text_at(args, 1)?);
    plain::replaced(run, text_at(args, 2)?, pair, usize::MAX)
}

/// Bytes of a text, as Go cuts them: half a character is replaced.
fn cut<'e>(run: &mut Run<'e>, text: &str, from: usize, to: usize) -> Outcome<'e> {
    match text.as_bytes().get(from..to) {
        Some(bytes) => {
            let part = String::from_utf8_lossy(bytes);
            run.string(&part)
        }
        None => fail(format!("the part {from}:{to} is out of range")),
    }
}

fn substr<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (start, end, text) = (int_at(args, 0)?, int_at(args, 1)?, text_at(args, 2)?);
    let length = text.len();
    let from = usize::try_from(start).unwrap_or(0);
    let to = match usize::try_from(end) {
        Ok(end) if start < 0 || end <= length => end,
        Err(_) if start < 0 => return fail("the end of the part is out of range"),
        _ => length,
    };
    cut(run, text, from, to)
}

fn trunc<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (count, text) = (int_at(args, 0)?, text_at(args, 1)?);
    let size = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    match (count < 0, text.len().checked_sub(size)) {
        (true, Some(from)) if from > 0 => cut(run, text, from, text.len()),
        (false, Some(_)) => cut(run, text, 0, size),
        _ => run.string(text),
    }
}

fn abbrev<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let (width, text) = (int_at(args, 0)?, text_at(args, 1)?);
    let kept = usize::try_from(width.saturating_sub(3)).unwrap_or(0);
    if width < 4 || text.len() <= kept.saturating_add(3) {
        return run.string(text);
    }
    let bytes = text.as_bytes().get(..kept).unwrap_or(&[]);
    run.string(&format!("{}...", String::from_utf8_lossy(bytes)))
}

fn split<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let list = plain::split_at_most(run, text_at(args, 1)?, text_at(args, 0)?, usize::MAX)?;
    numbered(&list)
}

fn splitn<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let limit = usize::try_from(int_at(args, 1)?).unwrap_or(usize::MAX);
    let list = plain::split_at_most(run, text_at(args, 2)?, text_at(args, 0)?, limit)?;
    numbered(&list)
}

/// A map `_0`, `_1`, ... of parts.
fn numbered<'e>(list: &Value<'e>) -> Outcome<'e> {
    let items = list.items().unwrap_or(&[]).iter().enumerate();
    let entries: BTreeMap<Key, Value<'e>> =
        items.map(|(at, part)| (Key::text(&format!("_{at}")), part.clone())).collect();
    Value::map(entries)
}

fn split_list<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    plain::split_at_most(run, text_at(args, 1)?, text_at(args, 0)?, usize::MAX)
}

/// Values as texts with blanks between; nil is left out.
fn joined<'e>(run: &mut Run<'e>, args: &[Value<'e>], each: fn(&str) -> String) -> Outcome<'e> {
    let given = args.iter().filter(|value| !matches!(value, Value::Nil));
    let texts: Vec<String> = given.map(|value| each(&shown(value))).collect();
    run.string(&texts.join(" "))
}

fn cat<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    joined(run, args, str::to_owned)
}

fn quote<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    joined(run, args, go_quoted)
}

fn squote<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    joined(run, args, |text| format!("'{text}'"))
}

/// A text as Go's `%q` writes it.
fn go_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if c.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(c)));
            }
            c if c.is_control() => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn indented<'e>(run: &mut Run<'e>, args: &[Value<'e>], before: &str) -> Outcome<'e> {
    let (blanks, text) = (int_at(args, 0)?, text_at(args, 1)?);
    let Ok(blanks) = usize::try_from(blanks) else {
        return fail("cannot indent by a negative number");
    };
    let lines = text.matches('\n').count().saturating_add(1);
    run.allocate(blanks.saturating_mul(lines))?;
    let pad = " ".repeat(blanks);
    run.string(&format!("{before}{pad}{}", text.replace('\n', &format!("\n{pad}"))))
}

fn indent<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    indented(run, args, "")
}

fn nindent<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    indented(run, args, "\n")
}

fn plural<'e>(_: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    match args {
        [one, many, Value::Int(count)] => Ok(if *count == 1 { one } else { many }.clone()),
        _ => fail("needs two strings and a number"),
    }
}

fn nospace<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let kept: String = text_at(args, 0)?.chars().filter(|c| !c.is_whitespace()).collect();
    run.string(&kept)
}

fn title<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let separates =
        |c: char| !(c.is_alphanumeric() || c == '_') && (c.is_ascii() || c.is_whitespace());
    let word = cases::first_of_words(text_at(args, 0)?, separates, cases::upper);
    run.string(&word)
}

fn untitle<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let word = cases::first_of_words(text_at(args, 0)?, char::is_whitespace, cases::lower);
    run.string(&word)
}

fn initials<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let words = text_at(args, 0)?.split_whitespace();
    let initials: String = words.filter_map(|word| word.chars().next()).collect();
    run.string(&initials)
}

fn swapcase<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let swap = |c: char| if c.is_uppercase() { cases::lower(c) } else { cases::upper(c) };
    let swapped: String = text_at(args, 0)?.chars().map(swap).collect();
    run.string(&swapped)
}

fn camelcase<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&cases::pascal(text_at(args, 0)?))
}

fn snakecase<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&cases::separated(text_at(args, 0)?, '_'))
}

fn kebabcase<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    run.string(&cases::separated(text_at(args, 0)?, '-'))
}

/// The last element of a path.
fn base<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let path = text_at(args, 0)?;
    let trimmed = path.trim_end_matches('/');
    run.string(match (path, trimmed) {
        ("", _) => ".",
        (_, "") => "/",
        _ => trimmed.rsplit('/').next().unwrap_or(trimmed),
    })
}

/// All but the last element of a path.
fn dir<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let path = text_at(args, 0)?;
    run.string(match path.rsplit_once('/') {
        None => ".",
        Some((dir, _)) => match dir.trim_end_matches('/') {
            "" => "/",
            dir => dir,
        },
    })
}

/// What stands behind the last dot of the last element of a path, with the dot.
fn ext<'e>(run: &mut Run<'e>, args: &[Value<'e>]) -> Outcome<'e> {
    let path = text_at(args, 0)?;
    let name = path.rsplit('/').next().unwrap_or(path);
    let at = name.rfind('.').unwrap_or(name.len());
    run.string(name.get(at..).unwrap_or(""))
}
