//! Stored documents for texts that refer to them.

use flowforge_model::id::EntityId;
use flowforge_ports::store::StoreError;
use flowforge_ports::templates::{TemplateId, TemplateKind};
use flowforge_spec::{Bundle, DocumentKind, Problem};
use flowforge_wire::Finding;

use crate::backend::{Answer, Backend};

/// A version to take instead of the latest.
pub(crate) type Pin = (TemplateId, u32);

/// A text with the latest version of every stored document of `project` that it refers to, and of
/// those that these refer to. What is not stored stays missing: the compiler reports it in its
/// place.
pub(crate) fn complete(
    backend: &dyn Backend,
    project: EntityId,
    text: String,
    pin: Option<&Pin>,
) -> Answer<Bundle> {
    let mut bundle = Bundle::new(text);
    loop {
        let missing = bundle.missing();
        if missing.is_empty() {
            return Ok(bundle);
        }
        for one in missing {
            let Some(kind) = kind(one.kind) else {
                bundle.absent(one);
                continue;
            };
            let id = TemplateId::new(kind, project, &one.name);
            let version = pin.filter(|(pinned, _)| *pinned == id).map(|(_, version)| *version);
            match backend.template(id, version) {
                Ok(found) => bundle.add(found.view.to_string(), &found.document),
                Err(StoreError::NotFound) => bundle.absent(one),
                Err(other) => return Err(other),
            }
        }
    }
}

/// A problem of a text. One in what was added has no place in what was sent: it says where it is
/// instead. The other half tells whether it is in what was sent.
pub(crate) fn finding(bundle: &Bundle, problem: Problem) -> (Finding, bool) {
    let mut found = Finding {
        pointer: problem.pointer,
        detail: problem.message,
        line: Some(problem.line.max(1)),
        column: Some(problem.column.max(1)),
        code: problem.code.to_owned(),
        hint: problem.hint,
    };
    let Some((what, line)) = bundle.place(problem.line) else {
        return (found, true);
    };
    found.detail = format!("{what}, line {line}: {}", found.detail);
    (found.line, found.column) = (None, None);
    found.pointer.clear();
    (found, false)
}

/// Kinds that are stored to be referred to.
pub(crate) fn kind(kind: DocumentKind) -> Option<TemplateKind> {
    TemplateKind::of_manifest(kind.name())
}
