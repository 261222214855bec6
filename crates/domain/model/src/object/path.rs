//! What is read of an object: `kubectl`'s templates of paths, `{.metadata.name}`, and jq's plain paths.

use serde_json::Value;

use super::condition::text_of;

/// Text with paths in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Path(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Key(String),
    /// From the end if it is negative.
    Index(i64),
    /// Everything in a list or map.
    All,
}

/// Nothing that can be read, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPath(String);

impl Reading {
    /// A template of `kubectl`: text, with paths in braces. Filters, ranges, unions and slices are refused.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn json_path(source: &str) -> Result<Self, BadPath> {
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some((text, more)) = rest.split_once('{') {
            if !text.is_empty() {
                pieces.push(Piece::Text(text.to_owned()));
            }
            let (path, more) =
                more.split_once('}').ok_or_else(|| BadPath("a brace is not closed".to_owned()))?;
            let path = path.trim();
            let path = path.strip_prefix('$').unwrap_or(path);
            pieces.push(Piece::Path(steps(path)?));
            rest = more;
        }
        if pieces.is_empty() {
            return Err(BadPath("a path in braces is wanted, as {.metadata.name}".to_owned()));
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self { pieces })
    }

    /// A filter of jq that is one path, as `.metadata.name` or `.status.conditions[0].type`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn jq(source: &str) -> Result<Self, BadPath> {
        let path = steps(source.trim())?;
        if path.contains(&Step::All) {
            return Err(BadPath("only a path to one field is read".to_owned()));
        }
        Ok(Self { pieces: vec![Piece::Path(path)] })
    }

    /// What an object says there: texts as they are, all else as JSON, several with a space between them. None if
    /// it says nothing there.
    #[must_use]
    pub fn of(&self, object: &Value) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Path(path) => {
                    let found = find(object, path);
                    if found.is_empty() {
                        return None;
                    }
                    let found: Vec<String> = found.into_iter().map(text_of).collect();
                    out.push_str(&found.join(" "));
                }
            }
        }
        Some(out)
    }
}

fn find<'a>(object: &'a Value, path: &[Step]) -> Vec<&'a Value> {
    path.iter().fold(vec![object], |found, step| {
        found.into_iter().flat_map(|value| one(value, step)).collect()
    })
}

fn one<'a>(value: &'a Value, step: &Step) -> Vec<&'a Value> {
    match (step, value) {
        (Step::Key(key), Value::Object(map)) => map.get(key).into_iter().collect(),
        (Step::Index(index), Value::Array(list)) => {
            let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
            let place = if *index < 0 { list.len().checked_sub(back) } else { Some(back) };
            place.and_then(|place| list.get(place)).into_iter().collect()
        }
        (Step::All, Value::Array(list)) => list.iter().collect(),
        (Step::All, Value::Object(map)) => map.values().collect(),
        _ => Vec::new(),
    }
}

/// `.a.b[0]['c.d']`, or `.` alone.
fn steps(source: &str) -> Result<Vec<Step>, BadPath> {
    let bad = |why: &str| BadPath(format!("{source:?} is no path: {why}"));
    let mut steps = Vec::new();
    let mut rest = source;
    if rest == "." {
        return Ok(steps);
    }
    if rest.is_empty() {
        return Err(bad("it begins with a dot, as .metadata.name"));
    }
    while !rest.is_empty() {
        if let Some(more) = rest.strip_prefix('[') {
            let (inside, more) = bracket(more).ok_or_else(|| bad("a bracket is not closed"))?;
            steps.push(subscript(inside).ok_or_else(|| {
                bad("only a place, * or a quoted key stands in brackets: no filters, slices, lists")
            })?);
            rest = more;
            continue;
        }
        let more = rest.strip_prefix('.').ok_or_else(|| bad("fields have a dot before them"))?;
        // `.["a"]` is how jq writes a key in quotes.
        if more.starts_with('[') {
            rest = more;
            continue;
        }
        let (key, more) = key(more);
        if key.is_empty() {
            return Err(bad("a field has no name"));
        }
        steps.push(if key == "*" { Step::All } else { Step::Key(key) });
        rest = more;
    }
    Ok(steps)
}

/// Up to the closing bracket, which may stand in quotes.
fn bracket(source: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in source.char_indices() {
        match (quote, c) {
            (None, ']') => return Some((source.get(..at)?, source.get(at + 1..)?)),
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    None
}

fn subscript(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if inside == "*" {
        return Some(Step::All);
    }
    for quote in ['\'', '"'] {
        let key = inside.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        if let Some(key) = key {
            return (!key.contains(['\'', '"', '\\'])).then(|| Step::Key(key.to_owned()));
        }
    }
    inside.parse().ok().map(Step::Index)
}

/// A name, and what comes after it. A dot in it is written `\.`, as in `kubectl`.
fn key(source: &str) -> (String, &str) {
    let mut key = String::new();
    let mut chars = source.char_indices();
    while let Some((at, c)) = chars.next() {
        let fine = c.is_alphanumeric() || "-_/*".contains(c);
        if c == '\\' {
            let Some((_, next)) = chars.next() else { return (key, "\\") };
            key.push(next);
        } else if fine {
            key.push(c);
        } else {
            return (key, source.get(at..).unwrap_or_default());
        }
    }
    (key, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": { "name": "a", "labels": { "x.y/z": "l" } },
            "spec": { "n": 3, "on": true, "none": null },
            "items": [{ "v": 1 }, { "v": "two" }],
        })
    }

    #[test]
    fn templates_of_paths_are_read() {
        let rows = [
            ("{.metadata.name}", Some("a")),
            ("{$.metadata.name}", Some("a")),
            ("{ .metadata['name'] }", Some("a")),
            ("{.metadata.labels.x\\.y/z}", Some("l")),
            ("{.metadata.labels['x.y/z']}", Some("l")),
            ("name={.metadata.name}!", Some("name=a!")),
            ("{.metadata.name}{.spec.n}", Some("a3")),
            ("{.items[0].v}", Some("1")),
            ("{.items[-1].v}", Some("two")),
            ("{.items[*].v}", Some("1 two")),
            ("{.items[0]}", Some("{\"v\":1}")),
            ("{.spec.on}", Some("true")),
            ("{.spec.none}", Some("")),
            ("{.spec.absent}", None),
            ("{.items[2].v}", None),
            ("{.items[-3].v}", None),
            ("{.metadata.name.deeper}", None),
        ];
        for (source, wanted) in rows {
            let read = Reading::json_path(source).expect(source).of(&object());
            assert_eq!(read.as_deref(), wanted, "{source}");
        }
        for source in ["", ".metadata.name", "{.a", "{range .items[*]}{.v}{end}", "{.a[?(@.b)]}"] {
            assert!(Reading::json_path(source).is_err(), "{source}");
        }
        for source in ["{.a[1:2]}", "{.a['b','c']}", "{..a}", "{\"\\n\"}", "{}"] {
            assert!(Reading::json_path(source).is_err(), "{source}");
        }
    }

    #[test]
    fn plain_paths_of_jq_are_read() {
        let rows = [
            (".metadata.name", Some("a")),
            (".metadata.labels[\"x.y/z\"]", Some("l")),
            (".metadata.labels.[\"x.y/z\"]", Some("l")),
            (".items[1].v", Some("two")),
            (".spec", Some("{\"n\":3,\"none\":null,\"on\":true}")),
            (".spec.absent", None),
        ];
        for (source, wanted) in rows {
            assert_eq!(
                Reading::jq(source).expect(source).of(&object()).as_deref(),
                wanted,
                "{source}"
            );
        }
        for source in
            ["", "metadata", ".a | .b", ".items[]", ".items[*]", ".a + 1", "keys", ".a[\"b", ". "]
        {
            assert_eq!(Reading::jq(source).is_ok(), source == ". ", "{source}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(source in "[{}.a\\[\\]'\"*0-9\\\\$é-]{0,12}") {
            for reading in [Reading::json_path(&source), Reading::jq(&source)].into_iter().flatten() {
                let read = reading.of(&json!({ "a": [{ "a": 1 }] }));
                prop_assert!(read.is_none_or(|read| read.len() < 1000));
            }
        }
    }
}
