//! `{{=expressions}}`: expr-lang 1.17 as Argo uses it, within budgets.
//!
//! Every leaf of the environment is a text, so `inputs.parameters.n == 5` is false and
//! `asInt(inputs.parameters.n) == 5` may be true. A missing leaf is nil; a missing first name and
//! types that can never fit are errors before anything is evaluated. Deviations: integers that
//! overflow are an error, not another number; there are no bytes literals; what order Go leaves
//! to chance (the keys of a map) is sorted.

mod ast;
mod builtins;
mod check;
mod dates;
mod environment;
mod eval;
mod fault;
mod lexer;
mod names;
mod nature;
mod parser;
mod text;
mod value;

use ast::Node;
pub use check::Root;
pub use environment::{Ambient, Entry, Environment};
use fault::Fault;
use value::{Layout, Value};

use crate::error::EvalError;
pub(crate) use text::go_float;

/// Reads a time in one of Go's layouts; where nothing says another zone, it is UTC.
pub(crate) fn parse_time(layout: &str, text: &str) -> Option<jiff::Zoned> {
    dates::parse(layout, text, &jiff::tz::TimeZone::UTC)
}

/// The value of an expression as a document shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No value.
    Nil,
    /// A truth.
    Bool(bool),
    /// A text, as it is.
    Text(String),
    /// Anything else, as compact JSON in Go's way.
    Json(String),
}

impl Outcome {
    /// The text that is put into a document; none for nil.
    #[must_use]
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Nil => None,
            Self::Bool(value) => Some(value.to_string()),
            Self::Text(text) | Self::Json(text) => Some(text),
        }
    }
}

/// An expression that was parsed and checked: evaluated often, it costs that once.
#[derive(Debug)]
pub struct Program {
    source: Box<str>,
    node: Node,
}

impl Program {
    /// Parses and checks an expression for environments whose first names are `roots`.
    ///
    /// # Errors
    /// [`EvalError::Compile`] or [`EvalError::SourceLimit`].
    pub fn compile(source: &str, roots: &dyn Fn(&str) -> Option<Root>) -> Result<Self, EvalError> {
        let node = compiled(source, roots).map_err(|fault| fault.into_error(source))?;
        Ok(Self { source: source.into(), node })
    }

    /// Evaluates it. Time, memory and nesting are bounded by `limits::EXPRESSION_*`.
    ///
    /// # Errors
    /// [`EvalError::Run`] or [`EvalError::RunLimit`].
    pub fn run(&self, env: &dyn Environment) -> Result<Outcome, EvalError> {
        run(&self.node, env).map_err(|fault| fault.into_error(&self.source))
    }
}

/// Parses, checks and evaluates an expression over `env`.
///
/// Time, memory and nesting are bounded by `limits::EXPRESSION_*`, whatever the source.
///
/// # Errors
/// [`EvalError`]: it does not parse, has types that do not fit, fails, or reaches a limit.
pub fn evaluate(source: &str, env: &dyn Environment) -> Result<Outcome, EvalError> {
    let roots = |name: &str| match env.entry(&[name]) {
        Entry::Absent => None,
        Entry::Text(_) => Some(Root::Text),
        Entry::Map => Some(Root::Map),
        Entry::Json(_) | Entry::Time(_) => Some(Root::Either),
    };
    compiled(source, &roots)
        .and_then(|node| run(&node, env))
        .map_err(|fault| fault.into_error(source))
}

/// Checks an expression before there are values: that it parses, that its types fit, and that
/// all its functions exist. `roots` says what first names it may use.
///
/// # Errors
/// [`EvalError::Compile`] or [`EvalError::SourceLimit`].
pub fn check(source: &str, roots: &dyn Fn(&str) -> Option<Root>) -> Result<(), EvalError> {
    let checked = compiled(source, roots).and_then(|node| known_functions(&node));
    checked.map_err(|fault| fault.into_error(source))
}

/// Checks that an expression parses and that all its functions exist, whatever its names are.
///
/// # Errors
/// [`EvalError::Compile`] or [`EvalError::SourceLimit`].
pub fn parse_check(source: &str) -> Result<(), EvalError> {
    let checked = parser::parse(source).and_then(|node| known_functions(&node));
    checked.map_err(|fault| fault.into_error(source))
}

/// The names of the environment an expression uses, each as the path that is certain:
/// `tasks['a'].outputs[x]` gives `tasks`, `a`, `outputs`. Variables of `let` are left out.
///
/// # Errors
/// As [`parse_check`].
pub fn names(source: &str) -> Result<Vec<Vec<String>>, EvalError> {
    let node = parser::parse(source).map_err(|fault| fault.into_error(source))?;
    let mut out = Vec::new();
    names::collect(&node, &mut Vec::new(), &mut out);
    Ok(out)
}

fn compiled(source: &str, roots: &dyn Fn(&str) -> Option<Root>) -> Result<Node, Fault> {
    let node = parser::parse(source)?;
    check::check(&node, roots)?;
    Ok(node)
}

fn known_functions(node: &Node) -> Result<(), Fault> {
    match check::unknown_function(node) {
        Some((name, at)) => Err(Fault::Compile(format!("there is no function {name}"), at)),
        None => Ok(()),
    }
}

fn run(node: &Node, env: &dyn Environment) -> Result<Outcome, Fault> {
    Ok(match eval::evaluate(node, env)? {
        Value::Nil => Outcome::Nil,
        Value::Bool(value) => Outcome::Bool(value),
        Value::Text(text) => Outcome::Text((*text).to_owned()),
        other => {
            let mut out = String::new();
            value::go_json(&other, Layout { indented: false, html: true }, &mut out)?;
            Outcome::Json(out)
        }
    })
}

#[cfg(test)]
mod tests;
