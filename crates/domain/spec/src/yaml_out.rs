//! A tree as YAML, so that a part of a document can stand alone.
//!
//! What was plain stays plain where that can matter: `5`, `true`, `no` or `~` mean what the field
//! they stand in makes of them. Reading the text back gives the same tree.

use crate::located::{Node, Value};

/// The text of a tree whose root is a map.
pub(crate) fn write(root: &Node) -> String {
    let mut out = String::new();
    match &root.value {
        Value::Map(entries) if !entries.is_empty() => map(&mut out, root, 0),
        Value::Map(_) | Value::List(_) | Value::Plain(_) | Value::Quoted(_) => {
            out.push_str("{}\n");
        }
    }
    out
}

/// Entries, each on lines of its own, the first where the text stands.
fn map(out: &mut String, node: &Node, indent: usize) {
    for (at, entry) in node.entries().unwrap_or(&[]).iter().enumerate() {
        if at > 0 {
            pad(out, indent);
        }
        key(out, &entry.key);
        out.push(':');
        value(out, &entry.node, indent, false);
    }
}

/// What stands after a key or a dash, up to the end of its last line.
fn value(out: &mut String, node: &Node, indent: usize, in_list: bool) {
    let inner = indent.saturating_add(2);
    match &node.value {
        Value::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Value::List(items) if items.is_empty() => out.push_str(" []\n"),
        Value::Map(_) => {
            if in_list {
                out.push(' ');
            } else {
                out.push('\n');
                pad(out, inner);
            }
            map(out, node, inner);
        }
        Value::List(items) => {
            out.push('\n');
            for item in items {
                pad(out, inner);
                out.push('-');
                value(out, item, inner, true);
            }
        }
        Value::Plain(text) if is_simple(text) => {
            if !text.is_empty() {
                out.push(' ');
                out.push_str(text);
            }
            out.push('\n');
        }
        Value::Plain(text) | Value::Quoted(text) if is_block(text) => block(out, text, inner),
        Value::Plain(text) | Value::Quoted(text) => {
            out.push(' ');
            quoted(out, text);
            out.push('\n');
        }
    }
}

fn pad(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}

/// A key is a string however it is written; `<<` would be one for merging.
fn key(out: &mut String, text: &str) {
    if !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./".contains(&b))
        && !text.starts_with('-')
    {
        out.push_str(text);
    } else {
        quoted(out, text);
    }
}

/// Whether a plain scalar stays the same scalar, and one line, wherever it stands. All that could
/// be a number, a bool or null is.
fn is_simple(text: &str) -> bool {
    let inside = |b: u8| b.is_ascii_alphanumeric() || b"_-+.~/".contains(&b);
    let after_dash = text
        .strip_prefix('-')
        .map(|rest| rest.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '.'));
    text.len() <= 64 && text.bytes().all(inside) && after_dash.unwrap_or(true)
}

/// Whether a text can be written as a literal block: several lines that people can read.
fn is_block(text: &str) -> bool {
    let printable = |c: char| {
        c == '\n'
            || (!c.is_control() && !matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}'))
    };
    let body = text.strip_suffix('\n').unwrap_or(text);
    body.contains('\n')
        && text.chars().all(printable)
        && !text.starts_with([' ', '\n'])
        && !body.ends_with([' ', '\n'])
}

fn block(out: &mut String, text: &str, indent: usize) {
    let body = match text.strip_suffix('\n') {
        Some(body) => {
            out.push_str(" |\n");
            body
        }
        None => {
            out.push_str(" |-\n");
            text
        }
    };
    for line in body.split('\n') {
        if !line.is_empty() {
            pad(out, indent);
            out.push_str(line);
        }
        out.push('\n');
    }
}

/// Double quotes; what is not printable is escaped.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::located::{self, Entry, Place};

    fn at_start(value: Value) -> Node {
        Node { place: Place::default(), value }
    }

    /// The tree without places, plain scalars marked.
    fn shape(node: &Node) -> String {
        match &node.value {
            Value::Plain(_) if node.is_null() => "null".to_owned(),
            Value::Plain(text) if !text.contains(' ') => format!("plain {text:?}"),
            Value::Plain(text) | Value::Quoted(text) => format!("text {text:?}"),
            Value::List(items) => {
                format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(", "))
            }
            Value::Map(entries) => {
                let entry = |entry: &Entry| format!("{:?}: {}", entry.key, shape(&entry.node));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn back(text: &str) -> String {
        let located = located::read(text).unwrap_or_else(|problem| panic!("{problem}\n{text}"));
        shape(&located.documents[0].root)
    }

    #[test]
    fn a_document_is_written_for_people() {
        let source = "a: 5\nb: [x, {y: no, z: \"5\"}]\nc:\n  d: |\n    one\n      two\n\n    three\n  e: \"a: b\"\n  f: []\n  g: {}\n  h: ~\n";
        let located = located::read(source).unwrap();
        let written = write(&located.documents[0].root);
        assert_eq!(
            written,
            "a: 5\nb:\n  - x\n  - y: no\n    z: \"5\"\nc:\n  d: |\n    one\n      two\n\n    three\n  e: \"a: b\"\n  f: []\n  g: {}\n  h: ~\n"
        );
        assert_eq!(back(&written), shape(&located.documents[0].root));
    }

    fn text() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-z0-9:#{}\\[\\],&*!|>'\"%@` \\n\\t-]{0,20}",
            "(\\PC|\\n| ){0,12}",
            "[ \\n]{0,3}[a-z#-]{1,4}(\\n[ a-z:-]{0,6}){0,4}\\n{0,2}",
        ]
    }

    fn plain() -> impl Strategy<Value = String> {
        prop_oneof![
            "(true|no|Null|~|0x1F|-5|1e3|010|1[.]5|[.]5|[+]1|2026-01-01|[a-z]{1,5}|-[.]inf|[.]nan)",
            "[a-z][a-z ]{0,8}[a-z]",
        ]
    }

    fn tree() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            text().prop_map(|text| at_start(Value::Quoted(text.into()))),
            plain().prop_map(|text| at_start(Value::Plain(text.into()))),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let key = prop_oneof!["[a-zA-Z][a-z0-9-]{0,6}", text()];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5)
                    .prop_map(|items| at_start(Value::List(items.into()))),
                prop::collection::btree_map(key, inner, 0..5).prop_map(|entries| {
                    let entries = entries.into_iter().map(|(key, node)| Entry {
                        place: Place::default(),
                        key: key.into(),
                        node,
                    });
                    at_start(Value::Map(entries.collect()))
                }),
            ]
        })
    }

    proptest! {
        /// Plain texts with blanks become quoted ones: the same string, and nothing else.
        #[test]
        fn what_is_written_reads_back(node in tree()) {
            let root = at_start(Value::Map(Box::new([Entry {
                place: Place::default(), key: "spec".into(), node,
            }])));
            prop_assert_eq!(back(&write(&root)), shape(&root));
        }
    }
}
