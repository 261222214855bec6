//! The reference page is what the grammar says.

use std::fs;

#[test]
fn the_page_of_fields_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../docs/reference/argo.md");
    let page = flowforge_spec::reference_page();
    if std::env::var_os("BLESS").is_some() {
        fs::write(path, &page).unwrap();
    }
    let written = fs::read_to_string(path).unwrap_or_default();
    let hint = "BLESS=1 cargo test -p flowforge-spec --test reference";
    assert!(written == page, "docs/reference/argo.md is out of date: {hint}");
}
