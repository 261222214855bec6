//! Which fields each kind of map has and what becomes of each: the one table that the checks of a
//! document, the census of `import` and the reference page are made from.
//!
//! A field that stands in no table is an error: nothing of a document is dropped in silence.

mod artifact;
mod container;
mod document;
mod lock;
mod pod;
mod task;
mod template;
mod volume;

pub(crate) use artifact::*;
pub(crate) use container::*;
pub(crate) use document::*;
pub(crate) use lock::*;
pub(crate) use pod::*;
pub(crate) use task::*;
pub(crate) use template::*;
pub(crate) use volume::*;

/// The fields of one kind of map.
#[derive(Debug)]
pub(crate) struct Kind {
    /// For messages, with an article.
    pub(crate) name: &'static str,
    fields: &'static [Field],
    /// Fields it has in common with other kinds.
    shared: &'static [Field],
}

/// A field: its key, what becomes of it, and what stands below it.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) key: &'static str,
    pub(crate) support: Support,
    pub(crate) holds: Holds,
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Support {
    /// As the document means it.
    Full,
    /// By other means: how.
    Emulated(&'static str),
    /// Accepted with a warning: why it changes nothing.
    NoEffect(&'static str),
    /// Refused: why. An empty text says nothing more than that.
    Unsupported(&'static str),
}

/// What stands below a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holds {
    /// A value; or a tree that is not looked into.
    Value,
    /// A scalar that is a string whatever it was written as, or lists and maps of such.
    AnyString,
    /// A map.
    Map(&'static Kind),
    /// A list of maps.
    List(&'static Kind),
    /// A list of lists of maps; a map beside lists is a list of its own.
    Groups(&'static Kind),
    /// A map from names to maps.
    Named(&'static Kind),
}

impl Kind {
    /// The same kind with the fields of several.
    const fn with(self, shared: &'static [Field]) -> Self {
        Self { shared, ..self }
    }

    /// Its name without an article.
    pub(crate) fn short_name(&self) -> &'static str {
        let articles = ["a ", "an ", "the "];
        let short = articles.iter().find_map(|article| self.name.strip_prefix(article));
        short.unwrap_or(self.name)
    }

    /// All its fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &'static Field> + Clone + use<> {
        self.fields.iter().chain(self.shared)
    }

    /// The field of this key.
    pub(crate) fn field(&self, key: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.key == key)
    }

    /// The keys that a document may use.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> + Clone + use<> {
        let usable = |field: &&Field| !matches!(field.support, Support::Unsupported(_));
        self.fields().filter(usable).map(|field| field.key)
    }

    /// The keys that are refused by name.
    pub(crate) fn refused_keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        let refused = |field: &&Field| matches!(field.support, Support::Unsupported(_));
        self.fields().filter(refused).map(|field| field.key)
    }
}

impl Field {
    /// The same field, holding a map.
    const fn map(self, kind: &'static Kind) -> Self {
        Self { holds: Holds::Map(kind), ..self }
    }

    /// The same field, holding any scalar as a string.
    const fn any_string(self) -> Self {
        Self { holds: Holds::AnyString, ..self }
    }

    /// The same field, holding a list of maps.
    const fn list(self, kind: &'static Kind) -> Self {
        Self { holds: Holds::List(kind), ..self }
    }

    /// The same field, holding a list of lists of maps.
    const fn groups(self, kind: &'static Kind) -> Self {
        Self { holds: Holds::Groups(kind), ..self }
    }

    /// The same field, holding maps by their names.
    const fn named(self, kind: &'static Kind) -> Self {
        Self { holds: Holds::Named(kind), ..self }
    }
}

/// A kind of map; its name has an article.
const fn kind(name: &'static str, fields: &'static [Field]) -> Kind {
    Kind { name, fields, shared: &[] }
}

/// A field that means what it says.
const fn full(key: &'static str) -> Field {
    Field { key, support: Support::Full, holds: Holds::Value }
}

/// A field that is done by other means.
const fn emulated(key: &'static str, how: &'static str) -> Field {
    Field { key, support: Support::Emulated(how), holds: Holds::Value }
}

/// A field that is accepted and changes nothing.
const fn no_effect(key: &'static str, why: &'static str) -> Field {
    Field { key, support: Support::NoEffect(why), holds: Holds::Value }
}

/// A field that is refused.
const fn refused(key: &'static str, why: &'static str) -> Field {
    Field { key, support: Support::Unsupported(why), holds: Holds::Value }
}

/// Why fields of a pod change nothing.
const NO_POD: &str = "a local process has no pod";
/// Why a choice of machines changes nothing.
const ONE_MACHINE: &str = "local processes run on the machine of the server";
/// Why accounts and tokens of Kubernetes change nothing.
const NO_ACCOUNT: &str = "local processes run as the user of the server";
