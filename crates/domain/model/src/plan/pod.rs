//! What a document asks of the pods of a task beside their containers.

use serde::{Deserialize, Serialize};

use crate::text::Text;

/// A value of any shape, as documents write it; its strings may hold tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Tree {
    /// A string.
    Text(Text),
    /// A whole number.
    Number(i64),
    /// `true` or `false`.
    Flag(bool),
    /// A list.
    List(Vec<Tree>),
    /// A map, in the order of the document.
    Map(Vec<(Box<str>, Tree)>),
}
