//! Manifests as people write them: those of this project, and Argo's own examples where they are.
#![expect(
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a table that is not as it should be stops the test; examples that are not there are named"
)]

use std::fs;
use std::path::{Path, PathBuf};

use flowforge_spec::{Level, Options, Problems, census, compile, documents};

/// Manifests that could run here and do not yet.
const NOT_YET: [&str; 2] =
    ["examples/pod-resources-template-override.yaml", "examples/variables-showcase.yaml"];

/// A table of manifests: its folder, and its rows of path and whether it runs on one machine.
struct Table {
    folder: PathBuf,
    rows: Vec<(String, String)>,
}

fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn table(folder: &Path, file: &Path) -> Option<Table> {
    let text = fs::read_to_string(file).ok()?;
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next()?.split('\t').collect();
    let column = |name: &str| head.iter().position(|h| *h == name).unwrap();
    let (path, local) = (column("path"), column("runnable_locally"));
    let cells = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    let rows = cells.map(|cells| (cells[path].to_owned(), cells[local].to_owned())).collect();
    Some(Table { folder: folder.to_owned(), rows })
}

fn tables() -> Vec<Table> {
    let own = project().join("test/conformance");
    let own = table(&own.join("manifests"), &own.join("manifests.tsv"));
    let argo = project().join("../shared/corpus/argo");
    let argo = table(&argo, &argo.join("examples.tsv"));
    if argo.is_none() {
        eprintln!("Argo's examples are not here: only the manifests of this project are read");
    }
    own.into_iter().chain(argo).collect()
}

/// Documents other manifests may refer to: all templates and values of a table, each once.
fn library(table: &Table) -> String {
    let fixtures = project().join("test/conformance/fixtures.yaml");
    let mut out = fs::read_to_string(fixtures).unwrap();
    let mut known = Vec::new();
    for (path, _) in &table.rows {
        let text = fs::read_to_string(table.folder.join(path)).unwrap();
        let Ok(infos) = documents(&text) else { continue };
        let parts = text.split("\n---").filter(|part| documents(part).is_ok());
        for part in parts.take(infos.len()) {
            let part = part.trim_start_matches(|c: char| c.is_whitespace() || c == '-');
            for info in documents(part).unwrap_or_default() {
                let kept = info.kind.is_template() || info.kind.name() == "ConfigMap";
                let key = (info.kind, info.name);
                if kept && !known.contains(&key) {
                    known.push(key);
                    out.push_str("\n---\n");
                    out.push_str(part);
                }
            }
        }
    }
    out
}

fn shown(problems: &Problems) -> Vec<String> {
    let first = problems.list.iter().take(6);
    first.map(|p| format!("{p} {}", p.pointer)).collect()
}

/// Every key of every manifest is known to the grammar as one thing or another.
#[test]
fn no_field_of_a_manifest_is_lost() {
    let mut lost = Vec::new();
    let mut files = 0;
    for table in tables() {
        for (path, _) in &table.rows {
            let text = fs::read_to_string(table.folder.join(path)).unwrap();
            match census(&text) {
                Ok(census) => {
                    let unknown =
                        census.constructs.iter().filter(|c| c.note == "there is no such field");
                    lost.extend(unknown.map(|c| format!("{path}:{}: {}", c.line, c.construct)));
                    assert!(!census.constructs.is_empty(), "{path}");
                }
                Err(problems) => lost.push(format!("{path}: {:?}", shown(&problems))),
            }
            files += 1;
        }
    }
    assert!(lost.is_empty(), "of {files} files:\n{}", lost.join("\n"));
}

/// What can run on one machine compiles, with the templates and values of its table beside it.
#[test]
fn manifests_that_can_run_here_compile() {
    let mut wrong = Vec::new();
    let mut tried = 0;
    for table in tables() {
        let library = library(&table);
        for (path, _) in table.rows.iter().filter(|(_, local)| local.starts_with("yes")) {
            if NOT_YET.contains(&path.as_str()) {
                continue;
            }
            let text = fs::read_to_string(table.folder.join(path)).unwrap();
            let alone =
                documents(&text).is_ok_and(|all| all.iter().all(|one| !one.kind.is_workflow()));
            if alone {
                continue;
            }
            let all_in_one = documents(&text).is_ok_and(|all| all.len() > 1);
            let text = if all_in_one { text } else { format!("{text}\n---\n{library}") };
            tried += 1;
            if let Err(problems) = compile(&text, &Options::default()) {
                wrong.push(format!("{path}: {:#?}", shown(&problems)));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {tried}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is not supported is refused by name and line, never by a field that seems unknown.
#[test]
fn manifests_that_cannot_run_here_are_refused_by_name() {
    let mut wrong = Vec::new();
    for table in tables() {
        for (path, _) in table.rows.iter().filter(|(_, local)| !local.starts_with("yes")) {
            let text = fs::read_to_string(table.folder.join(path)).unwrap();
            let Ok(census) = census(&text) else { continue };
            let refused = census.constructs.iter().filter(|c| c.level == Level::Unsupported);
            let nameless = refused.filter(|c| c.line == 0 || c.construct.is_empty());
            wrong.extend(nameless.map(|c| format!("{path}: {c:?}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
