//! Where the names of an expression get their values.

use std::borrow::Cow;

use flowforge_model::time::Timestamp;
use serde_json::Value as Json;

/// What stands at a path of the environment. The values of a workflow are texts, as in Argo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<'e> {
    /// Nothing: nil, or for a first name an unknown one.
    Absent,
    /// A value.
    Text(Cow<'e, str>),
    /// A value that is more than a text: a count of runs, a list. Its numbers are numbers.
    Json(&'e Json),
    /// An instant, as `now()` gives one.
    Time(Timestamp),
    /// More names.
    Map,
}

/// The time and the chance that an expression may ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ambient {
    /// What `now()` is.
    pub now: Timestamp,
    /// What `sprig.randAlphaNum` and the like are derived from. The same seed gives the same
    /// texts: a decision that is made again comes out the same.
    pub seed: u64,
}

/// The names an expression may use. It is asked only for what is evaluated.
pub trait Environment {
    /// What stands at a path of at least one name.
    fn entry(&self, path: &[&str]) -> Entry<'_>;

    /// The names below a path that is a map.
    fn keys(&self, path: &[&str]) -> Vec<String>;

    /// The time and the chance of this evaluation.
    fn ambient(&self) -> Ambient {
        Ambient::default()
    }
}

/// Nested objects.
impl Environment for Json {
    fn entry(&self, path: &[&str]) -> Entry<'_> {
        match path.iter().try_fold(self, |json, name| json.get(name)) {
            None | Some(Self::Null) => Entry::Absent,
            Some(Self::Object(_)) => Entry::Map,
            Some(Self::String(text)) => Entry::Text(Cow::Borrowed(text)),
            Some(other @ (Self::Bool(_) | Self::Number(_) | Self::Array(_))) => Entry::Json(other),
        }
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        let found = path.iter().try_fold(self, |json, name| json.get(name));
        found.and_then(Self::as_object).map_or_else(Vec::new, |map| map.keys().cloned().collect())
    }
}
