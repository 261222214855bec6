//! A workflow with locks and hooks under the kills, and what its witness must say.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// The document, with its witness file.
pub(super) fn document(witness: &Path) -> String {
    include_str!("locked.yaml").replace("WITNESS}", &format!("{}}}", witness.display()))
}

/// Nobody was inside together with another: whoever was inside when another came in never came out,
/// because it was killed. Returns how many came in.
pub(super) fn check(witness: &Path) -> anyhow::Result<usize> {
    let text = fs::read_to_string(witness).context("read the witness file of the locks")?;
    exclusive(&text)
}

fn exclusive(text: &str) -> anyhow::Result<usize> {
    let out: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_suffix(" out")).collect();
    let mut inside: Option<&str> = None;
    let mut came = 0;
    for line in text.lines() {
        if let Some(attempt) = line.strip_suffix(" in") {
            came += 1;
            if let Some(other) = inside {
                ensure!(!out.contains(other), "{attempt} came in while {other} was inside");
            }
            inside = Some(attempt);
        } else if let Some(attempt) = line.strip_suffix(" out") {
            ensure!(inside == Some(attempt), "{attempt} came out and was not inside");
            inside = None;
        }
    }
    Ok(came)
}

#[cfg(test)]
mod tests {
    use super::exclusive;

    #[test]
    fn two_inside_are_found_and_one_that_was_killed_is_forgiven() {
        assert_eq!(exclusive("a in\na out\nb in\nc in\nc out\n").unwrap(), 3);
        assert!(exclusive("a in\nb in\na out\nb out\n").is_err());
    }
}
