//! Secrets by name and key. They are read where a task starts and stored nowhere else.

use std::collections::BTreeMap;

/// Where secrets are read from.
pub trait Secrets: Send + Sync + 'static {
    /// All keys of a secret with their values; none if there is no such secret. Values are bytes
    /// and may not be text.
    fn secret(&self, name: &str) -> Option<BTreeMap<String, Vec<u8>>>;
}
