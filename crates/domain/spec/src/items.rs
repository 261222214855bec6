//! Items of `withItems`: scalars as they are, maps and lists as JSON.

use flowforge_model::text::{Reference, Segment, Text};

use crate::located::{Node, Value, quote};
use crate::outline::Doc;
use crate::references::Names;

/// The text of one item.
///
/// A map or list becomes JSON. A string with tags inside of one becomes an expression that
/// quotes its value, so that no value can break out of its string.
pub(crate) fn item_text<'a>(doc: &Doc<'a>, node: &'a Node, names: &Names<'_, 'a>) -> Option<Text> {
    if matches!(node.value, Value::Plain(_) | Value::Quoted(_)) {
        return doc.text(node, names);
    }
    let string = |node: &'a Node, text: &str, out: &mut Out<'_>| {
        json_text(doc, (node, text), names, out);
    };
    Some(json_of(node, &string))
}

/// A tree as JSON, whose strings `string` writes.
pub(crate) fn json_of<'n>(node: &'n Node, string: &dyn Fn(&'n Node, &str, &mut Out<'_>)) -> Text {
    let mut parts = Vec::new();
    let mut literal = String::new();
    json(node, string, &mut (&mut parts, &mut literal));
    if parts.is_empty() {
        return Text::plain(&literal);
    }
    if !literal.is_empty() {
        parts.push(Segment::Literal(literal.into()));
    }
    Text::Parts(parts.into())
}

/// Finished segments, and the literal that is being written.
pub(crate) type Out<'o> = (&'o mut Vec<Segment>, &'o mut String);

fn json<'n>(node: &'n Node, string: &dyn Fn(&'n Node, &str, &mut Out<'_>), out: &mut Out<'_>) {
    match &node.value {
        Value::Plain(text) if is_json_word(text) => out.1.push_str(text),
        Value::Plain(_) if node.is_null() => out.1.push_str("null"),
        Value::Plain(text) | Value::Quoted(text) => string(node, text, out),
        Value::List(items) => {
            out.1.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.1.push(',');
                }
                json(item, string, out);
            }
            out.1.push(']');
        }
        Value::Map(entries) => {
            out.1.push('{');
            for (at, entry) in entries.iter().enumerate() {
                if at > 0 {
                    out.1.push(',');
                }
                out.1.push_str(&json_string(&entry.key));
                out.1.push(':');
                json(&entry.node, string, out);
            }
            out.1.push('}');
        }
    }
}

/// A string that stands at a node. Its value cannot break out of it.
pub(crate) fn json_text<'a>(
    doc: &Doc<'a>,
    (node, text): (&'a Node, &str),
    names: &Names<'_, 'a>,
    out: &mut Out<'_>,
) {
    if !text.contains("{{") {
        out.1.push_str(&json_string(text));
        return;
    }
    let Some(Text::Parts(parts)) = doc.text_of(node, text, names) else {
        return;
    };
    let terms: Vec<String> = parts.iter().map(|part| term(part, names)).collect();
    let source = format!("toJson({})", terms.join(" + "));
    if let Err(cause) = flowforge_expr::parse_check(&source) {
        let message = format!("{} is too complex inside an item: {cause}", quote(text));
        doc.report.error("bad_expression", node, message, "pass it as an argument instead");
        return;
    }
    if !out.1.is_empty() {
        out.0.push(Segment::Literal(std::mem::take(out.1).into()));
    }
    out.0.push(Segment::Expression(source.into()));
}

/// A part of a string as a term of an expression that adds up strings.
pub(crate) fn term(part: &Segment, names: &Names<'_, '_>) -> String {
    let reference = match part {
        Segment::Literal(text) => return json_string(text),
        Segment::Expression(source) => return format!("string({source})"),
        Segment::Reference(reference) => reference,
    };
    let sibling = |slot: u32| {
        let (siblings, _) = names.siblings?;
        let name = siblings.names.get(slot as usize)?;
        Some(format!("{}.{name}", siblings.prefix()))
    };
    let tag = flowforge_expr::human(reference, &sibling);
    let tag = tag.trim_matches(['{', '}']);
    // The name of a label may hold dots; no other part does.
    let depth = if matches!(reference, Reference::WorkflowLabel(_)) { 3 } else { usize::MAX };
    let mut parts = tag.splitn(depth, '.');
    let mut out = parts.next().unwrap_or("").to_owned();
    for part in parts {
        out.push('[');
        out.push_str(&json_string(part));
        out.push(']');
    }
    format!("string({out})")
}

/// A plain scalar that JSON writes the same way.
pub(crate) fn is_json_word(text: &str) -> bool {
    let number = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    matches!(text, "true" | "false" | "null")
        || (number && serde_json::from_str::<serde_json::Number>(text).is_ok())
}

fn json_string(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}
