//! Why there is no answer.

/// Why there is no answer. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The method, the URL or a header cannot be sent.
    #[error("{0}")]
    Invalid(String),
    /// The list of hosts does not allow it.
    #[error(
        "{host} ({address}) may not be asked: if this is meant, add it to http.allow in the \
         configuration of the server"
    )]
    Refused {
        /// As the URL names it.
        host: String,
        /// An address of it.
        address: std::net::IpAddr,
    },
    /// Nobody answered, or not in time, or not in HTTP: trying again may help.
    #[error("{0}")]
    NoAnswer(String),
    /// The time was over.
    #[error("no answer within {0:?}")]
    TimedOut(std::time::Duration),
    /// Who answered is not who it should be.
    #[error("{0}")]
    Untrusted(String),
    /// [`crate::Client::shut_down`] was called.
    #[error("stopped")]
    Stopped,
}

impl HttpError {
    /// Trying again may help.
    #[must_use]
    pub fn transient(&self) -> bool {
        matches!(self, Self::NoAnswer(_) | Self::TimedOut(_))
    }
}

/// The fault of a connection that was not made, handed through the client underneath.
#[derive(Debug, thiserror::Error)]
#[error("{host} ({address}) is not allowed")]
pub(crate) struct Refusal {
    pub(crate) host: String,
    pub(crate) address: std::net::IpAddr,
}

/// In words for people.
pub(crate) fn told(
    error: ureq::Error,
    host: &str,
    timeout: Option<std::time::Duration>,
) -> HttpError {
    use ureq::Error as E;
    match error {
        E::Other(inner) => match inner.downcast::<Refusal>() {
            Ok(refusal) => HttpError::Refused { host: refusal.host, address: refusal.address },
            Err(other) => HttpError::NoAnswer(format!("{host}: {other}")),
        },
        E::Timeout(ureq::Timeout::Global) if timeout.is_some() => {
            HttpError::TimedOut(timeout.unwrap_or_default())
        }
        E::Timeout(what) => HttpError::NoAnswer(format!("{host} does not answer in time ({what})")),
        E::HostNotFound => HttpError::NoAnswer(format!("there is no host {host}")),
        E::Io(error) if error.kind() == std::io::ErrorKind::NotConnected => HttpError::Stopped,
        E::Io(error) => of_stream(&error, host),
        E::BadUri(what) => HttpError::Invalid(format!("the URL cannot be used: {what}")),
        E::Http(error) => HttpError::Invalid(format!("the request cannot be sent: {error}")),
        #[cfg(feature = "tls")]
        E::Rustls(error) => {
            HttpError::Untrusted(format!("no secure connection to {host}: {error}"))
        }
        E::Tls(what) => HttpError::Untrusted(format!("no secure connection to {host}: {what}")),
        other => HttpError::NoAnswer(format!("{host}: {other}")),
    }
}

/// A fault of a connection. That of a certificate comes as one, too.
fn of_stream(error: &std::io::Error, host: &str) -> HttpError {
    let untrusted = error.kind() == std::io::ErrorKind::InvalidData
        && error.get_ref().is_some_and(|inner| inner.to_string().contains("certificate"));
    if untrusted {
        HttpError::Untrusted(format!("no secure connection to {host}: {error}"))
    } else {
        HttpError::NoAnswer(format!("{host}: {error}"))
    }
}
