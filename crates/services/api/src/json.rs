//! JSON, read strictly: what `serde_json` lets pass and databases or people trip over is refused,
//! with its place.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;
use std::fmt;

use flowforge_model::limits::{DOCUMENT_DEPTH, DOCUMENT_KEYS, DOCUMENT_VALUES};
use flowforge_wire::Finding;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::problem::{Code, Failure, finding};

/// Fields of the outermost object. None that is accepted has so many: the rest is not looked at.
const MOST_FIELDS: usize = 256;

/// Checks a whole text: one value, no key twice in an object, at most 64 levels, no `\u0000`, no
/// lone surrogates, no number out of range, no flood of values. Linear in the text.
pub(crate) fn check(text: &str) -> Result<(), Failure> {
    let path = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_str(text);
    let left = Cell::new(DOCUMENT_VALUES);
    let walk = Walk { path: &path, left: &left, depth: 0 };
    let result = walk.deserialize(&mut reader).and_then(|()| reader.end());
    result.map_err(|error| {
        let steps = path.take();
        let pointer = steps.iter().rev().fold(String::new(), |p, step| child(&p, step));
        let found = located(text, &error, pointer);
        Failure::with(Code::MalformedJson, vec![found], 0)
    })
}

/// What `serde_json` says about a place in `text`.
fn located(text: &str, error: &serde_json::Error, pointer: String) -> Finding {
    let (line, column) = (error.line(), error.column());
    let whole = error.to_string();
    let detail = whole.rsplit_once(" at line ").map_or(&*whole, |(message, _)| message);
    let mut found = finding(Code::MalformedJson.slug(), pointer, cut(detail));
    if line > 0 {
        let start = text.split_inclusive('\n').nth(line - 1).unwrap_or("");
        let column = characters_before(start, column.saturating_sub(1)) + 1;
        found.line = u32::try_from(line).ok();
        found.column = u32::try_from(column).ok();
    }
    found
}

/// A message may quote what was sent: keep it short and printable.
fn cut(message: &str) -> String {
    let clean = message.chars().filter(|c| !c.is_control());
    clean.take(256).collect()
}

/// Characters in the first `bytes` bytes of a line.
fn characters_before(line: &str, bytes: usize) -> usize {
    let starts = line.char_indices();
    starts.take_while(|&(at, _)| at < bytes).count()
}

/// The place (line and column in characters, from 1) of a byte of a text.
pub(crate) fn place(text: &str, offset: usize) -> (u32, u32) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |l| l.chars().count()) + 1;
    (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
}

/// A JSON pointer one level deeper; long keys are cut to 64 characters.
pub(crate) fn child(pointer: &str, key: &str) -> String {
    let key: String = key.chars().take(64).collect();
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

/// Walks over one value and keeps nothing of it. On the way out of an error it leaves the steps
/// to the place in `path`, the innermost first.
#[derive(Clone, Copy)]
struct Walk<'a> {
    path: &'a RefCell<Vec<String>>,
    /// Values that may still come.
    left: &'a Cell<usize>,
    depth: usize,
}

impl Walk<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= DOCUMENT_DEPTH {
            return Err(E::custom(format!("nested deeper than {DOCUMENT_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            let message = format!("more than {DOCUMENT_VALUES} values");
            return Err(de::Error::custom(message));
        };
        self.left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') {
            return Err(E::custom("a string holds a NUL character"));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        for index in 0_usize.. {
            match items.next_element_seed(inside) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    self.path.borrow_mut().push(index.to_string());
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let inside = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(Key(key)) = entries.next_key()? {
            let most = if self.depth == 0 { MOST_FIELDS } else { DOCUMENT_KEYS };
            let result = if seen.len() == most {
                Err(de::Error::custom("too many fields"))
            } else if key.contains('\0') {
                Err(de::Error::custom("a key holds a NUL character"))
            } else if seen.insert(key.clone()) {
                entries.next_value_seed(inside)
            } else {
                Err(de::Error::custom("the key is given twice"))
            };
            if result.is_err() {
                self.path.borrow_mut().push(key.into_owned());
                return result;
            }
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> Finding {
        let (errors, _) = check(text).unwrap_err().into_errors();
        errors.into_iter().next().unwrap()
    }

    #[test]
    fn strange_json_is_refused_with_its_place() {
        let found = refused("{\"a\": 1,\n \"é\": {\"b\": 1, \"b\": 2}}");
        assert_eq!(found.pointer, "/é/b");
        assert_eq!(found.line, Some(2));
        assert!(found.detail.contains("twice"), "{}", found.detail);
        assert_eq!(refused(r#"{"a":["x","\u0000"]}"#).pointer, "/a/1");
        for bad in [
            r#""\ud800""#,
            r#"{"a":1} x"#,
            "[1,]",
            "// c\n1",
            "NaN",
            "0x10",
            "1e999",
            "",
            "{\"\\u0000\":1}",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_ends_at_64_levels_without_recursing_further() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(check(&nested(64)).is_ok());
        assert!(check(&nested(65)).is_err());
        assert!(check(&"[".repeat(1_000_000)).is_err());
    }

    #[test]
    fn a_flood_of_values_ends_early() {
        let found = refused(&format!("{{\"a\":[{}", "1,".repeat(7_000_000)));
        assert!(found.pointer.starts_with("/a/20971"), "{}", found.pointer);
        let keys: String = (0..200_000).map(|n| format!("\"k{n}\":1,")).collect();
        assert_eq!(refused(&format!("{{\"a\":{{{keys}")).pointer, "/a/k131072");
    }

    #[test]
    fn places_count_characters() {
        assert_eq!(place("ab\nñx", 0), (1, 1));
        assert_eq!(place("ab\nñx", 5), (2, 2));
    }
}
