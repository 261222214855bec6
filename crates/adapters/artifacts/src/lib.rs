//! Artifacts: files and folders that travel between tasks.
//!
//! [`Stores`] implements the port. `fetch` and `keep` read from the top; below them are the
//! archives (`archive`), the fresh folder that files appear in (`unpack`), the places of objects
//! (`objects`) and two guards that everything passes: `path` looks at every name that others
//! wrote, `meter` counts what flows.
//!
//! In a pod there are no stores: [`Carried`] does the same there, with the bytes of a [`Line`] to a
//! server, which has them.
//!
//! Nothing is held in memory as a whole: a folder becomes an archive while it is sent, an archive
//! becomes a folder while it is received. Only a zip is put down on the way, because its
//! directory is at its end.

mod archive;
#[cfg(feature = "places")]
mod bytes;
mod carried;
mod fault;
mod fetch;
mod keep;
mod meter;
mod objects;
mod path;
mod place;
#[cfg(feature = "places")]
mod stores;
mod tree;
mod unpack;
#[cfg(feature = "places")]
mod web;

#[cfg(test)]
#[cfg(feature = "places")]
mod tests;

pub use carried::{Carried, Line};
pub use objects::Upload;
#[cfg(feature = "places")]
pub use objects::{Bucket, Keys};
#[cfg(feature = "places")]
pub use stores::{Repository, Setup, Stores};
