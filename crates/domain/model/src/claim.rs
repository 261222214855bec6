//! Claims that are made for a workflow and go with it.

use serde::{Deserialize, Serialize};

use crate::resources::Bytes;

/// What a claim asks of a cluster. A local process gets a directory, whatever stands here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimTemplate {
    /// How many nodes may use it for what, in Kubernetes' words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modes: Vec<String>,
    /// How large it is; 0 if that is not said.
    pub storage: Bytes,
    /// What kind of storage; the cluster's own choice if that is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// A claim of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Claim {
    /// Its name in the document.
    pub name: String,
    /// What it asks for.
    pub template: ClaimTemplate,
}

impl Claim {
    /// One that asks for nothing.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), template: ClaimTemplate::default() }
    }
}

/// As orders of this version have it, and of earlier ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Name(String),
    Whole { name: String, template: ClaimTemplate },
}

impl From<Written> for Claim {
    fn from(written: Written) -> Self {
        match written {
            Written::Name(name) => Self { name, template: ClaimTemplate::default() },
            Written::Whole { name, template } => Self { name, template },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_earlier_orders_are_read() {
        let old: Claim = serde_json::from_str("\"scratch\"").unwrap();
        assert_eq!(old, Claim::named("scratch"));
        let new = Claim {
            template: ClaimTemplate { storage: Bytes(7), ..ClaimTemplate::default() },
            ..old
        };
        let text = serde_json::to_string(&new).unwrap();
        assert_eq!(serde_json::from_str::<Claim>(&text).unwrap(), new);
    }
}
