//! `?(...)`: conditions on what a path selects.

use super::{Place, at};
use crate::lang::fault::{Fault, fail};
use crate::lang::value::Value;

/// Tests joined by `||`, each side by `&&`, which binds tighter.
pub(super) struct Filter<'p>(Vec<Vec<Test<'p>>>);

/// `@.a.b`, alone or compared with a literal.
struct Test<'p> {
    path: Vec<&'p str>,
    against: Option<(&'p str, &'p str)>,
}

impl<'p> Filter<'p> {
    pub(super) fn parse(text: &'p str) -> Result<Self, Fault> {
        let mut any = Vec::new();
        for side in split(text, "||") {
            any.push(split(side, "&&").into_iter().map(Test::parse).collect::<Result<_, _>>()?);
        }
        Ok(Self(any))
    }

    pub(super) fn lets(&self, item: &Value<'_>) -> bool {
        self.0.iter().any(|all| all.iter().all(|test| test.holds(item)))
    }
}

/// The parts of a text between signs that stand outside of quotes.
fn split<'t>(text: &'t str, sign: &str) -> Vec<&'t str> {
    let (mut parts, mut quote, mut begin) = (Vec::new(), None, 0);
    for (at, c) in text.char_indices() {
        match quote {
            Some(q) if q == c => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if at >= begin && text.get(at..).is_some_and(|rest| rest.starts_with(sign)) => {
                parts.push(text.get(begin..at).unwrap_or("").trim());
                begin = at.saturating_add(sign.len());
            }
            None => {}
        }
    }
    parts.push(text.get(begin..).unwrap_or("").trim());
    parts
}

impl<'p> Test<'p> {
    fn parse(text: &'p str) -> Result<Self, Fault> {
        let signs = ["==", "!=", "<=", ">=", "<", ">"].into_iter();
        let compared = signs
            .filter_map(|sign| {
                text.split_once(sign).map(|(l, r)| (l.trim(), Some((sign, r.trim()))))
            })
            .next();
        let (left, against) = compared.unwrap_or((text, None));
        let Some(path) = left.strip_prefix('@') else {
            return fail("a filter of a path begins with @");
        };
        if path.contains(['[', '(', '&', '|', ' ']) {
            return fail("only names are supported in filters of paths");
        }
        let path = path.split('.').filter(|name| !name.is_empty()).collect();
        Ok(Self { path, against })
    }

    fn holds(&self, item: &Value<'_>) -> bool {
        let mut value = item.clone();
        for name in &self.path {
            match at(&value, &Place::Name(name)) {
                Some(found) => value = found,
                None => return false,
            }
        }
        let Some((sign, literal)) = self.against else {
            return !matches!(&value, Value::Nil | Value::Bool(false))
                && !matches!(&value, Value::Text(text) if text.is_empty());
        };
        let other = match literal.strip_prefix(['\'', '"']) {
            Some(text) => Value::text(text.strip_suffix(['\'', '"']).unwrap_or(text)),
            None => match (literal, literal.parse()) {
                ("true", _) => Value::Bool(true),
                ("false", _) => Value::Bool(false),
                ("null", _) => Value::Nil,
                (_, Ok(number)) => Value::Float(number),
                (_, Err(_)) => return false,
            },
        };
        let order = value.compare(&other);
        match sign {
            "==" => value.equals(&other),
            "!=" => !value.equals(&other),
            "<" => order.is_some_and(std::cmp::Ordering::is_lt),
            "<=" => order.is_some_and(std::cmp::Ordering::is_le),
            ">" => order.is_some_and(std::cmp::Ordering::is_gt),
            _ => order.is_some_and(std::cmp::Ordering::is_ge),
        }
    }
}
