//! SPDX expressions: may we take a crate under its licence?

/// Whether `expression` can be met by licences that `allowed` accepts. `/` is the old spelling of
/// `OR`. An expression that cannot be read is not met.
pub(crate) fn met(expression: &str, allowed: impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { words: &words };
    let met = reader.any(&allowed);
    met == Some(true) && reader.words.is_empty()
}

struct Reader<'a> {
    words: &'a [&'a str],
}

impl Reader<'_> {
    fn take(&mut self, word: &str) -> bool {
        match self.words.split_first() {
            Some((first, rest)) if *first == word => {
                self.words = rest;
                true
            }
            _ => false,
        }
    }

    fn any(&mut self, allowed: &impl Fn(&str) -> bool) -> Option<bool> {
        let mut met = self.all(allowed)?;
        while self.take("OR") {
            met |= self.all(allowed)?;
        }
        Some(met)
    }

    fn all(&mut self, allowed: &impl Fn(&str) -> bool) -> Option<bool> {
        let mut met = self.one(allowed)?;
        while self.take("AND") {
            met &= self.one(allowed)?;
        }
        Some(met)
    }

    fn one(&mut self, allowed: &impl Fn(&str) -> bool) -> Option<bool> {
        if self.take("(") {
            let met = self.any(allowed)?;
            return self.take(")").then_some(met);
        }
        let (name, rest) = self.words.split_first()?;
        self.words = rest;
        if self.take("WITH") {
            let (exception, rest) = self.words.split_first()?;
            self.words = rest;
            return Some(allowed(&format!("{name} WITH {exception}")));
        }
        Some(allowed(name))
    }
}

#[cfg(test)]
mod tests {
    use super::met;

    fn ok(expression: &str) -> bool {
        met(expression, |name| {
            ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&name)
        })
    }

    #[test]
    fn one_side_of_an_or_is_enough_and_both_of_an_and_are_needed() {
        assert!(ok("MIT OR GPL-3.0-only"));
        assert!(ok("GPL-2.0-only/MIT"));
        assert!(ok("(MIT OR Apache-2.0) AND ISC"));
        assert!(ok("Apache-2.0 WITH LLVM-exception OR GPL-2.0-only"));
        assert!(!ok("MIT AND GPL-3.0-only"));
        assert!(!ok("GPL-3.0-only"));
    }

    #[test]
    fn an_expression_that_cannot_be_read_is_refused() {
        assert!(!ok(""));
        assert!(!ok("(MIT"));
        assert!(!ok("MIT MIT"));
        assert!(!ok("MIT OR"));
    }
}
