//! Counting tests over many test programs.

/// What passed and what failed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// Adds another tally to this one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }

    /// Counts one test by its outcome and says what failed.
    pub(crate) fn count(&mut self, outcome: anyhow::Result<String>) {
        match outcome {
            Ok(name) => {
                println!("ok      {name}");
                self.passed = self.passed.saturating_add(1);
            }
            Err(error) => {
                println!("FAILED  {error:#}");
                self.failed = self.failed.saturating_add(1);
            }
        }
    }

    /// Adds a line of a test program if it is its closing line, as in
    /// `test result: ok. 12 passed; 0 failed; ...`.
    pub(crate) fn read(&mut self, line: &str) {
        if line.starts_with("test result: ") {
            self.add(&Self {
                passed: number_before(line, " passed"),
                failed: number_before(line, " failed"),
            });
        }
    }
}

/// Whether a line only says that a test program has no tests.
pub(crate) fn empty(line: &str) -> bool {
    line.is_empty()
        || line == "running 0 tests"
        || (line.starts_with("test result: ") && line.contains(" 0 passed; 0 failed; 0 ignored"))
}

fn number_before(line: &str, word: &str) -> u64 {
    line.split_once(word)
        .and_then(|(before, _)| before.rsplit(' ').next())
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{Tally, empty};

    #[test]
    fn closing_lines_are_added_up_and_others_are_not() {
        let mut tally = Tally::default();
        tally.read("running 3 tests");
        tally.read("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured");
        tally.read("test result: \u{1b}[31mFAILED\u{1b}[m. 10 passed; 2 failed; 0 ignored");
        assert_eq!(tally, Tally { passed: 13, failed: 2 });
    }

    #[test]
    fn a_program_without_tests_is_not_worth_a_line() {
        assert!(empty("running 0 tests"));
        assert!(empty("test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured"));
        assert!(!empty("test result: ok. 10 passed; 0 failed; 0 ignored; 0 measured"));
    }
}
