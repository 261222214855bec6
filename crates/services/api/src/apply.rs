//! `POST /templates`: documents to be stored.

use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use flowforge_model::id::EntityId;
use flowforge_model::limits::REPORTED_ERRORS;
use flowforge_ports::templates::{NewTemplate, TemplateId};
use flowforge_spec::{Part, Problem};
use flowforge_wire::{Applied, AppliedTemplate, Finding};

use crate::Shared;
use crate::backend::Backend;
use crate::body;
use crate::bundle;
use crate::problem::{Code, Failure, finding};
use crate::projects::wanted;
use crate::query::Query;

/// Store templates
///
/// The body is one document or several, with lines `---` between them: `WorkflowTemplate`,
/// `ClusterWorkflowTemplate`, `ConfigMap`. All are stored or, if anything is wrong, none. One that
/// is stored just so already keeps its version. What they refer to may be stored later.
#[utoipa::path(
    post, path = "/api/v1/templates", tag = "templates",
    params(("project_id" = Option<String>, Query, description = "The project, by id or name; the default one if missing")),
    request_body(content((String = "application/yaml"), (String = "application/json"))),
    responses((status = 200, description = "What became of each", body = Applied))
)]
pub(crate) async fn apply(
    State(shared): State<Arc<Shared>>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Applied>, Failure> {
    let query = Query::parse(&uri, &["project_id"])?;
    let project = query.one("project_id")?.map(str::to_owned);
    let (_, text) = body::text(&shared, &headers, body).await?;
    let Read { documents, warnings } = shared.compute(move || read(&text)).await??;
    let inner = Arc::clone(&shared);
    let work = move |backend: &dyn Backend| {
        let project = wanted(&inner, backend, project.as_deref())?;
        let (by, at) = (&inner.config.principal, inner.now());
        let new = |one: &Document| NewTemplate {
            id: TemplateId::new(one.id.kind, project, &one.id.name),
            document: one.text.clone(),
            labels: one.labels.clone(),
            by: by.clone(),
            at,
        };
        let put = backend.put(documents.iter().map(new).collect())?;
        let said = documents.into_iter().zip(put).map(|(one, put)| AppliedTemplate {
            kind: one.id.kind.manifest().to_owned(),
            name: one.id.name,
            version: put.version,
            unchanged: put.unchanged,
        });
        Ok::<_, Failure>(said.collect())
    };
    let items = shared.call(work).await?;
    Ok(Json(Applied { items, warnings }))
}

/// The project of a document until it is stored.
const NOT_KNOWN: EntityId = EntityId(Uuid::nil());

/// A document that can be stored; its project is not known yet.
struct Document {
    id: TemplateId,
    text: String,
    labels: Vec<(String, String)>,
}

/// Documents that can be stored, and what deserves a look.
struct Read {
    documents: Vec<Document>,
    warnings: Vec<Finding>,
}

/// Checks every document of a text. Reports everything that is wrong with any of them.
fn read(text: &str) -> Result<Read, Failure> {
    let refused = |problems: flowforge_spec::Problems| {
        let whole = |problem| place(problem, 0);
        let errors = problems.list.into_iter().map(whole).collect();
        let omitted = u64::try_from(problems.omitted).unwrap_or(u64::MAX);
        Failure::with(Code::InvalidWorkflow, errors, omitted)
    };
    let mut read = Read { documents: Vec::new(), warnings: Vec::new() };
    let (mut errors, mut omitted) = (Vec::new(), 0_usize);
    let mut seen = BTreeSet::new();
    for part in flowforge_spec::split(text).map_err(refused)? {
        match flowforge_spec::template(&part.text) {
            Ok(stored) => {
                let Some(kind) = bundle::kind(stored.kind) else {
                    continue;
                };
                let id = TemplateId::new(kind, NOT_KNOWN, &stored.name);
                if !seen.insert(id.clone()) {
                    let detail =
                        format!("there are two documents {} {}", kind.manifest(), stored.name);
                    let mut found = finding("duplicate_document", &part.prefix, detail);
                    found.line = Some(part.info.line);
                    errors.push(found);
                }
                let warnings = stored.warnings.into_iter().map(|one| within(&part, one));
                read.warnings.extend(warnings);
                read.documents.push(Document { id, text: part.text, labels: stored.labels });
            }
            Err(problems) => {
                omitted += problems.omitted;
                errors.extend(problems.list.into_iter().map(|one| within(&part, one)));
            }
        }
    }
    if errors.is_empty() {
        return Ok(read);
    }
    omitted += errors.len().saturating_sub(REPORTED_ERRORS);
    errors.truncate(REPORTED_ERRORS);
    let omitted = u64::try_from(omitted).unwrap_or(u64::MAX);
    Err(Failure::with(Code::InvalidWorkflow, errors, omitted))
}

/// A problem of one document in the places of the whole text.
fn within(part: &Part, problem: Problem) -> Finding {
    let mut found = place(problem, part.lines_before.unwrap_or(0));
    if part.lines_before.is_none() {
        (found.line, found.column) = (Some(part.info.line), None);
    }
    found.pointer.insert_str(0, &part.prefix);
    found
}

fn place(problem: Problem, before: u32) -> Finding {
    Finding {
        pointer: problem.pointer,
        detail: problem.message,
        line: Some(problem.line.max(1) + before),
        column: Some(problem.column.max(1)),
        code: problem.code.to_owned(),
        hint: problem.hint,
    }
}
