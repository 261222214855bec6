//! `when`: govaluate's language as Argo uses it.
//!
//! The text is substituted before it is parsed; bare words are strings. The grammar follows
//! govaluate at 7625b7f8, including what looks odd: operators of one level group to the left
//! (`2 ** 3 ** 2` is 64, and so do `?` and `:`), `==` is strict about types, and what follows a
//! closed parenthesis without an operator is ignored.

mod eval;
mod lexer;
mod parser;
mod time;

use flowforge_model::limits::EXPRESSION_BYTES;

use crate::error::{WhenError, cut};
use eval::Value;

/// Decides a substituted condition. The empty text is true.
///
/// # Errors
/// [`WhenError`] by class: it does not parse, cannot be evaluated, or is not a bool. Texts over
/// `limits::EXPRESSION_BYTES` do not parse.
pub fn when(source: &str) -> Result<bool, WhenError> {
    if source.is_empty() {
        return Ok(true);
    }
    let parse_error = |cause: String| WhenError::Parse { source_text: cut(source), cause };
    if source.len() > EXPRESSION_BYTES {
        return Err(parse_error("longer than 4096 bytes".to_owned()));
    }
    let mut tokens = lexer::tokens(source).map_err(parse_error)?;
    lexer::settle(&mut tokens).map_err(parse_error)?;
    let expression = parser::parse(&tokens).map_err(parse_error)?;
    match eval::evaluate(expression.as_ref()) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(other) => {
            Err(WhenError::NotBool { source_text: cut(source), value: cut(&other.to_string()) })
        }
        Err(cause) => Err(WhenError::Eval { source_text: cut(source), cause }),
    }
}

#[cfg(test)]
mod tests;
