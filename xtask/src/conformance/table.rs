//! A table of manifests: which file, whether it can run here, how it must end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

/// How a manifest must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    Succeeded,
    Failed,
    /// Chance decides: any end will do.
    Any,
    /// It is no workflow, or needs what is not here: it must be read without a loss, or refused
    /// by name.
    Read,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// As the table writes it.
    pub(crate) name: String,
    pub(crate) file: PathBuf,
    pub(crate) expected: Expected,
    /// A person is needed on the way: suspensions are resumed.
    pub(crate) interaction: bool,
    /// It takes minutes (`duration` in the optional column `no_test_label`).
    pub(crate) long: bool,
}

/// Reads a table of tab-separated columns, found by their names in the first line: `path`,
/// `runnable_locally` (`yes...`, `partial`, `no`), `expected_phase` (`Succeeded`, `Failed`,
/// `Error`, `random`, `n/a`). Paths are relative to `directory`, or to the folder around it.
pub(crate) fn read(table: &Path, directory: &Path) -> anyhow::Result<Vec<Row>> {
    let text = fs::read_to_string(table).with_context(|| format!("read {}", table.display()))?;
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().context("the table is empty")?.split('\t').collect();
    let mut rows = Vec::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let cells: BTreeMap<&str, &str> = head.iter().copied().zip(line.split('\t')).collect();
        let cell = |name: &str| cells.get(name).copied().unwrap_or("");
        let name = cell("path").to_owned();
        ensure!(!name.is_empty(), "no column `path` in {line:?}");
        let local = cell("runnable_locally");
        let expected = match (local.starts_with("yes"), cell("expected_phase")) {
            (true, "Succeeded") => Expected::Succeeded,
            (true, "Failed" | "Error") => Expected::Failed,
            (true, "random") => Expected::Any,
            (true, "") | (false, _) | (true, "n/a") => Expected::Read,
            (true, other) => anyhow::bail!("{name}: no phase is called {other:?}"),
        };
        let file = locate(directory, &name)?;
        let interaction = local == "yes+interaction";
        let long = cell("no_test_label").contains("duration");
        rows.push(Row { name, file, expected, interaction, long });
    }
    Ok(rows)
}

fn locate(directory: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let without_first = Path::new(name).components().skip(1).collect::<PathBuf>();
    let places = [directory.join(name), directory.join(without_first)];
    let found = places.into_iter().find(|place| place.is_file());
    found.with_context(|| format!("{name} is not in {}", directory.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name() {
        let root = std::env::temp_dir().join(format!("table-{}", std::process::id()));
        fs::create_dir_all(root.join("examples")).unwrap();
        for file in ["a.yaml", "b.yaml"] {
            fs::write(root.join("examples").join(file), "").unwrap();
        }
        let table = root.join("t.tsv");
        let text = "kind\tpath\texpected_phase\trunnable_locally\n\
                    Workflow\texamples/a.yaml\tFailed\tyes+artifacts\n\
                    Workflow\texamples/b.yaml\tSucceeded\tno\n";
        fs::write(&table, text).unwrap();
        for directory in [root.clone(), root.join("examples")] {
            let rows = read(&table, &directory).unwrap();
            let all: Vec<_> = rows.iter().map(|row| (&*row.name, row.expected)).collect();
            assert_eq!(
                all,
                [("examples/a.yaml", Expected::Failed), ("examples/b.yaml", Expected::Read)]
            );
        }
        fs::remove_dir_all(root).unwrap();
    }
}
