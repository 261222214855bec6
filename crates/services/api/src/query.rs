//! Query parameters, read strictly: unknown and repeated ones are refused, because a filter that
//! is ignored shows the wrong rows.

use axum::extract::Query as Pairs;
use axum::http::Uri;
use flowforge_model::limits::PAGE_ROWS;
use flowforge_model::time::Timestamp;
use flowforge_wire::Time;

use crate::problem::{Code, Failure, shown};

/// More are an attack: no list has so many filters.
const MOST_PAIRS: usize = 64;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

/// A value that a parameter cannot have.
pub(crate) fn bad(name: &str, detail: impl Into<String>) -> Failure {
    Failure::at(Code::BadParameter, format!("?{name}"), detail)
}

impl Query {
    /// Takes a query apart; `known` are all the names that the route takes.
    pub(crate) fn parse(uri: &Uri, known: &[&str]) -> Result<Self, Failure> {
        let text = uri.query().unwrap_or("");
        if text.split('&').count() > MOST_PAIRS {
            return Err(bad("", "too many query parameters"));
        }
        let Ok(Pairs(pairs)) = Pairs::<Vec<(String, String)>>::try_from_uri(uri) else {
            return Err(bad("", "the query cannot be decoded"));
        };
        for (name, value) in &pairs {
            if !known.contains(&&**name) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let detail = format!("unknown query parameter `{}`; known: {known}", shown(name));
                return Err(bad(&shown(name), detail));
            }
            if value.contains('\0') {
                return Err(bad(name, "a value holds a NUL character"));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter that may be given once.
    pub(crate) fn one(&self, name: &'static str) -> Result<Option<&str>, Failure> {
        let mut values = self.each(name);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(bad(name, format!("`{name}` is given more than once"))),
            (value, None) => Ok(value),
        }
    }

    /// All values of a parameter that may be repeated.
    pub(crate) fn each(&self, name: &'static str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| &**value)
    }

    /// Values that may be repeated or separated by commas, read by `parse`.
    pub(crate) fn words<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        self.each(name)
            .flat_map(|value| value.split(','))
            .map(|word| parse(word).ok_or_else(|| not_a(name, word)))
            .collect()
    }

    /// One value, read by `parse`.
    pub(crate) fn read<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let read = |value: &str| parse(value).ok_or_else(|| not_a(name, value));
        self.one(name)?.map(read).transpose()
    }

    /// `limit`, 1 to 1000.
    pub(crate) fn limit(&self, default: u32) -> Result<u32, Failure> {
        let limit = self.read("limit", digits)?.unwrap_or(u64::from(default));
        match u32::try_from(limit) {
            Ok(rows) if (1..=PAGE_ROWS).contains(&rows) => Ok(rows),
            _ => Err(bad("limit", format!("`limit` is 1 to {PAGE_ROWS}"))),
        }
    }

    /// `true` or `false`, `false` if missing.
    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Failure> {
        let parse = |text: &str| match text {
            "true" | "1" | "" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        Ok(self.read(name, parse)?.unwrap_or(false))
    }

    /// An RFC 3339 time.
    pub(crate) fn time(&self, name: &'static str) -> Result<Option<Timestamp>, Failure> {
        self.read(name, |text| Time::parse(text).map(|time| time.0))
    }
}

fn not_a(name: &str, value: &str) -> Failure {
    bad(name, format!("`{}` is not a value of `{name}`", shown(value)))
}

/// ASCII digits and nothing else: no sign, no exponent, no other script's digits.
pub(crate) fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(query: &str) -> Result<u32, Failure> {
        let uri: Uri = format!("/x?{query}").parse().unwrap();
        Query::parse(&uri, &["limit"])?.limit(50)
    }

    #[test]
    fn a_limit_is_one_to_a_thousand_in_plain_digits() {
        assert_eq!(limit("").unwrap(), 50);
        assert_eq!(limit("limit=1").unwrap(), 1);
        assert_eq!(limit("limit=1000").unwrap(), 1000);
        for bad in
            ["0", "1001", "-1", "+1", "1e3", "NaN", "%D9%A3", "", "1%00", "99999999999999999999"]
        {
            let failure = limit(&format!("limit={bad}")).unwrap_err();
            assert_eq!(failure.code, Code::BadParameter, "{bad}");
        }
        assert!(limit("limit=1&limit=2").is_err());
        assert!(limit("limits=1").is_err());
        assert!(limit(&"limit=1&".repeat(5_000)).is_err());
    }
}
