//! `{{=expressions}}`: the core of expr-lang, as Argo uses it, within budgets.
//!
//! Every leaf of the environment is a string, so `inputs.parameters.n == 5` is false and
//! `asInt(inputs.parameters.n) == 5` may be true. A missing leaf is nil, a missing root an error.
//! Deviations: types are checked when a value is used, not before; there is no clock, so `now`
//! and dates are missing; integers that overflow are an error.

mod ast;
mod closures;
mod eval;
mod functions;
mod lexer;
mod parser;
mod sprig;
mod text;
mod value;

use serde_json::Value as Json;

use crate::error::EvalError;
pub(crate) use text::go_float;

/// Evaluates an expression over `env`, whose fields are the names it may use.
///
/// Time, memory and nesting are bounded by `limits::EXPRESSION_*`, whatever the source.
///
/// # Errors
/// [`EvalError`]: it does not parse, a value has the wrong type, or a limit is reached.
pub fn evaluate(source: &str, env: &Json) -> Result<Json, EvalError> {
    let node = parser::parse(source)?;
    let value = eval::evaluate(&node, env)?;
    value.to_json(0)
}

/// Checks that an expression parses, without a value for its names.
///
/// # Errors
/// [`EvalError::Syntax`] or [`EvalError::Limit`].
pub fn parse_check(source: &str) -> Result<(), EvalError> {
    parser::parse(source).map(drop)
}

/// The names of the environment an expression uses, each as the path that is certain:
/// `tasks['a'].outputs[x]` gives `tasks`, `a`, `outputs`. Variables of `let` are left out.
///
/// # Errors
/// As [`parse_check`].
pub fn names(source: &str) -> Result<Vec<Vec<String>>, EvalError> {
    let node = parser::parse(source)?;
    let mut out = Vec::new();
    ast::names(&node, &mut Vec::new(), &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests;
