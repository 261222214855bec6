//! Names to addresses, and the check of both.

use std::sync::Arc;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::allow::Allow;
use crate::error::Refusal;

/// Looks names up, and lets only addresses through that are allowed. Connections are made to what
/// comes out of here and nowhere else.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) allow: Arc<Allow>,
    pub(crate) inner: DefaultResolver,
}

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut allowed = self.empty();
        for address in found.iter().filter(|address| self.allow.permits(host, **address)) {
            allowed.push(*address);
        }
        match found.first() {
            Some(first) if allowed.is_empty() => {
                let refusal = Refusal { host: host.to_owned(), address: first.ip() };
                Err(ureq::Error::Other(Box::new(refusal)))
            }
            _ => Ok(allowed),
        }
    }
}
