//! Which resource of the cluster a kind is: it is asked once.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use flowforge_model::object::may_be;
use kube::Client;
use kube::core::discovery::Scope;
use kube::core::{ApiResource, GroupVersionKind};
use kube::discovery::{ApiCapabilities, Discovery, pinned_kind};
use kube::error::DiscoveryError;
use tokio::time::timeout;

use super::answer::{self, No};
use super::place::Of;
use super::refused;
use crate::access::PATIENCE;

/// A resource, and whether its objects are in namespaces.
pub(super) type Kind = (ApiResource, bool);

/// Kinds that were found. They go when the process does, or when one was not there where it should be.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    known: Mutex<HashMap<Of, Kind>>,
}

impl Kinds {
    /// Asks the cluster, as the executor: what kinds there are is no secret.
    pub(super) async fn find(&self, client: &Client, of: &Of) -> Result<Kind, No> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(of).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let asked = async {
            match of {
                Of::Kind(api_version, kind) => by_kind(client, api_version, kind).await,
                Of::Type(name) => by_type(client, name).await,
            }
        };
        let silence = || No::Again(super::caller::silence());
        let (resource, capabilities) = timeout(PATIENCE, asked).await.map_err(|_| silence())??;
        let found = (resource, capabilities.scope == Scope::Namespaced);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(of.clone(), found.clone());
        Ok(found)
    }

    /// It may have gone.
    pub(super) fn forget(&self, of: &Of) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(of);
    }
}

async fn by_kind(
    client: &Client,
    api_version: &str,
    kind: &str,
) -> Result<(ApiResource, ApiCapabilities), No> {
    may_be(kind).map_err(|error| No::Never(refused(error.to_string())))?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let none = || {
        let message = format!("the cluster knows no {kind} of {api_version}");
        No::Never(refused(message))
    };
    pinned_kind(client, &gvk).await.map_err(|error| match error {
        kube::Error::Discovery(DiscoveryError::MissingKind(_)) => none(),
        error => match answer::read(&error) {
            No::Missing(_) | No::Nowhere(_) => none(),
            other => other,
        },
    })
}

/// A type as `kubectl` has it, without short names: `job`, `jobs`, `jobs.batch`.
async fn by_type(client: &Client, name: &str) -> Result<(ApiResource, ApiCapabilities), No> {
    let all = Discovery::new(client.clone()).run_aggregated().await;
    let all = all.map_err(|error| answer::read(&error))?;
    let (kind, group) = name.split_once('.').map_or((name, None), |(kind, g)| (kind, Some(g)));
    let mut found = all.groups_alphabetical().into_iter().flat_map(|one| {
        let fits = group.is_none_or(|group| one.name() == group);
        if fits { one.recommended_resources() } else { Vec::new() }
    });
    let fits = |(resource, _): &(ApiResource, ApiCapabilities)| {
        resource.plural == kind || resource.kind.to_ascii_lowercase() == kind
    };
    found.find(fits).ok_or_else(|| {
        let message = format!(
            "the cluster knows no type {name:?}: write its kind or its plural, with .GROUP after it \
             if it has one"
        );
        No::Never(refused(message))
    })
}
