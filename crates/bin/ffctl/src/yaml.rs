//! JSON values as YAML 1.2, in block style. Strings that any YAML reader could take for something
//! else are quoted as JSON, which YAML includes.

use std::fmt::Write as _;

use serde_json::Value;

/// A document, with its final newline.
pub(crate) fn document(value: &Value) -> String {
    let mut out = String::new();
    match value {
        Value::Object(map) if !map.is_empty() => block(&mut out, value, 0),
        Value::Array(items) if !items.is_empty() => block(&mut out, value, 0),
        _ => {
            scalar(&mut out, value);
            out.push('\n');
        }
    }
    out
}

/// Entries or items, each on lines of its own. The cursor is where the first one begins.
fn block(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) => {
            for (at, (key, inner)) in map.iter().enumerate() {
                indent(out, if at == 0 { 0 } else { depth });
                string(out, key);
                out.push(':');
                after(out, inner, depth + 1);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                indent(out, if at == 0 { 0 } else { depth });
                out.push('-');
                if filled(inner) {
                    out.push(' ');
                    block(out, inner, depth + 1);
                } else {
                    after(out, inner, depth + 1);
                }
            }
        }
        _ => scalar(out, value),
    }
}

/// What comes behind a key.
fn after(out: &mut String, value: &Value, depth: usize) {
    if filled(value) {
        out.push('\n');
        indent(out, depth);
        block(out, value, depth);
    } else {
        out.push(' ');
        scalar(out, value);
        out.push('\n');
    }
}

fn filled(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        _ => false,
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn scalar(out: &mut String, value: &Value) {
    match value {
        Value::String(text) => string(out, text),
        Value::Object(_) => out.push_str("{}"),
        Value::Array(_) => out.push_str("[]"),
        // Writing to a String cannot fail.
        other => {
            let _written = write!(out, "{other}");
        }
    }
}

/// A string, bare only if no YAML reader, old ones included, sees anything else in it.
fn string(out: &mut String, text: &str) {
    let inside =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '(' | ')');
    let bare = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(inside)
        && !matches!(
            &*text.to_ascii_lowercase(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if bare {
        out.push_str(text);
    } else {
        let _written = write!(out, "{}", Value::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_become_blocks_and_doubtful_strings_are_quoted() {
        let value = json!({
            "name": "a(0:x)", "status": "SUCCEEDED", "no": "no", "number": "1e3", "at": "2026-01-01",
            "tasks": [{"name": "a", "outputs": {}, "attempts": [{"number": 1}, {"number": 2}]}, []],
            "list": ["x y", null, true, 1.5, ["in", ["deep"]]],
            "text": "a\nb: {{c}} \u{1b}",
        });
        insta::assert_snapshot!(document(&value), @r#"
        at: "2026-01-01"
        list:
          - "x y"
          - null
          - true
          - 1.5
          - - in
            - - deep
        name: "a(0:x)"
        "no": "no"
        number: "1e3"
        status: SUCCEEDED
        tasks:
          - attempts:
              - number: 1
              - number: 2
            name: a
            outputs: {}
          - []
        text: "a\nb: {{c}} \u001b"
        "#);
        assert_eq!(document(&json!({})), "{}\n");
        assert_eq!(document(&json!("NULL")), "\"NULL\"\n");
    }
}
