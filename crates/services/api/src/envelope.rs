//! The fields of a JSON object that a client sent: taken by name, every fault reported with its
//! place, nothing unknown let through.

use std::borrow::Cow;
use std::fmt;

use flowforge_model::limits::REPORTED_ERRORS;
use flowforge_wire::Finding;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::{self, Key, child};
use crate::problem::{Code, Failure, finding, shown};

/// Names with text values.
pub(crate) type Pairs = Vec<(String, String)>;

/// An object's fields that were not taken yet.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    text: &'a str,
    /// Of the object itself: empty for a whole body.
    pointer: String,
    entries: Vec<(Cow<'a, str>, &'a RawValue)>,
    known: Vec<&'static str>,
    /// With the byte each begins at.
    errors: Vec<(usize, Finding)>,
    omitted: u64,
}

impl<'a> Fields<'a> {
    /// Reads a whole body, strictly.
    pub(crate) fn read(text: &'a str) -> Result<Self, Failure> {
        // A list is not walked over: it may be millions of values long.
        if text.trim_start().starts_with('[') {
            return Err(no_object(text));
        }
        json::check(text)?;
        let Ok(Entries(entries)) = serde_json::from_str(text) else {
            return Err(no_object(text));
        };
        Ok(Self::of(text, String::new(), entries))
    }

    fn of(text: &'a str, pointer: String, entries: Vec<(Cow<'a, str>, &'a RawValue)>) -> Self {
        Self { text, pointer, entries, known: Vec::new(), errors: Vec::new(), omitted: 0 }
    }

    /// The pointer to a field.
    pub(crate) fn pointer(&self, name: &str) -> String {
        child(&self.pointer, name)
    }

    /// A field that is an object; its faults come back with [`Fields::absorb`].
    pub(crate) fn object(&mut self, name: &'static str) -> Option<Fields<'a>> {
        let raw = self.take(name)?;
        self.inside(raw, self.pointer(name))
    }

    /// A field that is a list of at most `most` objects.
    pub(crate) fn objects(&mut self, name: &'static str, most: usize) -> Vec<Fields<'a>> {
        let Some(raw) = self.take(name) else { return Vec::new() };
        let pointer = self.pointer(name);
        let Ok(items) = serde_json::from_str::<Vec<&'a RawValue>>(raw.get()) else {
            self.fault(&pointer, raw, &format!("`{name}` is not a list"));
            return Vec::new();
        };
        if items.len() > most {
            let many = format!("`{name}` has {} entries, of at most {most}", items.len());
            self.fault(&pointer, raw, &many);
            return Vec::new();
        }
        let each = items.into_iter().enumerate();
        each.filter_map(|(at, raw)| self.inside(raw, format!("{pointer}/{at}"))).collect()
    }

    fn inside(&mut self, raw: &'a RawValue, pointer: String) -> Option<Fields<'a>> {
        match serde_json::from_str(raw.get()) {
            Ok(Entries(entries)) => Some(Self::of(self.text, pointer, entries)),
            Err(_) => {
                self.fault(&pointer, raw, "this is not an object");
                None
            }
        }
    }

    /// All fields of an object inside were taken: what was wrong with it is wrong here.
    pub(crate) fn absorb(&mut self, mut inside: Fields<'a>) {
        inside.refuse_the_rest();
        self.omitted += inside.omitted;
        for fault in inside.errors {
            if self.errors.len() < REPORTED_ERRORS {
                self.errors.push(fault);
            } else {
                self.omitted += 1;
            }
        }
    }

    /// Whether there is a field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, _)| key == name)
    }

    /// Whether there is a field with a value other than `null`.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.entries.iter().any(|(key, value)| key == name && value.get() != "null")
    }

    /// A field as it was written; `null` is like none.
    pub(crate) fn take(&mut self, name: &'static str) -> Option<&'a RawValue> {
        self.known.push(name);
        let at = self.entries.iter().position(|(key, _)| key == name)?;
        let (_, value) = self.entries.swap_remove(at);
        (value.get() != "null").then_some(value)
    }

    /// A field's value, read by serde.
    pub(crate) fn value<T: Deserialize<'a>>(
        &mut self,
        name: &'static str,
        wanted: &str,
    ) -> Option<T> {
        let raw = self.take(name)?;
        let value = serde_json::from_str(raw.get()).ok();
        if value.is_none() {
            self.fault(&self.pointer(name), raw, &format!("`{name}` is not {wanted}"));
        }
        value
    }

    /// A field that is text.
    pub(crate) fn string(&mut self, name: &'static str) -> Option<String> {
        self.value(name, "a string")
    }

    /// A field that is an object of strings; numbers and booleans, if `scalars`, become the text
    /// they are written with.
    pub(crate) fn pairs(&mut self, name: &'static str, scalars: bool) -> Pairs {
        let Some(raw) = self.take(name) else {
            return Pairs::new();
        };
        let pointer = self.pointer(name);
        let Ok(Entries(entries)) = serde_json::from_str(raw.get()) else {
            self.fault(&pointer, raw, &format!("`{name}` is not an object"));
            return Pairs::new();
        };
        let mut pairs = Pairs::new();
        for (key, value) in entries {
            if let Some(text) = scalar(value.get(), scalars) {
                pairs.push((key.into_owned(), text));
            } else {
                let wanted = if scalars {
                    "a value here is a string, a number or a boolean"
                } else {
                    "a value here is a string"
                };
                self.fault(&child(&pointer, &key), value, wanted);
            }
        }
        pairs.sort();
        pairs
    }

    /// Line and column of a value, from 1.
    pub(crate) fn place(&self, value: &RawValue) -> (u32, u32) {
        json::place(self.text, self.offset(value))
    }

    /// Values are slices of the text.
    fn offset(&self, value: &RawValue) -> usize {
        let start = value.get().as_ptr().addr();
        start.saturating_sub(self.text.as_ptr().addr())
    }

    /// Something that must be there is not.
    pub(crate) fn missing(&mut self, pointer: &str, detail: &str) {
        let found = finding("missing_field", pointer, detail);
        self.errors.push((0, found));
    }

    /// Something is wrong with a value.
    pub(crate) fn fault(&mut self, pointer: &str, value: &RawValue, detail: &str) {
        if self.errors.len() < REPORTED_ERRORS {
            let found = finding(Code::InvalidRequest.slug(), pointer, detail);
            self.errors.push((self.offset(value), found));
        } else {
            self.omitted += 1;
        }
    }

    fn refuse_the_rest(&mut self) {
        for (key, value) in std::mem::take(&mut self.entries) {
            let known = self.known.join(", ");
            let detail = format!("unknown field `{}`; known: {known}", shown(&key));
            self.fault(&self.pointer(&key), value, &detail);
        }
    }

    /// All fields were taken: fails with everything that was wrong.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        self.refuse_the_rest();
        if self.errors.is_empty() {
            return Ok(());
        }
        self.errors.sort_by_key(|&(offset, _)| offset);
        let (mut from, mut at) = (0, (1, 1));
        let mut errors = Vec::new();
        for (offset, mut found) in self.errors {
            // Each place is counted on from the one before: linear in the text.
            let (lines, columns) = json::place(self.text.get(from..).unwrap_or(""), offset - from);
            at = if lines == 1 { (at.0, at.1 + columns - 1) } else { (at.0 + lines - 1, columns) };
            from = offset;
            (found.line, found.column) = (Some(at.0), Some(at.1));
            errors.push(found);
        }
        Err(Failure::with(Code::InvalidRequest, errors, self.omitted))
    }
}

fn no_object(text: &str) -> Failure {
    let code = Code::InvalidRequest;
    let mut found = finding(code.slug(), "", "the body is not a JSON object");
    let (line, column) = json::place(text, text.len() - text.trim_start().len());
    (found.line, found.column) = (Some(line), Some(column));
    Failure::with(code, vec![found], 0)
}

/// A scalar's text; none for other values.
pub(crate) fn scalar(raw: &str, any: bool) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b't' | b'f' | b'-' | b'0'..=b'9' if any => Some(raw.to_owned()),
        _ => None,
    }
}

/// The entries of an object, in order, values as written.
struct Entries<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((Key(key), value)) = map.next_entry()? {
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_reported_in_order_with_its_place() {
        let text = "{\n \"name\": 7, \"parameters\": {\"a\": [1], \"b\": 1.50, \"c\": \"x\"},\n \"state\": 1}";
        let mut fields = Fields::read(text).unwrap();
        assert_eq!(fields.string("name"), None);
        assert_eq!(
            fields.pairs("parameters", true),
            [("b".to_owned(), "1.50".to_owned()), ("c".to_owned(), "x".to_owned())]
        );
        let (errors, _) = fields.finish().unwrap_err().into_errors();
        let places: Vec<_> =
            errors.iter().map(|e| (&*e.pointer, e.line.unwrap(), e.column.unwrap())).collect();
        assert_eq!(places, [("/name", 2, 10), ("/parameters/a", 2, 33), ("/state", 3, 11)]);
    }

    #[test]
    fn null_is_like_none_and_a_list_is_no_object() {
        let mut fields = Fields::read(r#"{"name": null}"#).unwrap();
        assert_eq!(fields.string("name"), None);
        assert!(fields.finish().is_ok());
        for other in ["[]", "null", "\n 7"] {
            let (errors, _) = Fields::read(other).unwrap_err().into_errors();
            assert_eq!(errors[0].detail, "the body is not a JSON object");
            assert!(errors[0].line.is_some());
        }
    }
}
