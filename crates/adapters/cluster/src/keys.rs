//! Whose tokens pods of a cluster have.

use kube::api::GetParams;
use kube::core::Request;
use serde_json::Value;

use crate::ClusterError;
use crate::access::{Cluster, PATIENCE, told};

impl Cluster {
    /// The issuer of the tokens of service accounts, and the keys that they are signed with, for
    /// [`flowforge_ports::pods::Pods::put_cluster`]. Keys change: to be asked at the start, and now and
    /// then.
    ///
    /// # Errors
    /// `Request` if the cluster does not answer or may not be asked; `Answer` if it says something else.
    pub async fn keys(&self, name: &str) -> Result<flowforge_ports::pods::Cluster, ClusterError> {
        let about = self.text("/.well-known", "openid-configuration").await?;
        let about: Value = serde_json::from_str(&about).map_err(|_| wrong("is no JSON"))?;
        let issuer = about.get("issuer").and_then(Value::as_str);
        let issuer = issuer.filter(|issuer| !issuer.is_empty()).ok_or(wrong("names no issuer"))?;
        let keys = self.text("/openid/v1", "jwks").await?;
        let set: Value = serde_json::from_str(&keys).map_err(|_| wrong("is no JSON"))?;
        if set.get("keys").and_then(Value::as_array).is_none_or(Vec::is_empty) {
            return Err(wrong("holds no keys"));
        }
        let (name, issuer) = (name.to_owned(), issuer.to_owned());
        Ok(flowforge_ports::pods::Cluster { name, issuer, keys })
    }

    async fn text(&self, folder: &str, name: &str) -> Result<String, ClusterError> {
        let failed = |why: String| ClusterError::Request { what: format!("{folder}/{name}"), why };
        let request = Request::new(folder)
            .get(name, &GetParams::default())
            .map_err(|error| failed(told(&error)))?;
        match tokio::time::timeout(PATIENCE, self.client.request_text(request)).await {
            Ok(answer) => answer.map_err(|error| failed(told(&error))),
            Err(_) => Err(failed(crate::left::SILENCE.to_owned())),
        }
    }
}

fn wrong(why: &'static str) -> ClusterError {
    ClusterError::Answer { what: "the OpenID configuration of the cluster", why }
}
