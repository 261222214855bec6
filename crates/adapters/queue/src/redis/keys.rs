//! The names of everything in Redis, under one prefix.

use flowforge_model::id::InstanceId;
use flowforge_ports::queue::{ClusterName, QueueError, Role, Topic};

use crate::text;

/// Longest prefix: every key carries it.
const PREFIX_BYTES: usize = 64;

/// Names under a prefix. In a cluster the part that belongs together is a hash tag, so that one
/// script may touch all of it: `ff:{dispatch:gpu}:dead` instead of `ff:dispatch:gpu:dead`.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: String,
    tags: bool,
}

/// The keys of the work of one cluster.
pub(super) struct Lane {
    /// A stream: the entries that are not acknowledged.
    pub(super) stream: String,
    /// A number: the dispatches in them.
    pub(super) count: String,
    /// A stream: the dead letters.
    pub(super) dead: String,
}

impl Keys {
    pub(super) fn new(prefix: &str, tags: bool) -> Result<Self, QueueError> {
        let plain = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !b"{}".contains(&byte));
        if !plain || prefix.is_empty() || prefix.len() > PREFIX_BYTES {
            return Err(QueueError::Refused(format!(
                "the prefix of keys is 1 to {PREFIX_BYTES} visible ASCII characters without \
                 braces, like `ff:`"
            )));
        }
        Ok(Self { prefix: prefix.to_owned(), tags })
    }

    fn named(&self, together: &str) -> String {
        let prefix = &self.prefix;
        if self.tags { format!("{prefix}{{{together}}}") } else { format!("{prefix}{together}") }
    }

    pub(super) fn lane(&self, cluster: &ClusterName) -> Lane {
        let stream = self.named(&format!("dispatch:{cluster}"));
        Lane { count: format!("{stream}:count"), dead: format!("{stream}:dead"), stream }
    }

    /// The index of a role's signs of life.
    pub(super) fn heartbeats(&self, role: Role) -> String {
        self.named(&format!("heartbeat:{}", role.as_str()))
    }

    pub(super) fn heartbeat(&self, role: Role, id: InstanceId) -> String {
        format!("{}:{id}", self.heartbeats(role))
    }

    pub(super) fn channel(&self, topic: &Topic) -> String {
        format!("{}{}", self.prefix, text::channel(topic))
    }

    /// Where a publisher says that it lost hints; every subscriber listens to it.
    pub(super) fn lost(&self) -> String {
        format!("{}hint:lost", self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_stream_share_a_hash_tag_in_a_cluster_only() {
        let gpu = ClusterName::parse("gpu").unwrap();
        let single = Keys::new("ff:", false).unwrap();
        assert_eq!(single.lane(&gpu).dead, "ff:dispatch:gpu:dead");
        assert_eq!(single.heartbeats(Role::Api), "ff:heartbeat:api");
        let lane = Keys::new("ff:", true).unwrap().lane(&gpu);
        assert_eq!(lane.stream, "ff:{dispatch:gpu}");
        assert_eq!(lane.count, "ff:{dispatch:gpu}:count");
        assert_eq!(lane.dead, "ff:{dispatch:gpu}:dead");
    }

    #[test]
    fn a_prefix_breaks_no_hash_tag() {
        for bad in ["", "a{b", "a}", "a b", "ü:", &"x".repeat(65)] {
            assert!(Keys::new(bad, true).is_err(), "{bad}");
        }
    }
}
