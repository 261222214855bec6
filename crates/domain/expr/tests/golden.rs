//! What Argo makes of conditions and expressions, recorded row by row: `tests/golden/*.tsv` are
//! ours, from govaluate 7625b7f8, expr-lang 1.17.8 and sprig 3.3 as Argo calls them.

#[path = "golden/table.rs"]
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use table::Tally;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    fs::read_to_string(path).unwrap_or_default()
}

#[track_caller]
fn all_passed(tally: &Tally, at_least: usize) {
    assert!(tally.failed.is_empty(), "{}", tally.failed.join("\n"));
    assert!(tally.passed >= at_least, "{} rows", tally.passed);
}

#[test]
fn conditions_are_decided_as_in_argo() {
    all_passed(&table::conditions(&read("conditions.tsv")), 300);
}

#[test]
fn expressions_have_the_values_they_have_in_argo() {
    all_passed(&table::expressions(&read("expressions.tsv")), 800);
}

/// Tables of the same kind that may lie beside the checkout.
#[test]
fn recorded_tables_beside_the_checkout_agree() {
    let beside = |name: &str| {
        let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../..");
        let table = fs::read_to_string(root.join("shared/corpus/argo").join(name)).ok();
        if table.is_none() {
            println!("{name} is not there: left out");
        }
        table
    };
    if let Some(table) = beside("when-golden.tsv") {
        all_passed(&table::conditions(&table), 1);
    }
    if let Some(table) = beside("expr-golden.tsv") {
        all_passed(&table::expressions(&table), 1);
    }
}
