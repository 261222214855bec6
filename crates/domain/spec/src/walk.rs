//! Reads typed values from located nodes and reports what does not fit.

use flowforge_model::limits::REPORTED_ERRORS;
use flowforge_model::time::Millis;

use crate::grammar::{Field, Kind, Support};
use crate::located::{Entry, Node, Value, quote};
use crate::report::Report;

/// What to do about a field that is refused.
const REMOVE: &str = "remove it: a field is never ignored";

/// What is said of a field, with its reason if it has one.
fn because(said: String, reason: &str) -> String {
    if reason.is_empty() { said } else { format!("{said}: {reason}") }
}

impl Node {
    /// Nothing was written, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Plain(text) => matches!(&**text, "" | "~" | "null" | "Null" | "NULL"),
            Value::Quoted(_) | Value::List(_) | Value::Map(_) => false,
        }
    }

    /// The text of a scalar that is not null.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Plain(text) => (!self.is_null()).then_some(text),
            Value::Quoted(text) => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The entries of a map.
    pub(crate) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::Plain(_) | Value::Quoted(_) | Value::List(_) => None,
        }
    }

    /// The items of a list; anything else has none.
    pub(crate) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Plain(_) | Value::Quoted(_) | Value::Map(_) => &[],
        }
    }

    /// The value of a key, if this is a map that has it and it is not null.
    pub(crate) fn field(&self, key: &str) -> Option<&Node> {
        let entry = self.entries()?.iter().find(|entry| &*entry.key == key)?;
        (!entry.node.is_null()).then_some(&entry.node)
    }

    /// What this is, for messages.
    pub(crate) fn describe(&self) -> String {
        match &self.value {
            Value::Plain(_) if self.is_null() => "null".to_owned(),
            Value::Plain(text) | Value::Quoted(text) => quote(text),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

impl<'a> Report<'a> {
    /// Checks that a node is a map of this kind and reports fields that do not belong there.
    /// `false` if it is no map.
    pub(crate) fn fields(&self, node: &'a Node, kind: &Kind) -> bool {
        let Some(entries) = node.entries() else {
            let message = format!("expected {} (a map), found {}", kind.name, node.describe());
            self.error("wrong_type", node, message, "");
            return false;
        };
        let mut strange = 0_usize;
        for entry in entries {
            let key = &*entry.key;
            let field = kind.field(key);
            let done = |f: &Field| matches!(f.support, Support::Full | Support::Emulated(_));
            // Nothing is asked for where null is written.
            if field.is_some_and(|field| done(field) || entry.node.is_null()) {
                continue;
            }
            // The first ones of a map come first in the document: no later one would be shown.
            strange = strange.saturating_add(1);
            if strange > REPORTED_ERRORS {
                self.omit();
                continue;
            }
            let said = format!("{key} of {}", kind.name);
            let mut hint = match field.map(|field| field.support) {
                Some(Support::Unsupported(why)) => {
                    let message = because(format!("{said} is not supported"), why);
                    self.error("unsupported", entry, message, REMOVE);
                    continue;
                }
                Some(Support::NoEffect(why)) => {
                    let message = because(format!("{said} has no effect"), why);
                    self.warning("no_effect", entry, message, "");
                    continue;
                }
                Some(Support::Full | Support::Emulated(_)) => continue,
                None => self.did_you_mean(key, kind.keys()),
            };
            if hint.is_empty() {
                let known: Vec<&str> = kind.keys().collect();
                hint = format!("{} has: {}", kind.name, known.join(", "));
            }
            let message = format!("{} has no field {}", kind.name, quote(key));
            self.error("unknown_field", entry, message, hint);
        }
        true
    }

    /// A field that must be there; reports it otherwise.
    pub(crate) fn required(&self, node: &'a Node, kind: &Kind, key: &str) -> Option<&'a Node> {
        let field = node.field(key);
        if field.is_none() {
            let message = format!("{} needs the field {key}", kind.name);
            self.error("missing_field", node, message, format!("add {key}"));
        }
        field
    }

    /// Any scalar, as it was written.
    pub(crate) fn string(&self, node: &'a Node) -> Option<&'a str> {
        let text = node.text();
        if text.is_none() {
            let message = format!("expected a string, found {}", node.describe());
            self.error("wrong_type", node, message, "");
        }
        text
    }

    /// A field that may be missing, as a string.
    pub(crate) fn optional_string(&self, node: &'a Node, key: &str) -> Option<&'a str> {
        self.string(node.field(key)?)
    }

    /// `true` or `false`, without quotes.
    pub(crate) fn boolean(&self, node: &'a Node) -> Option<bool> {
        if let Value::Plain(text) = &node.value {
            match &**text {
                "true" | "True" | "TRUE" => return Some(true),
                "false" | "False" | "FALSE" => return Some(false),
                _ => {}
            }
        }
        let message = format!("expected true or false, found {}", node.describe());
        self.error("wrong_type", node, message, "write true or false without quotes");
        None
    }

    /// A whole decimal number, quoted or not, within a range.
    pub(crate) fn integer(&self, node: &'a Node, min: i64, max: i64) -> Option<i64> {
        self.integer_of(node, node.text().unwrap_or(""), min, max)
    }

    /// The same of a text that stands at `node`.
    pub(crate) fn integer_of(&self, node: &'a Node, text: &str, min: i64, max: i64) -> Option<i64> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let decimal = !digits.is_empty()
            && digits.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !digits.starts_with('0'));
        if !decimal {
            let found = if text.is_empty() { node.describe() } else { quote(text) };
            let message = format!("expected a whole number, found {found}");
            self.error("wrong_type", node, message, "write decimal digits only");
            return None;
        }
        let value = text.parse().ok().filter(|value| (min..=max).contains(value));
        if value.is_none() {
            let message = format!("{} is not between {min} and {max}", quote(text));
            self.error("out_of_range", node, message, "");
        }
        value
    }

    /// A field that may be missing, as a whole number that fits `u32`.
    pub(crate) fn optional_u32(
        &self,
        node: &'a Node,
        key: &str,
        min: u32,
        max: u32,
    ) -> Option<u32> {
        let value = self.integer(node.field(key)?, i64::from(min), i64::from(max))?;
        u32::try_from(value).ok()
    }

    /// The items of a list.
    pub(crate) fn list(&self, node: &'a Node, what: &str) -> Option<&'a [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            Value::Plain(_) | Value::Quoted(_) | Value::Map(_) => {
                let message = format!("expected a list of {what}, found {}", node.describe());
                self.error("wrong_type", node, message, "write [a, b] or lines beginning with -");
                None
            }
        }
    }

    /// The items of the list in a field; a missing one is empty.
    pub(crate) fn list_field(&self, node: &'a Node, key: &str, what: &str) -> &'a [Node] {
        let list = node.field(key).and_then(|list| self.list(list, what));
        list.unwrap_or(&[])
    }

    /// A span in Go's form or in seconds.
    pub(crate) fn duration(&self, node: &'a Node) -> Option<Millis> {
        self.duration_of(node, self.string(node)?)
    }

    /// The same of a text that stands at `node`.
    pub(crate) fn duration_of(&self, node: &'a Node, text: &str) -> Option<Millis> {
        match Millis::parse(text) {
            Ok(span) => Some(span),
            Err(cause) => {
                let message = format!("{} is no duration: {cause}", quote(text));
                let hint = "write it like 30s, 5m, 1h30m, or as a number of seconds";
                self.error("bad_duration", node, message, hint);
                None
            }
        }
    }
}
