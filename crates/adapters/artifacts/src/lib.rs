//! Artifacts: files and folders that travel between tasks.
//!
//! [`Stores`] implements the port. `fetch` and `keep` read from the top; below them are the
//! archives (`archive`), the fresh folder that files appear in (`unpack`), the places of objects
//! (`objects`) and two guards that everything passes: `path` looks at every name that others
//! wrote, `meter` counts what flows.
//!
//! Nothing is held in memory as a whole: a folder becomes an archive while it is sent, an archive
//! becomes a folder while it is received. Only a zip is put down on the way, because its
//! directory is at its end.

mod archive;
mod fault;
mod fetch;
mod keep;
mod meter;
mod objects;
mod path;
mod stores;
mod tree;
mod unpack;
mod web;

#[cfg(test)]
mod tests;

pub use objects::{Bucket, Keys};
pub use stores::{Repository, Setup, Stores};
