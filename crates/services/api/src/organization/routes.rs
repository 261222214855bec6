//! The routes of each level, described.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use flowforge_model::quota::Level;
use flowforge_wire::{
    Entity, EntityPatch, NewEntity, Page, Quota, QuotaInput, UsageHistory, UsageReport,
};

use super::{entities, quotas as shared_quotas};
use crate::Shared;
use crate::explain;
use crate::path::Name;
use crate::problem::Failure;

/// The same at every level, each under its own path.
macro_rules! level {
    ($module:ident, $level:ident, $all:literal, $each:literal, $quota:literal, $usage:literal, $history:literal) => {
        pub(crate) mod $module {
            use super::*;

            /// List them
            ///
            /// Oldest first.
            #[utoipa::path(
                get, path = $all, tag = stringify!($module),
                params(
                    ("parent_id" = Option<String>, Query, description = "Only directly below this: an id, a path, or the name of a tenant"),
                    ("tenant_id" = Option<String>, Query, description = "Only of this tenant, by id or name"),
                    ("name" = Option<String>, Query, description = "Only names that begin so"),
                    ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
                    ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
                ),
                responses((status = 200, description = "A part of the list", body = Page<Entity>))
            )]
            pub(crate) async fn list(
                State(shared): State<Arc<Shared>>,
                uri: Uri,
            ) -> Result<Json<Page<Entity>>, Failure> {
                entities::list(&shared, Level::$level, &uri).await
            }

            /// Create one
            #[utoipa::path(
                post, path = $all, tag = stringify!($module),
                request_body = NewEntity,
                responses((status = 201, description = "Created", body = Entity, headers(("Location" = String), ("ETag" = String))))
            )]
            pub(crate) async fn create(
                State(shared): State<Arc<Shared>>,
                uri: Uri,
                headers: HeaderMap,
                body: Body,
            ) -> Result<Response, Failure> {
                entities::create(&shared, Level::$level, &uri, &headers, body).await
            }

            /// Show one
            #[utoipa::path(
                get, path = $each, tag = stringify!($module),
                params(("id" = String, Path, description = "Its id, its path from the tenant down (`/` as `%2F`), or its name if only one has it")),
                responses((status = 200, description = "It", body = Entity, headers(("ETag" = String))))
            )]
            pub(crate) async fn get(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
            ) -> Result<Response, Failure> {
                entities::get(&shared, Level::$level, which, &uri).await
            }

            /// Rename, move, or give another quota
            ///
            /// What is below it moves with it. Nothing moves to another tenant.
            #[utoipa::path(
                patch, path = $each, tag = stringify!($module),
                params(
                    ("id" = String, Path, description = "Its id, path or name"),
                    ("clamp" = Option<bool>, Query, description = "Limits below that are above the new ones are lowered"),
                    ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is meant for"),
                ),
                request_body = EntityPatch,
                responses((status = 200, description = "As it is now", body = Entity, headers(("ETag" = String))))
            )]
            pub(crate) async fn update(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
                headers: HeaderMap,
                body: Body,
            ) -> Result<Response, Failure> {
                entities::update(&shared, (Level::$level, which), &uri, &headers, body).await
            }

            /// Delete one
            ///
            /// With unfinished workflows only on request: it takes no new ones, and goes with the last.
            /// Its schedules are deleted at once.
            #[utoipa::path(
                delete, path = $each, tag = stringify!($module),
                params(
                    ("id" = String, Path, description = "Its id, path or name"),
                    ("drain" = Option<bool>, Query, description = "Although workflows are unfinished"),
                    ("cascade" = Option<bool>, Query, description = "With all that is below it; drains"),
                    ("If-Match" = Option<String>, Header, description = "The `ETag` that the deletion is meant for"),
                ),
                responses(
                    (status = 204, description = "Deleted"),
                    (status = 202, description = "It drains, and goes when nothing below it is unfinished", body = Entity),
                )
            )]
            pub(crate) async fn delete(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
                headers: HeaderMap,
            ) -> Result<Response, Failure> {
                entities::delete(&shared, (Level::$level, which), &uri, &headers).await
            }

            /// Show what it may use
            ///
            /// Its own limits; those of what it stands below hold as well.
            #[utoipa::path(
                get, path = $quota, tag = stringify!($module),
                params(("id" = String, Path, description = "Its id, path or name")),
                responses((status = 200, description = "Its quota; without one all limits are null", body = Quota, headers(("ETag" = String))))
            )]
            pub(crate) async fn quota(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
            ) -> Result<Response, Failure> {
                shared_quotas::of(&shared, Level::$level, which, &uri).await
            }

            /// Show what it uses
            ///
            /// At this moment, with all below it, and what each of those directly below it uses.
            #[utoipa::path(
                get, path = $usage, tag = stringify!($module),
                params(("id" = String, Path, description = "Its id, path or name")),
                responses((status = 200, description = "What it uses", body = UsageReport))
            )]
            pub(crate) async fn usage(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
            ) -> Result<Json<UsageReport>, Failure> {
                explain::usage(&shared, Level::$level, which, &uri).await
            }

            /// Show what it used
            ///
            /// Over some time, with all below it, in steps: the mean and the most of each.
            #[utoipa::path(
                get, path = $history, tag = stringify!($module),
                params(
                    ("id" = String, Path, description = "Its id, path or name"),
                    ("from" = Option<String>, Query, description = "When it begins, a day before its end if missing"),
                    ("to" = Option<String>, Query, description = "When it ends, now if missing"),
                    ("step" = Option<String>, Query, description = "Such as `5m` or `1h`; if missing, what makes some 300 points at most"),
                ),
                responses((status = 200, description = "What it used", body = UsageHistory))
            )]
            pub(crate) async fn usage_history(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
            ) -> Result<Json<UsageHistory>, Failure> {
                explain::usage_history(&shared, Level::$level, which, &uri).await
            }

            /// Set what it may use
            ///
            /// For it alone: if it shares a quota, it gets one of its own. What is missing stays as it
            /// is; without a quota yet, it is what a
            /// new one has, as far as what it stands below has it.
            #[utoipa::path(
                put, path = $quota, tag = stringify!($module),
                params(
                    ("id" = String, Path, description = "Its id, path or name"),
                    ("clamp" = Option<bool>, Query, description = "Limits below that are above the new ones are lowered"),
                    ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is meant for"),
                ),
                request_body = QuotaInput,
                responses((status = 200, description = "As it is now, with what was lowered", body = Quota, headers(("ETag" = String))))
            )]
            pub(crate) async fn set_quota(
                State(shared): State<Arc<Shared>>,
                Name(which): Name,
                uri: Uri,
                headers: HeaderMap,
                body: Body,
            ) -> Result<Response, Failure> {
                shared_quotas::set(&shared, (Level::$level, which), &uri, &headers, body).await
            }
        }
    };
}

level!(
    tenants,
    Tenant,
    "/api/v1/tenants",
    "/api/v1/tenants/{id}",
    "/api/v1/tenants/{id}/quota",
    "/api/v1/tenants/{id}/usage",
    "/api/v1/tenants/{id}/usage/history"
);
level!(
    departments,
    Department,
    "/api/v1/departments",
    "/api/v1/departments/{id}",
    "/api/v1/departments/{id}/quota",
    "/api/v1/departments/{id}/usage",
    "/api/v1/departments/{id}/usage/history"
);
level!(
    groups,
    Group,
    "/api/v1/groups",
    "/api/v1/groups/{id}",
    "/api/v1/groups/{id}/quota",
    "/api/v1/groups/{id}/usage",
    "/api/v1/groups/{id}/usage/history"
);
level!(
    projects,
    Project,
    "/api/v1/projects",
    "/api/v1/projects/{id}",
    "/api/v1/projects/{id}/quota",
    "/api/v1/projects/{id}/usage",
    "/api/v1/projects/{id}/usage/history"
);

pub(crate) mod quotas {
    use super::{
        Arc, Body, Failure, HeaderMap, Json, Name, Page, Quota, QuotaInput, Response, Shared,
        State, StatusCode, Uri, shared_quotas,
    };

    /// List quotas
    ///
    /// Oldest first.
    #[utoipa::path(
        get, path = "/api/v1/quotas", tag = "quotas",
        params(
            ("tenant_id" = Option<String>, Query, description = "Only of this tenant, by id or name"),
            ("limit" = Option<u32>, Query, minimum = 1, maximum = 1000, description = "Rows, 50 if missing"),
            ("cursor" = Option<String>, Query, description = "`next_cursor` of the part before"),
        ),
        responses((status = 200, description = "A part of the list", body = Page<Quota>))
    )]
    pub(crate) async fn list(
        State(shared): State<Arc<Shared>>,
        uri: Uri,
    ) -> Result<Json<Page<Quota>>, Failure> {
        shared_quotas::list(&shared, &uri).await
    }

    /// Create a quota
    ///
    /// Entities of its tenant may name it. Each of them may use as much as it says.
    #[utoipa::path(
        post, path = "/api/v1/quotas", tag = "quotas",
        request_body = QuotaInput,
        responses((status = 201, description = "Created", body = Quota, headers(("Location" = String), ("ETag" = String))))
    )]
    pub(crate) async fn create(
        State(shared): State<Arc<Shared>>,
        uri: Uri,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        shared_quotas::create(&shared, &uri, &headers, body).await
    }

    /// Show a quota
    #[utoipa::path(
        get, path = "/api/v1/quotas/{id}", tag = "quotas",
        params(("id" = String, Path, description = "Its id, `tenant/name` (`/` as `%2F`), or its name if only one has it")),
        responses((status = 200, description = "The quota", body = Quota, headers(("ETag" = String))))
    )]
    pub(crate) async fn get(
        State(shared): State<Arc<Shared>>,
        Name(which): Name,
        uri: Uri,
    ) -> Result<Response, Failure> {
        shared_quotas::get(&shared, which, &uri).await
    }

    /// Change a quota
    ///
    /// For all who name it. What is missing stays.
    #[utoipa::path(
        patch, path = "/api/v1/quotas/{id}", tag = "quotas",
        params(
            ("id" = String, Path, description = "Its id, `tenant/name` or name"),
            ("clamp" = Option<bool>, Query, description = "Limits below that are above the new ones are lowered"),
            ("If-Match" = Option<String>, Header, description = "The `ETag` that the change is meant for"),
        ),
        request_body = QuotaInput,
        responses((status = 200, description = "As it is now, with what was lowered", body = Quota, headers(("ETag" = String))))
    )]
    pub(crate) async fn update(
        State(shared): State<Arc<Shared>>,
        Name(which): Name,
        uri: Uri,
        headers: HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        shared_quotas::update(&shared, which, &uri, &headers, body).await
    }

    /// Delete a quota
    #[utoipa::path(
        delete, path = "/api/v1/quotas/{id}", tag = "quotas",
        params(
            ("id" = String, Path, description = "Its id, `tenant/name` or name"),
            ("If-Match" = Option<String>, Header, description = "The `ETag` that the deletion is meant for"),
        ),
        responses((status = 204, description = "Deleted"))
    )]
    pub(crate) async fn delete(
        State(shared): State<Arc<Shared>>,
        Name(which): Name,
        uri: Uri,
        headers: HeaderMap,
    ) -> Result<StatusCode, Failure> {
        shared_quotas::delete(&shared, which, &uri, &headers).await
    }
}
