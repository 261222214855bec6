//! The API's description, made from the handlers, so that it cannot say anything else.

use flowforge_wire::Problem;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, ResponseBuilder};
use utoipa::{Modify, OpenApi as _};

use crate::problem::Code;
use crate::router;

/// OpenAPI 3.1 as JSON.
#[must_use]
pub fn document() -> String {
    router::described().to_json().unwrap_or_default()
}

/// Everything but the paths.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "FlowForge",
        description = "Runs workflows. JSON keys are snake_case, times are RFC 3339 in UTC, ids are UUIDs, words such as statuses may become more. Errors are RFC 9457 problem documents.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    components(schemas(Problem)),
    security(("bearer" = [])),
    modifiers(&Bearer),
    tags(
        (name = "workflows", description = "Submit and read workflows"),
        (name = "actions", description = "Act on workflows"),
        (name = "tasks", description = "Tasks and their attempts"),
        (name = "events", description = "History"),
        (name = "logs", description = "Output of tasks"),
        (name = "schedules", description = "Workflows that start again and again"),
        (name = "templates", description = "Stored templates and config maps, in versions"),
        (name = "locks", description = "Mutexes and semaphores"),
        (name = "memos", description = "Remembered outputs"),
        (name = "servers", description = "Servers that live"),
        (name = "dead-letters", description = "Work that was given up"),
        (name = "tenants", description = "Tenants: they share nothing but the machines"),
        (name = "departments", description = "Departments: below a tenant or a department"),
        (name = "groups", description = "Groups: below a tenant or a department"),
        (name = "projects", description = "Projects: below a tenant or a group; workflows belong to them"),
        (name = "quotas", description = "Limits with a name, which entities of a tenant may share"),
        (name = "usage", description = "Who uses what"),
        (name = "meta", description = "The server about itself; no token needed"),
    )
)]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, openapi: &mut OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", scheme);
    }
}

/// Gives every operation a name of its own, and the answer that all of them have: a problem.
pub(crate) fn complete(openapi: &mut OpenApi) {
    let codes: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("`{}` {}", code.slug(), code.status().as_u16()))
        .collect();
    let problem = ResponseBuilder::new()
        .description(format!("A problem: {}", codes.join(", ")))
        .content(
            "application/problem+json",
            ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build(),
        )
        .build();
    let components = openapi.components.get_or_insert_default();
    components.responses.insert("Problem".to_owned(), problem.into());
    for item in openapi.paths.paths.values_mut() {
        let operations =
            [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            // Handlers are called alike in different modules; names of operations are unique.
            if let (Some(name), Some(tags)) = (&mut operation.operation_id, &operation.tags) {
                *name = format!("{}_{name}", tags.join("_"));
            }
            let any = Ref::from_response_name("Problem");
            operation.responses.responses.insert("default".to_owned(), any.into());
        }
    }
}
