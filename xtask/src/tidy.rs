//! `cargo xtask tidy`: ratchets on size, names and leftovers, for every file that git knows.

mod lines;

use std::collections::BTreeSet;
use std::fs;
use std::process::ExitCode;

use anyhow::{Context, ensure};

use crate::workspace::{output, root};
use crate::{examples, limits};

/// Code lines at which a file fails.
const TOO_LONG: usize = 600;
/// Code lines at which a file is listed for a second look.
const LONG: usize = 400;
/// File names that say nothing.
const EMPTY_NAMES: [&str; 6] = ["utils", "common", "helpers", "misc", "types", "mod"];
/// Leftovers in source code. Put together here, so that this file passes its own check.
const LEFTOVERS: [(&str, &str); 4] = [
    (concat!("FIX", "ME"), "fix it, or write an issue"),
    (concat!("XX", "X"), "say it in a sentence"),
    (concat!("dbg", "!("), "a leftover of debugging"),
    (concat!("#[al", "low("), "use #[expect(lint, reason = \"...\")]"),
];
const OPEN_TASK: &str = concat!("TO", "DO");
/// Places of one machine, and hosts that packages come from: neither belongs in the project.
const FOREIGN: [&str; 8] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("npmjs", ".org"),
    concat!("deb.debian", ".org"),
];
/// Files that others write.
const GENERATED: [&str; 2] = ["Cargo.lock", "LICENSE"];

/// Checks everything; with `bless` writes the generated reference anew first.
pub(crate) fn run(bless: bool) -> anyhow::Result<ExitCode> {
    if bless {
        limits::write()?;
    }
    let files = files()?;
    let mut faults = Vec::new();
    let mut long = Vec::new();
    for path in &files {
        let Ok(text) = fs::read_to_string(root().join(path)) else {
            continue; // not text, or deleted and not yet committed
        };
        faults.extend(text_faults(path, &text));
        if path.ends_with(".rs") {
            let code = lines::code(path, &text);
            if code > TOO_LONG {
                faults.push(format!("{path}: {code} lines of code, more than {TOO_LONG}"));
            } else if code > LONG {
                long.push(format!("{path}: {code} lines of code, look again"));
            }
        }
    }
    faults.extend(example_faults(&files)?);
    faults.extend(limits::faults()?);
    for line in long.iter().chain(&faults) {
        println!("{line}");
    }
    println!("tidy: {} files, {} faults", files.len(), faults.len());
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Every file that is committed or would be.
fn files() -> anyhow::Result<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root()).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let listed: BTreeSet<String> = output(&mut git)?.lines().map(str::to_owned).collect();
    ensure!(!listed.is_empty(), "git lists no file here");
    Ok(listed.into_iter().collect())
}

fn text_faults(path: &str, text: &str) -> Vec<String> {
    let name = path.rsplit('/').next().unwrap_or(path);
    if GENERATED.contains(&name) || path.ends_with(".snap") {
        return Vec::new();
    }
    let mut faults = Vec::new();
    let source = !path.ends_with(".md");
    let stem = name.split('.').next().unwrap_or(name);
    if EMPTY_NAMES.contains(&stem) {
        faults.push(format!("{path}: `{stem}` does not say what is in it"));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        faults.push(format!("{path}: no newline at the end"));
    }
    for (number, line) in (1_usize..).zip(text.lines()) {
        for fault in line_faults(line, source, path.ends_with(".rs")) {
            faults.push(format!("{path}:{number}: {fault}"));
        }
    }
    faults
}

fn line_faults(line: &str, source: bool, rust: bool) -> Vec<String> {
    let mut faults = Vec::new();
    if line.ends_with([' ', '\t', '\r']) {
        faults.push("white space at the end".to_owned());
    }
    for place in FOREIGN {
        if names_place(line, place) {
            faults.push(format!("`{place}` is a place of one machine"));
        }
    }
    if source {
        for (leftover, advice) in LEFTOVERS {
            if has_word(line, leftover) {
                faults.push(format!("`{leftover}`: {advice}"));
            }
        }
        if has_word(line, OPEN_TASK) && !names_issue(line) {
            faults.push(format!("`{OPEN_TASK}` without the number of an issue, as in #12"));
        }
    }
    if rust && let Some(manager) = manager(line) {
        faults.push(format!("`{manager}`: name it after what it does"));
    }
    faults
}

/// Whether `word` stands in the line by itself, not inside a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at.saturating_add(word.len())..).and_then(|text| text.chars().next());
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        // A pattern that ends in punctuation is complete by itself.
        !inside(before) && (word.ends_with('(') || !inside(after))
    })
}

/// Whether the line names a folder at the root, or a host; not a longer path or name with it.
fn names_place(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.}~".contains(c))
            || (!place.starts_with('/') && before == Some('.'))
    })
}

fn names_issue(line: &str) -> bool {
    line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// A type declared on this line whose name ends in `Manager`.
fn manager(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line =
        line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
    let rest = ["struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|keyword| line.strip_prefix(keyword))?;
    let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
    name.ends_with(concat!("Man", "ager")).then_some(name)
}

/// Every example is explained in examples/README.md and run by the e2e tier.
fn example_faults(files: &[String]) -> anyhow::Result<Vec<String>> {
    let readme =
        fs::read_to_string(root().join("examples/README.md")).context("read examples/README.md")?;
    let found: BTreeSet<&str> = files
        .iter()
        .filter_map(|path| path.strip_prefix("examples/"))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    let tested: BTreeSet<&str> = examples::ALL.iter().map(|example| example.file).collect();
    let mut faults = Vec::new();
    for name in &found {
        if !readme.contains(&format!("`{name}`")) && !readme.contains(&format!("({name})")) {
            faults.push(format!("examples/README.md does not mention {name}"));
        }
        if !tested.contains(name) {
            faults.push(format!("examples/{name}: no row in xtask/src/examples.rs"));
        }
    }
    for name in tested.difference(&found) {
        faults.push(format!("examples/{name} is gone, its row in xtask is not"));
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::{LEFTOVERS, OPEN_TASK, line_faults, text_faults};

    #[test]
    fn a_leftover_fails_in_source_and_not_in_prose() {
        for (leftover, _) in LEFTOVERS {
            let line = format!("    {leftover} something)");
            assert_eq!(line_faults(&line, true, true).len(), 1, "{line}");
            assert!(line_faults(&line, false, false).is_empty(), "{line}");
        }
    }

    #[test]
    fn an_open_task_needs_the_number_of_an_issue() {
        assert_eq!(line_faults(&format!("// {OPEN_TASK}: later"), true, true).len(), 1);
        assert!(line_faults(&format!("// {OPEN_TASK}(#12): later"), true, true).is_empty());
    }

    #[test]
    fn a_name_that_only_contains_a_leftover_is_fine() {
        let name = concat!("TO", "DO", "S_SEEN");
        assert!(line_faults(name, true, true).is_empty());
        assert!(line_faults(concat!("AXX", "X"), true, true).is_empty());
    }

    #[test]
    fn places_of_one_machine_fail_and_relative_ones_do_not() {
        let home = concat!("see /ho", "me/ada/notes");
        assert_eq!(line_faults(home, true, false).len(), 1);
        assert!(line_faults(concat!("see ./ho", "me/notes"), true, false).is_empty());
        assert_eq!(line_faults(concat!("static.crates", ".io"), false, false).len(), 1);
    }

    #[test]
    fn managers_and_empty_names_fail() {
        let line = concat!("pub struct LeaseMan", "ager {");
        assert_eq!(line_faults(line, true, true).len(), 1);
        assert_eq!(text_faults("crates/a/src/utils.rs", "\n").len(), 1);
        assert_eq!(text_faults("crates/a/src/lease.rs", "fn a() {}").len(), 1);
        assert_eq!(text_faults("a.md", "end \n").len(), 1);
    }
}
