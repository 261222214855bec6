//! Counting lines of code: no blank lines, no comments, no tests.

/// Lines of code of one Rust file; files of tests have none.
pub(crate) fn code(path: &str, text: &str) -> usize {
    let test_file = path.ends_with("/tests.rs")
        || path.ends_with("_tests.rs")
        || path.contains("/tests/")
        || path.contains("/benches/");
    if test_file {
        return 0;
    }
    let mut count = 0_usize;
    let mut lines = text.lines().peekable();
    let mut comment = false;
    while let Some(line) = lines.next() {
        let line = line.trim_end();
        let inner = line.trim_start();
        if comment {
            comment = !inner.contains("*/");
            continue;
        }
        if inner.starts_with("/*") {
            comment = !inner.contains("*/");
            continue;
        }
        if line == "#[cfg(test)]" {
            // rustfmt closes a block at the column where it was opened.
            let opens_block = lines.peek().is_some_and(|next| next.trim_end().ends_with('{'));
            for skipped in lines.by_ref() {
                let ends = if opens_block { skipped == "}" } else { skipped.ends_with(';') };
                if ends {
                    break;
                }
            }
            continue;
        }
        if !inner.is_empty() && !inner.starts_with("//") {
            count = count.saturating_add(1);
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::code;

    const FILE: &str = "//! Docs.\n\nuse a;\n\n/// Doc.\nfn b() {\n    c(); // why\n}\n\n/* old\n   words */\n\
        #[cfg(test)]\nmod tests {\n    fn t() {\n    }\n}\n\nfn d() {}\n";

    #[test]
    fn comments_blanks_and_tests_do_not_count() {
        assert_eq!(code("crates/a/src/b.rs", FILE), 5);
    }

    #[test]
    fn a_module_of_tests_in_its_own_file_does_not_count() {
        assert_eq!(code("crates/a/src/b/tests.rs", FILE), 0);
        let declared = "#[cfg(test)]\nmod tests;\nfn a() {}\n";
        assert_eq!(code("crates/a/src/b.rs", declared), 1);
    }
}
