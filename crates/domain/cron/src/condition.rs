//! The conditions of a schedule: `when` before every run, the stop condition after.

use flowforge_expr::{Ambient, Entry, Environment, RawSegment, parse_text};
use flowforge_model::time::Timestamp;
use serde_json::{Value as Json, json};

use crate::error::{CronError, cut};
use crate::schedule::Definition;
use crate::state::ScheduleState;

/// `when`: `{{cronworkflow.x}}` and `{{=expression}}` are substituted, then govaluate decides.
#[derive(Clone, Debug)]
pub(crate) struct When(Vec<Part>);

#[derive(Clone, Debug)]
enum Part {
    Literal(String),
    Tag(String),
    Expression(String),
}

impl When {
    /// # Errors
    /// A broken tag, or one that names nothing.
    pub(crate) fn parse(source: &str) -> Result<Self, CronError> {
        let parts = parse_text(source)?.into_iter().map(|part| match part {
            RawSegment::Literal(text) => Ok(Part::Literal(text.to_owned())),
            RawSegment::Expression(text) => Ok(Part::Expression(text.into_owned())),
            RawSegment::Reference(name) => {
                if known(name) {
                    Ok(Part::Tag(name.to_owned()))
                } else {
                    Err(CronError::UnknownTag(cut(name)))
                }
            }
        });
        Ok(Self(parts.collect::<Result<_, _>>()?))
    }

    /// Whether a run may start.
    ///
    /// # Errors
    /// In words: it cannot be decided.
    pub(crate) fn decide(&self, seen: &Seen<'_>) -> Result<bool, String> {
        let env = View::of(seen);
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                Part::Tag(name) => {
                    text.push_str(&tag(name, seen).unwrap_or_default());
                }
                Part::Expression(source) => {
                    let value = flowforge_expr::evaluate(source, &env)
                        .map_err(|error| format!("{{{{={}}}}}: {error}", cut(source)))?;
                    text.push_str(&value.into_text().unwrap_or_else(|| "nil".to_owned()));
                }
            }
        }
        flowforge_expr::when(&text).map_err(|error| error.to_string())
    }
}

/// `stopStrategy.expression`: a bare expression.
#[derive(Clone, Debug)]
pub(crate) struct StopCondition(String);

impl StopCondition {
    /// # Errors
    /// It does not parse.
    pub(crate) fn parse(source: &str) -> Result<Self, CronError> {
        flowforge_expr::parse_check(source)?;
        Ok(Self(source.to_owned()))
    }

    /// Whether the schedule stops.
    ///
    /// # Errors
    /// In words: it cannot be evaluated, or is neither true nor false.
    pub(crate) fn decide(&self, seen: &Seen<'_>) -> Result<bool, String> {
        let env = View::of(seen);
        flowforge_expr::decide(&self.0, &env).map_err(|error| error.to_string())
    }
}

/// What expressions see.
struct View<'a> {
    values: Json,
    last: Option<Timestamp>,
    seen: &'a Seen<'a>,
}

/// What a condition is decided from.
pub(crate) struct Seen<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) state: &'a ScheduleState,
    pub(crate) now: Timestamp,
}

impl<'a> View<'a> {
    fn of(seen: &'a Seen<'a>) -> Self {
        let Seen { definition, state, .. } = seen;
        let values = json!({"cronworkflow": {
            "name": definition.name,
            "namespace": definition.namespace,
            "labels": definition.labels,
            "annotations": definition.annotations,
            "failed": state.failed,
            "succeeded": state.succeeded,
            "lastScheduledTime": null,
        }});
        Self { values, last: state.last_scheduled_at, seen }
    }
}

impl Environment for View<'_> {
    fn entry(&self, path: &[&str]) -> Entry<'_> {
        match (path, self.last) {
            (["cronworkflow", "lastScheduledTime"], Some(at)) => Entry::Time(at),
            _ => self.values.entry(path),
        }
    }

    fn keys(&self, path: &[&str]) -> Vec<String> {
        self.values.keys(path)
    }

    fn ambient(&self) -> Ambient {
        Ambient { now: self.seen.now, ..Ambient::default() }
    }
}

fn known(name: &str) -> bool {
    let Some(field) = name.strip_prefix("cronworkflow.") else {
        return false;
    };
    matches!(field, "name" | "namespace" | "failed" | "succeeded" | "lastScheduledTime")
        || field.starts_with("labels.")
        || field.starts_with("annotations.")
}

/// The value of a plain tag. A label that is not there is empty.
fn tag(name: &str, Seen { definition, state, .. }: &Seen<'_>) -> Option<String> {
    let field = name.strip_prefix("cronworkflow.")?;
    Some(match field {
        "name" => definition.name.clone(),
        "namespace" => definition.namespace.clone(),
        "failed" => state.failed.to_string(),
        "succeeded" => state.succeeded.to_string(),
        "lastScheduledTime" => {
            state.last_scheduled_at.map_or_else(|| "nil".to_owned(), Timestamp::rfc3339)
        }
        "labels.json" => json!(definition.labels).to_string(),
        "annotations.json" => json!(definition.annotations).to_string(),
        _ => match field.strip_prefix("labels.") {
            Some(key) => definition.labels.get(key)?.clone(),
            None => definition.annotations.get(field.strip_prefix("annotations.")?)?.clone(),
        },
    })
}
