//! Errors: RFC 9457 problem documents.

use serde::{Deserialize, Serialize};

/// An error answer, `application/problem+json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// A reference to the text about this kind of problem: `/problems/{code}`.
    pub r#type: String,
    /// The kind of problem, for people.
    pub title: String,
    /// The status code of the answer.
    pub status: u16,
    /// What happened this time, for people.
    pub detail: String,
    /// The path of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The kind of problem, for programs; stable.
    pub code: String,
    /// The id of the request, as in the header `X-Request-Id` and the server's log.
    pub request_id: String,
    /// Everything that is wrong with the request, in the order of the places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Finding>,
    /// How many more errors there were than are listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

/// One thing that is wrong with (or noteworthy in) what was sent, and where.
///
/// Places are those of the request body. For a document sent as text inside of JSON they are
/// those of that text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    /// JSON pointer (RFC 6901) to the place; for a query parameter its name after `?`.
    pub pointer: String,
    /// What is wrong and why.
    pub detail: String,
    /// Line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// Stable code, for programs.
    pub code: String,
    /// What to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What is to be said about a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LintReport {
    /// It would be accepted.
    pub ok: bool,
    /// Everything that is wrong, in the order of the places.
    pub errors: Vec<Finding>,
    /// Accepted, but deserves a look.
    pub warnings: Vec<Finding>,
    /// How many more errors there were than are listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
