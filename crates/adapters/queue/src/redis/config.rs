//! Where Redis is and how to get in.

use std::path::PathBuf;
use std::time::Duration;

use flowforge_ports::queue::QueueError;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// Where Redis is and how to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// `host`, `host:port`, `[ipv6]:port`, `unix:/path`, or an URL `redis://` or `rediss://` (TLS).
    /// The port is 6379 unless given. Of one server: other addresses it may have, tried in turn. Of
    /// a cluster: some of its nodes.
    pub addresses: Vec<String>,
    /// The addresses are of a cluster.
    pub cluster: bool,
    /// Of an ACL; the server's default user unless given. Goes before what an URL says.
    pub username: Option<String>,
    /// Goes before what an URL says. Never shown.
    pub password: Option<String>,
    /// Number of the database; a cluster has 0 only. Goes before what an URL says.
    pub db: Option<i64>,
    /// All keys and channels begin with it: 1 to 64 visible ASCII characters without braces.
    pub prefix: String,
    /// Certificates (PEM) to trust for `rediss://` instead of the machine's.
    pub trust: Option<Vec<u8>>,
    /// For making a connection.
    pub connect_timeout: Duration,
    /// For an answer, beyond the time that a call asks the server to wait.
    pub response_timeout: Duration,
    /// Most connections that wait for work at a time; one waits per call of `receive`.
    pub pool_size: usize,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            addresses: vec!["127.0.0.1:6379".to_owned()],
            cluster: false,
            username: None,
            password: None,
            db: None,
            prefix: "ff:".to_owned(),
            trust: None,
            connect_timeout: Duration::from_secs(1),
            response_timeout: Duration::from_secs(2),
            pool_size: 100,
        }
    }
}

/// Without the password, also that of an URL.
impl std::fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<String> = self.addresses.iter().map(|text| shown(text)).collect();
        f.debug_struct("RedisConfig")
            .field("addresses", &addresses)
            .field("cluster", &self.cluster)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("db", &self.db)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl RedisConfig {
    /// What the client is told of each address.
    pub(super) fn infos(&self) -> Result<Vec<ConnectionInfo>, QueueError> {
        if self.addresses.is_empty() {
            return Err(refused("no address of Redis is given"));
        }
        if self.cluster && self.db.unwrap_or(0) != 0 {
            return Err(refused("a cluster of Redis has the database 0 only"));
        }
        if self.pool_size == 0 {
            return Err(refused("the pool of connections to Redis has no place in it"));
        }
        self.addresses.iter().map(|address| self.info(address)).collect()
    }

    fn info(&self, text: &str) -> Result<ConnectionInfo, QueueError> {
        let info = address(text)
            .ok_or_else(|| refused(&format!("`{}` is no address of Redis", shown(text))))?;
        match info.addr() {
            ConnectionAddr::TcpTls { .. } if !cfg!(feature = "tls") => {
                return Err(refused("rediss:// needs a build with the feature `tls`"));
            }
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                return Err(refused("rediss:// without checking certificates is not offered"));
            }
            ConnectionAddr::Unix(_) if self.cluster => {
                return Err(refused("nodes of a cluster have no unix: addresses"));
            }
            _ => {}
        }
        let mut settings = info.redis_settings().clone();
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password);
        }
        if let Some(db) = self.db {
            settings = settings.set_db(db);
        }
        Ok(info.set_redis_settings(settings))
    }
}

fn refused(message: &str) -> QueueError {
    QueueError::Refused(message.to_owned())
}

/// An address without what is secret in it.
fn shown(text: &str) -> String {
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, place))) => format!("{scheme}://***@{place}"),
        _ => text.to_owned(),
    }
}

fn address(text: &str) -> Option<ConnectionInfo> {
    if text.contains("://") {
        return text.into_connection_info().ok();
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return ConnectionAddr::Unix(PathBuf::from(path)).into_connection_info().ok();
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            (host, port.parse().ok()?)
        }
        _ => (text, 6379),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let plain = !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    plain.then(|| (host, port).into_connection_info().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(address: &str) -> Result<ConnectionInfo, QueueError> {
        let addresses = vec![address.to_owned()];
        let password = Some("geheim".to_owned());
        let config = RedisConfig { addresses, password, ..RedisConfig::default() };
        assert!(!format!("{config:?}").contains("geheim"));
        Ok(config.infos()?.remove(0))
    }

    #[test]
    fn an_address_has_many_forms() {
        let tcp = |host: &str, port| ConnectionAddr::Tcp(host.to_owned(), port);
        for (text, address) in [
            ("redis", tcp("redis", 6379)),
            ("redis.example:7000", tcp("redis.example", 7000)),
            ("10.0.0.1:1", tcp("10.0.0.1", 1)),
            ("[::1]:7000", tcp("::1", 7000)),
            ("::1", tcp("::1", 6379)),
            ("redis://redis:7000/3", tcp("redis", 7000)),
            ("unix:/run/redis.sock", ConnectionAddr::Unix("/run/redis.sock".into())),
        ] {
            let info = one(text).unwrap();
            assert_eq!(*info.addr(), address, "{text}");
            assert_eq!(info.redis_settings().password(), Some("geheim"));
        }
        for bad in ["", ":1", "a:b", "a:70000", "http://a", "a/b", "rediss://a/#insecure"] {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn no_password_of_an_url_is_shown() {
        let addresses = vec!["redis://me:geheim@redis:1".to_owned()];
        let config = RedisConfig { addresses, ..RedisConfig::default() };
        assert!(format!("{config:?}").contains("redis://***@redis:1"));
        let error = one("redis://me:geheim@redis:1:2").unwrap_err().to_string();
        assert!(!error.contains("geheim"), "{error}");
    }

    #[test]
    fn tls_is_there_or_says_that_it_is_not() {
        assert_eq!(one("rediss://redis").is_ok(), cfg!(feature = "tls"));
    }
}
