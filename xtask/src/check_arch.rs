//! `cargo xtask check-arch`: the folder is the architecture, and this keeps it so.

mod licence;
mod rules;

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::{Dependency, Metadata, Package, built, root};

/// Checks everything and prints every fault, not the first.
pub(crate) fn run() -> anyhow::Result<ExitCode> {
    let metadata = Metadata::load()?;
    let members = metadata.members();
    let mut faults = Vec::new();
    for member in &members {
        faults.extend(arrow_faults(member, &members));
        faults.extend(outside_faults(member, &members));
        faults.extend(manifest_faults(member)?);
    }
    faults.extend(absent_faults(&built()?));
    faults.extend(licence_faults(&metadata));
    faults.extend(map_faults(&members)?);
    for fault in &faults {
        println!("{fault}");
    }
    println!(
        "check-arch: {} crates of ours, {} of others, {} faults",
        members.len(),
        metadata.packages.len().saturating_sub(members.len()),
        faults.len()
    );
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn in_tests(dependency: &Dependency) -> bool {
    dependency.kind.as_deref() == Some("dev")
}

fn arrow_faults(member: &Package, members: &[&Package]) -> Vec<String> {
    let Some(arrows) = rules::ARROWS.iter().find(|row| row.from == member.name) else {
        return vec![format!("{}: not in the table of xtask/src/check_arch/rules.rs", member.name)];
    };
    member
        .dependencies
        .iter()
        .filter(|dependency| members.iter().any(|other| other.name == dependency.name))
        .filter(|dependency| {
            let name = dependency.name.as_str();
            let allowed =
                arrows.to.contains(&name) || (in_tests(dependency) && arrows.tests.contains(&name));
            !allowed
        })
        .map(|dependency| {
            format!(
                "{} -> {}: no such arrow; it may name {:?}{}",
                member.name,
                dependency.name,
                arrows.to,
                if in_tests(dependency) {
                    format!(", its tests {:?}", arrows.tests)
                } else {
                    String::new()
                }
            )
        })
        .collect()
}

fn outside_faults(member: &Package, members: &[&Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for dependency in &member.dependencies {
        let name = dependency.name.as_str();
        if members.iter().any(|other| other.name == name) {
            continue;
        }
        let kept = rules::KEPT.iter().find(|kept| kept.name == name);
        if let Some(kept) = kept
            && !in_tests(dependency)
            && !kept.by.contains(&member.name.as_str())
        {
            let why = kept.why;
            faults.push(format!("{} -> {name}: only {:?}: {why}", member.name, kept.by));
        }
        let may = if rules::pure(&member.name) {
            rules::PURE_MAY
        } else if member.name == "flowforge-ports" {
            rules::PORTS_MAY
        } else {
            continue;
        };
        let in_its_tests = in_tests(dependency) && rules::PURE_TESTS_MAY.contains(&name);
        if !may.contains(&name) && !in_its_tests {
            faults.push(format!(
                "{} -> {name}: this crate knows no technology; it may use {may:?}",
                member.name
            ));
        }
    }
    faults
}

fn manifest_faults(member: &Package) -> anyhow::Result<Vec<String>> {
    let path = &member.manifest_path;
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let mut faults = Vec::new();
    if !text.contains("[lints]\nworkspace = true") {
        faults.push(format!("{}: does not inherit the workspace's lints", member.name));
    }
    faults.extend(
        own_versions(&text)
            .into_iter()
            .map(|line| format!("{}: `{line}`: write `.workspace = true`", member.name)),
    );
    if rules::pure(&member.name) {
        let library = path.with_file_name("src").join("lib.rs");
        let source =
            fs::read_to_string(&library).with_context(|| format!("read {}", library.display()))?;
        if !source.contains("clippy::indexing_slicing") {
            faults.push(format!(
                "{}: lib.rs does not deny indexing_slicing outside tests",
                member.name
            ));
        }
    }
    Ok(faults)
}

/// Dependency lines that do not take their version from the workspace.
fn own_versions(manifest: &str) -> Vec<&str> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line.contains("dependencies");
        } else if inside
            && !line.is_empty()
            && !line.starts_with('#')
            && !line.contains("workspace = true")
        {
            found.push(line);
        }
    }
    found
}

fn absent_faults(built: &BTreeSet<String>) -> Vec<String> {
    rules::ABSENT
        .iter()
        .filter(|(name, _)| built.contains(*name))
        .map(|(name, why)| format!("{name} is in the build: {why}"))
        .collect()
}

fn licence_faults(metadata: &Metadata) -> Vec<String> {
    metadata
        .packages
        .iter()
        .filter(|package| {
            let expression = package.license.as_deref().unwrap_or("");
            !licence::met(expression, |name| rules::LICENCES.contains(&name))
        })
        .map(|package| {
            format!(
                "{} {}: licence {} is not on the list",
                package.name,
                package.version,
                package.license.as_deref().unwrap_or("(none named)")
            )
        })
        .collect()
}

/// ARCHITECTURE.md names every crate, stays readable, and the table names no crate that is gone.
fn map_faults(members: &[&Package]) -> anyhow::Result<Vec<String>> {
    let map = fs::read_to_string(root().join("ARCHITECTURE.md")).context("read ARCHITECTURE.md")?;
    let mut faults: Vec<String> = members
        .iter()
        .filter(|member| !map.contains(&format!("`{}`", member.name)))
        .map(|member| format!("ARCHITECTURE.md does not mention `{}`", member.name))
        .collect();
    if map.lines().count() > 300 {
        faults.push("ARCHITECTURE.md is longer than 300 lines".to_owned());
    }
    for row in rules::ARROWS {
        if !members.iter().any(|member| member.name == row.from) {
            faults.push(format!("{}: in the table, not in the workspace", row.from));
        }
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{absent_faults, arrow_faults, licence_faults, outside_faults, own_versions};
    use crate::workspace::{Dependency, Metadata, Package};

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: Some("MIT".to_owned()),
            manifest_path: "Cargo.toml".into(),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency {
                    name: (*name).to_owned(),
                    kind: kind.map(str::to_owned),
                })
                .collect(),
        }
    }

    #[test]
    fn an_arrow_that_points_up_is_a_fault() {
        let engine = package("flowforge-engine", &[("flowforge-store", None)]);
        let store = package("flowforge-store", &[]);
        assert_eq!(arrow_faults(&engine, &[&engine, &store]).len(), 1);
    }

    #[test]
    fn a_service_may_not_name_another_service_even_in_tests() {
        let api = package("flowforge-svc-api", &[("flowforge-svc-controller", Some("dev"))]);
        let controller = package("flowforge-svc-controller", &[]);
        assert_eq!(arrow_faults(&api, &[&api, &controller]).len(), 1);
    }

    #[test]
    fn a_crate_that_is_not_in_the_table_is_a_fault() {
        let stray = package("flowforge-stray", &[]);
        assert_eq!(arrow_faults(&stray, &[&stray]).len(), 1);
    }

    #[test]
    fn tests_may_name_what_the_crate_itself_may_not() {
        let spec = package("flowforge-spec", &[]);
        let engine = package("flowforge-engine", &[("flowforge-spec", Some("dev"))]);
        assert!(arrow_faults(&engine, &[&engine, &spec]).is_empty());
        let engine = package("flowforge-engine", &[("flowforge-spec", None)]);
        assert_eq!(arrow_faults(&engine, &[&engine, &spec]).len(), 1);
    }

    #[test]
    fn only_the_store_may_know_sql() {
        let store = package("flowforge-store", &[("rusqlite", None)]);
        assert!(outside_faults(&store, &[&store]).is_empty());
        let api = package("flowforge-svc-api", &[("rusqlite", None)]);
        assert_eq!(outside_faults(&api, &[&api]).len(), 1);
    }

    #[test]
    fn a_pure_crate_may_not_take_a_runtime() {
        let engine = package("flowforge-engine", &[("tokio", None), ("proptest", Some("dev"))]);
        assert_eq!(outside_faults(&engine, &[&engine]).len(), 1);
    }

    #[test]
    fn banned_crates_and_odd_licences_are_named() {
        let mut odd = package("odd", &[]);
        odd.license = Some("AGPL-3.0-only".to_owned());
        let metadata = Metadata { packages: vec![odd], workspace_members: Vec::new() };
        assert_eq!(absent_faults(&BTreeSet::from(["ring".to_owned()])).len(), 1);
        assert_eq!(licence_faults(&metadata).len(), 1);
    }

    #[test]
    fn a_version_of_its_own_is_found() {
        let manifest = "[dependencies]\nserde = \"1\"\nuuid.workspace = true\n[features]\nx = []\n";
        assert_eq!(own_versions(manifest), ["serde = \"1\""]);
    }
}
