//! Artifacts as a document names them.

use serde::{Deserialize, Serialize};

use super::containers::Value;
use crate::artifact::{Archive, S3Location};
use crate::text::Text;

/// Where an artifact comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ArtifactSource {
    /// Another artifact of this run.
    From(ArtifactRef, Option<Text>),
    /// `fromExpression`: an expression that yields one of them, with a part of it to take.
    Expression(Box<str>, Option<Text>),
    /// A place that the document names.
    Place(Place),
}

/// An artifact of this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactRef {
    /// `inputs.artifacts.NAME` of the template that holds the text.
    Input(Box<str>),
    /// `tasks.NAME.outputs.artifacts.ARTIFACT`
    Sibling {
        /// Place of the task in the enclosing template.
        slot: u32,
        /// The artifact.
        name: Box<str>,
    },
    /// `workflow.outputs.artifacts.NAME`: exported by a `globalName`.
    Workflow(Box<str>),
}

/// A place of an artifact whose texts may hold tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// Which kind of place, with its texts.
    pub kind: PlaceKind,
    /// How the bytes are packed there.
    pub archive: Archive,
    /// Only this part.
    pub sub_path: Option<Text>,
}

/// Kinds of places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PlaceKind {
    /// A key in the repository of the project.
    Repository(Text),
    /// An object of a bucket; the key may hold tags, the rest is fixed.
    S3(Box<S3Location>, Text),
    /// A URL with headers.
    Http(Text, Vec<(Box<str>, Value)>),
    /// A text.
    Raw(Text),
}

/// An artifact a template takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InputArtifact {
    /// Its name.
    pub name: Box<str>,
    /// Where the container finds it; empty in a dag or steps template, which only passes it on.
    pub path: Option<Text>,
    /// Used when the caller gives none.
    pub default: Option<ArtifactSource>,
    /// Missing is fine.
    pub optional: bool,
    /// Permission bits.
    pub mode: Option<u32>,
    /// The mode is for everything below as well.
    pub recurse: bool,
}

/// An artifact a template gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutputArtifact {
    /// Its name.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: OutputArtifactSource,
    /// Exported as `workflow.outputs.artifacts.NAME` too.
    pub global_name: Option<Box<str>>,
    /// Missing is fine.
    pub optional: bool,
}

/// Where an output artifact comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum OutputArtifactSource {
    /// A file or folder the container writes, and where it is kept: a place of the document, or
    /// (none) the repository under a key of its own.
    Path {
        /// Where the container writes it.
        path: Text,
        /// Where it is kept.
        keep: Option<PlaceKind>,
        /// How it is packed.
        archive: Archive,
    },
    /// One of the children of a dag or steps template.
    From(ArtifactSource),
}
