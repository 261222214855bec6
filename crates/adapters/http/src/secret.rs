//! Values that are secrets.

use flowforge_model::artifact::{Given, SecretKey};
use flowforge_ports::secrets::Secrets;

use crate::client::Header;

/// Reads the values of headers. Blanks and line ends around a secret are dropped: its file often
/// has one.
///
/// # Errors
/// The secret, or its key, that is not there, for people.
pub fn headers(given: &[(String, Given)], secrets: &dyn Secrets) -> Result<Vec<Header>, String> {
    given
        .iter()
        .map(|(name, value)| {
            let (value, secret) = match value {
                Given::Text(text) => (text.clone().into_bytes(), false),
                Given::Secret(key) => (secret_value(key, secrets)?, true),
            };
            Ok(Header { name: name.clone(), value, secret })
        })
        .collect()
}

/// The value of one key of a secret, without blanks and line ends around it.
///
/// # Errors
/// The secret, or its key, that is not there, for people.
pub fn secret_value(wanted: &SecretKey, secrets: &dyn Secrets) -> Result<Vec<u8>, String> {
    let SecretKey { name, key, optional } = wanted;
    let found = secrets.secret(name);
    let there = found.is_some();
    match found.and_then(|mut keys| keys.remove(key)) {
        Some(value) => Ok(value.trim_ascii().to_vec()),
        None if *optional => Ok(Vec::new()),
        None if there => Err(format!("the secret {name} has no key {key}")),
        None => Err(format!("there is no secret {name}")),
    }
}
