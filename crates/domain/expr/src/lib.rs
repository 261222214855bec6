//! The languages inside a document: tags, `when`, `depends` and `{{=expressions}}`.
//!
//! Everything here is bounded: sources, nesting, steps and memory have the limits of
//! [`flowforge_model::limits`], no input panics or overflows the stack. A value that is put
//! into a text is data; it is never scanned for tags again.
#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::wildcard_enum_match_arm, clippy::expect_used)
)]

mod depends;
mod error;
#[cfg_attr(
    not(test),
    expect(
        clippy::wildcard_enum_match_arm,
        reason = "a dynamically typed language: every other type or operator is an error"
    )
)]
mod lang;
mod letters;
mod pattern;
mod reference;
mod render;
mod tags;
#[cfg_attr(
    not(test),
    expect(
        clippy::wildcard_enum_match_arm,
        reason = "a dynamically typed language: every other type or operator is an error"
    )
)]
mod when;

pub use depends::condition;
pub use error::{ConditionError, EvalError, RenderError, TagError, WhenError};
pub use lang::{
    Ambient, Entry, Environment, Outcome, Program, Root, check, evaluate, names, parse_check,
};
pub use reference::human;
pub use render::{Scope, decide, expression, render, render_with};
pub use tags::{RawSegment, parse_text};
pub use when::when;
