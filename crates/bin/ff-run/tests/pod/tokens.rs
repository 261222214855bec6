//! Service-account tokens as a cluster signs them.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowforge_model::attempt::AttemptKey;
use flowforge_model::id::{EntityId, PodUid};
use flowforge_ports::pods::Cluster;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

pub(crate) const ISSUER: &str = "https://cluster.example";

/// A private key that is used for tests only, and where it is on its curve.
struct Pair {
    private: &'static str,
    x: &'static str,
    y: &'static str,
}

const PAIRS: [Pair; 2] = [
    Pair {
        private: "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgQfqOopIBwg/4JzZcPJ376LfuIDPBt/RoXTkkGJssfdyhRANCAASVogQUDmagcBpFI45eAhkQSsxoKGCOAdr1cB1CWJb1WPMfW2mVEXT/Smnc9h+8cdOb3NKhm+psGT0ec8WyvFQn",
        x: "laIEFA5moHAaRSOOXgIZEErMaChgjgHa9XAdQliW9Vg",
        y: "8x9baZURdP9Kadz2H7xx05vc0qGb6mwZPR5zxbK8VCc",
    },
    Pair {
        private: "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg1duWoi95PtpotwaA8O+SB7t2a8Oht6KnaZly2ElKk7ChRANCAARWWAiOxtwH/aKBKMftOqFGnSkwwerZcnIu8fa9iRfV045LUWhZhl+VwM6NLc/OJjyufCqF/ZNz9mJ3CT/OXVcC",
        x: "VlgIjsbcB_2igSjH7TqhRp0pMMHq2XJyLvH2vYkX1dM",
        y: "jktRaFmGX5XAzo0tz84mPK58KoX9k3P2YncJP85dVwI",
    },
];

/// A cluster that signs with these keys, by their places; they are called `k0` and `k1`.
pub(crate) fn cluster(keys: &[usize]) -> Cluster {
    let jwk = |at: &usize| {
        let Pair { x, y, .. } = &PAIRS[*at];
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": format!("k{at}"),
            "x": x, "y": y})
    };
    let keys = json!({"keys": keys.iter().map(jwk).collect::<Vec<_>>()}).to_string();
    Cluster { name: "default".to_owned(), issuer: ISSUER.to_owned(), keys }
}

/// What the token of an attempt's pod claims.
pub(crate) fn claims(key: AttemptKey, pod: PodUid) -> Value {
    claims_of((key, None), pod)
}

fn claims_of((key, member): (AttemptKey, Option<u32>), pod: PodUid) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    json!({
        "iss": ISSUER, "aud": ["flowforge"], "exp": now + 3600, "nbf": now - 5, "iat": now - 5,
        "sub": "system:serviceaccount:team:task",
        "kubernetes.io": {
            "namespace": EntityId::DEFAULT_PROJECT.namespace(),
            "pod": {"name": key.id().pod_name("a.b", member), "uid": pod.to_string()},
            "serviceaccount": {"name": "task", "uid": "0"},
        },
    })
}

/// Signs with a key under its name or another.
pub(crate) fn signed(claims: &Value, key: usize, id: &str) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::ES256) };
    let key = EncodingKey::from_ec_der(&STANDARD.decode(PAIRS[key].private).unwrap());
    jsonwebtoken::encode(&header, claims, &key).unwrap()
}

/// The token that the kubelet would write into an attempt's pod.
pub(crate) fn token(key: AttemptKey, pod: PodUid) -> String {
    signed(&claims(key, pod), 0, "k0")
}

/// That of a member of a gang.
pub(crate) fn token_of(key: AttemptKey, member: u32, pod: PodUid) -> String {
    signed(&claims_of((key, Some(member)), pod), 0, "k0")
}
