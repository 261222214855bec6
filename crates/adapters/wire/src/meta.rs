//! The server about itself.

use std::fmt;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The server's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok`; `draining` or `unavailable` go with status 503.
    pub status: String,
}

/// Whether a server takes requests, and how what it depends on stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Readiness {
    /// `ok`, or `degraded` if some of it does not work; `draining` or `unavailable`, with status 503,
    /// if it takes no requests.
    pub status: String,
    /// `database`, `queue` and `logs`, each `ok` or `unavailable`; `unused` if this server has none.
    /// Empty while it is `draining`: then nobody is asked.
    pub dependencies: BTreeMap<String, String>,
}

/// The server's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// `flowforge`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// Versions of the API it serves.
    pub api_versions: Vec<String>,
}

/// Where a server is and how to be let in: the content of `endpoint.json` in its data directory.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `http://host:port`, without a slash at the end.
    pub url: String,
    /// The bearer token.
    pub token: String,
}

impl fmt::Debug for Endpoint {
    /// Without the token: debug text ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("url", &self.url).finish_non_exhaustive()
    }
}
