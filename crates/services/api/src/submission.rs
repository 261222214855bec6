//! A submission from its body to the row to insert: read, compiled, checked.

use flowforge_model::id::WorkflowId;
use flowforge_model::limits::{DESCRIPTION_BYTES, LABELS, NAME_BYTES};
use flowforge_model::plan::{Plan, RetryStrategy};
use flowforge_spec::{Compiled, Options};
use flowforge_wire::Finding;
use uuid::Uuid;

use crate::body::Format;
use crate::envelope::{Fields, Pairs};
use crate::problem::{Code, Failure, finding, shown};

/// One of these makes an object without `dag_spec` a document.
const DOCUMENT_KEYS: [&str; 7] =
    ["entrypoint", "templates", "spec", "kind", "apiVersion", "version", "metadata"];

/// What a client sent, not yet compiled.
#[derive(Debug, Default)]
pub(crate) struct Submission {
    pub(crate) project: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) description: String,
    pub(crate) document: String,
    pub(crate) parameters: Pairs,
    /// Over those of the document.
    pub(crate) labels: Pairs,
    pub(crate) priority: Option<i32>,
    /// Where the document begins.
    pub(crate) origin: Origin,
}

/// Where in the body a document begins: turns places of the document into those of the body.
#[derive(Debug)]
pub(crate) struct Origin {
    pointer: &'static str,
    line: u32,
    column: u32,
}

impl Default for Origin {
    fn default() -> Self {
        Self { pointer: "", line: 1, column: 1 }
    }
}

impl Origin {
    pub(crate) fn finding(&self, problem: flowforge_spec::Problem) -> Finding {
        let column =
            if problem.line <= 1 { problem.column + self.column - 1 } else { problem.column };
        Finding {
            pointer: format!("{}{}", self.pointer, problem.pointer),
            detail: problem.message,
            line: Some(problem.line.max(1) + self.line - 1),
            column: Some(column),
            code: problem.code.to_owned(),
            hint: problem.hint,
        }
    }
}

/// A submission that is fine.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) project: Option<String>,
    pub(crate) id: WorkflowId,
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) document: String,
    pub(crate) parameters: Pairs,
    pub(crate) labels: Pairs,
    pub(crate) priority: i32,
    pub(crate) plan: Plan,
    pub(crate) warnings: Vec<Finding>,
}

impl Submission {
    /// Reads a body: a YAML document, a JSON document, or a JSON object around one.
    pub(crate) fn read(format: Format, text: String) -> Result<Self, Failure> {
        let bare = |document| Self { document, ..Self::default() };
        if format == Format::Yaml {
            return Ok(bare(text));
        }
        let fields = Fields::read(&text)?;
        let document = DOCUMENT_KEYS.iter().any(|key| fields.has(key));
        if document && !fields.has("dag_spec") {
            return Ok(bare(text));
        }
        Self::unwrap(fields)
    }

    fn unwrap(mut fields: Fields<'_>) -> Result<Self, Failure> {
        let mut this = Self {
            project: fields.string("project_id"),
            name: fields.string("name"),
            description: fields.string("description").unwrap_or_default(),
            parameters: fields.pairs("parameters", true),
            labels: fields.pairs("labels", false),
            priority: fields.value("priority", "a whole number of 32 bits"),
            ..Self::default()
        };
        match fields.take("dag_spec") {
            Some(raw) if raw.get().starts_with('{') => {
                let (line, column) = fields.place(raw);
                this.document = raw.get().to_owned();
                this.origin = Origin { pointer: "/dag_spec", line, column };
            }
            Some(raw) if raw.get().starts_with('"') => {
                this.document = serde_json::from_str(raw.get()).unwrap_or_default();
            }
            Some(raw) => {
                let detail = "`dag_spec` is a workflow document: an object, or its text";
                fields.fault("/dag_spec", raw, detail);
            }
            None => fields.missing("/dag_spec", "`dag_spec`, the workflow document, is missing"),
        }
        fields.finish()?;
        Ok(this)
    }

    /// Compiles the document and checks what goes with it. Reports everything that is wrong.
    pub(crate) fn prepare(self, default_retry: Option<RetryStrategy>) -> Result<Prepared, Failure> {
        let mut errors = self.faults();
        let mut omitted = 0;
        let options = Options { parameters: self.parameters.clone(), default_retry };
        let compiled = match flowforge_spec::compile(&self.document, &options) {
            Ok(compiled) => Some(compiled),
            Err(problems) => {
                omitted = u64::try_from(problems.omitted).unwrap_or(u64::MAX);
                let found = problems.list.into_iter();
                errors.extend(found.map(|problem| self.origin.finding(problem)));
                None
            }
        };
        match compiled {
            Some(compiled) if errors.is_empty() => Ok(self.join(compiled)),
            _ => Err(Failure::with(Code::InvalidWorkflow, errors, omitted)),
        }
    }

    /// What is wrong beside the document.
    fn faults(&self) -> Vec<Finding> {
        let mut errors = Vec::new();
        let mut fault = |pointer: &str, detail: String| {
            errors.push(finding("invalid_value", pointer, detail));
        };
        if let Some(name) = &self.name
            && !is_label(name)
        {
            fault(
                "/name",
                format!(
                    "`{}` is not a name: 1 to {NAME_BYTES} bytes without control characters",
                    shown(name)
                ),
            );
        }
        if self.description.len() > DESCRIPTION_BYTES {
            fault(
                "/description",
                format!("the description is longer than {DESCRIPTION_BYTES} bytes"),
            );
        }
        if self.labels.len() > LABELS {
            fault("/labels", format!("more than {LABELS} labels"));
        }
        for (key, value) in self.labels.iter().take(LABELS) {
            if !is_label(key) || key.contains('=') || !(value.is_empty() || is_label(value)) {
                fault(
                    &crate::json::child("/labels", key),
                    format!(
                        "`{}` is not a label: key and value have at most {NAME_BYTES} bytes without control characters, the key no `=`",
                        shown(key)
                    ),
                );
            }
        }
        errors
    }

    fn join(self, compiled: Compiled) -> Prepared {
        let id = WorkflowId(Uuid::now_v7());
        let mut labels: std::collections::BTreeMap<_, _> = compiled.labels.into_iter().collect();
        labels.extend(self.labels);
        let warnings = compiled.warnings.into_iter();
        Prepared {
            project: self.project,
            id,
            name: name(self.name, compiled.name, id),
            description: self.description,
            document: self.document,
            parameters: self.parameters,
            labels: labels.into_iter().collect(),
            priority: self.priority.or(compiled.priority).unwrap_or(0),
            plan: compiled.plan,
            warnings: warnings.map(|one| self.origin.finding(one)).collect(),
        }
    }
}

/// The wanted name, or that of the document; one that ends with `-` (Argo's `generateName`) gets
/// the last five digits of the id.
fn name(wanted: Option<String>, document: Option<String>, id: WorkflowId) -> String {
    let base = wanted.or(document).unwrap_or_else(|| "workflow-".to_owned());
    if base.ends_with('-') {
        let id = id.to_string();
        let tail = id.get(id.len().saturating_sub(5)..).unwrap_or("");
        format!("{base}{tail}")
    } else {
        base
    }
}

/// Text that can be shown in one line: no control characters, none that turn the direction of
/// writing or are invisible.
fn is_label(text: &str) -> bool {
    let odd = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    (1..=NAME_BYTES).contains(&text.len()) && text.trim() == text && !text.contains(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_an_embedded_document_become_places_in_the_body() {
        let text = "{\"name\": \"é\", \"dag_spec\": {\n  \"entrypoint\": \"a\"}}".to_owned();
        let submission = Submission::read(Format::Json, text).unwrap();
        assert!(submission.document.starts_with("{\n"));
        let problem = |line, column| flowforge_spec::Problem {
            code: "x",
            pointer: "/entrypoint".to_owned(),
            line,
            column,
            message: String::new(),
            hint: None,
        };
        let found = submission.origin.finding(problem(1, 1));
        assert_eq!((found.line, found.column), (Some(1), Some(27)));
        let found = submission.origin.finding(problem(2, 3));
        assert_eq!((found.line, found.column), (Some(2), Some(3)));
        assert_eq!(found.pointer, "/dag_spec/entrypoint");
    }

    #[test]
    fn a_document_may_stand_bare_or_be_text() {
        let bare = Submission::read(Format::Json, r#"{"entrypoint":"a"}"#.to_owned()).unwrap();
        assert_eq!(bare.document, r#"{"entrypoint":"a"}"#);
        let text = r#"{"dag_spec":"entrypoint: a\n","parameters":{"n":1e3,"b":true}}"#.to_owned();
        let submission = Submission::read(Format::Json, text).unwrap();
        assert_eq!(submission.document, "entrypoint: a\n");
        assert_eq!(submission.parameters[1].1, "1e3");
        for bad in [r#"{"name":"x"}"#, "{}", r#"{"dag_spec":[]}"#, r#"{"dag_spec":null}"#] {
            let failure = Submission::read(Format::Json, bad.to_owned()).unwrap_err();
            let (errors, _) = failure.into_errors();
            assert_eq!(errors[0].pointer, "/dag_spec", "{bad}");
        }
    }

    #[test]
    fn names_are_one_visible_line() {
        for good in ["a", "My workflow", "schön.1"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", " a", "a\n", "a\u{202e}b", "a\u{200b}", "\0", &"x".repeat(254)] {
            assert!(!is_label(bad), "{bad:?}");
        }
    }
}
