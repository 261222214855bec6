//! Serves HTTP: bounded connections, a time limit for heads, lingering closes, a drain at the end; and asks for
//! a token.
//!
//! Knows no routes: a service brings its router. Start at [`serve()`].

mod bearer;
mod linger;
mod probes;
mod serve;

pub use bearer::carries;
pub use probes::{Probes, serve_probes};
pub use serve::{Bounds, Closing, serve};
