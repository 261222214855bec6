//! `successCondition` and `failureCondition`: the grammar of label selectors, over the fields of an object.

use serde_json::Value;

/// Requirements with commas between them: `status.succeeded > 9`, `status.phase in (Failed, Error)`, `a=b,!c`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    requirements: Vec<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    /// Keys and places of lists, with dots between them.
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Missing,
    In(Vec<String>),
    NotIn(Vec<String>),
    Above(i64),
    Below(i64),
}

/// No condition, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadCondition(String);

impl Condition {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(source: &str) -> Result<Self, BadCondition> {
        let mut reader = Reader { rest: source };
        let mut requirements = Vec::new();
        loop {
            requirements.push(reader.requirement()?);
            reader.space();
            match reader.rest.strip_prefix(',') {
                Some(rest) => reader.rest = rest,
                None if reader.rest.is_empty() => return Ok(Self { requirements }),
                None => return Err(reader.wanted("a comma or the end")),
            }
        }
    }

    /// All of its requirements hold: what a success needs.
    #[must_use]
    pub fn all(&self, object: &Value) -> bool {
        self.requirements.iter().all(|one| one.holds(object))
    }

    /// One of its requirements holds: that is a failure, as in Argo.
    #[must_use]
    pub fn any(&self, object: &Value) -> bool {
        self.requirements.iter().any(|one| one.holds(object))
    }
}

impl Requirement {
    /// Missing fields are not equal to anything, as labels are.
    fn holds(&self, object: &Value) -> bool {
        let value = field(object, &self.key);
        let text = value.map(text_of);
        let number = || text.as_ref()?.parse::<i64>().ok();
        let among = |values: &[String]| text.as_ref().is_some_and(|text| values.contains(text));
        match &self.test {
            Test::Exists => text.is_some(),
            Test::Missing => text.is_none(),
            Test::In(values) => among(values),
            Test::NotIn(values) => !among(values),
            Test::Above(bound) => number().is_some_and(|number| number > *bound),
            Test::Below(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

fn field<'a>(object: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(object, |value, step| match value {
        Value::Object(map) => map.get(step),
        Value::Array(list) => list.get(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// A text as it is, all else as JSON.
pub(super) fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn wanted(&self, what: &str) -> BadCondition {
        let found: String = self.rest.chars().take(20).collect();
        let found = if found.is_empty() { "the end".to_owned() } else { format!("{found:?}") };
        BadCondition(format!("{what} is wanted, found {found}"))
    }

    /// What keys and values may hold.
    fn word(&mut self) -> &'a str {
        self.space();
        let fine = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let end = self.rest.find(|c| !fine(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn takes(&mut self, token: &str) -> bool {
        self.space();
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn requirement(&mut self) -> Result<Requirement, BadCondition> {
        let missing = self.takes("!");
        let key = self.word();
        if key.is_empty() || key.split('.').any(str::is_empty) {
            return Err(self.wanted("a field as status.phase"));
        }
        let test = if missing { Test::Missing } else { self.test()? };
        Ok(Requirement { key: key.to_owned(), test })
    }

    fn test(&mut self) -> Result<Test, BadCondition> {
        if self.takes("!=") {
            return Ok(Test::NotIn(vec![self.word().to_owned()]));
        }
        if self.takes("==") || self.takes("=") {
            return Ok(Test::In(vec![self.word().to_owned()]));
        }
        if self.takes(">") {
            return self.number().map(Test::Above);
        }
        if self.takes("<") {
            return self.number().map(Test::Below);
        }
        self.space();
        if self.rest.is_empty() || self.rest.starts_with(',') {
            return Ok(Test::Exists);
        }
        let before = self.rest;
        match self.word() {
            "in" => self.values().map(Test::In),
            "notin" => self.values().map(Test::NotIn),
            _ => {
                self.rest = before;
                Err(self.wanted("one of = == != > < in notin"))
            }
        }
    }

    fn number(&mut self) -> Result<i64, BadCondition> {
        self.space();
        let before = self.rest;
        self.word().parse().map_err(|_| {
            self.rest = before;
            self.wanted("a whole number")
        })
    }

    fn values(&mut self) -> Result<Vec<String>, BadCondition> {
        if !self.takes("(") {
            return Err(self.wanted("a list in brackets"));
        }
        let mut values = vec![self.word().to_owned()];
        while self.takes(",") {
            values.push(self.word().to_owned());
        }
        if self.takes(")") { Ok(values) } else { Err(self.wanted("a comma or a bracket")) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn holds(source: &str) -> (bool, bool) {
        let object = json!({
            "metadata": { "name": "a", "generation": 3 },
            "status": {
                "phase": "Succeeded", "succeeded": 10, "ready": true, "nothing": null,
                "conditions": [{ "type": "Complete", "status": "True" }],
            },
        });
        let condition = Condition::parse(source).expect(source);
        (condition.all(&object), condition.any(&object))
    }

    #[test]
    fn requirements_are_read_as_label_selectors() {
        let yes = [
            "status.succeeded > 9",
            "status.succeeded>9",
            "status.succeeded < 11",
            "status.phase == Succeeded",
            "status.phase=Succeeded",
            "status.phase in (Failed, Succeeded)",
            "status.phase notin (Failed,Error)",
            "status.phase != Failed",
            "status.absent != Failed",
            "status.absent notin (a)",
            "status.phase",
            "!status.absent",
            " ! status.absent , status.phase ",
            "status.ready == true",
            "status.nothing =",
            "status.conditions.0.type = Complete, metadata.generation = 3",
        ];
        for source in yes {
            assert_eq!(holds(source), (true, true), "{source}");
        }
        let no = [
            "status.succeeded > 10",
            "status.succeeded < 10",
            "status.phase > 1",
            "status.absent > 0",
            "status.absent < 0",
            "status.absent",
            "!status.phase",
            "status.absent == ",
            "status.conditions.1.type = Complete",
        ];
        for source in no {
            assert_eq!(holds(source), (false, false), "{source}");
        }
        assert_eq!(holds("status.phase = Failed, status.ready = true"), (false, true));
    }

    #[test]
    fn what_is_no_condition_is_told() {
        let rows = [
            ("", "a field as status.phase is wanted, found the end"),
            ("a,", "a field as status.phase is wanted, found the end"),
            ("a..b", "a field as status.phase is wanted, found the end"),
            ("a b", "one of = == != > < in notin is wanted, found \"b\""),
            ("a > x", "a whole number is wanted, found \"x\""),
            ("a in b", "a list in brackets is wanted, found \"b\""),
            ("a in (b", "a comma or a bracket is wanted, found the end"),
            ("a = b && c = d", "a comma or the end is wanted, found \"&& c = d\""),
            ("!a = b", "a comma or the end is wanted, found \"= b\""),
        ];
        for (source, wanted) in rows {
            assert_eq!(Condition::parse(source).expect_err(source).to_string(), wanted, "{source}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(source in "\\PC*", object in "[a-z]{0,3}") {
            if let Ok(condition) = Condition::parse(&source) {
                let object = json!({ "a": object });
                prop_assert!(!condition.all(&object) || condition.any(&object));
            }
        }
    }
}
