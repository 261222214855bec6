//! Which project a text means.

use flowforge_model::id::EntityId;
use flowforge_model::quota::Level;
use flowforge_organization::Lookup;
use uuid::Uuid;

use crate::Shared;
use crate::backend::Backend;
use crate::problem::{Code, Failure, shown};

/// The project that a query names by id, path or name; the default one if it names none.
pub(crate) fn wanted(
    shared: &Shared,
    backend: &dyn Backend,
    wanted: Option<&str>,
) -> Result<EntityId, Failure> {
    let wanted = wanted.unwrap_or(&shared.config.default_project);
    let organization = backend.organization()?;
    let found = organization.find(Level::Project, wanted).map(|project| project.id);
    found.map_err(|why| Failure::at(Code::BadParameter, "?project_id", naming(wanted, &why)))
}

/// The project that a list is filtered by. One that is deleted has its history, under its id;
/// one that never was has none.
pub(crate) fn sought(backend: &dyn Backend, wanted: &str) -> Result<EntityId, Failure> {
    if let Ok(id) = wanted.parse() {
        return Ok(id);
    }
    match backend.organization()?.find(Level::Project, wanted) {
        Ok(project) => Ok(project.id),
        Err(Lookup::Missing(_)) => Ok(EntityId(Uuid::nil())),
        Err(why) => Err(Failure::at(Code::BadParameter, "?project_id", naming(wanted, &why))),
    }
}

/// Why a text names no project, for people.
pub(crate) fn naming(wanted: &str, why: &Lookup) -> String {
    match why {
        Lookup::Missing(what) => format!("there is no {what} `{}`", shown(wanted)),
        Lookup::Ambiguous(_) => format!("`{}`: {why}", shown(wanted)),
    }
}

/// The same for programs.
pub(crate) fn slug(why: &Lookup) -> &'static str {
    match why {
        Lookup::Missing(_) => "unknown_project",
        Lookup::Ambiguous(_) => "ambiguous_project",
    }
}
