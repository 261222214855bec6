//! Where the database is, and how a connection to it has to be.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use flowforge_ports::store::StoreError;
use tokio_postgres::config::{Host, SslMode};

/// How long a connection may take to be made, unless the URL says `connect_timeout`.
const CONNECT: Duration = Duration::from_secs(10);
/// A peer that is gone without a word is noticed after so long.
const PEER_GONE: Duration = Duration::from_secs(30);
/// Connections unless asked for others: more than a few per core are slower, not faster.
const CONNECTIONS: u32 = 8;
/// The fewest: one that writes and one that reads.
const LEAST: u32 = 2;

/// Where the database is, and how a connection to it has to be.
///
/// The URL is libpq's: `postgresql://user@host:port/database?sslmode=verify-full`. A socket is
/// `postgresql:///database?host=/run/postgresql`. `sslmode` is `disable`, `prefer` (the default:
/// encrypted if the server can, without knowing who it is), `require` (the same, or not at all),
/// `verify-ca` or `verify-full` (the certificate, and the name in it, are checked against
/// `sslrootcert`, or against what this machine trusts). As in libpq, `require` with an
/// `sslrootcert` means `verify-ca`, and a socket is never encrypted.
#[derive(Clone)]
pub struct PostgresConfig {
    pub(super) driver: tokio_postgres::Config,
    pub(super) tls: Verify,
    pub(super) roots: Option<PathBuf>,
    pub(super) connections: u32,
}

/// What of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// Nothing: whoever answers is believed.
    Nothing,
    /// That somebody trusted signed it.
    Authority,
    /// That, and the name in it.
    Full,
}

impl fmt::Debug for PostgresConfig {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("place", &self.place())
            .field("user", &self.user())
            .field("verify", &self.tls)
            .finish_non_exhaustive()
    }
}

impl PostgresConfig {
    /// Reads a URL.
    ///
    /// # Errors
    /// `Refused`, saying what is wrong, without repeating the URL: it may hold a password.
    pub fn parse(url: &str) -> Result<Self, StoreError> {
        if !url.starts_with("postgresql://") && !url.starts_with("postgres://") {
            return Err(wrong("it does not begin with postgresql://"));
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let mut mode = "prefer".to_owned();
        let mut roots = None;
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = decoded(value)?,
                Some(("sslrootcert", value)) => roots = Some(decoded(value)?),
                _ => rest.push(pair),
            }
        }
        let rest = rest.join("&");
        let mark = if rest.is_empty() { "" } else { "?" };
        let driver = tokio_postgres::Config::from_str(&format!("{place}{mark}{rest}"))
            .map_err(|error| wrong(&chain(&error)))?;
        let roots = roots.filter(|path| path != "system").map(PathBuf::from);
        let mut config = Self { driver, tls: Verify::Nothing, roots, connections: CONNECTIONS };
        config.ssl_mode(&mode)?;
        config.defaults();
        Ok(config)
    }

    /// The password, in place of the URL's.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.driver.password(password);
        self
    }

    /// At most so many connections at a time, at least 2; the default is 8.
    #[must_use]
    pub fn connections(mut self, most: u32) -> Self {
        self.connections = most.max(LEAST);
        self
    }

    /// `host:port/database`, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let host = match self.driver.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            Some(Host::Unix(path)) => path.display().to_string(),
            None => match self.driver.get_hostaddrs().first() {
                Some(address) => address.to_string(),
                None => "?".to_owned(),
            },
        };
        let port = self.driver.get_ports().first().copied().unwrap_or(5432);
        format!("{host}:{port}/{}", self.driver.get_dbname().unwrap_or(self.user()))
    }

    pub(super) fn user(&self) -> &str {
        self.driver.get_user().unwrap_or_default()
    }

    fn ssl_mode(&mut self, mode: &str) -> Result<(), StoreError> {
        let (driver, verify) = match (mode, &self.roots) {
            ("disable", _) => (SslMode::Disable, Verify::Nothing),
            ("prefer", _) => (SslMode::Prefer, Verify::Nothing),
            ("require", None) => (SslMode::Require, Verify::Nothing),
            ("require" | "verify-ca", _) => (SslMode::Require, Verify::Authority),
            ("verify-full", _) => (SslMode::Require, Verify::Full),
            _ => {
                return Err(wrong(&format!(
                    "sslmode={mode} is none of disable, prefer, require, verify-ca, verify-full"
                )));
            }
        };
        let sockets = |host: &Host| matches!(host, Host::Unix(_));
        let only_sockets = !self.driver.get_hosts().is_empty()
            && self.driver.get_hosts().iter().all(sockets)
            && self.driver.get_hostaddrs().is_empty();
        self.driver.ssl_mode(if only_sockets { SslMode::Disable } else { driver });
        self.tls = verify;
        Ok(())
    }

    fn defaults(&mut self) {
        let driver = &mut self.driver;
        if driver.get_hosts().is_empty() && driver.get_hostaddrs().is_empty() {
            driver.host("localhost");
        }
        if driver.get_connect_timeout().is_none() {
            driver.connect_timeout(CONNECT);
        }
        if driver.get_tcp_user_timeout().is_none() {
            driver.tcp_user_timeout(PEER_GONE);
        }
        if driver.get_application_name().is_none() {
            driver.application_name("flowforge");
        }
        driver.keepalives_idle(PEER_GONE);
    }
}

fn wrong(what: &str) -> StoreError {
    StoreError::Refused(format!("the database's URL cannot be used: {what}"))
}

fn chain(error: &tokio_postgres::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

/// Takes percent-encoding away.
fn decoded(text: &str) -> Result<String, StoreError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else {
            return Err(wrong("there is a % without two digits"));
        };
        bytes.push(u8::try_from(high * 16 + low).unwrap_or_default());
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_say_what_is_encrypted_and_what_is_checked() {
        let of = |query: &str| {
            let config = PostgresConfig::parse(&format!("postgresql://u@h/d{query}")).unwrap();
            (config.driver.get_ssl_mode(), config.tls, config.roots)
        };
        let roots = Some(PathBuf::from("/a b.pem"));
        assert_eq!(of(""), (SslMode::Prefer, Verify::Nothing, None));
        assert_eq!(of("?sslmode=disable"), (SslMode::Disable, Verify::Nothing, None));
        assert_eq!(of("?sslmode=require"), (SslMode::Require, Verify::Nothing, None));
        assert_eq!(
            of("?sslmode=require&sslrootcert=%2Fa%20b.pem"),
            (SslMode::Require, Verify::Authority, roots)
        );
        assert_eq!(
            of("?sslrootcert=system&sslmode=verify-full&connect_timeout=3"),
            (SslMode::Require, Verify::Full, None)
        );
        let socket = PostgresConfig::parse("postgresql:///d?host=/run/p&sslmode=require").unwrap();
        assert_eq!(socket.driver.get_ssl_mode(), SslMode::Disable);
    }

    #[test]
    fn a_wrong_url_says_why_without_repeating_the_password() {
        for url in [
            "mysql://u:s3cret@h/d",
            "postgresql://u:s3cret@h:port/d",
            "postgresql://u:s3cret@h/d?sslmode=maybe",
            "postgresql://u:s3cret@h/d?sslrootcert=%2",
            "postgresql://u:s3cret@h/d?nonsense=1",
        ] {
            let error = PostgresConfig::parse(url).unwrap_err().to_string();
            assert!(error.contains("URL") && !error.contains("s3cret"), "{error}");
        }
        let config = PostgresConfig::parse("postgresql://u:s3cret@h:9/d").unwrap();
        assert!(!format!("{config:?}").contains("s3cret"));
        assert_eq!(config.place(), "h:9/d");
    }
}
