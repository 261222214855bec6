//! Tables of conditions and expressions with what Argo makes of them.

use flowforge_expr::{Outcome, WhenError, evaluate, when};
use serde_json::{Value, json};

/// How the rows of a table went.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// One line per row that went wrong.
    pub(crate) failed: Vec<String>,
}

impl Tally {
    fn add(&mut self, row: &str, expected: &str, found: &str, good: bool) {
        if good {
            self.passed += 1;
        } else {
            self.failed.push(format!("{row}: {found}, not {expected}"));
        }
    }
}

/// Rows `condition<TAB>true | false | CLASS words`, below a line with the names of the columns.
pub(crate) fn conditions(table: &str) -> Tally {
    let mut tally = Tally::default();
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let Some((source, expected)) = row.rsplit_once('\t') else {
            tally.add(row, "two columns", "one column", false);
            continue;
        };
        let found = match when(source) {
            Ok(decided) => decided.to_string(),
            Err(error) => format!("{} {error}", class(&error)),
        };
        let head = |text: &str| text.split(' ').next().unwrap_or("").to_owned();
        tally.add(source, expected, &found, head(expected) == head(&found));
    }
    tally
}

fn class(error: &WhenError) -> &'static str {
    match error {
        WhenError::Parse { .. } => "PARSE-ERR",
        WhenError::Eval { .. } => "EVAL-ERR",
        WhenError::NotBool { .. } => "NOT-BOOL",
    }
}

/// Rows `expression<TAB>Go's type or CLASS<TAB>text in Go's quotes`, below a line with the names
/// of the columns.
pub(crate) fn expressions(table: &str) -> Tally {
    let env = environment();
    let mut tally = Tally::default();
    for row in table.lines().skip(1).filter(|row| !row.is_empty()) {
        let mut columns = row.rsplitn(3, '\t');
        let (Some(rendered), Some(kind), Some(source)) =
            (columns.next(), columns.next(), columns.next())
        else {
            tally.add(row, "three columns", "fewer", false);
            continue;
        };
        let (found, good) = match evaluate(source, &env) {
            Err(error) => {
                let class = error.class();
                // An error while the value is written is one of the run.
                let good = class == kind || (class == "RUN-ERR" && is_late(kind));
                (format!("{class} {error}"), good)
            }
            // Go has lists that are nil; they are written like it.
            Ok(Outcome::Nil) => ("nil".to_owned(), kind == "<nil>" || rendered == "\"null\""),
            Ok(outcome) => {
                let text = outcome.into_text().unwrap_or_default();
                let good = !kind.ends_with("-ERR") && Some(&text) == unquoted(rendered).as_ref();
                (text, good)
            }
        };
        let expected = if kind.ends_with("-ERR") { kind } else { rendered };
        tally.add(source, expected, &found, good);
    }
    tally
}

/// An error that is neither one of the compilation nor one of the run.
fn is_late(kind: &str) -> bool {
    kind.ends_with("-ERR") && kind != "COMPILE-ERR" && kind != "RUN-ERR"
}

/// The names the tables use.
fn environment() -> Value {
    json!({
        "inputs": {"parameters": {
            "n": "5",
            "my-p": "x",
            "empty": "",
            "js": r#"{"a":[1,2],"b":{"c":"d"}}"#,
            "s": "hello",
            "list": "[1,2,3]",
        }},
        "tasks": {"a": {"status": "Succeeded", "outputs": {"result": "r"}}},
        "workflow": {"name": "w", "parameters": {"p": "v"}},
        "item": "it",
        "retries": "1",
    })
}

/// A text without Go's quotes; none if it is no such text.
fn unquoted(quoted: &str) -> Option<String> {
    let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let mut out = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        let digits: Result<char, usize> = match rest.next()? {
            'a' => Ok('\u{7}'),
            'b' => Ok('\u{8}'),
            'f' => Ok('\u{c}'),
            'n' => Ok('\n'),
            'r' => Ok('\r'),
            't' => Ok('\t'),
            'v' => Ok('\u{b}'),
            'x' => Err(2),
            'u' => Err(4),
            'U' => Err(8),
            c => Ok(c),
        };
        out.push(match digits {
            Ok(c) => c,
            Err(count) => {
                let digits: String = rest.by_ref().take(count).collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
        });
    }
    Some(out)
}
