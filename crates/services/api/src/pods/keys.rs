//! Who a pod is, by the service-account token that its cluster gave it. Checked here, with the keys
//! that executors write down: no cluster is asked.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use flowforge_model::cluster::ClusterName;
use flowforge_model::id::PodUid;
use flowforge_ports::pod_calls::AUDIENCE;
use flowforge_ports::pods::Cluster;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;

/// What clusters sign with. Never a shared secret.
const ALGORITHMS: [Algorithm; 8] = [
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
];
/// Keys are read again after this long,
const FRESH: Duration = Duration::from_secs(60);
/// or when one is missing, but not more often than this: anybody may send tokens.
const PAUSE: Duration = Duration::from_secs(1);

/// What is read of a token.
#[derive(Debug, Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    kubernetes: Kubernetes,
}

#[derive(Debug, Deserialize)]
struct Kubernetes {
    namespace: String,
    pod: Named,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
    uid: PodUid,
}

/// The pod that a token is bound to.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: PodUid,
    /// Of which cluster; there are several only if they have the same key.
    pub(super) clusters: Vec<ClusterName>,
}

/// A key of a cluster.
struct Known {
    cluster: ClusterName,
    issuer: String,
    id: String,
    key: DecodingKey,
}

/// Why a token is not believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// Its key is not known (yet).
    UnknownKey,
    /// Something about it is wrong. Whoever sent it is not told what.
    Wrong,
}

/// The keys of all clusters as they were a short while ago.
#[derive(Default)]
pub(super) struct Keys(Mutex<Option<(Instant, Arc<Vec<Known>>)>>);

/// The keys at one time.
pub(super) struct Snapshot(Arc<Vec<Known>>);

impl Keys {
    /// What is known, if it is fresh; after a key was `missing` only if it has just been read.
    pub(super) fn cached(&self, missing: bool) -> Option<Snapshot> {
        let cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, keys) = cached.as_ref()?;
        let fresh = at.elapsed() < if missing { PAUSE } else { FRESH };
        fresh.then(|| Snapshot(Arc::clone(keys)))
    }

    /// Takes what clusters say of themselves. Keys that mean nothing to us are passed over.
    pub(super) fn learn(&self, clusters: &[Cluster]) -> Snapshot {
        let keys = Arc::new(clusters.iter().flat_map(keys_of).collect());
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *cached = Some((Instant::now(), Arc::clone(&keys)));
        Snapshot(keys)
    }
}

fn keys_of(cluster: &Cluster) -> Vec<Known> {
    let set: JwkSet = match serde_json::from_str(&cluster.keys) {
        Ok(set) => set,
        Err(error) => {
            tracing::error!(cluster = cluster.name, %error, "the keys of a cluster are no key set");
            return Vec::new();
        }
    };
    let Ok(name) = ClusterName::parse(&cluster.name) else {
        tracing::error!(cluster = cluster.name, "that is no name of a cluster");
        return Vec::new();
    };
    let known = set.keys.iter().filter_map(|jwk| {
        let id = jwk.common.key_id.clone()?;
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Known { cluster: name.clone(), issuer: cluster.issuer.clone(), id, key })
    });
    known.collect()
}

impl Snapshot {
    /// The pod that a token is bound to.
    pub(super) fn pod(&self, token: &str) -> Result<Pod, Doubt> {
        let header = decode_header(token).map_err(|_| Doubt::Wrong)?;
        let id = header.kid.ok_or(Doubt::Wrong)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Doubt::Wrong);
        }
        let (mut doubt, mut found) = (Doubt::UnknownKey, None::<Pod>);
        for known in self.0.iter().filter(|known| known.id == id) {
            let mut wanted = Validation::new(header.alg);
            wanted.set_audience(&[AUDIENCE]);
            wanted.set_issuer(&[&known.issuer]);
            wanted.set_required_spec_claims(&["exp", "aud", "iss"]);
            wanted.validate_nbf = true;
            match decode::<Claims>(token, &known.key, &wanted) {
                Ok(token) => {
                    let Kubernetes { namespace, pod: Named { name, uid } } =
                        token.claims.kubernetes;
                    let cluster = known.cluster.clone();
                    let new = || Pod { namespace, name, uid, clusters: Vec::new() };
                    found.get_or_insert_with(new).clusters.push(cluster);
                }
                Err(error) => {
                    tracing::debug!(%error, issuer = known.issuer, "a pod's token is refused");
                    doubt = Doubt::Wrong;
                }
            }
        }
        found.ok_or(doubt)
    }
}
