//! Whom a secure connection trusts: the certificates of this machine.

use ureq::AsSendBody;
use ureq::config::ConfigBuilder;
use ureq::typestate::HttpCrateScope;

/// Where systems keep the certificates they trust; `SSL_CERT_FILE` is asked before.
#[cfg(feature = "tls")]
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whether this build can do it at all.
pub(crate) const KNOWN: bool = cfg!(feature = "tls");

/// A request that is about to be configured.
type Configured<S> = ConfigBuilder<HttpCrateScope<S>>;

/// Configures a request; `insecure` accepts whatever certificate comes.
#[cfg(feature = "tls")]
pub(crate) fn configure<S: AsSendBody>(request: Configured<S>, insecure: bool) -> Configured<S> {
    use std::sync::{Arc, LazyLock};

    use ureq::tls::{RootCerts, TlsConfig};

    static ROOTS: LazyLock<RootCerts> = LazyLock::new(roots);
    static PROVIDER: LazyLock<Arc<rustls::crypto::CryptoProvider>> =
        LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let config = TlsConfig::builder()
        .root_certs(ROOTS.clone())
        .unversioned_rustls_crypto_provider(Arc::clone(&PROVIDER))
        .disable_verification(insecure)
        .build();
    request.tls_config(config)
}

#[cfg(not(feature = "tls"))]
pub(crate) fn configure<S: AsSendBody>(request: Configured<S>, _insecure: bool) -> Configured<S> {
    request
}

#[cfg(feature = "tls")]
fn roots() -> ureq::tls::RootCerts {
    use std::path::PathBuf;

    use ureq::tls::PemItem;

    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let mut places = named.into_iter().chain(BUNDLES.map(PathBuf::from));
    let Some((path, pem)) =
        places.find_map(|path| std::fs::read(&path).ok().map(|pem| (path, pem)))
    else {
        tracing::warn!("no certificates to trust: install ca-certificates, or set SSL_CERT_FILE");
        return std::iter::empty::<ureq::tls::Certificate<'static>>().into();
    };
    let certificates: Vec<_> = ureq::tls::parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    tracing::debug!(path = %path.display(), count = certificates.len(), "trusted certificates");
    certificates.into_iter().into()
}
