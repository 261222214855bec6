//! Values as Go writes them: `%v` and `encoding/json`.

use super::Value;
use crate::lang::dates;
use crate::lang::fault::{Fault, fail};
use crate::lang::text::{go_float, go_json_float};

/// The value as `fmt.Sprintf("%v")` writes it.
pub(in crate::lang) fn go_text(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Nil => out.push_str("<nil>"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) => out.push_str(&go_float(*value)),
        Value::Text(text) => out.push_str(text),
        Value::Duration(nanos) => out.push_str(&dates::go_duration(*nanos)),
        Value::Time(time) => out.push_str(&dates::go_time(time)),
        Value::Zone(zone) => out.push_str(zone.iana_name().unwrap_or("UTC")),
        Value::Named(_, name) => out.push_str(name),
        Value::List(list) => {
            out.push('[');
            for (at, item) in list.items.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                go_text(item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push_str("map[");
            for (at, (key, item)) in map.entries.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                go_text(&key.value(), out);
                out.push(':');
                go_text(item, out);
            }
            out.push(']');
        }
        // The evaluator reads it before it is shown.
        Value::Place(_) => out.push_str("map[]"),
    }
}

/// How JSON is laid out and what is escaped in it.
#[derive(Clone, Copy, Debug)]
pub(in crate::lang) struct Layout {
    /// Two blanks per level, as `toJSON` writes it.
    pub(in crate::lang) indented: bool,
    /// `<`, `>` and `&` as `\u003c`, `\u003e`, `\u0026`.
    pub(in crate::lang) html: bool,
}

/// The value as Go's `json.Marshal` writes it.
///
/// # Errors
/// It holds a float that is no number, or a map whose keys are no texts.
pub(in crate::lang) fn go_json(
    value: &Value<'_>,
    layout: Layout,
    out: &mut String,
) -> Result<(), Fault> {
    write(value, layout, 0, out)
}

fn write(value: &Value<'_>, layout: Layout, depth: usize, out: &mut String) -> Result<(), Fault> {
    match value {
        Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) | Value::Duration(value) | Value::Named(value, _) => {
            out.push_str(&value.to_string());
        }
        Value::Float(value) if value.is_finite() => out.push_str(&go_json_float(*value)),
        Value::Float(value) => {
            return fail(format!("{} is no JSON: it is not a finite number", go_float(*value)));
        }
        Value::Text(text) => quote(text, layout.html, out),
        Value::Time(time) => quote(&dates::rfc3339(time), layout.html, out),
        Value::Zone(_) | Value::Place(_) => out.push_str("{}"),
        Value::List(list) => {
            let items = list.items.iter();
            seats(('[', ']'), items, layout, (depth, out), |item, out| {
                write(item, layout, depth.saturating_add(1), out)
            })?;
        }
        Value::Map(map) => {
            if map.any_keys {
                return fail("a map with keys of any type is no JSON");
            }
            let entries = map.entries.iter();
            seats(('{', '}'), entries, layout, (depth, out), |(key, item), out| {
                let mut name = String::new();
                go_text(&key.value(), &mut name);
                quote(&name, layout.html, out);
                out.push_str(if layout.indented { ": " } else { ":" });
                write(item, layout, depth.saturating_add(1), out)
            })?;
        }
    }
    Ok(())
}

/// What stands between brackets.
fn seats<T>(
    (open, close): (char, char),
    items: impl Iterator<Item = T>,
    layout: Layout,
    (depth, out): (usize, &mut String),
    mut each: impl FnMut(T, &mut String) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let line = |depth: usize, out: &mut String| {
        if layout.indented {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    out.push(open);
    let mut any = false;
    for item in items {
        if any {
            out.push(',');
        }
        any = true;
        line(depth.saturating_add(1), out);
        each(item, out)?;
    }
    if any {
        line(depth, out);
    }
    out.push(close);
    Ok(())
}

pub(in crate::lang) fn quote(text: &str, html: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if !html => out.push(c),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
