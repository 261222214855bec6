//! A submission from its body to the row to insert: read, compiled, checked.

use crate::projects::{naming, slug};
use flowforge_model::id::{EntityId, WorkflowId};
use flowforge_model::limits::{DESCRIPTION_BYTES, LABELS, NAME_BYTES};
use flowforge_model::plan::Plan;
use flowforge_model::quota::{Amounts, Dimension, Level};
use flowforge_ports::organization::Organization;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::TemplateId;
use flowforge_spec::{Bundle, Compiled, DocumentKind, Options};
use flowforge_wire::{Finding, TemplateRef};
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::body::Format;
use crate::bundle::{self, Pin};
use crate::envelope::{Fields, Pairs};
use crate::problem::{Code, Failure, finding, shown};

/// One of these makes an object without `dag_spec` or `template` a document.
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
    /// The stored document to submit from, in the place of a document.
    pub(crate) template: Option<Stored>,
}

/// A stored document to submit a workflow from.
#[derive(Debug)]
pub(crate) struct Stored {
    kind: DocumentKind,
    name: String,
    version: Option<u32>,
    entrypoint: Option<String>,
}

/// Where in the body a document begins: turns places of the document into those of the body.
#[derive(Debug)]
pub(crate) struct Origin {
    pointer: &'static str,
    line: u32,
    column: u32,
    /// The document was made from what the body says: it has no places there.
    made: bool,
}

impl Default for Origin {
    fn default() -> Self {
        Self { pointer: "", line: 1, column: 1, made: false }
    }
}

impl Origin {
    /// A problem of a document that begins here.
    pub(crate) fn finding(&self, bundle: &Bundle, problem: flowforge_spec::Problem) -> Finding {
        let (mut found, sent) = bundle::finding(bundle, problem);
        if !sent {
            return found;
        }
        if self.made {
            let begin = found.pointer == "/spec/entrypoint";
            found.pointer = if begin { "/entrypoint" } else { "/template" }.to_owned();
            (found.line, found.column) = (None, None);
            return found;
        }
        if found.line == Some(1) {
            found.column = found.column.map(|column| column + self.column - 1);
        }
        found.line = found.line.map(|line| line + self.line - 1);
        found.pointer.insert_str(0, self.pointer);
        found
    }
}

/// A submission that is fine.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The project.
    pub(crate) project: EntityId,
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
        if document && !["dag_spec", "template"].iter().any(|key| fields.has(key)) {
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
        let entrypoint = fields.string("entrypoint");
        if let Some(raw) = fields.take("template") {
            this.template = stored(&mut fields, raw, entrypoint);
            fields.finish()?;
            return Ok(this);
        }
        if entrypoint.is_some() {
            fields.missing("/template", "`entrypoint` is one of a stored `template`");
        }
        match fields.take("dag_spec") {
            Some(raw) if raw.get().starts_with('{') => {
                let (line, column) = fields.place(raw);
                this.document = raw.get().to_owned();
                this.origin = Origin { pointer: "/dag_spec", line, column, made: false };
            }
            Some(raw) if raw.get().starts_with('"') => {
                this.document = serde_json::from_str(raw.get()).unwrap_or_default();
            }
            Some(raw) => {
                let detail = "`dag_spec` is a workflow document: an object, or its text";
                fields.fault("/dag_spec", raw, detail);
            }
            None => fields.missing(
                "/dag_spec",
                "`dag_spec`, the workflow document, is missing; so is `template`",
            ),
        }
        fields.finish()?;
        Ok(this)
    }

    /// Adds what is stored and referred to, compiles the document and checks what goes with it.
    /// Reports everything that is wrong.
    pub(crate) fn prepare(
        mut self,
        shared: &Shared,
        backend: &dyn Backend,
    ) -> Result<Prepared, Failure> {
        let mut errors = self.faults();
        let wanted = self.project.as_deref().unwrap_or(&shared.config.default_project);
        let organization = backend.organization()?;
        let project = match organization.find(Level::Project, wanted) {
            Ok(project) => project.id,
            Err(why) => {
                errors.push(finding(slug(&why), "/project_id", naming(wanted, &why)));
                EntityId(Uuid::nil())
            }
        };
        let pin = match self.template.take() {
            Some(stored) => self.take_stored(backend, project, stored)?,
            None => None,
        };
        let document = std::mem::take(&mut self.document);
        let bundle = bundle::complete(backend, project, document, pin.as_ref())?;
        let default_retry = shared.config.default_retry.clone();
        let options = Options { parameters: self.parameters.clone(), default_retry };
        let mut omitted = 0;
        let compiled = match flowforge_spec::compile(bundle.text(), &options) {
            Ok(compiled) => Some(compiled),
            Err(problems) => {
                omitted = u64::try_from(problems.omitted).unwrap_or(u64::MAX);
                let found = problems.list.into_iter();
                errors.extend(found.map(|problem| self.origin.finding(&bundle, problem)));
                None
            }
        };
        if let Some(compiled) = &compiled {
            errors.extend(narrow(&organization, project, &compiled.plan));
        }
        match compiled {
            Some(compiled) if errors.is_empty() => Ok(self.join(compiled, project, bundle)),
            _ => Err(Failure::with(Code::InvalidWorkflow, errors, omitted)),
        }
    }

    /// Makes a stored document the document, and tells which version of it is meant.
    fn take_stored(
        &mut self,
        backend: &dyn Backend,
        project: EntityId,
        stored: Stored,
    ) -> Result<Option<Pin>, Failure> {
        let Stored { kind, name, version, entrypoint } = stored;
        self.origin.made = true;
        let Some(template) = bundle::kind(kind) else {
            self.take_schedule(backend, project, &name)?;
            return Ok(None);
        };
        self.document = flowforge_spec::workflow_of(kind, &name, entrypoint.as_deref());
        let id = TemplateId::new(template, project, &name);
        match backend.template(id.clone(), version) {
            Ok(found) => Ok(Some((id, found.view.version))),
            Err(StoreError::NotFound) => {
                let which = version.map(|v| format!(" in version {v}")).unwrap_or_default();
                let detail = format!("there is no {} `{}`{which}", kind.name(), shown(&name));
                Err(absent(detail, "`ffctl template list` shows what is stored"))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// Makes the workflow of a schedule the document, with what it refers to.
    fn take_schedule(
        &mut self,
        backend: &dyn Backend,
        project: EntityId,
        name: &str,
    ) -> Result<(), Failure> {
        let row = match backend.schedule_named(project, name.to_owned()) {
            Ok(row) => row,
            Err(StoreError::NotFound) => {
                let detail = format!("there is no schedule `{}`", shown(name));
                return Err(absent(detail, "`ffctl cron list` shows what is stored"));
            }
            Err(other) => return Err(other.into()),
        };
        let bundle = bundle::complete(backend, project, row.document, None)?;
        let options = Options { parameters: self.parameters.clone(), default_retry: None };
        let schedule = flowforge_spec::cron(bundle.text(), &options).map_err(|problems| {
            let omitted = u64::try_from(problems.omitted).unwrap_or(u64::MAX);
            let found = problems.list.into_iter();
            let found = found.map(|problem| self.origin.finding(&bundle, problem)).collect();
            Failure::with(Code::InvalidWorkflow, found, omitted)
        })?;
        self.name = self.name.take().or_else(|| Some(format!("{name}-")));
        self.document = schedule.workflow;
        Ok(())
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

    fn join(self, compiled: Compiled, project: EntityId, bundle: Bundle) -> Prepared {
        let id = WorkflowId(Uuid::now_v7());
        let mut labels: std::collections::BTreeMap<_, _> = compiled.labels.into_iter().collect();
        labels.extend(self.labels);
        let warnings = compiled.warnings.into_iter();
        Prepared {
            project,
            id,
            name: id
                .name_from(self.name.or(compiled.name).unwrap_or_else(|| "workflow-".to_owned())),
            description: self.description,
            warnings: warnings.map(|one| self.origin.finding(&bundle, one)).collect(),
            document: bundle.into_text(),
            parameters: self.parameters,
            labels: labels.into_iter().collect(),
            priority: self.priority.or(compiled.priority).unwrap_or(0),
            plan: compiled.plan,
        }
    }
}

/// Templates that no quota of the project, and of all above it, will ever let start; or all of them,
/// because of the claims of the workflow.
fn narrow(organization: &Organization, project: EntityId, plan: &Plan) -> Vec<Finding> {
    let mut found = Vec::new();
    let claims = Amounts::ZERO.with(Dimension::Storage, plan.storage().0);
    for limit in organization.too_narrow_for(project, &claims) {
        let detail = format!("the workflow can never start: {limit}");
        let mut one = finding("exceeds_quota", "/project_id", detail);
        let hint = "make its volumeClaimTemplates ask for less, or have the quota raised";
        one.hint = Some(hint.to_owned());
        found.push(one);
    }
    for template in plan.used().into_iter().filter(|template| template.body.is_leaf()) {
        let need = Amounts::of_pods(&template.resources(), template.pods());
        let need = need.with(Dimension::Workflows, 1);
        for limit in organization.too_narrow_for(project, &need) {
            let detail = format!("template `{}` can never start: {limit}", template.name);
            let mut one = finding("exceeds_quota", "/project_id", detail);
            one.hint = Some("ask for less, or have the quota raised".to_owned());
            found.push(one);
        }
    }
    found
}

/// The stored document to submit from is not there.
fn absent(detail: String, hint: &str) -> Failure {
    let mut found = finding("unknown_template", "/template/name", detail);
    found.hint = Some(hint.to_owned());
    Failure::with(Code::InvalidWorkflow, vec![found], 0)
}

/// Reads what stored document is meant.
fn stored(fields: &mut Fields<'_>, raw: &RawValue, entrypoint: Option<String>) -> Option<Stored> {
    if fields.take("dag_spec").is_some() {
        let detail = "a workflow comes from `dag_spec` or from `template`, not from both";
        fields.fault("/template", raw, detail);
        return None;
    }
    let Ok(TemplateRef { kind, name, version }) = serde_json::from_str(raw.get()) else {
        let detail = "`template` is an object with `kind`, `name` and, if wanted, `version`";
        fields.fault("/template", raw, detail);
        return None;
    };
    let known = [
        DocumentKind::WorkflowTemplate,
        DocumentKind::ClusterWorkflowTemplate,
        DocumentKind::CronWorkflow,
    ];
    let known = known.into_iter().find(|known| known.name().eq_ignore_ascii_case(&kind));
    if known.is_none() {
        let detail = "`kind` is `WorkflowTemplate`, `ClusterWorkflowTemplate` or `CronWorkflow`";
        fields.fault("/template/kind", raw, detail);
    }
    if known == Some(DocumentKind::CronWorkflow) && (version.is_some() || entrypoint.is_some()) {
        let detail = "a `CronWorkflow` has neither versions nor another `entrypoint`";
        fields.fault("/template", raw, detail);
    }
    known.map(|kind| Stored { kind, name, version, entrypoint })
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
        let bundle = Bundle::default();
        let problem = |line, column| flowforge_spec::Problem {
            code: "x",
            pointer: "/entrypoint".to_owned(),
            line,
            column,
            message: String::new(),
            hint: None,
        };
        let found = submission.origin.finding(&bundle, problem(1, 1));
        assert_eq!((found.line, found.column), (Some(1), Some(27)));
        let found = submission.origin.finding(&bundle, problem(2, 3));
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
