//! Names of clusters.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name of a cluster: the executors that take from one queue. 1 to 63 of `a-z`, `0-9`, `-`,
/// with a letter or digit at both ends, as names in Kubernetes are.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClusterName(String);

/// Not the name of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no name of a cluster: use 1 to 63 of a-z, 0-9 and -, no - at either end")]
pub struct ClusterNameError(String);

impl ClusterName {
    /// Takes a name if it is one.
    ///
    /// # Errors
    /// It is too long, empty, or has other characters.
    pub fn parse(name: &str) -> Result<Self, ClusterNameError> {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let ends = name.starts_with('-') || name.ends_with('-');
        if plain && !ends && (1..=63).contains(&name.len()) {
            Ok(Self(name.to_owned()))
        } else {
            Err(ClusterNameError(name.chars().take(80).collect()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for ClusterName {
    /// `default`.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ClusterName {
    type Error = ClusterNameError;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<ClusterName> for String {
    fn from(ClusterName(name): ClusterName) -> Self {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::ClusterName;

    #[test]
    fn a_cluster_has_a_name_as_in_kubernetes() {
        for good in ["a", "default", "gpu-1", &"x".repeat(63)] {
            assert_eq!(ClusterName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a{b}", "a b", "ü", &"x".repeat(64)] {
            assert!(ClusterName::parse(bad).is_err(), "{bad}");
        }
    }
}
