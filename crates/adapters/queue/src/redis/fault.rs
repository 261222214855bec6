//! What went wrong, in words that say what to do.

use flowforge_ports::queue::QueueError;
use redis::{ErrorKind, RedisError};

const IN_CLUSTER: &str = "this redis is a node of a cluster: set redis.cluster_mode";

/// An error of the client or the server.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    pub(super) error: QueueError,
    /// The connection is of no more use: it broke, or leads to the wrong server.
    pub(super) reconnect: bool,
    /// What a caller does something about.
    pub(super) sign: Option<Sign>,
}

/// An answer that a caller does something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// The group of consumers is not there: the stream was lost.
    NoGroup,
    /// The group of consumers is there already.
    GroupExists,
    /// Another server of the cluster has it now.
    Elsewhere,
}

impl Fault {
    /// No answer within the time.
    pub(super) fn late() -> Self {
        unavailable("no answer from redis in time", true)
    }

    /// In a cluster that is changing hands it is a matter of time who answers; one server that
    /// says so was the wrong one to ask.
    pub(super) fn in_cluster(self) -> Self {
        match self.sign {
            Some(Sign::Elsewhere) => unavailable("the cluster of redis changes hands", true),
            _ => self,
        }
    }

    fn with(self, sign: Sign) -> Self {
        Self { sign: Some(sign), ..self }
    }
}

impl From<Fault> for QueueError {
    fn from(fault: Fault) -> Self {
        fault.error
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        let code = error.code().unwrap_or_default();
        let detail = error.detail().unwrap_or_default();
        match code {
            "NOGROUP" | "UNBLOCKED" => {
                unavailable("the group of consumers is gone", false).with(Sign::NoGroup)
            }
            "BUSYGROUP" => refused("the group of consumers is there").with(Sign::GroupExists),
            "NOAUTH" => refused("redis wants a password: set redis.password"),
            "WRONGPASS" => refused("redis does not know this name and password"),
            "NOPERM" => refused(&format!("redis does not let this user do it: {detail}")),
            "WRONGTYPE" => refused(
                "a key of the queue holds something else: rename it, or choose another prefix",
            ),
            "READONLY" => {
                let fault =
                    refused("this redis is a replica that takes no writes: name its master");
                Self { reconnect: true, ..fault }.with(Sign::Elsewhere)
            }
            "CROSSSLOT" => refused(IN_CLUSTER),
            "MOVED" | "ASK" => refused(IN_CLUSTER).with(Sign::Elsewhere),
            "LOADING" | "BUSY" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN" | "NOREPLICAS" => {
                unavailable(&format!("redis is not ready ({code})"), false)
            }
            "OOM" => unavailable("redis has no memory left: raise its maxmemory", false),
            "MISCONF" => unavailable("redis cannot write to its disk and takes no writes", false),
            _ => general(&error),
        }
    }
}

fn general(error: &RedisError) -> Fault {
    let text = error.to_string();
    // Errors of the connections within a cluster come as texts only.
    if error.kind() == ErrorKind::AuthenticationFailed
        || ["NOAUTH", "WRONGPASS", "AuthenticationFailed"].iter().any(|code| text.contains(code))
    {
        return refused("redis does not let us in: check redis.username and redis.password");
    }
    // So a server without a greeting answers to a command of more than ten words.
    if text.contains("unauthenticated") {
        return refused("redis wants a password: set redis.password");
    }
    if text.contains("invalid peer certificate") {
        return refused(&format!("redis shows a certificate that we do not trust: {text}"));
    }
    if text.contains("cluster support disabled") {
        return refused("this redis is no cluster: unset redis.cluster_mode");
    }
    match error.kind() {
        ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::InvalidClientConfig => {
            refused(&format!("redis says: {text}"))
        }
        _ => unavailable(&format!("no answer from redis: {text}"), true),
    }
}

fn refused(message: &str) -> Fault {
    let error = QueueError::Refused(message.to_owned());
    Fault { error, reconnect: false, sign: None }
}

fn unavailable(message: &str, reconnect: bool) -> Fault {
    let error = QueueError::Unavailable(message.to_owned());
    Fault { error, reconnect, sign: None }
}

#[cfg(test)]
mod tests {
    use redis::make_extension_error;

    use super::*;

    #[test]
    fn each_answer_of_a_server_is_retryable_or_for_people() {
        let of = |code: &str| Fault::from(make_extension_error(code.to_owned(), None)).error;
        for code in ["LOADING", "OOM", "MISCONF", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "NOGROUP"] {
            assert!(of(code).retryable(), "{code}");
        }
        for code in ["NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "READONLY", "MOVED", "ERR"] {
            assert!(!of(code).retryable(), "{code}");
        }
    }
}
