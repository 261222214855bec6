//! Go's regular expressions within a budget: linear engine, small programs, bounded text.

mod syntax;

use regex_lite::{Regex, RegexBuilder};

/// State visits one match may take: about 30 ms here.
const VISITS: usize = 4_000_000;
/// Program sizes that are tried, in bytes. The smallest that holds the pattern bounds its states.
const SIZES: [usize; 4] = [1 << 10, 1 << 12, 1 << 14, 1 << 15];
/// Bytes of program per state, from below.
const STATE_BYTES: usize = 16;

/// Whether `pattern` matches somewhere in `text`, and how many visits that may have taken.
///
/// # Errors
/// In words: the pattern does not parse, or matching could take too long.
pub(crate) fn matches(pattern: &str, text: &str) -> Result<(bool, usize), String> {
    let (regex, size) = compile(pattern)?;
    let visits = visits(size, text)?;
    Ok((regex.is_match(text), visits))
}

/// The visits that looking for a pattern of `size` in `text` may take.
///
/// # Errors
/// In words: more than a match may take.
pub(crate) fn visits(size: usize, text: &str) -> Result<usize, String> {
    let visits = (size / STATE_BYTES).saturating_mul(text.len());
    if visits > VISITS {
        return Err("the pattern or the text is too large to match".to_owned());
    }
    Ok(visits)
}

/// Compiles a pattern to the smallest program size that holds it.
///
/// # Errors
/// In words: it does not parse, or no size holds it.
pub(crate) fn compile(pattern: &str) -> Result<(Regex, usize), String> {
    let pattern = &syntax::translate(pattern)?;
    let mut error = String::new();
    for size in SIZES {
        match RegexBuilder::new(pattern).size_limit(size).nest_limit(32).build() {
            Ok(regex) => return Ok((regex, size)),
            Err(e) => error = e.to_string(),
        }
    }
    Err(error)
}
